/** Effects that have succeeded already. */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** `effect` has succeeded already: its value can be used without a trip through the interpreter. */
export const isDone = <A>(effect: Effect.Effect<A, any, any>): effect is Exit.Success<A> => Exit.isExit(effect) && effect._tag === "Success"
