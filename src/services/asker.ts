/** Functions ask with promises for what is an Effect. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Runs what a function asks for, on the clock and with the services of the fiber it was called in. */
export const asker = (): <A, E>(effect: Effect.Effect<A, E>) => Promise<A> => {
  const fiber = Fiber.getCurrent()
  return fiber === undefined ? Effect.runPromise : Effect.runPromiseWith(fiber.context)
}
