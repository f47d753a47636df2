/** One hook out of several handlers: in sequence, at once, the first that is meant, or by vote. */
import { isDeepStrictEqual } from "node:util"
import * as Effect from "effect/Effect"
import type { HookHandler, HookTold } from "../../../dsl/flow/hook.ts"
import type { Decision, HookPoint, HookPoints } from "../../../dsl/ir/hook.ts"
import { asked } from "../../services/hooks.ts"

type Decides<P extends HookPoint> = HookPoints[P]["decides"]
type Handler<P extends HookPoint> = (told: HookTold<P>) => Effect.Effect<Decides<P> | undefined, unknown>

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a handler decides what its point allows
const ask = <P extends HookPoint>(handler: HookHandler<P>, told: HookTold<P>) => asked(handler, told) as Effect.Effect<Decides<P> | undefined, unknown>

/** Asks one after the other; the first decision is it, and those behind it are not asked. */
export const inSequence = <P extends HookPoint>(...handlers: ReadonlyArray<HookHandler<P>>): Handler<P> => (told) =>
  Effect.gen(function*() {
    for (const handler of handlers) {
      const decision = yield* ask(handler, told)
      if (decision !== undefined) return decision
    }
    return undefined
  })

/** What weighs more comes first. */
const weight: ReadonlyArray<Decision["does"]> = ["cancel", "replace", "redirect", "skip", "retry", "cache", "modify", "fork"]

/** Asks all at once; of several decisions the weightiest is it: cancel, replace, redirect, skip, retry, cache, modify, fork. The others are not obeyed. */
export const together = <P extends HookPoint>(...handlers: ReadonlyArray<HookHandler<P>>): Handler<P> => (told) =>
  Effect.map(
    Effect.forEach(handlers, (handler) => ask(handler, told), { concurrency: "unbounded" }),
    (decisions) => decisions.filter((one) => one !== undefined).sort((a, b) => weight.indexOf(a.does) - weight.indexOf(b.does))[0],
  )

/** Asks only the first handler whose condition holds. */
export const firstMatch = <P extends HookPoint>(...arms: ReadonlyArray<readonly [(told: HookTold<P>) => boolean, HookHandler<P>]>): Handler<P> => (told) => {
  const arm = arms.find(([holds]) => holds(told))
  return arm === undefined ? Effect.succeed(undefined) : ask(arm[1], told)
}

/** Asks all at once; what at least `votes` of them decide alike is it: the first such decision. */
export const vote = <P extends HookPoint>(votes: number, ...handlers: ReadonlyArray<HookHandler<P>>): Handler<P> => (told) =>
  Effect.map(Effect.forEach(handlers, (handler) => ask(handler, told), { concurrency: "unbounded" }), (decisions) => {
    const alike = (one: unknown) => decisions.filter((other) => isDeepStrictEqual(one, other)).length
    return decisions.find((decision) => decision !== undefined && alike(decision) >= votes)
  })
