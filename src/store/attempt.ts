/** Work of a store as an Effect: what it throws is a typed error. */
import * as Effect from "effect/Effect"
import type { StoreFailed } from "../model/error.ts"
import { StateConflict } from "../model/service-error.ts"

/** `work`, whose failures are the store's; a change of state that is refused says so itself. */
export const attempting = <A>(work: () => A, failed: (cause: unknown) => StoreFailed): Effect.Effect<A, StoreFailed | StateConflict> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(work())
    } catch (cause) {
      return Effect.fail(cause instanceof StateConflict ? cause : failed(cause))
    }
  })
