/** `.parallel` and `.each`: forks at once, joined by one of four failure modes. */
import type { JoinFailed } from "./failure.ts"
import type { AnyFlow, Blocked, Chain, FailureOf, NeedsIn, OutputOf, UpdatesOf } from "./flow.ts"
import type { Policy } from "./merge.ts"
import type { NodeHook } from "./hook.ts"
import type { FreshName } from "./names.ts"
import type { AnyScope, At, BindBlock, Bound, Enter, Pass, ScopeOf } from "./scope.ts"
import type { FlowTypeError } from "./type-error.ts"

/** At least this many forks must succeed. */
export interface AtLeast {
  readonly atLeast: number
}

/** The failure mode in which at least `n` forks must succeed. */
export const atLeast = (n: number): AtLeast => Object.freeze({ atLeast: n })

/**
 * When forks fail: `failFast` (default) interrupts the others at the first error; `waitAll` lets all end, then fails with
 * every error; `atLeast(n)` succeeds if n did; `first` takes the first success and interrupts the rest; `collect` never fails and
 * gives what each came to, `{ ok: true, value }` or `{ ok: false, error }`.
 */
export type FailureMode = "failFast" | "waitAll" | "first" | "collect" | AtLeast

/** What one fork came to, with `collect`. */
export type Settlement<Value, Error> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly error: Error }

/** How many forks run at once; default: 16. */
interface Joining {
  readonly concurrency?: number | "unbounded"
  readonly failure?: FailureMode
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** Asked at this node only. */
  readonly hooks?: ReadonlyArray<NodeHook<"parallel" | "each" | "fork">>
}
export interface ParallelOptions<Forks extends string> extends Joining {
  /** Forks that may fail: their output becomes optional, their error is reported and not raised. */
  readonly optional?: ReadonlyArray<Forks>
}
export interface EachOptions extends Joining {
  /** Keep the order of the items in the output (default), or the order in which they ended. */
  readonly ordered?: boolean
}

type Block<Input, S extends AnyScope, Inside extends Bound<string, any>, B> = (block: Chain<Input, Enter<S, Inside, never>, never, never>) => B
type Forks<Input, S extends AnyScope> = { readonly [name: string]: Block<Input, S, never, AnyFlow> }
type FlowOf<Fork> = Fork extends (block: never) => infer B ? Extract<B, AnyFlow> : never

type ModeOf<O> = O extends { readonly failure: infer Mode } ? Mode : "failFast"
type OptionalOf<O> = O extends { readonly optional: ReadonlyArray<infer Fork> } ? Fork : never
type ForksOutput<F, O> = ModeOf<O> extends "first" ? { [Fork in keyof F]: { readonly fork: Fork; readonly value: OutputOf<FlowOf<F[Fork]>> } }[keyof F] :
  ModeOf<O> extends AtLeast ? { readonly [Fork in keyof F]: OutputOf<FlowOf<F[Fork]>> | undefined } :
  ModeOf<O> extends "collect" ? { readonly [Fork in keyof F]: Settlement<OutputOf<FlowOf<F[Fork]>>, FailureOf<FlowOf<F[Fork]>>> } :
  { readonly [Fork in keyof F]: OutputOf<FlowOf<F[Fork]>> | (Fork extends OptionalOf<O> ? undefined : never) }
type RequiredFailure<F, O> = { [Fork in keyof F]: Fork extends OptionalOf<O> ? never : FailureOf<FlowOf<F[Fork]>> }[keyof F]
type Joined<Error, Mode> = [Error] extends [never] ? never : Mode extends "collect" ? never : Mode extends "failFast" ? Error : JoinFailed<Error>
type OptionsGuard<Name extends string, O> = O extends { readonly optional: unknown; readonly failure: "first" | "collect" | AtLeast } ?
  FlowTypeError<`parallel '${Name}': with first, collect or atLeast no fork is required, so none can be optional`> :
  unknown

/** Names that more than one fork updates. */
type Conflicts<F, S extends AnyScope> = {
  [Fork in keyof F]:
    & UpdatesOf<FlowOf<F[Fork]>, S>
    & { [Other in Exclude<keyof F, Fork>]: UpdatesOf<FlowOf<F[Other]>, S> }[Exclude<keyof F, Fork>]
}[keyof F]
type ParallelConflicts<F, S extends AnyScope, O> = ModeOf<O> extends "first" ? never : Conflicts<F, S>

/** What follows forks that update one name: only `.merge` can be called. */
export interface NeedsMerge<Node extends string, Names extends string, S extends AnyScope, Next>
  extends Blocked<`${Node}: more than one fork updates '${Names}'; say how with .merge({ ${Names}: merge.… })`>
{
  /** Says how the values that forks gave to one name become one. */
  merge<const P extends { readonly [Name in Names]: Policy<At<S, Name>> }>(policies: P & OnlyConflicts<Node, P, Names>): Next
}
type OnlyConflicts<Node extends string, P, Names extends string> = {
  readonly [Name in Exclude<keyof P, Names> & string]: FlowTypeError<`${Node}: '${Name}' needs no merge policy, at most one fork updates it`>
}
type MergeGate<Node extends string, Names extends string, S extends AnyScope, Next> = [Names] extends [never] ? Next : NeedsMerge<Node, Names, S, Next>

export interface ForkVerbs {
  /**
   * Runs named forks at once. Each starts from the same scope and sees none of the others' changes.
   *
   * The output is a record of theirs; where two forks `.update` one name, `.merge({ name: policy })` must follow.
   *
   * @example
   * seq("both").parallel("sides", { left: (b) => b.step("l", () => 1), right: (b) => b.step("r", () => 2) }, { concurrency: 2 })
   */
  parallel<Input, S extends AnyScope, Failure, Needs, const F extends Forks<Input, S>, const O extends ParallelOptions<keyof F & string> = {}>(
    this: Chain<Input, S, Failure, Needs>,
    forks: F,
    options?: O & OptionsGuard<"parallel", O>,
  ): MergeGate<
    "parallel",
    ParallelConflicts<F, S, O>,
    S,
    Chain<
      Input,
      Pass<S, UpdatesOf<FlowOf<F[keyof F]>, S>>,
      Failure | Joined<RequiredFailure<F, O>, ModeOf<O>>,
      Needs | NeedsIn<FlowOf<F[keyof F]>>
    >
  >
  parallel<
    Input,
    S extends AnyScope,
    Failure,
    Needs,
    const Name extends string,
    const F extends Forks<Input, S>,
    const O extends ParallelOptions<keyof F & string> = {},
  >(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    forks: F,
    options?: O & OptionsGuard<Name, O>,
  ): MergeGate<
    `parallel '${Name}'`,
    ParallelConflicts<F, S, O>,
    S,
    Chain<
      Input,
      BindBlock<S, Name, ForksOutput<F, O>, UpdatesOf<FlowOf<F[keyof F]>, S>>,
      Failure | Joined<RequiredFailure<F, O>, ModeOf<O>>,
      Needs | NeedsIn<FlowOf<F[keyof F]>>
    >
  >

  /**
   * Runs a block for every item, several at once; the output is a list of theirs. The block reads `item` and `index`.
   *
   * @example
   * seq("squares").each("squares", () => [1, 2, 3], (b) => b.step("s", ({ item }) => item * item), { concurrency: 2 })
   */
  each<Input, S extends AnyScope, Failure, Needs, Item, B extends AnyFlow, const O extends EachOptions = {}>(
    this: Chain<Input, S, Failure, Needs>,
    items: (scope: ScopeOf<S>) => Iterable<Item>,
    body: Block<Input, S, Bound<"item", Item> | Bound<"index", number>, B>,
    options?: O,
  ): MergeGate<
    "each",
    UpdatesOf<B, S>,
    S,
    Chain<Input, Pass<S, UpdatesOf<B, S>>, Failure | Joined<FailureOf<B>, ModeOf<O>>, Needs | NeedsIn<B>>
  >
  each<Input, S extends AnyScope, Failure, Needs, const Name extends string, Item, B extends AnyFlow, const O extends EachOptions = {}>(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    items: (scope: ScopeOf<S>) => Iterable<Item>,
    body: Block<Input, S, Bound<"item", Item> | Bound<"index", number>, B>,
    options?: O,
  ): MergeGate<
    `each '${Name}'`,
    UpdatesOf<B, S>,
    S,
    Chain<
      Input,
      BindBlock<S, Name, EachOutput<B, O>, UpdatesOf<B, S>>,
      Failure | Joined<FailureOf<B>, ModeOf<O>>,
      Needs | NeedsIn<B>
    >
  >
}
type EachOutput<B extends AnyFlow, O> = ModeOf<O> extends "first" ? OutputOf<B> :
  ModeOf<O> extends AtLeast ? ReadonlyArray<OutputOf<B> | undefined> :
  ModeOf<O> extends "collect" ? ReadonlyArray<Settlement<OutputOf<B>, FailureOf<B>>> :
  ReadonlyArray<OutputOf<B>>
