/** Keeps runs in one SQLite file (WAL), through the `node:sqlite` that Node brings. */
import type { DatabaseSync } from "node:sqlite"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import { RunNotFound, RunTakenOver, type StoreFailed } from "../../model/error.ts"
import type { RunEvent } from "../../model/event.ts"
import type { RunRecord } from "../../model/run.ts"
import { Store } from "../store.ts"
import { openDatabase, type SqliteOptions, storeFailure } from "./database.ts"
import { span, Writer } from "./writer.ts"

type Row = Readonly<Record<string, unknown>>

// oxlint-disable typescript/no-unsafe-type-assertion -- rows have the columns of STRICT tables that only this folder writes
const toRun = (row: Row): RunRecord => ({
  id: row["id"] as string,
  flow: row["flow"] as string,
  version: row["version"] as number,
  fingerprint: row["fingerprint"] as string,
  status: row["status"] as RunRecord["status"],
  input: row["input"] as string,
  source: (row["source"] ?? undefined) as string | undefined,
  owner: row["owner"] as string,
  fence: row["fence"] as number,
  createdAt: row["created_at"] as number,
  updatedAt: row["updated_at"] as number,
})
const toEvent = (row: Row): RunEvent => ({
  seq: (row["id"] as number) % span,
  at: row["at"] as number,
  kind: row["kind"] as RunEvent["kind"],
  parent: row["parent"] as string,
  name: row["name"] as string,
  data: row["data"] as string,
})
// oxlint-enable typescript/no-unsafe-type-assertion

/** A store on an open database. */
export function sqliteStore(db: DatabaseSync, file: string): Store["Service"] & { readonly flush: () => void } {
  const sql = {
    create: db.prepare(
      `INSERT INTO runs (id, flow, version, fingerprint, status, input, source, owner, fence, created_at, updated_at)
       VALUES (?1, ?2, ?3, ?4, 'running', ?5, ?6, ?7, 1, ?8, ?8) ON CONFLICT (id) DO NOTHING`,
    ),
    get: db.prepare("SELECT * FROM runs WHERE id = ?"),
    list: db.prepare("SELECT * FROM runs WHERE (?1 IS NULL OR flow = ?1) AND (?2 IS NULL OR status = ?2) ORDER BY nr DESC LIMIT ?3"),
    claim: db.prepare(
      "UPDATE runs SET owner = ?, fence = fence + 1, status = 'running', updated_at = ? WHERE id = ? AND fence = ? AND status IN ('running', 'failed')",
    ),
    under: db.prepare("SELECT * FROM events WHERE run = ? AND parent = ? ORDER BY id"),
    last: db.prepare("SELECT * FROM events WHERE run = ? AND parent = ? AND kind = ? ORDER BY id DESC LIMIT 1"),
    at: db.prepare("SELECT * FROM events WHERE id = ?"),
    since: db.prepare("SELECT * FROM events WHERE id > ? AND id < ? ORDER BY id"),
    head: db.prepare("SELECT max(id) AS id FROM events WHERE id >= ? AND id < ?"),
  }
  const attempt = <A>(operation: string, run: () => A): Effect.Effect<A, StoreFailed> =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(run())
      } catch (cause) {
        return Effect.fail(storeFailure(file, operation, cause))
      }
    })
  const numbers = new Map<string, number>()
  const numberOf = (id: string): number => {
    let nr = numbers.get(id)
    if (nr === undefined) {
      nr = Number(sql.get.get(id)?.["nr"] ?? -1)
      if (nr >= 0) numbers.set(id, nr)
    }
    return nr
  }
  const find = (id: string) => {
    const row = sql.get.get(id)
    return row === undefined ? undefined : toRun(row)
  }
  const known = (operation: string, id: string) =>
    Effect.flatMap(attempt(operation, () => find(id)), (run) => run === undefined ? Effect.fail(new RunNotFound({ run: id })) : Effect.succeed(run))
  const writer = new Writer(db, file, numberOf)

  return {
    ...Store.of({
      name: file,
      shared: true,
      runs: {
        create: (given) =>
          attempt("create", () => {
            const { id, flow, version, fingerprint, input, source, owner } = given
            const now = Date.now()
            const { changes, lastInsertRowid } = sql.create.run(id, flow, version, fingerprint, input, source ?? null, owner, now)
            // it exists now, whoever created it
            if (changes === 0) return { created: false, run: find(id)! }
            numbers.set(id, Number(lastInsertRowid))
            return { created: true, run: { ...given, status: "running", fence: 1, createdAt: now, updatedAt: now } }
          }),
        get: (id) => known("get", id),
        list: ({ flow, status, limit }) => attempt("list", () => sql.list.all(flow ?? null, status ?? null, limit ?? 50).map(toRun)),
        claim: (id, fence, owner) =>
          Effect.flatMap(
            attempt("claim", () => {
              // what the last owner did not wait for is still its own to write
              writer.flush()
              return sql.claim.run(owner, Date.now(), id, fence).changes
            }),
            (changes) => Effect.flatMap(known("claim", id), (run) => changes === 1 ? Effect.succeed(run) : Effect.fail(new RunTakenOver({ run: id }))),
          ),
      },
      events: {
        append: (run, event, acknowledge, status) => writer.append(run, event, acknowledge, status),
        under: ({ id }, parent) => attempt("read", () => sql.under.all(numberOf(id), parent).map(toEvent)),
        last: ({ id }, parent, kind) =>
          attempt("read", () => {
            const row = sql.last.get(numberOf(id), parent, kind)
            return row === undefined ? undefined : toEvent(row)
          }),
        at: ({ id }, seq) =>
          attempt("read", () => {
            const row = sql.at.get(numberOf(id) * span + seq)
            return row === undefined ? undefined : toEvent(row)
          }),
        since: ({ id }, seq) => attempt("read", () => sql.since.all(numberOf(id) * span + seq, (numberOf(id) + 1) * span).map(toEvent)),
        head: ({ id }) => attempt("read", () => Number(sql.head.get(numberOf(id) * span, (numberOf(id) + 1) * span)?.["id"] ?? 0) % span),
      },
    }),
    flush: () => writer.flush(),
  }
}

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
