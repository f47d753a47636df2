/** Work that is defined once and used in many flows. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { Input as Duration } from "effect/Duration"
import type { Limit } from "../ir/limit.ts"
import type { FlowIR, StepContext, Transaction, Work } from "../ir/node.ts"
import type { ToolInfo } from "../ir/tool.ts"
import { type Compensating, compensation, type GivenRetry, retryPolicy } from "./compensation.ts"
import type { AnyDefinition, AnyFlow, FailureOf, InputOf, NeedsIn, OutputOf, ServicesOf, Types } from "./flow.ts"
import type { AnyMark, SessionMark } from "./mark.ts"
import type { StepHook } from "./hook.ts"
import { inOrder } from "./limit.ts"
import type { Absent, BareOf, Compensate, Irreversible, RetryOf, TimeoutError } from "./step-verbs.ts"
import type { FlowTypeError } from "./type-error.ts"
import type { ErrorOf, NeedsOf, NestedResult, ValueOf } from "./work.ts"

/** Where a definition or a nested flow keeps its work; callables without it are plain functions. */
export const workOf: unique symbol = Symbol.for("heddle/work")

/** A step defined outside a flow: a function with a name, to be used as `.step(definition)` or called directly in tests. */
export interface StepDefinition<Name extends string, in Input, out Result, out Marks extends AnyMark = never, out Failure = never> {
  (input: Input, step?: StepContext): Result
  readonly "~types": Types<Name, Input, ValueOf<Result>, ErrorOf<Result> | Failure, NeedsOf<Result> | Marks>
  readonly [workOf]: Work
}

export interface DefinitionOptions<Name extends string, Input, Result, Effects, Undone, Timeout> {
  /** Checks and parses what the step is given; any Standard Schema. */
  readonly input?: StandardSchemaV1<any, Input>
  /** Checks what the step gives back; any Standard Schema. */
  readonly output?: StandardSchemaV1<ValueOf<Result>, any>
  /** Try failed work again; only for work that can fail. */
  readonly retry?: RetryOf<Name, Result, Timeout>
  /** Longest time for one attempt; then it is interrupted and fails with `StepTimedOut`. */
  readonly timeout?: Timeout
  /** How many at once and how fast, wherever it is used. */
  readonly limits?: ReadonlyArray<Limit<Input>>
  /** Asked wherever it is used. */
  readonly hooks?: ReadonlyArray<StepHook<ValueOf<Result>>>
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** What it changes in the outside world, in a few words; `{ irreversible: "…" }` where nothing can undo it. */
  readonly effects?: Effects
  /** Undoes the step, when what it is part of fails later. */
  readonly compensate?: Compensate<ValueOf<Result>, Input, Undone>
}

/**
 * Defines a step: each key of its input is read from the flow's scope, else from the fields of the run's input.
 *
 * @example
 * const shout = step("shout", ({ text }: { text: string }) => text.toUpperCase())
 */
export function step<
  const Name extends string,
  Input,
  Result,
  const Effects extends string | Irreversible = never,
  Undone = Absent,
  Timeout extends Duration = never,
>(
  name: Name,
  run: (input: Input, step: StepContext) => Result,
  options: DefinitionOptions<Name, NoInfer<Input>, NoInfer<Result>, Effects, Undone, Timeout> = {},
): StepDefinition<Name, Input, Result, BareOf<Name, Effects, Undone>, TimeoutError<Timeout>> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `~types` exists for the compiler only
  return defined(name, run, options) as never
}

/** What `step` and `tool` give, and what a turn of an agent is: a function that carries its work. */
export function defined(
  name: string,
  run: (input: never, step: StepContext) => unknown,
  options: DefinitionOptions<any, any, any, any, any, any>,
  about: { readonly tool?: ToolInfo; readonly turn?: string } = {},
): (input: never, step: StepContext) => unknown {
  const { input, output, retry, timeout, limits, hooks, description } = options
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
  const call = run as (given: unknown, step: StepContext) => unknown
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same
  const own = { retry: retryPolicy(retry as GivenRetry | undefined), timeout, limits: inOrder(limits), hooks: hooks ?? [], description }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same
  const work: Work = {
    from: "definition",
    call,
    input,
    output,
    given: undefined,
    tool: about.tool,
    turn: about.turn,
    own,
    ...compensation(options as Compensating),
  }
  const definition = (input: never, context: StepContext) => run(input, context)
  return Object.defineProperties(definition, { name: { value: name }, [workOf]: { value: Object.freeze(work) } })
}

/** What a nested flow gives its step, as the compiler sees it. */
export type Nested<Scope, F extends AnyDefinition> = (scope: Scope) => NestedResult<OutputOf<F>, FailureOf<F>, NeedsIn<F>>
/** Its signals and effects are its own; its session is that of the run that starts it. */
type ChildNeeds<F extends AnyFlow> = ServicesOf<F> | Extract<NeedsIn<F>, SessionMark>
/** A flow as a run of its own, to be used as a step under the flow's name. */
export interface ChildFlow<F extends AnyFlow> extends AnyDefinition {
  readonly "~types": Types<F["~types"]["name"], InputOf<F>, OutputOf<F>, FailureOf<F>, ChildNeeds<F>>
}

export interface NestOptions {
  /**
   * `inline` (default): part of the same run and its journal. `run`: a run of its own, with a journal, signals and limits of its own;
   * it fails its step with its error, and is cancelled with the run that started it.
   */
  readonly as?: "inline" | "run"
}

/**
 * A flow, a step, a tool or an agent as the work of a named step, with its input made from the scope; or a flow as a run of its own.
 *
 * @example
 * const child = seq<{ n: number }>("child").returns(({ input }) => input.n + 1)
 * seq("parent").step("start", () => 1).step("next", nest(child, ({ start }) => ({ n: start })))
 */
export function nest<F extends AnyFlow>(flow: F, options: { readonly as: "run" }): ChildFlow<F>
export function nest<Scope, F extends AnyFlow>(flow: F, input: (scope: Scope) => InputOf<F>, options: { readonly as: "run" }): (
  scope: Scope,
) => NestedResult<OutputOf<F>, FailureOf<F>, ChildNeeds<F>>
export function nest<Scope, F extends AnyDefinition>(definition: F, input: (scope: Scope) => InputOf<F>, options?: NestOptions): Nested<Scope, F>
export function nest(flow: { readonly ir: FlowIR } | { readonly name: string; readonly [workOf]: Work }, second: unknown, third?: NestOptions): unknown {
  if (workOf in flow) {
    const work = flow[workOf]
    return Object.freeze({ name: flow.name, [workOf]: Object.freeze({ ...work, [work.from === "flow" ? "input" : "given"]: second }) })
  }
  const [input, options] = typeof second === "function" ? [second, third] : [undefined, second]
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the overloads have said what these are
  const work = { from: "flow", flow: flow.ir, input, as: (options as NestOptions | undefined)?.as ?? "inline" }
  // a marker the builder recognises; it is never called
  return Object.freeze({ name: flow.ir.name, [workOf]: Object.freeze(work) })
}

/** Work that can be told to wait for nothing: a transaction ends before its step returns. */
export type Sync<Result> = Result extends PromiseLike<unknown> ? FlowTypeError<"a transaction cannot wait: return a plain value"> : Result

/**
 * Work inside the transaction that records its step, in the journal's own database: it happens exactly once, or not at all.
 *
 * The function is synchronous; it must not touch Heddle's own tables, and is run by stores that have SQL (SQLite). If it throws,
 * nothing of it is kept.
 *
 * @example
 * seq<{ n: number }>("save").step("row", transaction((sql, { input }) => sql.run("INSERT INTO numbers VALUES (?)", input.n).changes))
 */
export function transaction<Scope, Result>(work: (sql: Transaction, scope: Scope, step: StepContext) => Sync<Result>): (scope: Scope) => Result {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a marker the builder recognises; it is never called
  return Object.freeze({ [workOf]: Object.freeze({ from: "transaction", call: work }) }) as unknown as (scope: Scope) => Result
}
