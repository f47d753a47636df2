/** What finished steps have done that still stands: what can be undone, and what they have changed of State. */
import * as Effect from "effect/Effect"
import type { StoreFailed } from "../model/error.ts"
import { eventPath, type RunEvent } from "../model/event.ts"
import type { ChangedState, StateWrite } from "../model/state-entry.ts"
import type { Journal } from "../services/journal.ts"
import { dataOf } from "../services/recorded.ts"
import { undoing } from "../services/state-changes.ts"

/** One finished step. */
export interface Standing {
  readonly event: RunEvent
  /** It has a compensation that has not run. */
  readonly undoes: boolean
  /** What it has changed of State and was not taken back. */
  readonly state: ReadonlyArray<ChangedState>
}

/** The finished steps inside `prefix` (`""`: all) that have something to undo, the newest first; with `withState` also those that may only have changed State. */
export function standingOf(events: ReadonlyArray<RunEvent>, prefix: string, withState: boolean): ReadonlyArray<Standing> {
  const done = new Set(events.filter(({ kind }) => kind === "compensation.completed").map((event) => dataOf(event).of))
  const taken = new Set(events.filter(({ kind }) => kind === "run.rewound" || kind === "flow.retried").flatMap((event) => dataOf(event).taken ?? []))
  return events.flatMap((event): ReadonlyArray<Standing> => {
    if (event.kind !== "step.completed" || done.has(event.seq) || !/"(undo|state|child)":/.test(event.data) || !isInside(prefix, eventPath(event))) return []
    const { undo, state = [], child } = dataOf(event)
    const own = withState && !taken.has(event.seq) ? state : []
    return undo !== undefined || own.length > 0 || (withState && child !== undefined) ? [{ event, undoes: undo !== undefined, state: own }] : []
  }).toReversed()
}
const isInside = (prefix: string, path: string): boolean => prefix === "" || path.startsWith(`${prefix}/`)

/** Changes of State that are to be taken back, and the events that made them. */
export interface TakingBack {
  readonly writes: ReadonlyArray<StateWrite>
  readonly taken: ReadonlyArray<number>
}
export const takingBack = (standing: ReadonlyArray<Standing>): TakingBack => {
  const changed = standing.filter(({ state }) => state.length > 0)
  return { writes: changed.flatMap(({ state }) => undoing(state)), taken: changed.map(({ event }) => event.seq) }
}

/** What an attempt at `path` that was given up has changed. */
export const ofAttempt = (journal: Journal, path: string): Effect.Effect<TakingBack, StoreFailed> =>
  journal.stateful ? Effect.map(journal.effects(), (events) => takingBack(standingOf(events, path, true))) : Effect.succeed({ writes: [], taken: [] })
