/** The journal of one run: numbers events, writes them, and answers what is already recorded. */
import * as Effect from "effect/Effect"
import type { FlowIR, Transaction, ValueCodec } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import { walk } from "../../dsl/ir/walk.ts"
import { type RunTakenOver, StoreFailed, type TransactionUnsupported } from "../model/error.ts"
import { comings, type EventData, type EventKind, eventPath, type LiveKind, type Ref, type RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import type { SignalRecord } from "../model/signal.ts"
import { decodeValue, revive } from "../model/value.ts"
import type { Acknowledge, Change, Durability, Store } from "../store/store.ts"
import { Floors } from "./floors.ts"
import type { Listeners } from "./listeners.ts"

/** What is recorded of one node of a block. */
export interface Known {
  completed?: RunEvent
  failed?: RunEvent
  guard?: RunEvent
  decided?: RunEvent
  started?: RunEvent
  caught?: RunEvent
  retried?: RunEvent
}
/** What is recorded of a block, by the names of its nodes. */
export type Recorded = ReadonlyMap<string, Known>

const roles: Readonly<Partial<Record<EventKind, keyof Known>>> = {
  "step.completed": "completed",
  "when.completed": "completed",
  "loop.completed": "completed",
  "jump.completed": "completed",
  "each.completed": "completed",
  "parallel.completed": "completed",
  "protect.completed": "completed",
  "fork.completed": "completed",
  "wait.completed": "completed",
  "step.migrated": "completed",
  "fork.failed": "failed",
  "protect.failed": "failed",
  "step.started": "started",
  "protect.started": "started",
  "wait.started": "started",
  "guard.decided": "guard",
  "when.decided": "decided",
  "loop.started": "started",
  "each.started": "started",
  "protect.caught": "caught",
  "flow.retried": "retried",
}

type Failure = StoreFailed | RunTakenOver

/** What a journal needs to know beside its run. */
export interface Keeping {
  readonly store: Store["Service"]
  readonly listeners: Listeners
  readonly durability: Durability
  /** No other run goes on in this process. */
  readonly alone?: () => boolean
}

export class Journal {
  readonly #store: Store["Service"]
  readonly #run: RunRecord
  readonly #durability: Durability
  readonly #listeners: Listeners
  readonly #codecs: ReadonlyMap<string, ValueCodec>
  readonly #alone: (() => boolean) | undefined
  #met = false
  readonly #floors = new Floors()
  /** Forks that failed before this event may try again: the run has failed with them since, and was resumed. */
  #forgiven = 0
  /** Signals that a wait has picked and not yet recorded. */
  readonly #picked = new Set<string>()
  /** Number of the newest event. */
  seq: number
  /** Joins that are going on in this run: their forks append side by side. */
  joins = 0
  /** The run was migrated: nodes behind an unfinished one may be finished. */
  sparse = false
  /** The run's input, where references of its compensations lead. */
  input: unknown
  /** The run is being undone since this event. */
  compensating: RunEvent | undefined
  /** A part of the run was undone, and nothing outside it has caught the error. */
  undone = false

  constructor(run: RunRecord, flow: FlowIR | undefined, { store, listeners, durability, alone }: Keeping, head: number) {
    this.#alone = alone
    this.#codecs = flow === undefined ? new Map() : codecsOf(flow)
    this.#store = store
    this.#run = run
    this.#durability = durability
    this.#listeners = listeners
    this.seq = head
  }

  /** The journal of a run of ours, to write one thing behind what is there, durable before it is done. */
  static end(run: RunRecord, keeping: Omit<Keeping, "durability">): Effect.Effect<Journal, StoreFailed> {
    return Effect.map(keeping.store.events.head(run), (head) => new Journal(run, undefined, { ...keeping, durability: "sync" }, head))
  }

  /** The journal of a run that has one already. */
  static open(run: RunRecord, flow: FlowIR | undefined, keeping: Keeping): Effect.Effect<Journal, StoreFailed> {
    const { events } = keeping.store
    return Effect.gen(function*() {
      const journal = new Journal(run, flow, keeping, yield* events.head(run))
      for (const event of yield* events.under(run, "")) {
        if (event.name !== "") continue
        const { forget } = dataOf(event)
        if (forget !== undefined) journal.#floors.forget(forget, event.seq, event.kind === "run.migrated")
        if (event.kind === "run.failed") journal.#forgiven = event.seq
        if (event.kind === "run.migrated") journal.sparse = true
        if (event.kind === "run.compensating") journal.compensating = event
        if (event.kind === "run.rewound" || event.kind === "run.forked") journal.compensating = undefined
      }
      return journal
    })
  }

  /** Writes that the run begins, without waiting: the run itself is stored already, and what follows is written after it. */
  begin(kind: "run.started" | "run.resumed", data: string): Effect.Effect<void, Failure> {
    const parent = kind === "run.started" ? "" : comings
    return this.#write(kind, parent, "", data, this.#durability === "exit" ? "exit" : "async", undefined)
  }

  /** Writes one event; its number is `seq` right after the call. Done when it is as durable as the run asks for. */
  append(kind: EventKind, parent: string, name: string, data: string, change?: Change): Effect.Effect<void, Failure> {
    // the first append waits for company: runs that begin together are seen by then
    const now = this.#alone?.() === true && this.#met && this.#durability === "sync" && this.joins === 0
    this.#met = true
    return this.#write(kind, parent, name, data, now ? "now" : this.#durability, change)
  }

  /** The same, durable before it is done whatever the run asks for. */
  appendSync(kind: EventKind, parent: string, name: string, data: string): Effect.Effect<void, Failure> {
    return this.#write(kind, parent, name, data, "sync", undefined)
  }

  #write(kind: EventKind, parent: string, name: string, data: string, acknowledge: Acknowledge, change: Change | undefined): Effect.Effect<void, Failure> {
    const event = { seq: ++this.seq, kind, parent, name, data }
    const written = this.#store.events.append(this.#run, event, acknowledge, change)
    if (this.#listeners.none) return written
    return Effect.tap(written, () => Effect.sync(() => this.#tell(kind, eventPath(event), event.seq, data)))
  }

  /** Writes the event whose data `work` gives, in one transaction with what `work` does to the database; gives the event's number. */
  transact(
    kind: EventKind,
    parent: string,
    name: string,
    work: (transaction: Transaction) => string,
  ): Effect.Effect<number, Failure | TransactionUnsupported> {
    return Effect.suspend(() => {
      const event = { seq: this.seq + 1, kind, parent, name }
      let data = ""
      const written = this.#store.events.transact(this.#run, event, (transaction) => {
        data = work(transaction)
        this.seq = event.seq
        return data
      })
      return Effect.map(written, () => {
        if (!this.#listeners.none) this.#tell(kind, eventPath(event), event.seq, data)
        return event.seq
      })
    })
  }

  /** The oldest signal of this name that nobody has received; no other wait of this run is given it meanwhile. */
  pick(name: string): Effect.Effect<SignalRecord | undefined, StoreFailed> {
    return Effect.map(this.#store.signals.waiting(this.#run, name), (signals) => {
      const found = signals.find(({ id }) => !this.#picked.has(id))
      if (found !== undefined) this.#picked.add(found.id)
      return found
    })
  }

  /** Tells listeners of something that is not kept. */
  notice(kind: "step.started" | LiveKind, path: string, data?: string): void {
    if (!this.#listeners.none) this.#tell(kind, path, undefined, data)
  }

  #tell(kind: Parameters<Listeners["tell"]>[0]["kind"], path: string, seq: number | undefined, data: string | undefined): void {
    this.#listeners.tell({ run: this.#run.id, flow: this.#run.flow, kind, path, seq, data })
  }

  /** What is recorded of the nodes of the block at `path`; a node that is not in it may have something inside it. */
  under(path: string): Effect.Effect<Recorded, StoreFailed> {
    return Effect.map(this.#store.events.under(this.#run, path), (events) => {
      const recorded = new Map<string, Known>()
      for (const event of events) {
        const role = roles[event.kind]
        if (role === undefined || this.#floors.covers(event) || (event.kind === "fork.failed" && event.seq < this.#forgiven)) continue
        const known = recorded.get(event.name)
        if (known === undefined) recorded.set(event.name, { [role]: event })
        else known[role] = event
      }
      return recorded
    })
  }

  /** Nothing recorded inside `path` before event `seq` counts: it is of an attempt that was given up. */
  forget(path: string, seq: number): void {
    this.#floors.inside(path, seq)
  }

  /** The passes recorded of the loop at `path`: all, or only the newest. */
  passes(path: string, all: boolean): Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed> {
    const found: Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed> = all || !this.#floors.none ?
      this.#store.events.under(this.#run, path) :
      Effect.map(this.#store.events.last(this.#run, path, "loop.iterated"), (event) => (event === undefined ? [] : [event]))
    return Effect.map(found, (events) => {
      const passes = events.filter((event) => event.kind === "loop.iterated" && !this.#floors.covers(event))
      return all ? passes : passes.slice(-1)
    })
  }

  /** Every event whose effects may still stand, oldest first: also those of attempts that were given up, and of steps whose output was migrated. */
  effects(): Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed> {
    return Effect.map(this.#store.events.since(this.#run, 0), (events) => events.filter((event) => !this.#floors.hides(event)))
  }

  /** Which try of the place this is: the number of the event that took the one before back. */
  generation(path: string): number {
    return this.#floors.newest(path)
  }

  /** Every event that counts, oldest first. */
  all(): Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed> {
    return Effect.map(this.#store.events.since(this.#run, 0), (events) => events.filter((event) => !this.#floors.covers(event)))
  }

  /** The output that `event` carries or refers to. */
  output(event: RunEvent): Effect.Effect<unknown, StoreFailed> {
    const { output, ref } = dataOf(event)
    if (ref !== undefined) return this.value(ref)
    const value = output === undefined ? undefined : revive(output)
    const codec = this.#codecs.size === 0 ? undefined : this.#codecs.get(writtenPath(eventPath(event)))
    return Effect.succeed(codec === undefined ? value : codec.decode(value))
  }

  /** The value behind one reference. */
  value(ref: Ref): Effect.Effect<unknown, StoreFailed> {
    if (ref === null) return Effect.succeed(undefined)
    if (ref === 0) return Effect.succeed(this.input)
    if (typeof ref !== "number") return "r" in ref ? this.#parts(ref.r) : Effect.succeed(revive(ref.v))
    return Effect.flatMap(this.#store.events.at(this.#run, ref), (event) => (event === undefined ? Effect.fail(this.#missing(ref)) : this.output(event)))
  }

  #missing(seq: number): StoreFailed {
    return new StoreFailed({
      store: this.#store.name,
      operation: "read",
      reason: `event ${seq} of run '${this.#run.id}' is missing: the journal is damaged`,
      cause: undefined,
    })
  }

  #parts(refs: Readonly<Record<string, Ref>> | ReadonlyArray<Ref>): Effect.Effect<unknown, StoreFailed> {
    if (isList(refs)) return Effect.forEach(refs, (ref) => this.value(ref))
    const entries = Object.entries(refs)
    return Effect.map(Effect.forEach(entries, ([, ref]) => this.value(ref)), (values) => Object.fromEntries(entries.map(([name], i) => [name, values[i]])))
  }
}

const known = new WeakMap<FlowIR, ReadonlyMap<string, ValueCodec>>()
/** The codecs of a flow's steps by their paths as written. */
const codecsOf = (flow: FlowIR): ReadonlyMap<string, ValueCodec> => {
  let codecs = known.get(flow)
  if (codecs === undefined) {
    codecs = new Map(Array.from(walk(flow)).flatMap(({ path, node }) => (node.kind === "step" && node.codec !== undefined ? [[path, node.codec]] : [])))
    known.set(flow, codecs)
  }
  return codecs
}

/** What an event says. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by `Outcome.encode` and its siblings only
export const dataOf = (event: Pick<RunEvent, "data">): EventData => JSON.parse(event.data) as EventData
/** The error that an event carries. */
export const errorOf = (event: RunEvent): unknown => decodeValue(JSON.stringify(dataOf(event).error))

const isList = (refs: Readonly<Record<string, Ref>> | ReadonlyArray<Ref>): refs is ReadonlyArray<Ref> => Array.isArray(refs)
