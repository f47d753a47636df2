/** The journal of one run: numbers events, writes them, and answers what is already recorded. */
import * as Effect from "effect/Effect"
import type { FlowIR, Transaction, ValueCodec } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import type { RunTakenOver, StoreFailed, TransactionUnsupported } from "../model/error.ts"
import { comings, type EventKind, eventPath, type LiveKind, type Ref, type RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import { revive } from "../model/value.ts"
import type { ChangedState, StateChange, StateWrite } from "../model/state-entry.ts"
import type { StateConflict } from "../model/service-error.ts"
import type { Acknowledge, Append, Change, Durability, Store } from "../store/store.ts"
import { codecsOf } from "./codecs.ts"
import { Floors } from "./floors.ts"
import type { Listeners } from "./listeners.ts"
import { notice } from "./notice.ts"
import { Picks } from "./picks.ts"
import { dataOf, type Known, missing, readable, type Recorded, roles } from "./recorded.ts"
import { Spending } from "./spending.ts"
import { Undone } from "./undone.ts"

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
  readonly #keeping: Keeping
  #met = false
  readonly #floors = new Floors()
  /** The run has failed, and was resumed: forks that failed before may try again, and times that were over then begin anew. */
  #failed: Pick<RunEvent, "seq" | "at"> = { seq: 0, at: 0 }
  /** The run it was forked from has done what was recorded before this event. */
  forked = 0
  /** Numbers of the events that carry migrated outputs, by path. */
  #migrated: Map<string, number> | undefined
  /** Errors of parts of the run that were undone. */
  readonly undone = new Undone()
  #picks: Picks | undefined
  /** Number of the newest event. */
  seq: number
  /** Joins that are going on in this run: their forks append side by side. */
  joins = 0
  /** The span in which it has begun, as a `traceparent`. */
  trace: string | undefined
  readonly spending = new Spending()
  /** Some of its steps may have changed State. */
  stateful = false
  /** It is written that the run has begun. */
  begun = false
  /** The run was migrated: nodes behind an unfinished one may be finished. */
  sparse = false
  /** The run's input, where references of its compensations lead. */
  input: unknown
  /** What the run knows of its session, where its flow reads that. */
  session: { readonly value: unknown } | undefined
  /** The run is being undone since this event. */
  compensating: RunEvent | undefined

  constructor(run: RunRecord, flow: FlowIR | undefined, keeping: Keeping, head: number) {
    this.#keeping = keeping
    this.#codecs = flow === undefined ? new Map() : codecsOf(flow)
    this.#store = keeping.store
    this.#run = run
    this.#durability = keeping.durability
    this.#listeners = keeping.listeners
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
      journal.stateful = true
      const top = yield* events.under(run, "")
      for (const event of top) {
        if (event.name !== "") continue
        journal.#floors.lay(event, dataOf(event))
        if (event.kind === "run.started") {
          journal.begun = true
          const { trace, session } = dataOf(event)
          journal.trace = trace
          journal.session = session === undefined ? undefined : { value: revive(session) }
        }
        if (event.kind === "run.failed") journal.#failed = event
        if (event.kind === "run.forked") journal.forked = event.seq
        if (event.kind === "run.migrated") journal.sparse = true
        if (event.kind === "run.compensating") journal.compensating = event
        if (event.kind === "run.rewound" || event.kind === "run.forked") journal.compensating = undefined
      }
      for (const event of top) {
        if (event.kind === "step.migrated" && !journal.#floors.covers(event)) (journal.#migrated ??= new Map()).set(event.name, event.seq)
      }
      return journal
    })
  }

  /** Where the output that a migration gave to the step at `path` is; `seq` if there is none. */
  migrated(path: string, seq: number): number {
    return this.#migrated?.get(path) ?? seq
  }

  /** Writes that the run begins, without waiting: the run itself is stored already, and what follows is written after it. */
  begin(kind: "run.started" | "run.resumed", data: string): Effect.Effect<void, Failure> {
    this.begun = true
    const parent = kind === "run.started" ? "" : comings
    return this.#write(kind, parent, "", data, this.#durability === "exit" ? "exit" : "async", undefined)
  }

  /** Finds what was spent so far; where nothing counts it but what its steps have charged, its newest events say that. */
  recallSpent(counted: boolean): Effect.Effect<void, StoreFailed> {
    return this.spending.recall(this.#store, this.#run, this.seq, ...(counted ? [] : [1, 16] as const))
  }

  /** Writes one event; its number is `seq` right after the call. Done when it is as durable as the run asks for. */
  append(kind: EventKind, parent: string, name: string, data: string, change?: Change): Effect.Effect<void, Failure> {
    // the first append waits for company: runs that begin together are seen by then
    const now = this.#keeping.alone?.() === true && this.#met && this.#durability === "sync" && this.joins === 0
    this.#met = true
    return this.#write(kind, parent, name, data, now ? "now" : this.#durability, change)
  }

  /** The same, durable before it is done whatever the run asks for. */
  appendSync(kind: EventKind, parent: string, name: string, data: string): Effect.Effect<void, Failure> {
    return this.#write(kind, parent, name, data, "sync", undefined)
  }

  #write(kind: EventKind, parent: string, name: string, data: string, acknowledge: Acknowledge, change: Change | undefined): Effect.Effect<void, Failure> {
    const event = { seq: ++this.seq, kind, parent, name, data: this.spending.stamped(data) }
    const written = this.#store.events.append(this.#run, event, acknowledge, change)
    if (this.#listeners.none) return written
    return Effect.tap(written, () => Effect.sync(() => this.#tell(kind, eventPath(event), event.seq, event.data)))
  }

  /** Writes the event whose data `work` gives, in one transaction with what `work` does to the database; gives the event's number. */
  transact(
    kind: EventKind,
    parent: string,
    name: string,
    work: (transaction: Transaction) => string,
    change?: Change,
  ): Effect.Effect<number, Failure | TransactionUnsupported> {
    return this.#within(
      kind,
      parent,
      name,
      (event, written) => this.#store.events.transact(this.#run, event, (transaction) => written(this.spending.stamped(work(transaction))), change),
    )
  }

  /** Writes one event together with changes of State, or nothing; gives the event's number. Durable before it is done. */
  commit(
    kind: EventKind,
    parent: string,
    name: string,
    data: string,
    writes: ReadonlyArray<StateWrite>,
    said: (changes: ReadonlyArray<StateChange>) => ReadonlyArray<ChangedState>,
    change?: Change,
  ): Effect.Effect<number, Failure | StateConflict> {
    this.stateful = true
    const stamped = this.spending.stamped(data)
    return this.#within(kind, parent, name, (event, written) =>
      this.#store.events.commit(this.#run, event, writes, stamped, (changes) => {
        const state = JSON.stringify(said(changes))
        written(`${stamped.slice(0, -1)},"state":${state}}`)
        return state
      }, change))
  }

  /** Writes one event whose number and data are known once it is written. */
  #within<E>(
    kind: EventKind,
    parent: string,
    name: string,
    write: (event: () => Omit<Append, "data">, written: (data: string) => string) => Effect.Effect<void, E>,
  ): Effect.Effect<number, E> {
    return Effect.suspend(() => {
      let [seq, data] = [0, ""]
      // its number is taken inside the transaction, where no other fork can take one
      const written = write(() => ({ seq: seq = ++this.seq, kind, parent, name }), (told) => data = told)
      return Effect.map(written, () => {
        if (!this.#listeners.none) this.#tell(kind, eventPath({ parent, name }), seq, data)
        return seq
      })
    })
  }

  /** Its signals. */
  get signals(): Picks {
    return this.#picks ??= new Picks(this.#store, this.#run)
  }

  /** Tells listeners of something that is not kept. */
  notice(kind: "step.started" | LiveKind, path: string, data?: string | (() => string)): void {
    if (!this.#listeners.none) this.#tell(kind, path, undefined, typeof data === "function" ? data() : data)
  }

  #tell(kind: Parameters<Listeners["tell"]>[0]["kind"], path: string, seq: number | undefined, data: string | undefined): void {
    this.#listeners.tell(notice(this.#run, kind, path, Date.now(), seq, data))
  }

  /** What is recorded of the nodes of the block at `path`; a node that is not in it may have something inside it. */
  under(path: string): Effect.Effect<Recorded, StoreFailed> {
    return Effect.map(this.#store.events.under(this.#run, path), (events) => {
      const recorded = new Map<string, Known>()
      for (const event of events) {
        const role = roles[event.kind]
        if (role === undefined || this.#floors.covers(event) || this.#isForgiven(event)) continue
        const known = recorded.get(event.name)
        if (known === undefined) recorded.set(event.name, { [role]: event })
        else known[role] = event
      }
      return recorded
    })
  }

  /** It led to a failure after which the run was resumed. */
  #isForgiven(event: RunEvent): boolean {
    if (event.seq > this.#failed.seq) return false
    if (event.kind === "fork.failed") return true
    return event.kind.endsWith(".started") && (dataOf(event).until ?? Number.POSITIVE_INFINITY) <= this.#failed.at
  }

  /** Nothing recorded inside `path` before event `seq` counts: it is of an attempt that was given up. */
  forget(path: string, seq: number): void {
    this.#floors.inside(path, seq)
  }

  /** The events of a kind inside `path`: how a loop or a stream has come so far. */
  progress(path: string, kind: EventKind): Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed> {
    const found = this.#store.events.under(this.#run, path)
    return Effect.map(found, (events) => events.filter((event) => event.kind === kind && !this.#floors.covers(event)))
  }
  /** The newest of them. */
  newest(path: string, kind: EventKind): Effect.Effect<RunEvent | undefined, StoreFailed> {
    return this.#floors.none ? this.#store.events.last(this.#run, path, kind) : Effect.map(this.progress(path, kind), (events) => events.at(-1))
  }

  /** Every event whose effects may still stand, oldest first: also of attempts that were given up, of steps that were taken back or migrated. */
  effects(): Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed> {
    return this.#store.events.since(this.#run, this.forked)
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
    const value = output === undefined ? undefined : readable(event, () => revive(output))
    const codec = this.#codecs.size === 0 ? undefined : this.#codecs.get(writtenPath(eventPath(event)))
    return Effect.succeed(codec === undefined ? value : codec.decode(value))
  }

  /** The value behind one reference. */
  value(ref: Ref): Effect.Effect<unknown, StoreFailed> {
    if (ref === null) return Effect.succeed(undefined)
    if (ref === 0) return Effect.succeed(this.input)
    if (typeof ref !== "number") return "r" in ref ? this.#parts(ref.r) : Effect.succeed(revive(ref.v))
    return Effect.flatMap(
      this.#store.events.at(this.#run, ref),
      (event) => (event === undefined ? Effect.fail(missing(this.#store.name, this.#run.id, ref)) : this.output(event)),
    )
  }

  #parts(refs: Readonly<Record<string, Ref>> | ReadonlyArray<Ref>): Effect.Effect<unknown, StoreFailed> {
    if (isList(refs)) return Effect.forEach(refs, (ref) => this.value(ref))
    const entries = Object.entries(refs)
    return Effect.map(Effect.forEach(entries, ([, ref]) => this.value(ref)), (values) => Object.fromEntries(entries.map(([name], i) => [name, values[i]])))
  }
}

const isList = (refs: Readonly<Record<string, Ref>> | ReadonlyArray<Ref>): refs is ReadonlyArray<Ref> => Array.isArray(refs)
