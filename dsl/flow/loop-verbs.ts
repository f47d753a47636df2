/** `.loop`, `.break` and `.continue`: repeating a block. */
import type { Budget } from "../ir/limit.ts"
import type { LimitExceeded, LoopExhausted } from "./failure.ts"
import type { AnyFlow, Chain, FailureOf, NeedsIn, OutputOf, UpdatesOf } from "./flow.ts"
import type { NodeHook } from "./hook.ts"
import type { FreshName } from "./names.ts"
import type { AnyScope, Bind, BindBlock, Bound, Enter, Jumped, Pass, ScopeOf } from "./scope.ts"
import type { FlowTypeError } from "./type-error.ts"

/** Which passes a loop's output keeps. */
export type Collect = "last" | "all" | "none" | { readonly first: number } | { readonly last: number }

interface Passes {
  /** What is kept of the passes: `"last"` (default), `"all"`, `"none"`, `{ first: n }`, `{ last: n }`. */
  readonly collect?: Collect
  /** What to do when `max` is reached: end the loop (default), or fail with `LoopExhausted`. */
  readonly atMax?: "end" | "fail"
  /** What all passes together may spend; beyond it the loop fails with `LimitExceeded`. */
  readonly budget?: Budget
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** Asked at this node only. */
  readonly hooks?: ReadonlyArray<NodeHook<"loop">>
}
type Indexed<S extends AnyScope> = ScopeOf<Bind<S, "index", number>>

/** How long a loop goes on. `while` is asked before each pass, `until` after it; both need a bound. */
export type LoopOptions<S extends AnyScope> =
  | Passes & { readonly while: (scope: Indexed<S>) => boolean; readonly max: number }
  | Passes & { readonly until: (scope: Indexed<S>) => boolean; readonly max: number }
  | Passes & { readonly times: number | ((scope: ScopeOf<S>) => number) }
  | Passes & { readonly over: (scope: ScopeOf<S>) => Iterable<unknown>; readonly max?: number }

type ItemOf<O> = O extends { readonly over: (...args: never) => Iterable<infer Item> } ? Bound<"item", Item> : never
type Body<Input, S extends AnyScope, O, B> = (block: Chain<Input, Enter<S, Bound<"index", number> | ItemOf<O>, "loop">, never, never>) => B

/** A loop that may make no full pass has nothing to give. */
type MaybeNone<O, B extends AnyFlow> = O extends { readonly until: unknown } | { readonly times: number } ?
  "jumped" extends B["~frame"]["jumps"] ? undefined : never :
  undefined
type LoopOutput<O, B extends AnyFlow> = O extends { readonly collect: infer C extends Collect } ?
  C extends "last" ? OutputOf<B> | MaybeNone<O, B> : C extends "none" ? undefined : ReadonlyArray<OutputOf<B>> :
  OutputOf<B> | MaybeNone<O, B>
type LoopFailure<O, B extends AnyFlow> =
  | FailureOf<B>
  | (O extends { readonly atMax: "fail" } ? LoopExhausted : never)
  | (O extends { readonly budget: unknown } ? LimitExceeded : never)

export interface LoopVerbs {
  /**
   * Repeats a block: `while` or `until` a condition (with `max`), a number of `times`, or `over` the items of a collection.
   *
   * The body reads `index` (from 0) and, with `over`, `item`. Each finished pass is recorded, so a long loop resumes where it was.
   *
   * @example
   * seq("refine").step("score", () => 0)
   *   .loop("passes", { until: ({ score }) => score >= 3, max: 10 }, (b) => b.update("score", ({ score }) => score + 1))
   */
  loop<Input, S extends AnyScope, Failure, Needs, const O extends LoopOptions<S>, B extends AnyFlow>(
    this: Chain<Input, S, Failure, Needs>,
    options: O,
    body: Body<Input, S, O, B>,
  ): Chain<Input, Pass<S, UpdatesOf<B, S>>, Failure | LoopFailure<O, B>, Needs | NeedsIn<B>>
  loop<Input, S extends AnyScope, Failure, Needs, const Name extends string, const O extends LoopOptions<S>, B extends AnyFlow>(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    options: O,
    body: Body<Input, S, O, B>,
  ): Chain<Input, BindBlock<S, Name, LoopOutput<O, B>, UpdatesOf<B, S>>, Failure | LoopFailure<O, B>, Needs | NeedsIn<B>>

  /** Ends the loop around it where the condition holds; the pass adds nothing to what the loop collects, its updates stay. */
  break<Input, S extends AnyScope, Failure, Needs>(
    this: Chain<Input, S, Failure, Needs>,
    condition: "loop" extends S["frame"]["jumps"] ? (scope: ScopeOf<S>) => boolean :
      FlowTypeError<".break stands outside a loop: only a loop's body can break">,
  ): Chain<Input, Jumped<S>, Failure, Needs>
  /** Ends this pass where the condition holds and goes on with the next; the pass adds nothing to what the loop collects, its updates stay. */
  continue<Input, S extends AnyScope, Failure, Needs>(
    this: Chain<Input, S, Failure, Needs>,
    condition: "loop" extends S["frame"]["jumps"] ? (scope: ScopeOf<S>) => boolean :
      FlowTypeError<".continue stands outside a loop: only a loop's body can continue">,
  ): Chain<Input, Jumped<S>, Failure, Needs>
}
