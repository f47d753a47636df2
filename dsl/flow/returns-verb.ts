/** `.returns`: the last word of a flow or block. */
import type { Chain, Ended } from "./flow.ts"
import type { LockGuard } from "./lock.ts"
import type { Misfit } from "./names.ts"
import type { AnyScope, At, ScopeOf } from "./scope.ts"
import type { NotStorable, Storable } from "./storable.ts"
import type { FlowTypeError } from "./type-error.ts"

/** The function, or the sentence that says why its output cannot be the flow's. */
type ReturnsGuard<S extends AnyScope, Output> = unknown extends Output ? (scope: ScopeOf<S>) => Output :
  [S["pending"]] extends [never] ? [Output] extends [S["frame"]["declared"]["output"]] ? Recorded<S, Output> :
    FlowTypeError<
      `flow '${S["frame"]["flow"]}' returns a value that does not fit its declared output`,
      Misfit<S["frame"]["declared"]["output"], Output>
    > :
  FlowTypeError<"a .when(condition) stands before .returns and guards nothing">
type Recorded<S extends AnyScope, Output> = [Output] extends [Storable] ? Released<S, Output> :
  NotStorable<Output> extends never ? Released<S, Output> :
  FlowTypeError<`flow '${S["frame"]["flow"]}' returns a value that cannot be recorded`, NotStorable<Output>>
type Released<S extends AnyScope, Output> = LockGuard<
  S["frame"]["flow"],
  S["frame"]["declared"],
  { readonly [Name in S["own"]]: At<S, Name> },
  (scope: ScopeOf<S>) => Output
>

export interface ReturnsVerb {
  /**
   * Chooses the output from the scope and ends the flow or block; without it the output is a record of the names bound.
   *
   * The scope is not part of the resulting type, so an exported flow's declaration stays small.
   *
   * @example
   * seq("sum").step("a", () => 1).step("b", () => 2).returns(({ a, b }) => a + b)
   */
  returns<Input, S extends AnyScope, Failure, Needs, Output>(
    this: Chain<Input, S, Failure, Needs>,
    choose: ((scope: ScopeOf<S>) => Output) & ReturnsGuard<S, NoInfer<Output>>,
  ): Ended<Input, Output, Failure, Needs, S["frame"]>
}
