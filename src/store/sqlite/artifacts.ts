/** Artifacts and their content in SQLite. */
import * as Effect from "effect/Effect"
import type { ArtifactRecord, BlobRecord, Grant } from "../../model/artifact.ts"
import { overQuota } from "../quota.ts"
import type { Artifacts, Blobs } from "../store.ts"
import { type Row, textOf } from "./rows.ts"
import type { Asking } from "./statement.ts"

export function sqliteArtifacts({ sql, attempt, together }: Asking): Artifacts {
  const newest = sql("SELECT * FROM artifacts WHERE session = ? AND name = ? ORDER BY version DESC LIMIT 1")
  const same = sql(
    `SELECT * FROM artifacts WHERE session = ?1 AND name = ?2 AND hash = ?3 AND
     (version = (SELECT max(version) FROM artifacts WHERE session = ?1 AND name = ?2) OR "by" = ?4) ORDER BY version DESC LIMIT 1`,
  )
  const get = sql("SELECT * FROM artifacts WHERE session = ? AND name = ? AND version = ?")
  const usage = sql("SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM artifacts WHERE session = ?")
  const put = sql(
    `INSERT INTO artifacts (session, name, version, hash, size, mime, type, tags, about, "by", "from", grants, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *`,
  )
  const listing = (which: string) =>
    sql(`SELECT * FROM artifacts AS a WHERE ${which} AND (?1 IS NULL OR session = ?1) AND (?2 IS NULL OR instr(name, ?2) > 0) AND (?3 IS NULL OR type = ?3)
     AND (?4 IS NULL OR mime = ?4) AND (?5 IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?5)) AND (?6 IS NULL OR hash = ?6)
     AND (?7 IS NULL OR "by" = ?7 OR substr("by", 1, length(?7) + 1) = ?7 || '/') AND (?8 IS NULL OR created_at > ?8) AND (?9 IS NULL OR created_at < ?9)
     AND (?10 IS NULL OR nr < ?10)
     AND (?11 = 0 OR version = (SELECT max(version) FROM artifacts AS b WHERE b.session = a.session AND b.name = a.name)) ORDER BY nr DESC LIMIT ?12`)
  // one statement for each index: SQLite chooses it when it prepares
  const lists = { all: listing("1"), ofSession: listing("session = ?1"), ofHash: listing("hash = ?6") }
  const change = sql("UPDATE artifacts SET tags = coalesce(?2, tags), grants = coalesce(?3, grants) WHERE nr = ?1")
  const remove = sql("DELETE FROM artifacts WHERE nr = ?")
  const json = (value: unknown) => (value === undefined ? null : JSON.stringify(value))
  return {
    put: (given, quota) =>
      Effect.flatMap(
        attempt("artifact", () =>
          together(() => {
            const there = given.version === undefined ? same.get(given.session, given.name, given.hash, given.by ?? null) : undefined
            if (there !== undefined) return toArtifact(there)
            const last = newest.get(given.session, given.name)
            const used = usage.get(given.session)!
            const refused = overQuota(given, { count: Number(used["count"]), bytes: Number(used["bytes"]) }, quota)
            if (refused !== undefined) return refused
            const { session, name, hash, size, mime, type, about, by } = given
            const lists = [json(given.from), json(given.grants)]
            const values = [hash, size, mime, type, json(given.tags), about, by ?? null, ...lists]
            return toArtifact(put.get(session, name, given.version ?? Number(last?.["version"] ?? 0) + 1, ...values, Date.now())!)
          })),
        (kept) => ("_tag" in kept ? Effect.fail(kept) : Effect.succeed(kept)),
      ),
    get: (session, name, version) =>
      attempt("artifact", () => {
        const row = version === undefined ? newest.get(session, name) : get.get(session, name, version)
        return row === undefined ? undefined : toArtifact(row)
      }),
    list: ({ session, name, type, mime, tag, hash, by, newest: only = false, after, before, limit = 50, below }) =>
      attempt(
        "artifact",
        () => {
          const listed = session !== undefined ? lists.ofSession : hash !== undefined ? lists.ofHash : lists.all
          return listed.all(...[session, name, type, mime, tag, hash, by, after, before, below].map((value) => value ?? null), only ? 1 : 0, limit).map(
            toArtifact,
          )
        },
      ),
    usage: (session) =>
      attempt("artifact", () => {
        const used = usage.get(session)!
        return { count: Number(used["count"]), bytes: Number(used["bytes"]) }
      }),
    change: (nr, { tags, grants }) => attempt("artifact", () => void change.run(nr, json(tags), json(grants))),
    remove: (nrs) => attempt("artifact", () => together(() => nrs.forEach((nr) => remove.run(nr)))),
  }
}

/** Chunks are kept under the name of the upload that wrote them: sealing one is a row, however large it is. */
export function sqliteBlobs({ sql, attempt, together }: Asking): Blobs {
  const write = sql("INSERT INTO chunks (upload, n, at, bytes) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (upload, n) DO UPDATE SET bytes = ?4")
  const drop = sql("DELETE FROM chunks WHERE upload = ?")
  const seal = sql("INSERT INTO blobs (hash, upload, size, stored, encoding, chunks, at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING")
  const renew = sql("UPDATE blobs SET at = ? WHERE hash = ?")
  const get = sql("SELECT * FROM blobs WHERE hash = ?")
  const read = sql("SELECT bytes FROM chunks WHERE upload = (SELECT upload FROM blobs WHERE hash = ?) AND n = ?")
  const loose = sql(
    `SELECT hash, upload, stored FROM blobs WHERE at < ? AND hash NOT IN (SELECT hash FROM artifacts)
     AND hash NOT IN (SELECT substr(data, 10, 64) FROM events WHERE data LIKE '{"blob":"%')`,
  )
  const remove = sql("DELETE FROM blobs WHERE hash = ?")
  const unsealed = sql("DELETE FROM chunks WHERE at < ? AND upload NOT IN (SELECT upload FROM blobs)")
  return {
    write: (upload, n, bytes) => attempt("blob", () => void write.run(upload, n, Date.now(), bytes)),
    seal: (upload, { hash, size, stored, encoding, chunks }) =>
      attempt("blob", () =>
        together(() => {
          const existed = seal.run(hash, upload, size, stored, encoding, chunks, Date.now()).changes === 0
          if (existed) {
            drop.run(upload)
            renew.run(Date.now(), hash)
          }
          return { existed }
        })),
    abandon: (upload) => attempt("blob", () => void drop.run(upload)),
    get: (hash) =>
      attempt("blob", () => {
        const row = get.get(hash)
        return row === undefined ? undefined : toBlob(row)
      }),
    renew: (hash) => attempt("blob", () => void renew.run(Date.now(), hash)),
    read: (hash, n) => attempt("blob", () => read.get(hash, n)?.["bytes"] as Uint8Array | undefined),
    sweep: (before) =>
      attempt("blob", () =>
        together(() => {
          const gone = loose.all(before)
          for (const { hash, upload } of gone) {
            remove.run(hash!)
            drop.run(upload!)
          }
          unsealed.run(before)
          return gone.reduce((sum, { stored }) => sum + Number(stored), 0)
        })),
  }
}

// oxlint-disable typescript/no-unsafe-type-assertion -- rows have the columns of STRICT tables that only this folder writes
const toArtifact = (row: Row): ArtifactRecord => ({
  nr: row["nr"] as number,
  session: textOf(row, "session"),
  name: textOf(row, "name"),
  version: row["version"] as number,
  hash: textOf(row, "hash"),
  size: row["size"] as number,
  mime: textOf(row, "mime"),
  type: textOf(row, "type"),
  tags: JSON.parse(textOf(row, "tags")) as ReadonlyArray<string>,
  about: textOf(row, "about"),
  by: (row["by"] ?? undefined) as string | undefined,
  from: JSON.parse(textOf(row, "from")) as ReadonlyArray<string>,
  grants: JSON.parse(textOf(row, "grants")) as ReadonlyArray<Grant>,
  createdAt: row["created_at"] as number,
})
const toBlob = (row: Row): BlobRecord => ({
  hash: textOf(row, "hash"),
  size: row["size"] as number,
  stored: row["stored"] as number,
  encoding: row["encoding"] as BlobRecord["encoding"],
  chunks: row["chunks"] as number,
})
// oxlint-enable typescript/no-unsafe-type-assertion
