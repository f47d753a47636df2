/** Keeps runs in one SQLite file (WAL), through the `node:sqlite` that Node brings. */
import type { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { RunNotFound, RunTakenOver, type StoreFailed } from "../../model/error.ts"
import { hasEnded, newRecord, type NewRun, type RunRecord } from "../../model/run.ts"
import { pendingSignals, type Sending } from "../../model/signal.ts"
import { attempting } from "../attempt.ts"
import { Recent } from "../recent.ts"
import { type Append, Store } from "../store.ts"
import { sqliteArtifacts, sqliteBlobs } from "./artifacts.ts"
import { openDatabase, type SqliteOptions, storeFailure } from "./database.ts"
import { type Row, toEvent, toRun, toSignal } from "./rows.ts"
import { sqliteSessions } from "./sessions.ts"
import { sqliteStates } from "./states.ts"
import { type Asking, Statement } from "./statement.ts"
import { span, Writer } from "./writer.ts"

const listing = (which: string): string =>
  `SELECT * FROM runs WHERE ${which} AND (?1 IS NULL OR flow = ?1) AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR updated_at < ?3)
   AND (?4 IS NULL OR session = ?4) AND (?5 IS NULL OR coalesce(correlation, id) = ?5) AND (?6 = 0 OR parent IS NULL) AND created_at >= ?7
   ORDER BY nr DESC LIMIT ?8`
const statements = (sql: (text: string) => Statement) => ({
  create: sql(
    `INSERT INTO runs (id, flow, version, fingerprint, status, input, source, owner, fence, due, parent, origin, correlation, session, trace, created_at, updated_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15) ON CONFLICT (id) DO NOTHING`,
  ),
  get: sql("SELECT * FROM runs WHERE id = ?"),
  // one statement for each index: SQLite chooses it when it prepares
  list: sql(listing("1")),
  listOfParent: sql(listing("parent = ?9")),
  listOfSession: sql(listing("session = ?9")),
  listOfCorrelation: sql(listing("nr IN (SELECT nr FROM runs WHERE correlation = ?9 UNION SELECT nr FROM runs WHERE id = ?9 AND correlation IS NULL)")),
  claim: sql(
    `UPDATE runs SET owner = ?1, fence = fence + 1, due = CASE WHEN ?3 IN ('running', 'compensating') THEN ?2 ELSE due END, status = ?3, waits = '[]',
     crashes = coalesce(?4, crashes), crashed_at = coalesce(?5, crashed_at), updated_at = ?6 WHERE id = ?7 AND fence = ?8 AND status = ?9 RETURNING *`,
  ),
  release: sql(
    `UPDATE runs SET owner = '', due = ?1, status = CASE status WHEN 'running' THEN 'pending' ELSE status END, updated_at = ?2
     WHERE id = ?3 AND fence = ?4 AND due IS NOT NULL`,
  ),
  renew: sql(
    "UPDATE runs SET due = ?1 WHERE owner = ?2 AND status IN ('running', 'compensating') AND id IN (SELECT value FROM json_each(?3))",
  ),
  due: sql("SELECT * FROM runs WHERE due <= ?1 AND flow IN (SELECT value FROM json_each(?2)) ORDER BY due LIMIT ?3"),
  dueWithout: sql(
    `SELECT * FROM runs WHERE due <= ?1 AND flow IN (SELECT value FROM json_each(?2)) AND (parent IS NOT NULL OR
       flow NOT IN (SELECT value FROM json_each(?4)) AND coalesce(session, '') NOT IN (SELECT value FROM json_each(?5)) AND
       coalesce(correlation, id) NOT IN (SELECT value FROM json_each(?6)))
     ORDER BY due LIMIT ?3`,
  ),
  nextDue: sql("SELECT due FROM runs WHERE due IS NOT NULL AND flow IN (SELECT value FROM json_each(?1)) ORDER BY due LIMIT 1"),
  look: sql("SELECT * FROM runs WHERE id IN (SELECT value FROM json_each(?1))"),
  nudge: sql("UPDATE runs SET due = min(coalesce(due, ?1), ?1) WHERE id = ?2 AND status = 'suspended'"),
  dataVersion: sql("PRAGMA data_version"),
  adoptEvent: sql("INSERT INTO events (id, run, at, kind, parent, name, data) VALUES (?, ?, ?, ?, ?, ?, ?)"),
  adoptSignal: sql("INSERT INTO signals (run, id, name, data, at, taken, late) VALUES (?, ?, ?, ?, ?, ?, ?)"),
  removeRun: sql("DELETE FROM runs WHERE nr = ?"),
  removeEvents: sql("DELETE FROM events WHERE id >= ? AND id < ?"),
  removeState: sql("DELETE FROM state WHERE scope = ?"),
  removeSignals: sql("DELETE FROM signals WHERE run = ?"),
  removeEvent: sql("DELETE FROM events WHERE id = ?"),
  under: sql("SELECT * FROM events WHERE run = ? AND parent = ? ORDER BY id"),
  last: sql("SELECT * FROM events WHERE run = ? AND parent = ? AND kind = ? ORDER BY id DESC LIMIT 1"),
  at: sql("SELECT * FROM events WHERE id = ?"),
  since: sql("SELECT * FROM events WHERE id > ? AND id < ? ORDER BY id LIMIT ?"),
  head: sql("SELECT max(id) AS id FROM events WHERE id >= ? AND id < ?"),
  sent: sql("SELECT count(*) AS n FROM signals WHERE run = ? AND id = ?"),
  pending: sql("SELECT count(*) AS n FROM signals WHERE run = ? AND taken IS NULL AND late = 0"),
  send: sql("INSERT INTO signals (run, id, name, data, at, late) VALUES (?, ?, ?, ?, ?, ?)"),
  wake: sql(
    `WITH RECURSIVE up (id) AS (SELECT parent FROM runs WHERE nr = ?1 UNION SELECT runs.parent FROM runs JOIN up ON runs.id = up.id)
     UPDATE runs SET due = min(coalesce(due, ?2), ?2) WHERE status = 'suspended' AND
       (id IN (SELECT id FROM up) OR (nr = ?1 AND EXISTS (SELECT 1 FROM json_each(waits) WHERE value = ?3)))`,
  ),
  waiting: sql("SELECT * FROM signals WHERE run = ? AND name = ? AND taken IS NULL AND late = 0 ORDER BY nr"),
  signals: sql("SELECT * FROM signals WHERE run = ? ORDER BY nr"),
  saveFlow: sql("INSERT INTO flows (fingerprint, encoded) VALUES (?, ?) ON CONFLICT DO NOTHING"),
  getFlow: sql("SELECT encoded FROM flows WHERE fingerprint = ?"),
})

/** A store on an open database. */
export function sqliteStore(db: DatabaseSync, file: string): Store["Service"] & { readonly flush: () => void } {
  const prepared = (text: string) => new Statement(db, text)
  const sql = statements(prepared)
  const refusable: Asking["refusable"] = (operation, run) => attempting(run, (cause) => storeFailure(file, operation, cause))
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing but a change of state is refused
  const attempt = refusable as Asking["attempt"]
  const together = <A>(work: () => A): A => {
    writer.flush()
    return writer.inTransaction(work)
  }
  // a worker that lives for months must not grow
  const numbers = new Recent<string, number>(keptNumbers)
  /** A row as a record; its number is known from now on, whoever has given the id to another run meanwhile. */
  const recordOf = (row: Row): RunRecord => {
    const run = toRun(row)
    numbers.set(run.id, Number(row["nr"]))
    return run
  }
  const find = (id: string) => {
    const row = sql.get.get(id)
    return row === undefined ? undefined : recordOf(row)
  }
  const numberOf = (id: string): number => {
    const known = numbers.get(id)
    if (known !== undefined) return known
    find(id)
    return numbers.get(id) ?? -1
  }
  const known = (operation: string, id: string) =>
    Effect.flatMap(attempt(operation, () => find(id)), (run) => run === undefined ? Effect.fail(new RunNotFound({ run: id })) : Effect.succeed(run))
  const writer = new Writer(db, file, numberOf)
  const asking: Asking = { sql: prepared, attempt, refusable, together }
  const { states, apply } = sqliteStates(asking)
  /** What has been appended is seen, however lazily it is written. */
  const read = <A>(run: RunRecord, looksFor: (event: Append) => boolean, look: (nr: number) => A): Effect.Effect<A, StoreFailed> =>
    attempt("read", () => {
      writer.reveal(run, looksFor)
      return look(numberOf(run.id))
    })
  const create = (given: NewRun) => {
    const { id, flow, version, fingerprint, status, input, source, owner, due, parent, origin, correlation, session, trace } = given
    // an insert that does nothing writes the newest number all the same, and waits for the disk
    const found = find(id)
    if (found !== undefined) return { created: false, run: found }
    const now = Date.now()
    const ties = [parent ?? null, origin ?? null, correlation === id ? null : correlation ?? null, session ?? null, trace ?? null]
    const { changes, lastInsertRowid } = sql.create.run(id, flow, version, fingerprint, status, input, source ?? null, owner, due ?? null, ...ties, now)
    // it exists now, whoever created it
    if (changes === 0) return { created: false, run: find(id)! }
    numbers.set(id, Number(lastInsertRowid))
    return { created: true, run: newRecord(given, now) }
  }

  return {
    ...Store.of({
      name: file,
      shared: true,
      runs: {
        create: (given) => attempt("create", () => create(given)),
        get: (id) => known("get", id),
        list: ({ flow, status, parent, correlation, session, roots = false, since = 0, before, limit = 50 }) =>
          attempt("list", () => {
            const common = [flow ?? null, status ?? null, before ?? null, session ?? null, correlation ?? null, roots ? 1 : 0, since, limit]
            const rows = parent !== undefined ?
              sql.listOfParent.all(...common, parent) :
              correlation !== undefined ?
              sql.listOfCorrelation.all(...common, correlation) :
              session === undefined ?
              sql.list.all(...common) :
              sql.listOfSession.all(...common, session)
            return rows.map(recordOf)
          }),
        claim: (seen, claim) =>
          Effect.flatMap(
            attempt("claim", () => {
              // what the last owner did not wait for is still its own to write
              writer.end(seen)
              const { owner, lease, crashes, crashedAt } = claim
              return sql.claim.get(owner, lease, claim.status, crashes ?? null, crashedAt ?? null, Date.now(), seen.id, seen.fence, seen.status)
            }),
            (row) =>
              row === undefined ?
                Effect.flatMap(known("claim", seen.id), () => Effect.fail(new RunTakenOver({ run: seen.id }))) :
                Effect.succeed(recordOf(row)),
          ),
        release: (run, due) =>
          attempt("release", () => {
            writer.drain(run)
            sql.release.run(due, Date.now(), run.id, run.fence)
          }),
        renew: (ids, owner, lease) => attempt("renew", () => void sql.renew.run(lease, owner, JSON.stringify(ids))),
        nudge: (id, at) => attempt("nudge", () => void sql.nudge.run(at, id)),
        due: (flows, now, limit, without) =>
          attempt("due", () => {
            const wanted = [now, JSON.stringify(flows), limit] as const
            const left = without === undefined ? undefined : [without.flows, without.sessions, without.correlations].map((names) => JSON.stringify(names))
            return (left === undefined ? sql.due.all(...wanted) : sql.dueWithout.all(...wanted, ...left)).map(recordOf)
          }),
        nextDue: (flows) => attempt("due", () => (sql.nextDue.get(JSON.stringify(flows))?.["due"] as number | undefined) ?? undefined),
        look: (ids, before) =>
          attempt("look", () => {
            const version = sql.dataVersion.get()?.["data_version"]
            return { version, runs: version === before ? [] : sql.look.all(JSON.stringify(ids)).map(recordOf) }
          }),
        adopt: (given, { events, signals }) =>
          attempt("adopt", () =>
            together(() => {
              const { created, run } = create(given)
              if (!created) return { created, run }
              const nr = numberOf(run.id)
              for (const { seq, at, kind, parent, name, data } of events) sql.adoptEvent.run(nr * span + seq, nr, at, kind, parent, name, data)
              for (const { id, name, data, at, taken, late } of signals) sql.adoptSignal.run(nr, id, name, data, at, taken ?? null, late ? 1 : 0)
              return { created, run }
            })),
        remove: (ids) =>
          attempt("remove", () =>
            together(() => {
              for (const id of ids) {
                find(id)
                const nr = numberOf(id)
                sql.removeEvents.run(nr * span, (nr + 1) * span)
                sql.removeSignals.run(nr)
                sql.removeRun.run(nr)
                numbers.delete(id)
                sql.removeState.run(`run:${id}`)
              }
            })),
      },
      events: {
        append: (run, event, acknowledge, change) => writer.append(run, event, acknowledge, change),
        transact: (run, event, work, change) => Effect.flatten(attempt("transaction", () => writer.transact(run, event, work, change))),
        commit: (run, event, writes, data, said, change) =>
          Effect.flatten(
            refusable("state", () => writer.transact(run, event, () => `${data.slice(0, -1)},"state":${said(apply(writes, Date.now()))}}`, change)),
          ),
        under: (run, parent) => read(run, (event) => event.parent === parent, (nr) => sql.under.all(nr, parent).map(toEvent)),
        last: (run, parent, kind) =>
          read(run, (event) => event.parent === parent && event.kind === kind, (nr) => {
            const row = sql.last.get(nr, parent, kind)
            return row === undefined ? undefined : toEvent(row)
          }),
        at: (run, seq) =>
          read(run, (event) => event.seq === seq, (nr) => {
            const row = sql.at.get(nr * span + seq)
            return row === undefined ? undefined : toEvent(row)
          }),
        since: (run, seq, limit = -1) => read(run, (event) => event.seq > seq, (nr) => sql.since.all(nr * span + seq, (nr + 1) * span, limit).map(toEvent)),
        head: (run) => read(run, () => true, (nr) => Number(sql.head.get(nr * span, (nr + 1) * span)?.["id"] ?? 0) % span),
        remove: ({ id }, seqs) => attempt("remove", () => together(() => seqs.forEach((seq) => sql.removeEvent.run(numberOf(id) * span + seq)))),
      },
      signals: {
        send: (id, signal, now) =>
          Effect.flatMap(
            attempt("signal", () =>
              together((): Sending | undefined => {
                const run = find(id)
                if (run === undefined) return undefined
                const nr = numberOf(id)
                if (sql.sent.get(nr, signal.id)?.["n"] !== 0) return "duplicate"
                const late = hasEnded(run.status)
                if (!late && Number(sql.pending.get(nr)?.["n"]) >= pendingSignals) return "full"
                sql.send.run(nr, signal.id, signal.name, signal.data, now, late ? 1 : 0)
                if (late) return "late"
                sql.wake.run(nr, now, signal.name)
                return "accepted"
              })),
            (sent) => sent === undefined ? Effect.fail(new RunNotFound({ run: id })) : Effect.succeed(sent),
          ),
        waiting: ({ id }, name) => attempt("signal", () => sql.waiting.all(numberOf(id), name).map(toSignal)),
        list: ({ id }) => attempt("signal", () => sql.signals.all(numberOf(id)).map(toSignal)),
      },
      flows: {
        save: (fingerprint, encoded) => attempt("save", () => void sql.saveFlow.run(fingerprint, encoded)),
        get: (fingerprint) => attempt("read", () => sql.getFlow.get(fingerprint)?.["encoded"] as string | undefined),
      },
      states,
      sessions: sqliteSessions(asking),
      artifacts: sqliteArtifacts(asking),
      blobs: sqliteBlobs(asking),
    }),
    flush: () => writer.flush(),
  }
}
/** Run numbers kept in memory. */
const keptNumbers = 10_000

/** Opens `file` for as long as the scope lives; what was appended is written before it closes. */
export const openSqlite = (file: string, options?: SqliteOptions): Effect.Effect<Store["Service"], StoreFailed, Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.suspend(() => {
        try {
          const db = openDatabase(file, options)
          return Effect.succeed({ db, store: sqliteStore(db, file) })
        } catch (failure) {
          return Effect.fail(failure as StoreFailed)
        }
      }),
      ({ db, store }) =>
        Effect.sync(() => {
          store.flush()
          db.close()
        }),
    ),
    ({ store }) => store,
  )

/** A `Store` in one SQLite file. */
export const layerSqlite = (file: string, options?: SqliteOptions): Layer.Layer<Store, StoreFailed> => Layer.effect(Store, openSqlite(file, options))
