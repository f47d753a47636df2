/** State when a run goes back: what the steps that are taken back have changed is as it was before them. */
import * as Effect from "effect/Effect"
import { type Standing, standingOf, type TakingBack, takingBack } from "../compile/standing.ts"
import type { StoreFailed } from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import type { StateConflict } from "../model/service-error.ts"
import type { StateWrite } from "../model/state-entry.ts"
import { Floors } from "../services/floors.ts"
import { dataOf } from "../services/recorded.ts"
import type { Store } from "../store/store.ts"
import type { Plan } from "./plan.ts"

const covered = (events: ReadonlyArray<RunEvent>, { forget }: Plan): ReadonlyArray<Standing> => {
  const floors = new Floors()
  floors.lay({ seq: Number.MAX_SAFE_INTEGER }, { forget })
  return standingOf(events, "", true).filter(({ event }) => floors.covers(event))
}

/** What a rewind takes back; of what the run it was forked from has done, only what it keeps for itself. */
export const takenBack = ({ events }: Store["Service"], run: RunRecord, forked: number, plan: Plan): Effect.Effect<TakingBack, StoreFailed> =>
  Effect.map(events.since(run, 0), (all) =>
    takingBack(
      covered(all, plan).map((one) => {
        const own = one.event.seq > forked ? one.state : one.state.filter(({ scope }) => scope === `run:${run.id}`)
        return { ...one, state: own }
      }),
    ))

/** Events for another run: what they have changed under scope `run` is the other run's. */
export const rescoped = (events: ReadonlyArray<RunEvent>, from: string, to: string): ReadonlyArray<RunEvent> =>
  events.map((event) => {
    if (!event.data.includes(`"scope":"run:${from}"`)) return event
    const { state = [], ...data } = dataOf(event)
    return { ...event, data: JSON.stringify({ ...data, state: state.map((one) => (one.scope === `run:${from}` ? { ...one, scope: `run:${to}` } : one)) }) }
  })

/** The forked run has what the first one kept under scope `run` before it came to where they part. */
export const forkState = (
  { states, events }: Store["Service"],
  from: RunRecord,
  to: string,
  plan: Plan,
): Effect.Effect<void, StoreFailed | StateConflict> =>
  Effect.gen(function*() {
    const scope = `run:${from.id}`
    const entries = yield* states.list(scope, "", Number.MAX_SAFE_INTEGER)
    const then = new Map(entries.map(({ name, value, version, until, revision }) => [name, { value, version, until, revision }]))
    for (const { state } of covered(yield* events.since(from, 0), plan)) {
      for (const { name, before } of state.filter((one) => one.scope === scope).toReversed()) {
        if (before === null) then.delete(name)
        else then.set(name, { value: before[0], version: before[1], until: before[2] ?? undefined, revision: before[3] })
      }
    }
    const writes = Array.from(then, ([name, entry]): StateWrite => ({ scope: `run:${to}`, name, expected: undefined, next: () => entry }))
    if (writes.length > 0) yield* states.commit(writes)
  })
