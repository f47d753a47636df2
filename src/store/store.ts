/** What survives a crash. The contract every store keeps; `storeConformance` in `heddle/testing` checks one. */
import { Service } from "effect/Context"
import type { Effect } from "effect/Effect"
import type { Transaction } from "../../dsl/ir/node.ts"
import type { ArtifactRecord, BlobRecord, Grant, NewArtifact } from "../model/artifact.ts"
import type { RunNotFound, RunTakenOver, StoreFailed, TransactionUnsupported } from "../model/error.ts"
import type { EventKind, RunEvent } from "../model/event.ts"
import type { NewRun, RunRecord, RunStatus } from "../model/run.ts"
import type { ArtifactRefused, SessionConflict, SessionNotFound, StateConflict } from "../model/service-error.ts"
import type { NewSession, SessionRecord, SessionStatus } from "../model/session.ts"
import type { Sending, Signal, SignalRecord } from "../model/signal.ts"
import type { StateChange, StateEntry, StateWrite } from "../model/state-entry.ts"

/** An event to be written; the store gives it its time. */
export type Append = Omit<RunEvent, "at">

/** What an event changes of its run, in the same transaction. */
export interface Change {
  readonly status?: RunStatus
  /** When somebody has to look after the run; left as it is if not given. */
  readonly due?: number | undefined
  /** Signals it waits for from now on. If one is there already, the run is due at once. */
  readonly waits?: ReadonlyArray<string>
  /** Ids of signals that are none of those it waits for, whatever they are called. */
  readonly left?: ReadonlyArray<string>
  /** Id of the signal that this event receives. */
  readonly takes?: string
  readonly version?: number
  readonly fingerprint?: string
  /** Number of an event that does not count once this one is written: it is deleted. */
  readonly replaces?: number | undefined
}

/** Runs that are not asked for now, unless they are steps of others. */
export interface Without {
  readonly flows: ReadonlyArray<string>
  readonly sessions: ReadonlyArray<string>
  readonly correlations: ReadonlyArray<string>
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
  /** Only runs that no other run has started. */
  readonly roots?: boolean | undefined
  /** Only those created at this time or later, in milliseconds since 1970. */
  readonly since?: number | undefined
  /** Only those last changed before this time, in milliseconds since 1970. */
  readonly before?: number | undefined
  /** At most this many, default 50. */
  readonly limit?: number | undefined
}

/** When an append is acknowledged: once durable (`sync`), at once (`async`), or at once and written when the run ends (`exit`). */
export type Durability = "sync" | "async" | "exit"

/** `now` is `sync` where nobody else is about to append: there is no company to wait for. A store may take it for `sync`. */
export type Acknowledge = Durability | "now"

/** How many runs that have something in common may be driven at once, whoever drives them. Runs that are steps of others are not counted, and never refused. */
export interface Within {
  readonly perFlow?: number | undefined
  readonly perSession?: number | undefined
  readonly perCorrelation?: number | undefined
}
/** How a run changes hands. */
export interface Claim {
  readonly owner: string
  /** Until when it is the owner's without being renewed, in milliseconds since 1970. */
  readonly lease: number
  readonly status: RunStatus
  readonly crashes?: number
  readonly crashedAt?: number
  readonly within?: Within | undefined
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
  /** Gives the run to an owner, unless its fence or status is no longer what was seen, or as many are driven as `within` allows; the fence grows. */
  readonly claim: (seen: Seen, claim: Claim) => Effect<RunRecord, StoreFailed | RunNotFound | RunTakenOver>
  /** Gives the run up: it is pending, for whoever comes at `due`. Nothing happens if it belongs to another owner by now. */
  readonly release: (run: RunRecord, due: number) => Effect<void, StoreFailed>
  /** Lengthens the lease of those of the runs that `owner` drives. */
  readonly renew: (ids: ReadonlyArray<string>, owner: string, lease: number) => Effect<void, StoreFailed>
  /** A suspended run is due at this time, or earlier. */
  readonly nudge: (id: string, at: number) => Effect<void, StoreFailed>
  /** Runs of these flows that somebody has to look after, the longest waiting first. */
  readonly due: (flows: ReadonlyArray<string>, now: number, limit: number, without?: Without) => Effect<ReadonlyArray<RunRecord>, StoreFailed>
  /** Runs that somebody drives, whose lease has not ended by now; without those that are steps of others. */
  readonly driven: (now: number) => Effect<ReadonlyArray<RunRecord>, StoreFailed>
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
    change?: Change,
  ) => Effect<void, StoreFailed | RunTakenOver | TransactionUnsupported>
  /**
   * Writes an event together with changes of state, in one transaction: where one is refused, nothing is written. Its data is `data`, a JSON object
   * that is not empty, with what `said` makes of the changes as `state`. `event` is asked once everything appended before is written.
   */
  readonly commit: (
    run: RunRecord,
    event: () => Omit<Append, "data">,
    writes: ReadonlyArray<StateWrite>,
    data: string,
    said: (changes: ReadonlyArray<StateChange>) => string,
    change?: Change,
  ) => Effect<void, StoreFailed | RunTakenOver | StateConflict>
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

/** Values of State. What is over (`until`) is for whoever reads to see. */
export interface States {
  readonly get: (scope: string, name: string) => Effect<StateEntry | undefined, StoreFailed>
  /** The entries of a scope whose names begin so and come behind `after`, by name, without those that were over by `now`. */
  readonly list: (scope: string, prefix: string, limit?: number, now?: number, after?: string) => Effect<ReadonlyArray<StateEntry>, StoreFailed>
  /** One write after the other, all of them or none; gives what has changed. */
  readonly commit: (writes: ReadonlyArray<StateWrite>) => Effect<ReadonlyArray<StateChange>, StoreFailed | StateConflict>
  /** The newest revision, 0 if there is none: it grows whenever anything changes, wherever that was. */
  readonly revision: Effect<number, StoreFailed>
  /** Deletes all entries of a scope. */
  readonly clear: (scope: string) => Effect<void, StoreFailed>
  /** Deletes what was over by `now`; gives how many. */
  readonly expire: (now: number) => Effect<number, StoreFailed>
}

export interface SessionFilter {
  readonly status?: SessionStatus | undefined
  readonly user?: string | undefined
  readonly parent?: string | undefined
  readonly tag?: string | undefined
  /** Only those that were last used before this time, in milliseconds since 1970. */
  readonly unusedSince?: number | undefined
  /** At most this many, default 50. */
  readonly limit?: number | undefined
}
export interface Sessions {
  /** Creates the session; if its id is taken, gives the one that has it. */
  readonly create: (session: NewSession) => Effect<{ readonly created: boolean; readonly session: SessionRecord }, StoreFailed>
  readonly get: (id: string) => Effect<SessionRecord, StoreFailed | SessionNotFound>
  /** Newest first. */
  readonly list: (filter: SessionFilter) => Effect<ReadonlyArray<SessionRecord>, StoreFailed>
  /** Replaces what is there, unless its revision is another by now; gives it with its new revision. */
  readonly save: (session: SessionRecord) => Effect<SessionRecord, StoreFailed | SessionNotFound | SessionConflict>
  /** Something happens in it. */
  readonly touch: (id: string, at: number) => Effect<void, StoreFailed>
  /** Keeps what runs have used that are about to be deleted, as JSON that only grows. */
  readonly carry: (id: string, used: string) => Effect<void, StoreFailed>
  readonly remove: (ids: ReadonlyArray<string>) => Effect<void, StoreFailed>
}

/** How much of something a session may have. */
export interface Quota {
  readonly count: number
  readonly bytes: number
}
export interface ArtifactFilter {
  readonly session?: string | undefined
  /** Only those whose names contain this. */
  readonly name?: string | undefined
  readonly type?: string | undefined
  readonly mime?: string | undefined
  readonly tag?: string | undefined
  readonly hash?: string | undefined
  /** Only what this step made (`run/path`), or this run's steps (`run`). */
  readonly by?: string | undefined
  /** Only the newest version of each name. */
  readonly newest?: boolean | undefined
  /** Milliseconds since 1970. */
  readonly after?: number | undefined
  readonly before?: number | undefined
  /** At most this many, default 50, those after artifact number `below` left out. */
  readonly limit?: number | undefined
  readonly below?: number | undefined
}
export interface Artifacts {
  /** Keeps the next version of a name whose content is there already, if the session's quota lets it; the same content as the newest version, or as one that the same step has made, is that version, unless it is told which it is. */
  readonly put: (artifact: NewArtifact, quota: Quota) => Effect<ArtifactRecord, StoreFailed | ArtifactRefused>
  /** One version, or the newest. */
  readonly get: (session: string, name: string, version?: number) => Effect<ArtifactRecord | undefined, StoreFailed>
  /** Newest first. */
  readonly list: (filter: ArtifactFilter) => Effect<ReadonlyArray<ArtifactRecord>, StoreFailed>
  readonly usage: (session: string) => Effect<Quota, StoreFailed>
  readonly change: (nr: number, change: { readonly tags?: ReadonlyArray<string>; readonly grants?: ReadonlyArray<Grant> }) => Effect<void, StoreFailed>
  readonly remove: (nrs: ReadonlyArray<number>) => Effect<void, StoreFailed>
}

/** Content, found by its hash and kept once. It is written in chunks under a name of its own, and found once it is sealed. */
export interface Blobs {
  readonly write: (upload: string, n: number, bytes: Uint8Array) => Effect<void, StoreFailed>
  /** The upload is complete and is this blob; if that is there already, the upload is dropped, and the blob is as new. */
  readonly seal: (upload: string, blob: BlobRecord) => Effect<{ readonly existed: boolean }, StoreFailed>
  readonly abandon: (upload: string) => Effect<void, StoreFailed>
  readonly get: (hash: string) => Effect<BlobRecord | undefined, StoreFailed>
  /** Somebody is about to refer to it: it is as new. */
  readonly renew: (hash: string) => Effect<void, StoreFailed>
  readonly read: (hash: string, n: number) => Effect<Uint8Array | undefined, StoreFailed>
  /** Deletes content that no artifact and no event refers to, and uploads nobody sealed, older than this; gives the bytes. */
  readonly sweep: (before: number) => Effect<number, StoreFailed>
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
  readonly states: States
  readonly sessions: Sessions
  readonly artifacts: Artifacts
  readonly blobs: Blobs
}>()("heddle/Store") {}
