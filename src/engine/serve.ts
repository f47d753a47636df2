/** What the doors for programs without Effect share: which flows they take, and how an effect becomes a `ResultAsync`. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Layer } from "effect/Layer"
import { err, ok, type Result, ResultAsync } from "neverthrow"
import type { AnyFlow, Flow, OutputOf, ServicesOf } from "../../dsl/flow/flow.ts"
import type { LockGuard } from "../../dsl/flow/lock.ts"
import type { AnyScope } from "../../dsl/flow/scope.ts"
import type { FlowTypeError } from "../../dsl/flow/type-error.ts"
import type { CurrentStep } from "../services/current-step.ts"

/** The flow, or the sentence that names the services it lacks, or what has changed since it was released. */
export type ServedFlow<F extends AnyFlow, Services> = [Lacking<F, Services>] extends [never] ?
  F extends { readonly "~scope": AnyScope } ? LockGuard<F["~types"]["name"], F["~frame"]["declared"], OutputOf<F>, F> : F :
  FlowTypeError<`flow '${F["~types"]["name"]}' needs services that nothing provides: give run a layer with`, Lacking<F, Services>>
type Lacking<F extends AnyFlow, Services> = Exclude<ServicesOf<F>, Services | CurrentStep>

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the guard has been passed
export const open = (flow: unknown): Flow<any, any, any, any> => flow as Flow<any, any, any, any>

/** Runs `effect` with the services of `layer`; its typed errors are values, nothing is thrown. */
export function settled<A, E>(effect: Effect.Effect<A, E, any>, layer: Layer<any> | undefined): ResultAsync<A, E> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `ServedFlow` has made sure that nothing is lacking
  const served = (layer === undefined ? effect : Effect.provide(effect, layer)) as Effect.Effect<A, E>
  return new ResultAsync(
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is not a typed error is a bug, and is handed out all the same
    Effect.runPromiseExit(served).then((exit): Result<A, E> => Exit.isSuccess(exit) ? ok(exit.value) : err(Cause.squash(exit.cause) as E)),
  )
}
