/** `.protect`: a boundary that typed errors do not cross. */
import type { TagOf, Untagged, WithTag } from "./failure.ts"
import type { AnyFlow, Chain, FailureOf, OutputOf, ServicesOf, UpdatesOf } from "./flow.ts"
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
interface Described {
  /** One sentence for diagrams and docs. */
  readonly description?: string
}
/** `catch` handles the errors it names; `catchAll` must name every error the block can fail with. */
export type ProtectOptions<S extends AnyScope, Failure> =
  | Described & { readonly catch: Handlers<S, Failure> }
  | Described & { readonly catchAll: Handlers<S, Failure> }

type Caught<O> = O extends { readonly catch: infer C } ? C : O extends { readonly catchAll: infer C } ? C : never
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

/** The flow's errors after the boundary: what no handler names, and what handlers fail with. */
type Left<Failure, O> = Exclude<Failure, { readonly _tag: Tags<O> }> | ErrorOf<HandlerResult<O>>
type HandlerResult<O> = Caught<O>[Tags<O>] extends infer H ? H extends (...args: never) => infer Result ? Result : never : never

export interface ProtectVerbs {
  /**
   * Runs a block behind a boundary: errors named in `catch` are handled and leave the flow's error type.
   *
   * When the block fails, none of its updates are seen outside. A `catch` for an error that cannot happen does not
   * compile; `catchAll` compiles only when it names every error.
   *
   * @example
   * seq("safe").protect("page", (b) => b.step("load", () => err({ _tag: "Offline" as const })), { catch: { Offline: () => "cached" } })
   */
  protect<Input, S extends AnyScope, Failure, Needs, B extends AnyFlow, const O extends ProtectOptions<S, FailureOf<B>>>(
    this: Chain<Input, S, Failure, Needs>,
    block: Block<Input, S, B>,
    options: O & CatchGuard<"protect", FailureOf<B>, O>,
  ): Chain<Input, Pass<S, UpdatesOf<B, S>>, Failure | Left<FailureOf<B>, O>, Needs | ServicesOf<B> | NeedsOf<HandlerResult<O>>>
  protect<Input, S extends AnyScope, Failure, Needs, const Name extends string, B extends AnyFlow, const O extends ProtectOptions<S, FailureOf<B>>>(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    block: Block<Input, S, B>,
    options: O & CatchGuard<`protect '${Name}'`, FailureOf<B>, O>,
  ): Chain<
    Input,
    BindBlock<S, Name, OutputOf<B> | ValueOf<HandlerResult<O>>, UpdatesOf<B, S>>,
    Failure | Left<FailureOf<B>, O>,
    Needs | ServicesOf<B> | NeedsOf<HandlerResult<O>>
  >
}
