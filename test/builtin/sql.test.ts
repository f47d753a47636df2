/** The tool that reads a SQLite database, and what it refuses. */
import { execFileSync } from "node:child_process"
import { EventEmitter } from "node:events"
import { existsSync, mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect } from "effect"
import { sql } from "heddle/tools"
import { afterAll, describe, expect, it } from "vitest"
import { ask, open, type Query, type Said, serve } from "../../src/builtin/tools/sql/reader.ts"
import { codeOf, useTool } from "../support.ts"

const at = mkdtempSync(join(tmpdir(), "heddle-sql-"))
const file = join(at, "shop.db")
const db = new DatabaseSync(file)
db.exec(`PRAGMA journal_mode = WAL; CREATE TABLE orders (nr, name, card, bytes); CREATE TABLE secrets (k); INSERT INTO secrets VALUES ('TOP');
  CREATE VIEW leak AS SELECT * FROM secrets; INSERT INTO orders VALUES (9007199254740993, 'ann', '4111', x'ff00'), (2, 'bob', '4222', NULL)`)
const insert = db.prepare("INSERT INTO orders VALUES (?, ?, ?, ?)")
db.exec("BEGIN")
for (let i = 0; i < 20_000; i++) insert.run(i, `n${i}`, "c", 1.5)
db.exec("COMMIT")

const readable = { file, tables: ["Orders"], hidden: ["orders.card"], recursive: false }
const reader = open(readable)
const query = (text: string, values: Query["values"] = [], more: Partial<Query> = {}) => {
  try {
    return ask(reader, { sql: text, values, rows: 10, characters: 10_000, ...more })
  } catch (error) {
    return (error as Error).message
  }
}
const shop = sql({ file, tables: ["orders"], hidden: ["orders.card"], timeout: 700 })
const use = async (tool: typeof shop.query, input: unknown): Promise<any> => (await useTool(tool, input)).match((rows) => rows, codeOf)
afterAll(() => {
  shop.close()
  reader.close()
})

describe("what may be read is read", () => {
  it("rows, bound values, large numbers, bytes; what is hidden is not there", () => {
    expect(query("SELECT nr, name, card, bytes FROM orders WHERE name IN (?, ?) ORDER BY name", ["ann", "bob"])).toEqual({
      columns: ["nr", "name", "card", "bytes"],
      rows: [["9007199254740993", "ann", null, "ff00"], [2, "bob", null, null]],
      truncated: false,
    })
    expect(query("SELECT count(*) FROM orders")).toMatchObject({ rows: [[20_002]] })
    expect(query("SELECT nr FROM orders JOIN (SELECT 1 AS nr) USING (nr)")).toContain("join with ON a.id = b.id")
    expect(query("SELECT name FROM orders WHERE card = '4111'")).toMatchObject({ rows: [] })
    expect(query("SELECT nr FROM orders WHERE name = ?", ["ann' OR 1=1 --"])).toMatchObject({ rows: [] })
    expect(query("WITH mine (k) AS (SELECT nr FROM orders LIMIT 3) SELECT count(*) FROM mine; -- done".replace(" -- done", ""))).toMatchObject({ rows: [[3]] })
    expect(query("SELECT nr FROM orders")).toMatchObject({ truncated: true })
    expect(query("SELECT name FROM orders", [], { rows: 1e6, characters: 100 })).toMatchObject({ truncated: true })
    expect(query("VALUES (1, 1.5)")).toMatchObject({ rows: [[1, 1.5]] })
  })

  it("nothing else is", () => {
    const refused = [
      "SELECT * FROM secrets",
      "SELECT (SELECT k FROM secrets) FROM orders",
      "SELECT count(*) FROM secrets",
      // its name is that of a table: whether it is one cannot be told
      "WITH secrets (k) AS (SELECT 1) SELECT count(*) FROM secrets",
      "SELECT * FROM leak",
      "SELECT * FROM sqlite_schema",
      "SELECT count(*) FROM sqlite_master",
      "SELECT * FROM pragma_table_info('secrets')",
      "SELECT * FROM dbstat",
      "INSERT INTO orders VALUES (1, 2, 3, 4)",
      "WITH q AS (SELECT 1) DELETE FROM orders",
      "PRAGMA query_only = 0",
      `ATTACH '${at}/other.db' AS z`,
      `VACUUM INTO '${at}/copy.db'`,
      "BEGIN",
      "SELECT 1; DROP TABLE orders",
      "SELECT load_extension('x')",
      "SELECT readfile('/etc/passwd')",
      "SELECT randomblob(1000000000)",
      "SELECT sqlite_version()",
      "SELECT \"nope\"",
      `SELECT name FROM orders WHERE name LIKE '${"%a".repeat(60)}'`,
      "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
      "",
    ].filter((text) => typeof query(text) !== "string")
    expect(refused).toEqual([])
    expect([existsSync(join(at, "copy.db")), existsSync(join(at, "other.db"))]).toEqual([false, false])
    expect(
      ask(open({ ...readable, recursive: true }), {
        sql: "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 9) SELECT max(n) FROM c",
        values: [],
        rows: 9,
        characters: 99,
      }).rows,
    ).toEqual([[9]])
  })

  it("answers whoever asks over a channel, and says what went wrong", () => {
    const said: Array<Said> = []
    const channel = Object.assign(new EventEmitter(), { send: (one: Said) => said.push(one) })
    serve(channel, readable)
    channel.emit("message", { sql: "SELECT 1 AS a", values: [], rows: 1, characters: 9 })
    channel.emit("message", { sql: "SELECT k FROM secrets", values: [], rows: 1, characters: 9 })
    expect(said).toEqual([{ rows: { columns: ["a"], rows: [[1]], truncated: false } }, { reason: "access to secrets.k is prohibited" }])
  })
})

describe("as a tool", () => {
  it("asks another process, which is killed where it takes too long and made again", async () => {
    expect(await use(shop.query, { sql: "SELECT nr FROM orders WHERE name = ?", values: ["bob"] })).toEqual({ columns: ["nr"], rows: [[2]], truncated: false })
    expect(await use(shop.query, { sql: "DROP TABLE orders" })).toBe("sql")
    expect(await use(shop.query, { sql: "SELECT 1", values: [{}] })).toBe("InputInvalid")
    const long = "SELECT count(*) FROM orders a, orders b, orders c"
    const [slow, next] = [use(shop.query, { sql: long }), use(shop.query, { sql: "SELECT 2 AS a" })]
    expect([await slow, (await next).rows]).toEqual(["timeout", [[2]]])
    const aborted = new AbortController()
    const going = Effect.runPromise(shop.query({ sql: long }), { signal: aborted.signal })
    const behind = Effect.runPromise(shop.query({ sql: "SELECT 1" }), { signal: aborted.signal })
    setTimeout(() => aborted.abort(), 100)
    expect((await Promise.allSettled([going, behind])).map(({ status }) => status)).toEqual(["rejected", "rejected"])
    shop.close()
    expect((await use(shop.query, { sql: "SELECT 3 AS a" })).rows).toEqual([[3]])
  })

  it("a process that ends by itself is told, and another is made", async () => {
    const going = use(shop.query, { sql: "SELECT count(*) FROM orders a, orders b, orders c" })
    setTimeout(() => execFileSync("pkill", ["-KILL", "-f", "max-old-space-size=128.*shop.db"]), 200)
    expect(await going).toBe("stopped")
    expect((await use(shop.query, { sql: "SELECT 4 AS a" })).rows).toEqual([[4]])
  })
})
