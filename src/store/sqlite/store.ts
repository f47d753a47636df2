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
import { Turns } from "../turns.ts"
import { sqliteArtifacts, sqliteBlobs } from "./artifacts.ts"
import { openDatabase, type SqliteOptions, storeFailure } from "./database.ts"
import { type Row, toEvent, toRun, toSignal } from "./rows.ts"
import { sqliteSessions } from "./sessions.ts"
import { sqliteStates } from "./states.ts"
import { runStatements } from "./run-statements.ts"
import { type Asking, Statement } from "./statement.ts"
import { span, Writer } from "./writer.ts"

/** A store on an open database. */
export function sqliteStore(db: DatabaseSync, file: string): Store["Service"] & { readonly flush: () => void } {
  const prepared = (text: string) => new Statement(db, text)
  const sql = runStatements(prepared)
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
  const driven = (now: number) => sql.driven.all(now).map(recordOf)
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
              const { owner, lease, crashes, crashedAt, within } = claim
              const now = Date.now()
              const take = () => sql.claim.get(owner, lease, claim.status, crashes ?? null, crashedAt ?? null, now, seen.id, seen.fence, seen.status)
              if (within === undefined) return take()
              return together(() => {
                const run = find(seen.id)
                const others = driven(now).filter(({ id }) => id !== seen.id)
                return run !== undefined && new Turns(within).begin(others).take(run) ? take() : undefined
              })
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
        driven: (now) => attempt("driven", () => driven(now)),
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
