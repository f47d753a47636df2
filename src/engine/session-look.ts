/** Looking at a session: what it has used, what went wrong in it. */
import * as Effect from "effect/Effect"
import { messageOf, type StoreFailed, tagOf } from "../model/error.ts"
import { eventPath } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import type { Spent } from "../services/budgets.ts"
import { dataOf, errorOf } from "../services/recorded.ts"
import type { Store } from "../store/store.ts"
import { carriedBy, sessionIn, spentIn } from "./session-meter.ts"

/** What a session has used. */
export interface SessionUsage extends Spent {
  readonly runs: number
  readonly artifacts: number
  readonly artifactBytes: number
}
/** A run of a session that failed. */
export interface SessionFailure {
  readonly run: string
  readonly flow: string
  /** Where it failed; `""`: not in a step. */
  readonly path: string
  readonly tag: string | undefined
  readonly message: string
  readonly at: number
}

export function usageOf(store: Store["Service"], session: string): Effect.Effect<SessionUsage, StoreFailed> {
  return Effect.gen(function*() {
    const { count, bytes } = yield* store.artifacts.usage(session)
    const record = yield* sessionIn(store, session)
    const runs = yield* store.runs.list({ session, roots: true, limit: Number.MAX_SAFE_INTEGER })
    return { ...yield* spentIn(store, session), runs: carriedBy(record).runs + runs.length, artifacts: count, artifactBytes: bytes }
  })
}

/** Where an error of ours says that it happened. */
const pathOf = (error: unknown): string => {
  const { path } = Object(error) as { readonly path?: unknown }
  return typeof path === "string" ? path : ""
}

export function failuresOf(store: Store["Service"], runs: ReadonlyArray<RunRecord>): Effect.Effect<ReadonlyArray<SessionFailure>, StoreFailed> {
  return Effect.gen(function*() {
    const failures: Array<SessionFailure> = []
    for (const run of runs.filter(({ status }) => status === "failed" || status === "compensated")) {
      const ended = yield* store.events.last(run, "", run.status === "failed" ? "run.failed" : "run.compensated")
      // a run that was imported may not say how it ended
      if (ended === undefined) continue
      const error = errorOf(ended)
      const told = JSON.stringify(dataOf(ended).error)
      const failed = (yield* store.events.since(run, 0)).findLast((event) => event.kind === "step.failed" && JSON.stringify(dataOf(event).error) === told)
      failures.push({
        run: run.id,
        flow: run.flow,
        path: failed === undefined ? pathOf(error) : eventPath(failed),
        tag: tagOf(error),
        message: messageOf(error),
        at: ended.at,
      })
    }
    return failures
  })
}
