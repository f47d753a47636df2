/** Group commit: appends of all runs that arrive in one turn of the event loop share one transaction. */
import type { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import { RunTakenOver, type StoreFailed } from "../../model/error.ts"
import type { RunRecord, RunStatus } from "../../model/run.ts"
import type { Acknowledge, Append } from "../store.ts"
import { storeFailure } from "./database.ts"

/** Event numbers of one run; a run's events are `nr * span + seq`. */
export const span = 16_777_216

type Failure = StoreFailed | RunTakenOver
type Written = (result: Effect.Effect<void, Failure>) => void
interface Entry {
  readonly run: RunRecord
  readonly event: Append
  readonly status: RunStatus | undefined
  readonly written: Written
}

export class Writer {
  readonly #db: DatabaseSync
  readonly #file: string
  readonly #numbers: (id: string) => number
  readonly #insert
  readonly #finish
  #queue: Array<Entry> = []
  /** Events of runs with `exit` durability, until the run ends. */
  readonly #held = new Map<string, Array<Entry>>()
  /** What went wrong behind the back of a run that does not wait; told at its next append. */
  readonly #failed = new Map<string, Failure>()

  constructor(db: DatabaseSync, file: string, numbers: (id: string) => number) {
    this.#db = db
    this.#file = file
    this.#numbers = numbers
    this.#insert = db.prepare(
      "INSERT INTO events (id, run, at, kind, parent, name, data) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT fence FROM runs WHERE nr = ?2) = ?8",
    )
    this.#finish = db.prepare("UPDATE runs SET status = ?, updated_at = ? WHERE nr = ?")
  }

  append(run: RunRecord, event: Append, acknowledge: Acknowledge, status: RunStatus | undefined): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      const failed = this.#failed.get(tenure(run))
      if (failed !== undefined) {
        this.#failed.delete(tenure(run))
        return Effect.fail(failed)
      }
      if (acknowledge === "now" && this.#held.size === 0) {
        let result: Effect.Effect<void, Failure> = Effect.void
        this.#queue.push({ run, event, status, written: (written) => (result = written) })
        this.flush()
        return result
      }
      // the end of a run is always waited for: its result is given out only once it is durable
      if (acknowledge === "now" || acknowledge === "sync" || status !== undefined) {
        return Effect.callback<void, Failure>((resume) => this.#enqueue({ run, event, status, written: resume }))
      }
      const entry: Entry = { run, event, status, written: (result) => this.#noteFailure(tenure(run), result) }
      if (acknowledge === "async") this.#enqueue(entry)
      else this.#hold(entry)
      return Effect.void
    })
  }

  /** Writes what is waiting, at once. */
  flush(): void {
    const entries = this.#queue
    if (entries.length === 0) return
    this.#queue = []
    let results: ReadonlyArray<Effect.Effect<void, Failure>>
    try {
      results = entries.length === 1 && entries[0]!.status === undefined ? [this.#write(entries[0]!, Date.now())] : this.#together(entries)
    } catch (cause) {
      const failure = Effect.fail(storeFailure(this.#file, "append", cause))
      results = entries.map(() => failure)
    }
    for (let i = 0; i < entries.length; i++) entries[i]!.written(results[i]!)
  }

  #together(entries: ReadonlyArray<Entry>): ReadonlyArray<Effect.Effect<void, Failure>> {
    this.#db.exec("BEGIN IMMEDIATE")
    try {
      const now = Date.now()
      const results = entries.map((entry) => this.#write(entry, now))
      this.#db.exec("COMMIT")
      return results
    } catch (cause) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK")
      throw cause
    }
  }

  #write({ run, event, status }: Entry, now: number): Effect.Effect<void, Failure> {
    const nr = this.#numbers(run.id)
    const { changes } = this.#insert.run(nr * span + event.seq, nr, now, event.kind, event.parent, event.name, event.data, run.fence)
    if (changes === 0) return Effect.fail(new RunTakenOver({ run: run.id }))
    if (status !== undefined) this.#finish.run(status, now, nr)
    return Effect.void
  }

  #enqueue(entry: Entry): void {
    if (this.#queue.length === 0) setImmediate(() => this.flush())
    const held = this.#held.get(tenure(entry.run))
    if (held !== undefined) {
      this.#held.delete(tenure(entry.run))
      this.#queue.push(...held)
    }
    this.#queue.push(entry)
  }

  #hold(entry: Entry): void {
    const held = this.#held.get(tenure(entry.run))
    if (held === undefined) this.#held.set(tenure(entry.run), [entry])
    else held.push(entry)
  }

  #noteFailure(run: string, result: Effect.Effect<void, Failure>): void {
    Effect.runSync(Effect.catch(result, (failure) => Effect.sync(() => this.#failed.set(run, failure))))
  }
}

/** One owner's time with a run: what an earlier owner left behind is none of the next one's business. */
const tenure = ({ id, fence }: RunRecord): string => `${id}:${fence}`
