/** Group commit: appends of all runs that arrive in one turn of the event loop share one transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import type { Transaction } from "../../../dsl/ir/node.ts"
import { RunTakenOver, type StoreFailed } from "../../model/error.ts"
import { hasEnded, hasStopped, type RunRecord } from "../../model/run.ts"
import { Recent } from "../recent.ts"
import type { Acknowledge, Append, Change, Seen } from "../store.ts"
import { storeFailure } from "./database.ts"
import { Statement } from "./statement.ts"

/** Event numbers of one run; a run's events are `nr * span + seq`. */
export const span = 16_777_216

type Failure = StoreFailed | RunTakenOver
type Written = (result: Effect.Effect<void, Failure>) => void
interface Entry {
  readonly run: RunRecord
  readonly event: Append
  readonly change: Change | undefined
  readonly written: Written
}

/** What one run wants to write is refused; SQLite's codes for too big, constraint, mismatch. */
const isOfOne = (cause: unknown): boolean => cause instanceof Error && "errcode" in cause && [18, 19, 20].includes(Number(cause.errcode) & 0xff)
/** Owners whose failure is remembered. */
const remembered = 10_000

export class Writer {
  readonly #db: DatabaseSync
  readonly #file: string
  readonly #numbers: (id: string) => number
  readonly #insert
  readonly #change
  readonly #take
  readonly #remove
  readonly #wakeForSignal
  readonly #wakeParent
  /** What flows do in their transactions: they say the same again and again. */
  readonly #prepared = new Recent<string, StatementSync>(100)
  readonly #sql: Transaction = {
    run: (text, ...values) => {
      const { changes, lastInsertRowid } = this.#prepare(text).run(...values)
      return { changes: Number(changes), lastId: Number(lastInsertRowid) }
    },
    all: (text, ...values) => this.#prepare(text).all(...values),
  }
  #queue: Array<Entry> = []
  /** Events of runs with `exit` durability, until the run ends. */
  readonly #held = new Map<string, Array<Entry>>()
  /** What went wrong behind the back of a run that does not wait; told at its next append. */
  readonly #failed = new Recent<string, Failure>(remembered)

  constructor(db: DatabaseSync, file: string, numbers: (id: string) => number) {
    this.#db = db
    this.#file = file
    this.#numbers = numbers
    this.#insert = new Statement(
      db,
      "INSERT INTO events (id, run, at, kind, parent, name, data) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM runs WHERE nr = ?2 AND fence = ?8 AND id = ?9",
    )
    this.#change = new Statement(
      db,
      `UPDATE runs SET status = coalesce(?2, status), due = CASE WHEN ?3 THEN ?4 ELSE due END, waits = coalesce(?5, waits),
       version = coalesce(?6, version), fingerprint = coalesce(?7, fingerprint), updated_at = ?8 WHERE nr = ?1`,
    )
    this.#take = new Statement(
      db,
      "UPDATE signals SET taken = ? WHERE run = ? AND id = ?",
    )
    this.#remove = new Statement(db, "DELETE FROM events WHERE id = ?")
    this.#wakeForSignal = new Statement(
      db,
      `UPDATE runs SET due = ?2 WHERE nr = ?1 AND EXISTS
       (SELECT 1 FROM signals WHERE run = ?1 AND taken IS NULL AND late = 0 AND name IN (SELECT value FROM json_each(?3)) AND id NOT IN (SELECT value FROM json_each(?4)))`,
    )
    this.#wakeParent = new Statement(
      db,
      "UPDATE runs SET due = min(coalesce(due, ?2), ?2) WHERE id = ?1 AND status = 'suspended'",
    )
  }

  append(run: RunRecord, event: Append, acknowledge: Acknowledge, change: Change | undefined): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      const failed = this.#failed.get(tenure(run))
      // something is missing before it: nothing of this owner's is written any more
      if (failed !== undefined) return Effect.fail(failed)
      if (acknowledge === "now" && this.#held.size === 0) {
        let result: Effect.Effect<void, Failure> = Effect.void
        this.#queue.push({ run, event, change, written: (written) => (result = written) })
        this.flush()
        return result
      }
      // a change of the run is always waited for: its result is given out only once it is durable
      if (acknowledge === "now" || acknowledge === "sync" || change !== undefined) {
        return Effect.callback<void, Failure>((resume) => this.#enqueue({ run, event, change, written: resume }))
      }
      const entry: Entry = { run, event, change, written: (result) => this.#noteFailure(tenure(run), result) }
      if (acknowledge === "async") this.#enqueue(entry)
      else this.#hold(entry)
      return Effect.void
    })
  }

  /** Writes what is waiting, if the run has something there that whoever reads now `looksFor`. */
  reveal(run: Seen, looksFor: (event: Append) => boolean): void {
    const held = this.#held.get(tenure(run))
    const seen = ({ event }: Entry) => looksFor(event)
    if (held?.some(seen) === true || this.#queue.some((entry) => entry.run.id === run.id && seen(entry))) this.drain(run)
  }

  /** Writes everything of this owner's that is waiting. */
  drain(run: Seen): void {
    const held = this.#held.get(tenure(run))
    if (held !== undefined) {
      this.#held.delete(tenure(run))
      this.#queue.push(...held)
    }
    this.flush()
  }

  /** The same, for an owner that is about to lose the run. */
  end(seen: Seen): void {
    this.drain(seen)
    this.#failed.delete(tenure(seen))
  }

  /** Writes what is waiting, at once. */
  flush(): void {
    const entries = this.#queue
    if (entries.length === 0) return
    this.#queue = []
    const results = this.#attempt(entries)
    for (let i = 0; i < entries.length; i++) entries[i]!.written(results[i]!)
  }

  #attempt(entries: ReadonlyArray<Entry>): ReadonlyArray<Effect.Effect<void, Failure>> {
    try {
      return entries.length === 1 && entries[0]!.change === undefined ? [this.#write(entries[0]!, Date.now())] : this.#together(entries)
    } catch (cause) {
      const runs = new Map<string, Array<Entry>>()
      for (const entry of entries) runs.set(entry.run.id, [...(runs.get(entry.run.id) ?? []), entry])
      const failure = Effect.fail(storeFailure(this.#file, "append", cause))
      // the database itself cannot write now, and each try may take as long as waiting for a lock does
      if (runs.size === 1 || !isOfOne(cause)) return entries.map(() => failure)
      // what one run cannot write is no failure of the others
      const apart = new Map([...runs.values()].flatMap((own) => this.#attempt(own).map((result, i) => [own[i]!, result] as const)))
      return entries.map((entry) => apart.get(entry)!)
    }
  }

  /** Writes the event whose data `work` gives, in one transaction with what `work` does. */
  transact(run: RunRecord, event: () => Omit<Append, "data">, work: (transaction: Transaction) => string, change?: Change): Effect.Effect<void, Failure> {
    this.drain(run)
    const failed = this.#failed.get(tenure(run))
    if (failed !== undefined) return Effect.fail(failed)
    return this.inTransaction(() => {
      const data = work(this.#sql)
      const written = this.#write({ run, event: { ...event(), data }, change }, Date.now())
      // somebody else has the run: what the work did must not stay
      if (written !== Effect.void) this.#db.exec("ROLLBACK")
      return written
    })
  }

  #prepare(text: string): StatementSync {
    const known = this.#prepared.get(text)
    if (known !== undefined) return known
    const statement = this.#db.prepare(text)
    this.#prepared.set(text, statement)
    return statement
  }

  #together(entries: ReadonlyArray<Entry>): ReadonlyArray<Effect.Effect<void, Failure>> {
    const now = Date.now()
    return this.inTransaction(() => entries.map((entry) => this.#write(entry, now)))
  }

  /** All of it or nothing. */
  inTransaction<A>(work: () => A): A {
    this.#db.exec("BEGIN IMMEDIATE")
    try {
      const result = work()
      if (this.#db.isTransaction) this.#db.exec("COMMIT")
      return result
    } catch (cause) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK")
      throw cause
    }
  }

  #write({ run, event, change }: Omit<Entry, "written">, now: number): Effect.Effect<void, Failure> {
    if (event.seq >= span) throw new Error(`a run has at most ${span - 1} events: compact does not lower their numbers; start a child run in time`)
    const nr = this.#numbers(run.id)
    const { changes } = this.#insert.run(nr * span + event.seq, nr, now, event.kind, event.parent, event.name, event.data, run.fence, run.id)
    if (changes === 0) return Effect.fail(new RunTakenOver({ run: run.id }))
    if (change !== undefined) this.#apply(nr, run, event.seq, change, now)
    return Effect.void
  }

  #apply(nr: number, run: RunRecord, seq: number, { status, takes, waits, left = [], version, fingerprint, replaces, ...rest }: Change, now: number): void {
    if (replaces !== undefined) this.#remove.run(nr * span + replaces)
    const over = status !== undefined && hasEnded(status)
    const listed = over ? "[]" : waits === undefined ? null : JSON.stringify(waits)
    this.#change.run(nr, status ?? null, over || "due" in rest ? 1 : 0, over ? null : rest.due ?? null, listed, version ?? null, fingerprint ?? null, now)
    if (takes !== undefined) this.#take.run(seq, nr, takes)
    if (waits !== undefined && listed !== null) this.#wakeForSignal.run(nr, now, listed, JSON.stringify(left))
    if (run.parent !== undefined && status !== undefined && hasStopped(status)) this.#wakeParent.run(run.parent, now)
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
const tenure = ({ id, fence }: Pick<Seen, "id" | "fence">): string => `${id}:${fence}`
