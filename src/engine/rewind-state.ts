/** State when a run goes back: what the steps that are taken back have changed is as it was before them. */
import * as Effect from "effect/Effect"
import { pending } from "../compile/compensate.ts"
import type { RunTakenOver, StoreFailed } from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import type { StateConflict } from "../model/service-error.ts"
import type { StateWrite } from "../model/state-entry.ts"
import { Floors } from "../services/floors.ts"
import type { Journal } from "../services/journal.ts"
import { dataOf } from "../services/recorded.ts"
import { Changes, undoing } from "../services/state-changes.ts"
import type { Store } from "../store/store.ts"
import type { Plan } from "./plan.ts"

/** The events whose changes of State go with what the plan takes back, the newest first. */
export const takenBack = (events: ReadonlyArray<RunEvent>, { forget }: Plan): ReadonlyArray<RunEvent> => {
  const floors = new Floors()
  floors.lay({ seq: Number.MAX_SAFE_INTEGER }, { forget })
  return pending(events, "").filter((event) => dataOf(event).state !== undefined && floors.covers(event))
}

/** Undoes them; what a compensation would undo is left to that. */
export const takeStateBack = (journal: Journal, plan: Plan): Effect.Effect<void, StoreFailed | RunTakenOver | StateConflict> =>
  Effect.flatMap(journal.effects(), (events) =>
    Effect.forEach(takenBack(events, plan), (event) => {
      const { state = [], undo } = dataOf(event)
      if (undo !== undefined) return Effect.void
      return journal.commit("compensation.completed", event.parent, event.name, `{"of":${event.seq}}`, undoing(state), (all) => new Changes().said(all))
    }, { discard: true }))

/** The forked run has what the first one kept under scope `run` before it came to where they part. */
export const forkState = (
  { states }: Store["Service"],
  { from, to, takenBack: events }: { readonly from: string; readonly to: string; readonly takenBack: ReadonlyArray<RunEvent> },
): Effect.Effect<void, StoreFailed | StateConflict> =>
  Effect.flatMap(states.list(`run:${from}`, "", Number.MAX_SAFE_INTEGER), (entries) => {
    const then = new Map(entries.map(({ name, value, version, until }) => [name, { value, version, until }]))
    for (const event of events) {
      for (const { scope, name, before } of dataOf(event).state!.toReversed()) {
        if (scope !== `run:${from}`) continue
        if (before === null) then.delete(name)
        else then.set(name, { value: before[0], version: before[1], until: before[2] ?? undefined })
      }
    }
    const writes = Array.from(then, ([name, entry]): StateWrite => ({ scope: `run:${to}`, name, expected: undefined, next: () => entry }))
    return writes.length === 0 ? Effect.void : Effect.asVoid(states.commit(writes))
  })
