/** Sessions in SQLite. */
import * as Effect from "effect/Effect"
import { SessionConflict, SessionNotFound } from "../../model/service-error.ts"
import { newSession, type SessionRecord } from "../../model/session.ts"
import type { Sessions } from "../store.ts"
import { type Row, textOf } from "./rows.ts"
import type { Asking } from "./statement.ts"

export function sqliteSessions({ sql, attempt, together }: Asking): Sessions {
  const get = sql("SELECT * FROM sessions WHERE id = ?")
  const create = sql(
    `INSERT INTO sessions (id, status, name, user, parent, context, policy, tags, revision, created_at, updated_at, used_at)
     VALUES (?1, 'active', ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?8, ?8)`,
  )
  const listing = (which: string) =>
    sql(`SELECT * FROM sessions WHERE ${which} AND (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user = ?2) AND (?3 IS NULL OR parent = ?3)
     AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?4)) AND (?5 IS NULL OR used_at < ?5) ORDER BY nr DESC LIMIT ?6`)
  // one statement for each index: SQLite chooses it when it prepares
  const lists = { all: listing("1"), ofParent: listing("parent = ?3"), ofUser: listing("user = ?2") }
  const save = sql(
    `UPDATE sessions SET status = ?2, name = ?3, user = ?4, parent = ?5, context = ?6, policy = ?7, tags = ?8, reason = ?9, revision = revision + 1,
     updated_at = ?10, used_at = max(used_at, ?11), ended_at = ?12 WHERE id = ?1 AND revision = ?13 RETURNING *`,
  )
  const touch = sql("UPDATE sessions SET used_at = max(used_at, ?2) WHERE id = ?1")
  const carry = sql("UPDATE sessions SET carried = ?2 WHERE id = ?1")
  const remove = sql("DELETE FROM sessions WHERE id = ?")

  const known = (id: string) =>
    Effect.flatMap(
      attempt("session", () => found(get.get(id))),
      (session) => session === undefined ? Effect.fail(new SessionNotFound({ session: id })) : Effect.succeed(session),
    )
  return {
    create: (given) =>
      attempt("session", () =>
        together(() => {
          const row = get.get(given.id)
          if (row !== undefined) return { created: false, session: toSession(row) }
          const now = Date.now()
          const { id, name, user, parent, context, policy, tags } = given
          create.run(id, name ?? null, user ?? null, parent ?? null, context, policy, JSON.stringify(tags), now)
          return { created: true, session: newSession(given, now) }
        })),
    get: known,
    list: ({ status, user, parent, tag, unusedSince, limit = 50 }) =>
      attempt(
        "session",
        () =>
          (parent !== undefined ? lists.ofParent : user !== undefined ? lists.ofUser : lists.all).all(
            status ?? null,
            user ?? null,
            parent ?? null,
            tag ?? null,
            unusedSince ?? null,
            limit,
          ).map(toSession),
      ),
    save: ({ id, status, name, user, parent, context, policy, tags, reason, revision, usedAt, endedAt }) =>
      Effect.flatMap(
        attempt("session", () => {
          const own = [name ?? null, user ?? null, parent ?? null, context, policy, JSON.stringify(tags), reason ?? null]
          return found(save.get(id, status, ...own, Date.now(), usedAt, endedAt ?? null, revision))
        }),
        (session) => session === undefined ? Effect.flatMap(known(id), () => Effect.fail(new SessionConflict({ session: id }))) : Effect.succeed(session),
      ),
    touch: (id, at) => attempt("session", () => void touch.run(id, at)),
    carry: (id, used) => attempt("session", () => void carry.run(id, used)),
    remove: (ids) => attempt("session", () => together(() => ids.forEach((id) => remove.run(id)))),
  }
}

const text = (value: unknown): string | undefined => (value ?? undefined) as string | undefined
// oxlint-disable typescript/no-unsafe-type-assertion -- rows have the columns of STRICT tables that only this folder writes
const toSession = (row: Row): SessionRecord => ({
  id: textOf(row, "id"),
  status: row["status"] as SessionRecord["status"],
  name: text(row["name"]),
  user: text(row["user"]),
  parent: text(row["parent"]),
  context: textOf(row, "context"),
  policy: textOf(row, "policy"),
  tags: JSON.parse(textOf(row, "tags")) as ReadonlyArray<string>,
  reason: text(row["reason"]),
  carried: textOf(row, "carried"),
  revision: row["revision"] as number,
  createdAt: row["created_at"] as number,
  updatedAt: row["updated_at"] as number,
  usedAt: row["used_at"] as number,
  endedAt: (row["ended_at"] ?? undefined) as number | undefined,
})
// oxlint-enable typescript/no-unsafe-type-assertion
const found = (row: Row | undefined): SessionRecord | undefined => row && toSession(row)
