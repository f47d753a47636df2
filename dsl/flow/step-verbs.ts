/** `.step` and `.update`: units of work. */
import type { Input as Duration } from "effect/Duration"
import type { StepContext } from "../ir/node.ts"
import type { StepTimedOut } from "./failure.ts"
import type { AnyDefinition, Chain, FailureOf, InputOf, OutputOf, ServicesOf } from "./flow.ts"
import type { StepName, UpdateName } from "./names.ts"
import type { AnyScope, At, Bind, Pass, ScopeOf } from "./scope.ts"
import type { Storable } from "./storable.ts"
import type { FlowTypeError } from "./type-error.ts"
import type { ErrorOf, NeedsOf, ValueOf } from "./work.ts"

/** When and how often failed work is tried again. */
export interface Retry<Error> {
  /** How many times after the first attempt; at least 1. */
  readonly times: number
  /** Only errors for which this holds are retried; default: all. */
  readonly while?: (error: Error) => boolean
  /** Wait before the first retry, default 100 ms; doubles each time. */
  readonly backoff?: Duration
  /** Longest wait between attempts, default 30 seconds. */
  readonly maxBackoff?: Duration
  /** Spread the waits by ±20 %, default true, so that many runs do not retry in step. */
  readonly jitter?: boolean
}

/** Turns a value our own codec does not know into one it does, and back. */
export interface Codec<Value, Stored> {
  readonly encode: (value: Value) => Stored
  readonly decode: (stored: Stored) => Value
}

type TimeoutError<Timeout> = [Timeout] extends [never] ? never : StepTimedOut

export interface StepOptions<Name extends string, Result, Timeout, Coded> {
  /** Try failed work again; only for work that can fail. */
  readonly retry?: unknown extends Result ? Retry<any> :
    [ErrorOf<Result> | TimeoutError<Timeout>] extends [never] ? FlowTypeError<`step '${Name}' cannot fail: a retry would never happen`> :
    Retry<ErrorOf<Result> | TimeoutError<Timeout>>
  /** Longest time for one attempt; then it is interrupted and fails with `StepTimedOut`. */
  readonly timeout?: Timeout
  /** How to record an output that is not plain data. */
  readonly codec?: Codec<NoInfer<ValueOf<Result>>, Coded>
  /** One sentence for diagrams and docs. */
  readonly description?: string
}

export interface StepVerbs {
  /**
   * Runs work that was defined elsewhere (a step, an agent, another flow) and binds its output to its own name.
   *
   * Each key its input asks for is read from the scope, else from the fields of the run's `input`.
   *
   * @example
   * const shout = step("shout", ({ text }: { text: string }) => text.toUpperCase())
   * seq("greet", { input: z.object({ text: z.string() }) }).step(shout)
   */
  step<Input, S extends AnyScope, Failure, Needs, Definition extends AnyDefinition>(
    this: Chain<Input, S, Failure, Needs>,
    definition: DefinitionGuard<Definition, S>,
  ): Chain<Input, Bind<S, Definition["~types"]["name"], OutputOf<Definition>>, Failure | FailureOf<Definition>, Needs | ServicesOf<Definition>>

  /**
   * Runs `work` and binds its output to `name`.
   *
   * `work` may return a value, a Promise, a neverthrow `Result` or `ResultAsync`, an Effect, or be a generator of Effects.
   * A recorded output is never computed again; a body that was interrupted by a crash runs again with the same
   * idempotency key.
   *
   * @example
   * seq("sum").step("a", () => 1).step("b", ({ a }) => a + 1)
   */
  step<Input, S extends AnyScope, Failure, Needs, const Name extends string, Result, Timeout extends Duration = never, Coded extends Storable = never>(
    this: Chain<Input, S, Failure, Needs>,
    name: StepName<Name, S["names"], [Coded] extends [never] ? Result : unknown>,
    work: (scope: ScopeOf<S>, step: StepContext) => Result,
    options?: StepOptions<Name, Result, Timeout, Coded>,
  ): Chain<Input, Bind<S, Name, ValueOf<Result>>, Failure | ErrorOf<Result> | TimeoutError<Timeout>, Needs | NeedsOf<Result>>

  /**
   * Runs `work` and gives its output to a name that is already bound.
   *
   * Inside a block this is the one way to change a name outside it; the change is seen after the block has ended.
   *
   * @example
   * seq("count").step("n", () => 0).loop({ times: 3 }, (b) => b.update("n", ({ n }) => n + 1))
   */
  update<Input, S extends AnyScope, Failure, Needs, const Name extends string, Result, Timeout extends Duration = never>(
    this: Chain<Input, S, Failure, Needs>,
    name: UpdateName<Name, S, Result>,
    work: (scope: ScopeOf<S>, step: StepContext) => Result,
    options?: StepOptions<Name, Result, Timeout, never>,
  ): Chain<Input, Pass<S, Name>, Failure | ErrorOf<Result> | TimeoutError<Timeout>, Needs | NeedsOf<Result>>
}

/** Keys `Wants` asks for that neither the scope nor the run's input has. */
type Missing<Wants, S extends AnyScope> = Exclude<keyof Wants, S["names"] | keyof At<S, "input">>
type Provided<S extends AnyScope, Key> = Key extends S["names"] ? At<S, Key> : At<S, "input">[Key & keyof At<S, "input">]
type Wrong<Wants, S extends AnyScope> = {
  [Key in keyof Wants]: [Provided<S, Key>] extends [Wants[Key]] ? never : Mismatch<Key, Wants[Key], Provided<S, Key>>
}[keyof Wants]

/** Printed as `Mismatch<"draft", string, number>`: the key, what the step wants, what the scope has. */
export interface Mismatch<Key, Wants, Has> {
  readonly key: Key
  readonly wants: Wants
  readonly has: Has
}

/** The definition, or the sentence that says what it lacks here. */
export type DefinitionGuard<D extends AnyDefinition, S extends AnyScope> = string extends D["~types"]["name"] ?
  FlowTypeError<"the compiler does not know this flow's name: give it here, .step(\"name\", nest(flow, (scope) => input))"> :
  D["~types"]["name"] extends S["names"] ?
    FlowTypeError<`'${D["~types"]["name"]}' is already bound in this scope; give the step a name of its own: .step("name", …)`> :
  [Missing<InputOf<D>, S>] extends [never] ?
    [Wrong<InputOf<D>, S>] extends [never] ? D : FlowTypeError<`step '${D["~types"]["name"]}' gets a value of another type`, Wrong<InputOf<D>, S>> :
  FlowTypeError<
    `step '${D["~types"]["name"]}' needs '${Missing<InputOf<D>, S> & string}', which nothing before it provides; in scope:`,
    S["names"]
  >
