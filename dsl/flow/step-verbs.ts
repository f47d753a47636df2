/** `.step` and `.update`: units of work. */
import type { Input as Duration } from "effect/Duration"
import type { Limit } from "../ir/limit.ts"
import type { StepContext } from "../ir/node.ts"
import type { StepTimedOut, StepUncertain } from "./failure.ts"
import type { AnyDefinition, Chain, FailureOf, InputOf, NeedsIn, OutputOf } from "./flow.ts"
import type { StepHook } from "./hook.ts"
import type { BareMark } from "./mark.ts"
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

export type TimeoutError<Timeout> = [Timeout] extends [never] ? never : StepTimedOut

/** How work is tried again, or the sentence that says that it cannot fail. */
export type RetryOf<Name extends string, Result, Timeout> = unknown extends Result ? Retry<any> :
  [ErrorOf<Result> | TimeoutError<Timeout>] extends [never] ? FlowTypeError<`step '${Name}' cannot fail: a retry would never happen`> :
  Retry<ErrorOf<Result> | TimeoutError<Timeout>>

/** An effect that cannot be undone, in a few words. */
export interface Irreversible {
  readonly irreversible: string
}
/** Where no `compensate` was given. */
export interface Absent {
  readonly "~absent": true
}
type Undo<Output, Given, Result> = (output: Output, input: Given, step: StepContext) => Result
/** How the effect of a finished step is undone: it is given exactly the step's output and input. */
export type Compensate<Output, Given, Result> = Undo<Output, Given, Result> | {
  readonly undo: Undo<Output, Given, Result>
  readonly retry?: Retry<ErrorOf<NoInfer<Result>>>
  /** Longest time for one attempt. */
  readonly timeout?: Duration
  /** When it fails for good: go on with the other compensations (default), or stop. Both are reported with `CompensationFailed`. */
  readonly onFailure?: "continue" | "stop"
}
/** What is left unsaid about undoing the effects of `Name`. */
export type BareOf<Name extends string, Effects, Undone> = [Effects] extends [string] ?
  [Effects] extends [never] ? never : [Undone] extends [Absent] ? BareMark<Name> : never :
  never
type Given<Undone> = [Undone] extends [Absent] ? never : Undone

export interface StepOptions<Name extends string, S extends AnyScope, Result, Timeout, Coded, Effects, Undone, Delivery> {
  /** Try failed work again; only for work that can fail and may run more than once. */
  readonly retry?: [Delivery] extends [never] ? RetryOf<Name, Result, Timeout> :
    FlowTypeError<`step '${Name}' runs at most once: it cannot be tried again`>
  /** Longest time for one attempt; then it is interrupted and fails with `StepTimedOut`. */
  readonly timeout?: Timeout
  /** How to record an output that is not plain data. */
  readonly codec?: Codec<NoInfer<ValueOf<Result>>, Coded>
  /** What it changes in the outside world, in a few words; `{ irreversible: "…" }` where nothing can undo it. */
  readonly effects?: Effects
  /**
   * Undoes the step when the `protect` around it, or the run, fails after the step was recorded.
   *
   * Compensations run last-first, one by one; each is recorded and survives a crash.
   */
  readonly compensate?: Compensate<NoInfer<ValueOf<Result>>, ScopeOf<S>, Undone>
  /** `atMostOnce`: its beginning is durable before it runs; if that is all that is known after a crash, it fails with `StepUncertain`. */
  readonly delivery?: Delivery
  /** How many at once and how fast, over all runs of this process: `permits`, `rate`. */
  readonly limits?: ReadonlyArray<Limit<ScopeOf<S>>>
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** Asked at this node only. */
  readonly hooks?: ReadonlyArray<StepHook<NoInfer<ValueOf<Result>>>>
}
type StepFailure<Result, Timeout, Delivery> = ErrorOf<Result> | TimeoutError<Timeout> | ([Delivery] extends [never] ? never : StepUncertain)

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
  ): Chain<
    Input,
    Bind<S, Definition["~types"]["name"], OutputOf<Definition>>,
    Failure | FailureOf<Definition>,
    Needs | NeedsIn<Definition>
  >

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
  step<Input, S extends AnyScope, Failure, Needs, const Name extends string, Result>(
    this: Chain<Input, S, Failure, Needs>,
    name: StepName<Name, S["names"], Result>,
    work: (scope: ScopeOf<S>, step: StepContext) => Result,
  ): Chain<Input, Bind<S, Name, ValueOf<Result>>, Failure | ErrorOf<Result>, Needs | NeedsOf<Result>>
  /** The same with a retry, a timeout, a codec, a compensation. */
  step<
    Input,
    S extends AnyScope,
    Failure,
    Needs,
    const Name extends string,
    Result,
    Timeout extends Duration = never,
    Coded extends Storable = never,
    const Effects extends string | Irreversible = never,
    Undone = Absent,
    const Delivery extends "atMostOnce" = never,
  >(
    this: Chain<Input, S, Failure, Needs>,
    name: StepName<Name, S["names"], [Coded] extends [never] ? Result : unknown>,
    work: (scope: ScopeOf<S>, step: StepContext) => Result,
    options: StepOptions<Name, S, Result, Timeout, Coded, Effects, Undone, Delivery>,
  ): Chain<
    Input,
    Bind<S, Name, ValueOf<Result>>,
    Failure | StepFailure<Result, Timeout, Delivery>,
    Needs | NeedsOf<Result> | NeedsOf<Given<Undone>> | BareOf<Name, Effects, Undone>
  >

  /**
   * Runs `work` and gives its output to a name that is already bound.
   *
   * Inside a block this is the one way to change a name outside it; the change is seen after the block has ended.
   *
   * @example
   * seq("count").step("n", () => 0).loop({ times: 3 }, (b) => b.update("n", ({ n }) => n + 1))
   */
  update<
    Input,
    S extends AnyScope,
    Failure,
    Needs,
    const Name extends string,
    Result,
    Timeout extends Duration = never,
    const Effects extends string | Irreversible = never,
    Undone = Absent,
    const Delivery extends "atMostOnce" = never,
  >(
    this: Chain<Input, S, Failure, Needs>,
    name: UpdateName<Name, S, Result>,
    work: (scope: ScopeOf<S>, step: StepContext) => Result,
    options?: StepOptions<Name, S, Result, Timeout, never, Effects, Undone, Delivery>,
  ): Chain<
    Input,
    Pass<S, Name>,
    Failure | StepFailure<Result, Timeout, Delivery>,
    Needs | NeedsOf<Result> | NeedsOf<Given<Undone>> | BareOf<Name, Effects, Undone>
  >
}

/** Keys that `Wants` cannot do without. */
type RequiredOf<Wants> = { [Key in keyof Wants]-?: {} extends Pick<Wants, Key> ? never : Key }[keyof Wants]
type Found<S extends AnyScope> = S["names"] | keyof At<S, "input">
/** Keys `Wants` asks for that neither the scope nor the run's input has. */
type Missing<Wants, S extends AnyScope> = Exclude<RequiredOf<Wants>, Found<S>>
type Provided<S extends AnyScope, Key> = Key extends S["names"] ? At<S, Key> : At<S, "input">[Key & keyof At<S, "input">]
type Wrong<Wants, S extends AnyScope> = {
  [Key in keyof Wants]-?: Key extends Found<S> ? [Provided<S, Key>] extends [Wants[Key]] ? never : Mismatch<Key, Wants[Key], Provided<S, Key>> : never
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
