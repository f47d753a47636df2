/** What survives a crash. The contract every store keeps; `storeConformance` in `heddle/testing` checks one. */
import { Service } from "effect/Context"
import type { Effect } from "effect/Effect"
import type { Transaction } from "../../dsl/ir/node.ts"
import type { RunNotFound, RunTakenOver, StoreFailed, TransactionUnsupported } from "../model/error.ts"
import type { EventKind, RunEvent } from "../model/event.ts"
import type { NewRun, RunRecord, RunStatus } from "../model/run.ts"
import type { Sending, Signal, SignalRecord } from "../model/signal.ts"

/** An event to be written; the store gives it its time. */
export type Append = Omit<RunEvent, "at">

/** What an event changes of its run, in the same transaction. */
export interface Change {
  readonly status?: RunStatus
  /** When somebody has to look after the run; left as it is if not given. */
  readonly due?: number | undefined
  /** Signals it waits for from now on. If one is there already, the run is due at once. */
  readonly waits?: ReadonlyArray<string>
  /** Id of the signal that this event receives. */
  readonly takes?: string
  readonly version?: number
  readonly fingerprint?: string
}

/** Which runs to list, newest first. */
export interface RunFilter {
  readonly flow?: string | undefined
  readonly status?: RunStatus | undefined
  /** Only children of this run. */
  readonly parent?: string | undefined
  /** Only what belongs to this: a run with its children, forks and other tries. */
  readonly correlation?: string | undefined
  /** Only runs of this session. */
  readonly session?: string | undefined
  /** Only those last changed before this time, in milliseconds since 1970. */
  readonly before?: number | undefined
  /** At most this many, default 50. */
  readonly limit?: number | undefined
}

/** When an append is acknowledged: once durable (`sync`), at once (`async`), or at once and written when the run ends (`exit`). */
export type Durability = "sync" | "async" | "exit"

/** `now` is `sync` where nobody else is about to append: there is no company to wait for. A store may take it for `sync`. */
export type Acknowledge = Durability | "now"

/** How a run changes hands. */
export interface Claim {
  readonly owner: string
  /** Until when it is the owner's without being renewed, in milliseconds since 1970. */
  readonly lease: number
  readonly status: RunStatus
  readonly crashes?: number
  readonly crashedAt?: number
}
/** What has happened to a run elsewhere. */
export interface Past {
  readonly events: ReadonlyArray<RunEvent>
  readonly signals: ReadonlyArray<SignalRecord>
}
/** A run as it was when somebody decided something about it. */
export type Seen = Pick<RunRecord, "id" | "fence" | "status">

export interface Runs {
  /** Creates the run; if its id is taken, gives the run that has it. */
  readonly create: (run: NewRun) => Effect<{ readonly created: boolean; readonly run: RunRecord }, StoreFailed>
  readonly get: (id: string) => Effect<RunRecord, StoreFailed | RunNotFound>
  readonly list: (filter: RunFilter) => Effect<ReadonlyArray<RunRecord>, StoreFailed>
  /** Gives the run to an owner, unless its fence or status is no longer what was seen; the fence grows. */
  readonly claim: (seen: Seen, claim: Claim) => Effect<RunRecord, StoreFailed | RunNotFound | RunTakenOver>
  /** Gives the run up: it is pending, for whoever comes at `due`. Nothing happens if it belongs to another owner by now. */
  readonly release: (run: RunRecord, due: number) => Effect<void, StoreFailed>
  /** Lengthens the lease of those of the runs that `owner` drives. */
  readonly renew: (ids: ReadonlyArray<string>, owner: string, lease: number) => Effect<void, StoreFailed>
  /** A suspended run is due at this time, or earlier. */
  readonly nudge: (id: string, at: number) => Effect<void, StoreFailed>
  /** Runs of these flows that somebody has to look after, the longest waiting first. */
  readonly due: (flows: ReadonlyArray<string>, now: number, limit: number) => Effect<ReadonlyArray<RunRecord>, StoreFailed>
  /** The earliest time at which a run of these flows is due. */
  readonly nextDue: (flows: ReadonlyArray<string>) => Effect<number | undefined, StoreFailed>
  /** Those of the runs that still exist; may be left empty where no other process has written since it gave `version`. */
  readonly look: (ids: ReadonlyArray<string>, version: unknown) => Effect<{ readonly version: unknown; readonly runs: ReadonlyArray<RunRecord> }, StoreFailed>
  /** Creates a run that has a past already, all of it or nothing; if its id is taken, gives the run that has it. */
  readonly adopt: (run: NewRun, past: Past) => Effect<{ readonly created: boolean; readonly run: RunRecord }, StoreFailed>
  /** Deletes runs with all that belongs to them. */
  readonly remove: (ids: ReadonlyArray<string>) => Effect<void, StoreFailed>
}

export interface Events {
  /**
   * Writes one event and what it changes of the run in one transaction.
   *
   * Appends of concurrent callers join one transaction. Events of a run become durable in the order they were appended.
   * The result is run at once and once; a store may do its work already when it is asked. When the run ends, the run that
   * started it is due.
   */
  readonly append: (
    run: RunRecord,
    event: Append,
    acknowledge: Acknowledge,
    change?: Change,
  ) => Effect<void, StoreFailed | RunTakenOver>
  /**
   * Writes the event whose data `work` gives, together with what `work` does to the database; if `work` throws, nothing is written.
   * `event` is asked once everything appended before is written.
   */
  readonly transact: (
    run: RunRecord,
    event: () => Omit<Append, "data">,
    work: (transaction: Transaction) => string,
  ) => Effect<void, StoreFailed | RunTakenOver | TransactionUnsupported>
  /** The events that belong directly to a block, oldest first. */
  readonly under: (run: RunRecord, parent: string) => Effect<ReadonlyArray<RunEvent>, StoreFailed>
  /** The newest event of a kind that belongs directly to a block. */
  readonly last: (run: RunRecord, parent: string, kind: EventKind) => Effect<RunEvent | undefined, StoreFailed>
  /** One event by its number. */
  readonly at: (run: RunRecord, seq: number) => Effect<RunEvent | undefined, StoreFailed>
  /** All events after `seq`, oldest first, or the first `limit` of them. */
  readonly since: (run: RunRecord, seq: number, limit?: number) => Effect<ReadonlyArray<RunEvent>, StoreFailed>
  /** The number of the newest event, 0 if there is none. */
  readonly head: (run: RunRecord) => Effect<number, StoreFailed>
  /** Deletes events by number. */
  readonly remove: (run: RunRecord, seqs: ReadonlyArray<number>) => Effect<void, StoreFailed>
}

export interface Signals {
  /** Keeps the signal for the run; a suspended run that waits for it is due at once, and so are the suspended runs that started it. */
  readonly send: (run: string, signal: Signal, now: number) => Effect<Sending, StoreFailed | RunNotFound>
  /** Signals of this name that nobody has received, oldest first. */
  readonly waiting: (run: RunRecord, name: string) => Effect<ReadonlyArray<SignalRecord>, StoreFailed>
  /** All signals of a run, oldest first. */
  readonly list: (run: RunRecord) => Effect<ReadonlyArray<SignalRecord>, StoreFailed>
}

/** Structures of flows by their fingerprint, so that a changed flow can be compared with the one a run was started on. */
export interface Flows {
  readonly save: (fingerprint: string, encoded: string) => Effect<void, StoreFailed>
  readonly get: (fingerprint: string) => Effect<string | undefined, StoreFailed>
}

/** Keeps runs and their events. */
export class Store extends Service<Store, {
  /** For messages: `memory`, or the file. */
  readonly name: string
  /** Other processes may use it too. */
  readonly shared: boolean
  readonly runs: Runs
  readonly events: Events
  readonly signals: Signals
  readonly flows: Flows
}>()("heddle/Store") {}
