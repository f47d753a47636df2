/** Letting go of what nobody needs: old runs, and the past of long ones. */
import * as Effect from "effect/Effect"
import { CommandRefused, type RunNotFound, type RunTakenOver, type StoreFailed } from "../model/error.ts"
import { Journal, type Keeping } from "../services/journal.ts"
import { dataOf } from "../services/recorded.ts"
import { comings, eventPath, type Ref, type RunEvent } from "../model/event.ts"
import { hasEnded, isDriven, type RunRecord, type RunStatus } from "../model/run.ts"
import type { Store } from "../store/store.ts"
import { carry } from "./session-meter.ts"
import { Floors } from "../services/floors.ts"

export interface PruneOptions {
  /** Only runs that ended longer ago than this, in milliseconds. */
  readonly olderThan?: number | undefined
  /** Leave the newest so many. */
  readonly keep?: number | undefined
  /** Only runs with these statuses, which must be ended ones or `failed`; default: all that have ended. */
  readonly status?: ReadonlyArray<RunStatus> | undefined
  readonly flow?: string | undefined
  /** Only say what would go. */
  readonly dryRun?: boolean | undefined
}

/** Content that nothing refers to may be on its way into an event or an artifact for so long, in milliseconds. */
const unsettled = 3_600_000

const prunable: ReadonlySet<RunStatus> = new Set(["completed", "cancelled", "compensated", "failed"])

/** Deletes ended runs with all that belongs to them, values of State that are over, and content nothing refers to; gives the runs' records. A child stays as long as its parent. */
export function prune(
  store: Store["Service"],
  { olderThan = 0, keep = 0, status, flow, dryRun = false }: PruneOptions,
): Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed> {
  return Effect.gen(function*() {
    const before = Date.now() - olderThan + 1
    const all = yield* store.runs.list({ flow, limit: Number.MAX_SAFE_INTEGER })
    const wanted = (run: RunRecord): boolean => prunable.has(run.status) && (status === undefined ? hasEnded(run.status) : status.includes(run.status))
    const roots = all.filter((run) => run.parent === undefined && wanted(run)).slice(keep).filter(({ updatedAt }) => updatedAt < before)
    const gone = new Map(roots.map((run) => [run.id, run]))
    // a Map visits what is added on the way: children, and theirs
    for (const id of gone.keys()) for (const child of yield* store.runs.list({ parent: id, limit: Number.MAX_SAFE_INTEGER })) gone.set(child.id, child)
    if (!dryRun) {
      yield* carry(store, [...gone.values()])
      yield* store.runs.remove([...gone.keys()])
      // what their streams have left of artifacts that never were whole
      const parts = yield* store.artifacts.list({ type: "part", newest: false, limit: Number.MAX_SAFE_INTEGER })
      yield* store.artifacts.remove(parts.filter(({ by = "" }) => gone.has(by.slice(0, by.indexOf("/")))).map(({ nr }) => nr))
      yield* store.states.expire(Date.now())
      yield* store.blobs.sweep(Date.now() - unsettled)
    }
    return [...gone.values()]
  })
}

/**
 * Deletes the events of a run that nothing needs any more: the insides of finished blocks that no output refers to, earlier passes of a loop.
 *
 * The run can still be resumed, and gives the same output; what is deleted cannot be shown, rewound to, or undone.
 */
export function compact(
  { store, listeners }: Omit<Keeping, "durability">,
  run: RunRecord,
): Effect.Effect<number, StoreFailed | RunNotFound | RunTakenOver | CommandRefused> {
  if (isDriven(run.status)) {
    return Effect.fail(new CommandRefused({ run: run.id, command: "compact", status: run.status, reason: "somebody drives it: pause it first" }))
  }
  return Effect.map(store.events.since(run, 0), (events) => superfluous(events)).pipe(
    Effect.flatMap((seqs) => {
      if (seqs.length === 0) return Effect.succeed(0)
      return Effect.gen(function*() {
        // written first: whoever finds less than before knows why
        const journal = yield* Journal.end(run, { store, listeners })
        yield* journal.append("run.compacted", comings, "", JSON.stringify({ count: seqs.length }))
        yield* store.events.remove(run, seqs)
        return seqs.length
      })
    }),
  )
}

/** Numbers of the events that are not needed to resume, in one pass from the newest. */
function superfluous(events: ReadonlyArray<RunEvent>): ReadonlyArray<number> {
  const needed = new Set<number>()
  const bySeq = new Map(events.map((event) => [event.seq, event]))
  const need = (ref: Ref | undefined): void => {
    if (typeof ref === "number") {
      const event = bySeq.get(ref)
      if (event === undefined || needed.has(ref)) return
      needed.add(ref)
      const { ref: own, updates = {} } = dataOf(event)
      need(own)
      Object.values(updates).forEach(need)
    } else if (ref !== null && ref !== undefined && "r" in ref) Object.values(ref.r).forEach(need)
  }
  const floors = Floors.of(events)
  const closed = new Set(events.filter((event) => closes(event) && !floors.covers(event)).map(eventPath))
  const isInside = (path: string): boolean => {
    for (let at = path.length; at > 0; at = Math.max(path.lastIndexOf("/", at - 1), path.lastIndexOf("[", at - 1))) {
      const outer = path.slice(0, at)
      if (outer !== path && closed.has(outer)) return true
    }
    return false
  }
  const newestPass = new Map<string, number>()
  for (const event of events) if (event.kind === "loop.iterated" && !floors.covers(event)) newestPass.set(event.parent, event.seq)
  for (const event of events) {
    const path = eventPath(event)
    const { ref, last, updates = {}, undo, state } = dataOf(event)
    const past = event.kind === "loop.iterated" && ref === undefined && newestPass.get(event.parent) !== event.seq
    const behind = /\[\d+\]/.test(path) && isPast(path, newestPass, bySeq)
    const stays = event.kind.startsWith("run.") || event.kind.startsWith("compensation.") || event.kind === "flow.retried" || undo !== undefined ||
      state !== undefined
    if (!stays && (isInside(path) || past || (behind && event.kind !== "loop.iterated"))) continue
    needed.add(event.seq)
    for (const one of [ref, last, ...Object.values(updates), ...Object.values(undo ?? {})]) need(one)
  }
  return events.filter(({ seq }) => !needed.has(seq)).map(({ seq }) => seq)
}

/** The block is over and is only answered: its inside is never visited again. */
const closes = ({ kind }: RunEvent): boolean => kind.endsWith(".completed") && kind !== "compensation.completed"

/** The path lies in a pass that another has followed. */
const isPast = (path: string, newest: ReadonlyMap<string, number>, bySeq: ReadonlyMap<number, RunEvent>): boolean =>
  [...path.matchAll(/\[(\d+)\]/g)].some((found) => {
    const loop = path.slice(0, found.index)
    const event = bySeq.get(newest.get(loop) ?? 0)
    return event !== undefined && Number(found[1]) <= Number(event.name.slice(1, -1)) && path.length > found.index + found[0].length
  })
