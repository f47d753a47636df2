/** Keeps everything in this process: for tests, first steps, and flows that need no journal. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RunNotFound, RunTakenOver, TransactionUnsupported } from "../../model/error.ts"
import type { RunEvent } from "../../model/event.ts"
import { hasEnded, hasStopped, isDriven, newRecord, type NewRun, type RunRecord } from "../../model/run.ts"
import { pendingSignals, type SignalRecord } from "../../model/signal.ts"
import { attempting } from "../attempt.ts"
import { blobIn } from "../spilled.ts"
import { type Change, Store, type Without } from "../store.ts"
import { Turns } from "../turns.ts"
import { memoryArtifacts } from "./artifacts.ts"
import { memorySessions } from "./sessions.ts"
import { memoryStates, stateFailure } from "./states.ts"

interface Kept {
  run: RunRecord
  events: Array<RunEvent>
  /** Made when somebody asks for a block, which only a resumed run does; covers the first `indexed` events. */
  byParent: Map<string, Array<RunEvent>> | undefined
  indexed: number
  readonly signals: Array<SignalRecord>
}

/** The events that belong directly to a block. */
function under(kept: Kept | undefined, parent: string): ReadonlyArray<RunEvent> {
  if (kept === undefined) return []
  const byParent = kept.byParent ??= new Map<string, Array<RunEvent>>()
  for (; kept.indexed < kept.events.length; kept.indexed++) {
    const event = kept.events[kept.indexed]!
    const siblings = byParent.get(event.parent)
    if (siblings === undefined) byParent.set(event.parent, [event])
    else siblings.push(event)
  }
  return byParent.get(parent) ?? []
}
/** Events were taken out: their places have changed. */
const reindex = (kept: Kept, events: ReadonlyArray<RunEvent>): void => {
  kept.events = [...events]
  kept.byParent = undefined
  kept.indexed = 0
}

/** A new, empty store. */
export const memoryStore = (): Store["Service"] => {
  const kept = new Map<string, Kept>()
  const flows = new Map<string, string>()
  const all = () => [...kept.values()].map(({ run }) => run)
  const driven = (now: number) =>
    all().filter(({ status, owner, due, parent }) => isDriven(status) && owner !== "" && due !== undefined && due > now && parent === undefined)
  const known = (id: string) =>
    Effect.suspend(() => {
      const found = kept.get(id)
      return found === undefined ? Effect.fail(new RunNotFound({ run: id })) : Effect.succeed(found)
    })
  const wake = (id: string, now: number) => {
    const found = kept.get(id)
    if (found?.run.status === "suspended") found.run = { ...found.run, due: Math.min(now, found.run.due ?? now) }
  }
  const change = (found: Kept, { takes, replaces, left = [], ...changed }: Change, { seq, at }: RunEvent) => {
    if (replaces !== undefined) reindex(found, found.events.filter((event) => event.seq !== replaces))
    const taken = found.signals.findIndex(({ id }) => id === takes)
    if (taken >= 0) found.signals[taken] = { ...found.signals[taken]!, taken: seq }
    const over = changed.status !== undefined && hasEnded(changed.status)
    found.run = { ...found.run, ...changed, ...(over ? { due: undefined, waits: [] } : {}), updatedAt: at }
    const { waits } = changed
    const isAwaited = ({ id, name, taken }: SignalRecord) => taken === undefined && waits?.includes(name) === true && !left.includes(id)
    if (found.signals.some(isAwaited)) wake(found.run.id, at)
    if (found.run.parent !== undefined && changed.status !== undefined && hasStopped(changed.status)) wake(found.run.parent, at)
  }
  const create = (given: NewRun) => {
    const found = kept.get(given.id)
    if (found !== undefined) return { created: false, run: found.run }
    const run = newRecord(given, Date.now())
    kept.set(given.id, { run, events: [], byParent: undefined, indexed: 0, signals: [] })
    return { created: true, run }
  }
  const { states, apply } = memoryStates()
  const referred = () => new Set([...kept.values()].flatMap(({ events }) => events.flatMap(({ data }) => blobIn(data) ?? [])))
  return Store.of({
    name: "memory",
    shared: false,
    runs: {
      create: (given) => Effect.sync(() => create(given)),
      get: (id) => Effect.map(known(id), ({ run }) => run),
      list: ({ flow, status, parent, correlation, session, roots = false, since = 0, before, limit = 50 }) =>
        Effect.sync(() =>
          all().toReversed()
            .filter((run) =>
              (flow === undefined || run.flow === flow) && (status === undefined || run.status === status) && (parent === undefined || run.parent === parent) &&
              (before === undefined || run.updatedAt < before) && (correlation === undefined || run.correlation === correlation) &&
              (session === undefined || run.session === session) && (!roots || run.parent === undefined) && run.createdAt >= since
            )
            .slice(0, limit)
        ),
      claim: ({ id, fence, status }, { owner, lease, within, ...claim }) =>
        Effect.flatMap(known(id), (found) => {
          const others = () => driven(Date.now()).filter((run) => run.id !== id)
          const isFull = within !== undefined && !new Turns(within).begin(others()).take(found.run)
          if (found.run.fence !== fence || found.run.status !== status || isFull) return Effect.fail(new RunTakenOver({ run: id }))
          const due = isDriven(claim.status) ? lease : found.run.due
          found.run = { ...found.run, ...claim, owner, fence: fence + 1, due, waits: [], updatedAt: Date.now() }
          return Effect.succeed(found.run)
        }),
      release: ({ id, fence }, due) =>
        Effect.sync(() => {
          const found = kept.get(id)
          if (found?.run.fence !== fence || found.run.due === undefined) return
          const status = found.run.status === "running" ? "pending" : found.run.status
          found.run = { ...found.run, status, owner: "", due, updatedAt: Date.now() }
        }),
      renew: (ids, owner, lease) =>
        Effect.sync(() => {
          for (const id of ids) {
            const found = kept.get(id)
            if (found?.run.owner === owner && isDriven(found.run.status)) found.run = { ...found.run, due: lease }
          }
        }),
      nudge: (id, at) => Effect.sync(() => wake(id, at)),
      due: (names, now, limit, without) =>
        Effect.sync(() =>
          all().filter((run) => run.due !== undefined && run.due <= now && names.includes(run.flow) && !isLeft(run, without))
            .sort((a, b) => a.due! - b.due!).slice(0, limit)
        ),
      driven: (now) => Effect.sync(() => driven(now)),
      nextDue: (names) =>
        Effect.sync(() => {
          const times = all().flatMap(({ flow, due }) => (due !== undefined && names.includes(flow) ? [due] : []))
          return times.length === 0 ? undefined : Math.min(...times)
        }),
      look: (ids) => Effect.sync(() => ({ version: undefined, runs: ids.flatMap((id) => kept.get(id)?.run ?? []) })),
      adopt: (given, { events, signals }) =>
        Effect.sync(() => {
          const { created, run } = create(given)
          if (created) Object.assign(kept.get(run.id)!, { events: [...events], signals: [...signals] })
          return { created, run }
        }),
      remove: (ids) =>
        Effect.forEach(ids, (id) => {
          kept.delete(id)
          return states.clear(`run:${id}`)
        }, { discard: true }),
    },
    events: {
      append: ({ id, fence }, append, _durability, changed) => {
        const found = kept.get(id)
        if (found === undefined || found.run.fence !== fence) return Effect.fail(new RunTakenOver({ run: id }))
        const event: RunEvent = { ...append, at: Date.now() }
        found.events.push(event)
        if (changed !== undefined) change(found, changed, event)
        return Effect.void
      },
      transact: () => Effect.fail(new TransactionUnsupported({ store: "memory" })),
      commit: ({ id, fence }, event, writes, data, said, changed) => {
        const found = kept.get(id)
        if (found === undefined || found.run.fence !== fence) return Effect.fail(new RunTakenOver({ run: id }))
        return attempting(() => {
          const at = Date.now()
          const state = said(apply(writes, at))
          const written: RunEvent = { ...event(), data: `${data.slice(0, -1)},"state":${state}}`, at }
          found.events.push(written)
          if (changed !== undefined) change(found, changed, written)
        }, stateFailure)
      },
      under: ({ id }, parent) => Effect.sync(() => under(kept.get(id), parent).slice()),
      last: ({ id }, parent, kind) => Effect.sync(() => under(kept.get(id), parent).findLast((event) => event.kind === kind)),
      at: ({ id }, seq) =>
        Effect.sync(() => {
          const events = kept.get(id)?.events ?? []
          return events[seq - 1]?.seq === seq ? events[seq - 1] : events.find((event) => event.seq === seq)
        }),
      since: ({ id }, seq, limit) => Effect.sync(() => kept.get(id)?.events.filter((event) => event.seq > seq).slice(0, limit) ?? []),
      head: ({ id }) => Effect.sync(() => kept.get(id)?.events.at(-1)?.seq ?? 0),
      remove: ({ id }, seqs) =>
        Effect.sync(() => {
          const found = kept.get(id)
          const gone = new Set(seqs)
          if (found !== undefined) reindex(found, found.events.filter(({ seq }) => !gone.has(seq)))
        }),
    },
    signals: {
      send: (id, signal, now) =>
        Effect.map(known(id), (found) => {
          if (found.signals.some((sent) => sent.id === signal.id)) return "duplicate"
          const late = hasEnded(found.run.status)
          if (!late && found.signals.filter(({ taken }) => taken === undefined).length >= pendingSignals) return "full"
          found.signals.push({ ...signal, at: now, taken: undefined, late })
          if (late) return "late"
          if (found.run.waits.includes(signal.name)) wake(id, now)
          for (let up = found.run.parent; up !== undefined; up = kept.get(up)?.run.parent) wake(up, now)
          return "accepted"
        }),
      waiting: ({ id }, name) =>
        Effect.sync(() => kept.get(id)?.signals.filter((signal) => signal.name === name && signal.taken === undefined && !signal.late) ?? []),
      list: ({ id }) => Effect.sync(() => kept.get(id)?.signals.slice() ?? []),
    },
    flows: {
      save: (fingerprint, encoded) => Effect.sync(() => void flows.set(fingerprint, encoded)),
      get: (fingerprint) => Effect.sync(() => flows.get(fingerprint)),
    },
    states,
    sessions: memorySessions(),
    ...memoryArtifacts(referred),
  })
}

/** A `Store` that lives as long as the layer. */
export const layerMemory: Layer.Layer<Store> = Layer.sync(Store, memoryStore)

const isLeft = ({ parent, flow, session = "", correlation }: RunRecord, without: Without | undefined): boolean =>
  without !== undefined && parent === undefined &&
  (without.flows.includes(flow) || without.sessions.includes(session) || without.correlations.includes(correlation))
