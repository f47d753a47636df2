/** What survives a crash. The contract every store keeps; `storeConformance` in `heddle/testing` checks one. */
import { Service } from "effect/Context"
import type { Effect } from "effect/Effect"
import type { RunNotFound, RunTakenOver, StoreFailed } from "../model/error.ts"
import type { EventKind, RunEvent } from "../model/event.ts"
import type { NewRun, RunRecord, RunStatus } from "../model/run.ts"

/** An event to be written; the store gives it its time. */
export type Append = Omit<RunEvent, "at">

/** Which runs to list, newest first. */
export interface RunFilter {
  readonly flow?: string | undefined
  readonly status?: RunStatus | undefined
  /** At most this many, default 50. */
  readonly limit?: number | undefined
}

/** When an append is acknowledged: once durable (`sync`), at once (`async`), or at once and written when the run ends (`exit`). */
export type Durability = "sync" | "async" | "exit"

/** `now` is `sync` where nobody else is about to append: there is no company to wait for. A store may take it for `sync`. */
export type Acknowledge = Durability | "now"

export interface Runs {
  /** Creates the run; if its id is taken, gives the run that has it. */
  readonly create: (run: NewRun) => Effect<{ readonly created: boolean; readonly run: RunRecord }, StoreFailed>
  readonly get: (id: string) => Effect<RunRecord, StoreFailed | RunNotFound>
  readonly list: (filter: RunFilter) => Effect<ReadonlyArray<RunRecord>, StoreFailed>
  /** Makes `owner` the owner of a running or failed run, unless its fence is no longer `fence`; the fence grows. */
  readonly claim: (id: string, fence: number, owner: string) => Effect<RunRecord, StoreFailed | RunNotFound | RunTakenOver>
}

export interface Events {
  /**
   * Writes one event, and with `status` the run's new status, in one transaction.
   *
   * Appends of concurrent callers join one transaction. Events of a run become durable in the order they were appended.
   * The result is run at once and once; a store may do its work already when it is asked.
   */
  readonly append: (
    run: RunRecord,
    event: Append,
    acknowledge: Acknowledge,
    status?: RunStatus,
  ) => Effect<void, StoreFailed | RunTakenOver>
  /** The events that belong directly to a block, oldest first. */
  readonly under: (run: RunRecord, parent: string) => Effect<ReadonlyArray<RunEvent>, StoreFailed>
  /** The newest event of a kind that belongs directly to a block. */
  readonly last: (run: RunRecord, parent: string, kind: EventKind) => Effect<RunEvent | undefined, StoreFailed>
  /** One event by its number. */
  readonly at: (run: RunRecord, seq: number) => Effect<RunEvent | undefined, StoreFailed>
  /** All events after `seq`, oldest first. */
  readonly since: (run: RunRecord, seq: number) => Effect<ReadonlyArray<RunEvent>, StoreFailed>
  /** The number of the newest event, 0 if there is none. */
  readonly head: (run: RunRecord) => Effect<number, StoreFailed>
}

/** Keeps runs and their events. */
export class Store extends Service<Store, {
  /** For messages: `memory`, or the file. */
  readonly name: string
  /** Other processes may use it too. */
  readonly shared: boolean
  readonly runs: Runs
  readonly events: Events
}>()("heddle/Store") {}
