// `npm run bench:stream [-- --json]`: a million items through three pure stages beside Node streams, web streams and plain Effect Streams; an effectful stage; batches of
// 100 into SQLite; in turns of one run.
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable, Transform, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { DatabaseSync } from "node:sqlite"
import { Effect, Stream } from "effect"
import { openHeddle, run, seq } from "../dist/bundle/index.js"

const count = 1_000_000
const items = Array.from({ length: count }, (_, i) => i)
const want = items.reduce((sum, n) => sum + ((n + 1) % 2 === 0 ? (n + 1) * 2 : 0), 0)
const check = (got) => {
  if (got !== want) throw new Error(`got ${got}, want ${want}`)
}
const pure = seq("pure").stream("sum", () => items, (s) => s.map((n) => n + 1).filter((n) => n % 2 === 0).map((n) => n * 2).fold(0, (a, b) => a + b), {
  buffer: 64,
})
const transform = (call) => new Transform({ objectMode: true, highWaterMark: 64, transform: (n, _e, done) => call(n, done) })
const variants = {
  Heddle: async () => check((await run(pure))._unsafeUnwrap().sum),
  // items one by one, as a source gives them; a range would be mapped 4,096 at a time
  "Effect Stream, mapEffect": async () => {
    let sum = 0
    await Effect.runPromise(
      Stream.fromIterable(items).pipe(
        Stream.mapEffect((n) => Effect.succeed(n + 1)),
        Stream.filter((n) => n % 2 === 0),
        Stream.map((n) => n * 2),
        Stream.runForEach((n) => Effect.sync(() => sum += n)),
      ),
    )
    check(sum)
  },
  "Effect Stream, pure": async () =>
    check(
      await Effect.runPromise(
        Stream.fromIterable(items).pipe(
          Stream.map((n) => n + 1),
          Stream.filter((n) => n % 2 === 0),
          Stream.map((n) => n * 2),
          Stream.runFold(() => 0, (a, b) => a + b),
        ),
      ),
    ),
  "Node streams": async () => {
    let sum = 0
    await pipeline(
      Readable.from(items, { highWaterMark: 64 }),
      transform((n, done) => done(null, n + 1)),
      transform((n, done) => n % 2 === 0 ? done(null, n) : done()),
      transform((n, done) => done(null, n * 2)),
      new Writable({ objectMode: true, highWaterMark: 64, write: (n, _e, done) => ((sum += n), done()) }),
    )
    check(sum)
  },
  "web streams": async () => {
    let sum = 0
    const through = (call) => new TransformStream({ transform: call }, { highWaterMark: 64 }, { highWaterMark: 64 })
    await ReadableStream.from(items)
      .pipeThrough(through((n, c) => c.enqueue(n + 1)))
      .pipeThrough(through((n, c) => n % 2 === 0 && c.enqueue(n)))
      .pipeThrough(through((n, c) => c.enqueue(n * 2)))
      .pipeTo(new WritableStream({ write: (n) => void (sum += n) }, { highWaterMark: 64 }))
    check(sum)
  },
}
const median = (all) => all.sort((a, b) => a - b)[all.length >> 1]
const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]))
for (let round = -1; round < 5; round++) {
  for (const [name, once] of Object.entries(variants)) {
    const began = performance.now()
    await once()
    if (round >= 0) times[name].push(((performance.now() - began) * 1000) / count)
  }
}
const report = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, Number(median(all).toFixed(3))]))

const few = items.slice(0, 100_000)
const timed = async (flow, options) => {
  const all = []
  for (let round = -1; round < 5; round++) {
    const began = performance.now()
    await options(flow, round)
    if (round >= 0) all.push(((performance.now() - began) * 1000) / few.length)
  }
  return Number(median(all).toFixed(2))
}
const effectful = seq("work").stream("n", () => few, (s) => s.map("w", (n) => Effect.succeed(n), { concurrency: 8 }), { buffer: 64 })
report["a step for each item"] = await timed(effectful, async (flow) => (await run(flow))._unsafeUnwrap())
const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"))
const insert = seq("insert").stream("n", () => few, (s) =>
  s.batch(100).transaction((sql, batches) => {
    sql.run("CREATE TABLE IF NOT EXISTS own (n INTEGER)")
    for (const batch of batches) for (const n of batch) sql.run("INSERT INTO own VALUES (?)", n)
  }), { buffer: 1000, checkpoint: { items: 1000 } })
report["into SQLite, with its checkpoints"] = await timed(insert, async (flow, round) => {
  await using heddle = (await openHeddle({ store: join(folder, `${round}.db`) }))._unsafeUnwrap()
  ;(await heddle.run(flow))._unsafeUnwrap()
})
report["bare inserts, 1,000 a transaction"] = await timed(undefined, async (_flow, round) => {
  const db = new DatabaseSync(join(folder, `bare${round}.db`))
  db.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE own (n INTEGER)")
  const one = db.prepare("INSERT INTO own VALUES (?)")
  for (let at = 0; at < few.length; at += 1000) {
    db.exec("BEGIN")
    for (let i = at; i < at + 1000; i++) one.run(few[i])
    db.exec("COMMIT")
  }
  db.close()
})
rmSync(folder, { recursive: true })
console.log(process.argv.includes("--json") ? JSON.stringify({ unit: "µs/item", count, ...report }) : report)
