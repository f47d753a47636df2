/** `.protect`: a boundary that typed errors do not cross. */
import type { Input as Duration } from "effect/Duration"
import type { Budget } from "../ir/limit.ts"
import type { LimitExceeded, ProtectTimedOut, TagOf, Untagged, WithTag } from "./failure.ts"
import type { AnyFlow, Chain, FailureOf, MarksOf, NeedsIn, OutputOf, UpdatesOf } from "./flow.ts"
import type { NodeHook } from "./hook.ts"
import type { FreshName } from "./names.ts"
import type { AnyScope, BindBlock, Enter, Pass, ScopeOf } from "./scope.ts"
import type { FlowTypeError } from "./type-error.ts"
import type { ErrorOf, NeedsOf, ValueOf } from "./work.ts"

type Block<Input, S extends AnyScope, B> = (block: Chain<Input, Enter<S, never, Extract<S["frame"]["jumps"], "loop">>, never, never>) => B

/** A handler by `_tag`; what it returns becomes the block's output. */
type Handlers<S extends AnyScope, Failure> =
  & {
    readonly [Tag in TagOf<Failure>]?: (error: WithTag<Failure, Tag>, scope: ScopeOf<S>) => unknown
  }
  & {
    /** With an index signature the compiler lets other keys in, so that `CatchGuard` can name them. */
    readonly [key: symbol]: unknown
  }
interface Boundary<S extends AnyScope, Failure> {
  /** For every error that no handler names; what it returns becomes the block's output. */
  readonly fallback?: (error: Failure, scope: ScopeOf<S>) => unknown
  /** After a caught error, outer names have the values from before the block (default), or keep what its nodes gave them. */
  readonly rollback?: boolean
  /** Longest time for the whole block, counted also while no process runs; then it fails with `ProtectTimedOut`. */
  readonly timeout?: Duration
  /** What is inside may spend this much; beyond it the block fails with `LimitExceeded`. */
  readonly budget?: Budget
  /** Compiles only when every step inside that declares `effects` says how they are undone. */
  readonly compensated?: true
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** Asked at this node only. */
  readonly hooks?: ReadonlyArray<NodeHook<"protect" | "rollback">>
}
/** `catch` handles the errors it names; `catchAll` must name every error the block can fail with. */
export type ProtectOptions<S extends AnyScope, Failure> =
  | Boundary<S, Failure> & { readonly catch?: Handlers<S, Failure> }
  | Boundary<S, Failure> & { readonly catchAll: Handlers<S, Failure> }

/** What can go wrong inside: the block's errors, and the boundary's own. */
type Inside<B extends AnyFlow, O> =
  | FailureOf<B>
  | (O extends { readonly timeout: unknown } ? ProtectTimedOut : never)
  | (O extends { readonly budget: unknown } ? LimitExceeded : never)
type Caught<O> = O extends { readonly catch: infer C } ? C : O extends { readonly catchAll: infer C } ? C : {}
type Tags<O> = keyof Caught<O>

/**
 * `unknown`, or the sentence that names the error a handler cannot meet or the one left unhandled.
 * In the compiler's first pass the block is not known yet and `Failure` is `any`: then nothing is wrong.
 */
type CatchGuard<Node extends string, Failure, O> = 0 extends 1 & Failure ? unknown :
  [Exclude<Tags<O>, TagOf<Failure>>] extends [never] ?
    O extends { readonly catchAll: unknown } ? [Exclude<TagOf<Failure>, Tags<O>> | Untagged<Failure>] extends [never] ? unknown :
      FlowTypeError<`${Node}: catchAll leaves an error unhandled:`, Exclude<TagOf<Failure>, Tags<O>> | Untagged<Failure>> :
    unknown :
  FlowTypeError<
    `${Node}: catch '${Exclude<Tags<O>, TagOf<Failure>> & string}' handles an error that cannot happen here; possible errors:`,
    TagOf<Failure>
  >

/** Steps inside that change the outside world and do not say how that is undone. */
type BareIn<Marks> = Marks extends { readonly bare: infer Name } ? Name : never
/** `unknown`, or the sentence that names the steps nothing undoes. */
type CompensatedGuard<Node extends string, Marks, O> = 0 extends 1 & Marks ? unknown :
  O extends { readonly compensated: true } ? [BareIn<Marks>] extends [never] ? unknown :
    FlowTypeError<`${Node}: a step inside declares effects that nothing undoes; give it compensate, or declare them irreversible:`, BareIn<Marks>> :
  unknown

/** The flow's errors after the boundary: what no handler names, and what handlers fail with. */
type Left<Failure, O> =
  | (O extends { readonly fallback: infer F } ? ErrorOf<ResultOf<F>> : Exclude<Failure, { readonly _tag: Tags<O> }>)
  | ErrorOf<HandlerResult<O>>
type ResultOf<H> = H extends (...args: never) => infer Result ? Result : never
type HandlerResult<O> = ResultOf<Caught<O>[Tags<O>]>
/** What handlers may give instead of the block's output. */
type Handled<O> = HandlerResult<O> | (O extends { readonly fallback: infer F } ? ResultOf<F> : never)

export interface ProtectVerbs {
  /**
   * Runs a block behind a boundary: errors named in `catch` are handled and leave the flow's error type.
   *
   * When the block fails, the compensations of its finished steps run last-first, then the handler; none of the block's
   * updates are seen outside (`rollback`). A `catch` for an error that cannot happen does not compile; `catchAll` compiles
   * only when it names every error.
   *
   * @example
   * seq("safe").protect("page", (b) => b.step("load", () => err({ _tag: "Offline" as const })), { catch: { Offline: () => "cached" } })
   */
  protect<Input, S extends AnyScope, Failure, Needs, B extends AnyFlow, const O extends ProtectOptions<S, FailureOf<B> | ProtectTimedOut | LimitExceeded>>(
    this: Chain<Input, S, Failure, Needs>,
    block: Block<Input, S, B>,
    options: O & CatchGuard<"protect", Inside<B, O>, O> & CompensatedGuard<"protect", MarksOf<B>, O>,
  ): Chain<Input, Pass<S, UpdatesOf<B, S>>, Failure | Left<Inside<B, O>, O>, Needs | NeedsIn<B> | NeedsOf<Handled<O>>>
  protect<
    Input,
    S extends AnyScope,
    Failure,
    Needs,
    const Name extends string,
    B extends AnyFlow,
    const O extends ProtectOptions<S, FailureOf<B> | ProtectTimedOut | LimitExceeded>,
  >(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    block: Block<Input, S, B>,
    options: O & CatchGuard<`protect '${Name}'`, Inside<B, O>, O> & CompensatedGuard<`protect '${Name}'`, MarksOf<B>, O>,
  ): Chain<
    Input,
    BindBlock<S, Name, OutputOf<B> | ValueOf<Handled<O>>, UpdatesOf<B, S>>,
    Failure | Left<Inside<B, O>, O>,
    Needs | NeedsIn<B> | NeedsOf<Handled<O>>
  >
}
