/** The runs of a session, with those of the sessions inside it. */
import * as Effect from "effect/Effect"
import type { StoreFailed } from "../model/error.ts"
import type { RunRecord, RunStatus } from "../model/run.ts"
import { dataOf } from "../services/recorded.ts"
import type { Store } from "../store/store.ts"
import type { Conductor } from "./conduct.ts"
import { owner } from "./owner.ts"

/** Something may still happen to a run with one of these. */
export const unended: ReadonlyArray<RunStatus> = ["pending", "running", "suspended", "paused", "compensating", "quarantined"]

/** Runs that no other run has started, with one of these statuses, in the session and in those inside it. */
export function openRuns(store: Store["Service"], session: string, statuses: ReadonlyArray<RunStatus>): Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed> {
  return Effect.gen(function*() {
    const limit = Number.MAX_SAFE_INTEGER
    const own = yield* Effect.forEach(statuses, (status) => store.runs.list({ session, status, roots: true, limit }))
    const inner = yield* Effect.forEach(yield* store.sessions.list({ parent: session, limit }), ({ id }) => openRuns(store, id, statuses))
    return [...own, ...inner].flat()
  })
}

export const pausedWith = (session: string): string => `session '${session}' was suspended`

/** Leaves a run that was paused for this reason to whoever comes, with the children that were paused with it. */
export function free(conductor: Conductor, run: RunRecord, reason: string): Effect.Effect<void, StoreFailed> {
  const { keeping: { store: { runs, events } }, live } = conductor
  return Effect.gen(function*() {
    const paused = yield* events.last(run, "", "run.paused")
    if (paused === undefined || dataOf(paused).reason !== reason) return
    for (const child of yield* runs.list({ parent: run.id, status: "paused", limit: Number.MAX_SAFE_INTEGER })) {
      yield* free(conductor, child, `run '${run.id}' was paused`)
    }
    const freed = Effect.flatMap(runs.claim(run, { owner, lease: live.lease, status: "running" }), (claimed) => runs.release(claimed, Date.now()))
    // somebody else has gone on with it meanwhile
    yield* Effect.catchIf(freed, (error) => error._tag !== "StoreFailed", () => Effect.void)
    conductor.news(run.id)
  })
}
