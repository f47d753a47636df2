/** `stream-worker.ts <sink> <folder> <own folder>`: takes the numbers of a file through stages into a sink; goes on where it was killed; then prints what it gave. */
import { DatabaseSync } from "node:sqlite"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { openHeddle, seq } from "heddle"
import { lines, linesTo } from "heddle/streams"

const [, , into, folder] = process.argv as ReadonlyArray<string> as [string, string, "transaction" | "keyed" | "file", string]
const file = (name: string): string => join(folder, name)
const numbers = () => lines(join(folder, "..", "numbers"))
const work = async (n: number): Promise<number> => (await sleep((n * 7919) % 3), n)
const options = { buffer: 32, checkpoint: { items: 100 } } as const

/** What came of it all must not depend on where it was killed: sums so far, in windows of seven. */
const flows = {
  transaction: () =>
    seq("s").stream("s", numbers, (s) =>
      s.map(Number).map("work", work, { concurrency: 16 }).scan(0, (sum, n) => sum + n).window({ count: 7 })
        .transaction((sql, windows) => {
          sql.run("CREATE TABLE IF NOT EXISTS own (line TEXT)")
          for (const window of windows) sql.run("INSERT INTO own VALUES (?)", window.join(" "))
        }), options),
  keyed() {
    const db = new DatabaseSync(file("keyed.db"))
    db.exec("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, n INTEGER, times INTEGER)")
    const keep = db.prepare("INSERT INTO kept VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET n = excluded.n, times = times + 1")
    return seq("s").stream("s", numbers, (s) =>
      s.map(Number).map("work", async (n, _scope, { key }) => {
        keep.run(key, await work(n))
        return n
      }, { concurrency: 16 }), options)
  },
  file: () =>
    seq("s").stream(
      "s",
      numbers,
      (s) =>
        s.map(Number).map("work", work, { concurrency: 16 }).scan(0, (sum, n) => sum + n).window({ count: 7 }).map((window) => window.join(" "))
          .to(linesTo(file("out"))),
      options,
    ),
}
const heddle = (await openHeddle({ store: file("run.db"), lease: 200 }))._unsafeUnwrap()
const flow = flows[into]()
const result = await heddle.run(flow, undefined, { id: "run" })
await heddle.close()
console.log(JSON.stringify(result._unsafeUnwrap()))
