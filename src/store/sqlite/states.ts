/** State in SQLite. */
import type { StateChange, StateEntry, StateWrite } from "../../model/state-entry.ts"
import { StateConflict } from "../../model/service-error.ts"
import type { States } from "../store.ts"
import type { Asking } from "./statement.ts"
import { type Row, textOf } from "./rows.ts"

/** State, and the way in for whoever writes something else in the same transaction. */
export function sqliteStates(asking: Asking): {
  readonly states: States
  readonly apply: (writes: ReadonlyArray<StateWrite>, now: number) => ReadonlyArray<StateChange>
} {
  const { sql, attempt, refusable, together } = asking
  const get = sql("SELECT * FROM state WHERE scope = ? AND name = ?")
  const list = sql("SELECT * FROM state WHERE scope = ?1 AND name >= ?2 AND name < ?3 AND (until IS NULL OR until > ?5) AND name > ?6 ORDER BY name LIMIT ?4")
  const count = sql("UPDATE counters SET n = n + 1 WHERE name = 'state' RETURNING n")
  const newest = sql("SELECT n FROM counters WHERE name = 'state'")
  const put = sql(
    `INSERT INTO state (scope, name, value, version, revision, at, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
     ON CONFLICT (scope, name) DO UPDATE SET value = ?3, version = ?4, revision = ?5, at = ?6, until = ?7`,
  )
  const remove = sql("DELETE FROM state WHERE scope = ? AND name = ?")
  const clear = sql("DELETE FROM state WHERE scope = ?")
  const expire = sql("DELETE FROM state WHERE until <= ?")

  const find = (scope: string, name: string): StateEntry | undefined => {
    const row = get.get(scope, name)
    return row === undefined ? undefined : toEntry(row)
  }
  const apply = (writes: ReadonlyArray<StateWrite>, at: number): ReadonlyArray<StateChange> =>
    writes.flatMap(({ scope, name, expected, next }): ReadonlyArray<StateChange> => {
      const before = find(scope, name)
      if (expected !== undefined && expected !== (before?.revision ?? 0)) throw new StateConflict({ scope, name })
      const made = next(before)
      if (made === before) return []
      const counted = Number(count.get()!["n"])
      if (made === undefined) {
        remove.run(scope, name)
        return [{ scope, name, before, after: undefined }]
      }
      const { value, version, until, revision = counted } = made
      put.run(scope, name, value, version, revision, at, until ?? null)
      return [{ scope, name, before, after: { scope, name, value, version, until, revision, at } }]
    })
  const counted = (work: () => number | bigint) =>
    together(() => {
      const gone = Number(work())
      if (gone > 0) count.get()
      return gone
    })
  return {
    states: {
      get: (scope, name) => attempt("state", () => find(scope, name)),
      // names are plain ASCII: none comes after this one and begins with the prefix
      list: (scope, prefix, limit = 1000, now = 0, after = "") =>
        attempt("state", () => list.all(scope, prefix, `${prefix}\u007f`, limit, now, after).map(toEntry)),
      commit: (writes) => refusable("state", () => together(() => apply(writes, Date.now()))),
      revision: attempt("state", () => Number(newest.get()!["n"])),
      clear: (scope) => attempt("state", () => void counted(() => clear.run(scope).changes)),
      expire: (now) => attempt("state", () => counted(() => expire.run(now).changes)),
    },
    apply,
  }
}

// oxlint-disable typescript/no-unsafe-type-assertion -- rows have the columns of STRICT tables that only this folder writes
const toEntry = (row: Row): StateEntry => ({
  scope: textOf(row, "scope"),
  name: textOf(row, "name"),
  value: textOf(row, "value"),
  version: row["version"] as number,
  revision: row["revision"] as number,
  at: row["at"] as number,
  until: (row["until"] ?? undefined) as number | undefined,
})
// oxlint-enable typescript/no-unsafe-type-assertion
