/** `.when` and `.match`: choosing what runs. */
import type { AnyFlow, Chain, FailureOf, NeedsIn, OutputOf, UpdatesOf } from "./flow.ts"
import type { FreshName } from "./names.ts"
import type { AnyBound, AnyScope, BindBlock, Bound, Enter, Guard, Jumped, Pass, ScopeOf } from "./scope.ts"
import type { FlowTypeError } from "./type-error.ts"

/** A yes or no, asked of the scope; ask the world in a step. */
export type Condition<S extends AnyScope> = (scope: ScopeOf<S>) => boolean

/** A block inside a choice: it may `.break` a loop around it. */
type Arm<Input, S extends AnyScope, Inside extends AnyBound, B> = (
  block: Chain<Input, Enter<S, Inside, Extract<S["frame"]["jumps"], "loop">>, never, never>,
) => B
/** A loop is told when one of its arms jumps. */
type Jumps<S extends AnyScope, B extends AnyFlow> = "jumped" extends B["~frame"]["jumps"] ? Jumped<S> : S

/** The label of each member of a union: itself, or its `_tag`, `type` or `kind`. */
export type LabelOf<V> = V extends string ? V :
  V extends { readonly _tag: infer T extends string } ? T :
  V extends { readonly type: infer T extends string } ? T :
  V extends { readonly kind: infer T extends string } ? T :
  V extends boolean ? `${V}` :
  never
type Labelled<V, Label> = V extends string ? Extract<V, Label> :
  V extends { readonly _tag: Label } | { readonly type: Label } | { readonly kind: Label } ? V :
  V extends boolean ? V :
  never

type Cases<Input, S extends AnyScope, V> = {
  readonly [Label in LabelOf<V>]?: Arm<Input, S, Bound<"matched", Labelled<V, Label>>, AnyFlow>
}
type CaseFlow<C> = C[keyof C] extends infer Case ? (Case extends (block: never) => infer B ? Extract<B, AnyFlow> : never) : never
/** `Given`, or the sentence that names the missing or unknown case. */
type MatchGuard<Given, Node extends string, V, C> = unknown extends V ? Given :
  string extends LabelOf<V> ? FlowTypeError<`${Node} needs a union of literals to choose by, not just any string`> :
  [LabelOf<V>, keyof C] extends [never, string] ?
    FlowTypeError<`${Node} chooses by literals, or by members told apart by _tag, type or kind: give it one of these, as of`, V> :
  [Exclude<LabelOf<V>, keyof C>] extends [never] ?
    [Exclude<keyof C, LabelOf<V>>] extends [never] ? Given : FlowTypeError<`${Node} has a case that cannot happen:`, Exclude<keyof C, LabelOf<V>>> :
  FlowTypeError<`${Node} does not handle`, Exclude<LabelOf<V>, keyof C>>

export interface ChoiceVerbs {
  /**
   * Guards exactly the next node: it runs only where the condition holds, and what it binds becomes optional.
   *
   * @example
   * seq("page").step("priority", () => 9).when(({ priority }) => priority > 7).step("page", () => "paged")
   */
  when<Input, S extends AnyScope, Failure, Needs>(
    this: Chain<Input, S, Failure, Needs>,
    condition: Condition<S>,
  ): Chain<Input, Guard<S>, Failure, Needs>
  /** Chooses between two blocks; without `no` the output may be `undefined`. Unnamed, it binds nothing. */
  when<Input, S extends AnyScope, Failure, Needs, Yes extends AnyFlow, No extends AnyFlow = never>(
    this: Chain<Input, S, Failure, Needs>,
    condition: Condition<S>,
    yes: Arm<Input, S, never, Yes>,
    no?: Arm<Input, S, never, No>,
  ): Chain<Input, Pass<Jumps<S, Yes | No>, UpdatesOf<Yes | No, S>>, Failure | FailureOf<Yes | No>, Needs | NeedsIn<Yes | No>>
  /** Chooses between two blocks and binds the output of the one that ran. */
  when<Input, S extends AnyScope, Failure, Needs, const Name extends string, Yes extends AnyFlow, No extends AnyFlow = never>(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    condition: Condition<S>,
    yes: Arm<Input, S, never, Yes>,
    no?: Arm<Input, S, never, No>,
  ): Chain<
    Input,
    BindBlock<Jumps<S, Yes | No>, Name, OutputOf<Yes> | ([No] extends [never] ? undefined : OutputOf<No>), UpdatesOf<Yes | No, S>>,
    Failure | FailureOf<Yes | No>,
    Needs | NeedsIn<Yes | No>
  >

  /**
   * Chooses one block by a union: by its literals, or by the `_tag`, `type` or `kind` of its members.
   *
   * A missing or unknown case does not compile. Inside a case, `matched` is the value, narrowed.
   *
   * @example
   * seq("route").step("kind", () => "bug" as "bug" | "other")
   *   .match("route", ({ kind }) => kind, { bug: (b) => b.step("file", () => 1), other: (b) => b.step("queue", () => 2) })
   */
  match<Input, S extends AnyScope, Failure, Needs, V, const C extends Cases<Input, S, V>>(
    this: Chain<Input, S, Failure, Needs>,
    on: MatchGuard<(scope: ScopeOf<S>) => V, "match", V, C>,
    cases: C,
  ): Chain<
    Input,
    Pass<Jumps<S, CaseFlow<C>>, UpdatesOf<CaseFlow<C>, S>>,
    Failure | FailureOf<CaseFlow<C>>,
    Needs | NeedsIn<CaseFlow<C>>
  >
  match<Input, S extends AnyScope, Failure, Needs, const Name extends string, V, const C extends Cases<Input, S, V>>(
    this: Chain<Input, S, Failure, Needs>,
    name: MatchGuard<FreshName<Name, S["names"]>, `match '${Name}'`, V, C>,
    on: (scope: ScopeOf<S>) => V,
    cases: C,
  ): Chain<
    Input,
    BindBlock<Jumps<S, CaseFlow<C>>, Name, OutputOf<CaseFlow<C>>, UpdatesOf<CaseFlow<C>, S>>,
    Failure | FailureOf<CaseFlow<C>>,
    Needs | NeedsIn<CaseFlow<C>>
  >
}
