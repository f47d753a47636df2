// Heddle as users get it: the built package, the public door, every event recorded in a store.
import { hostname } from "node:os"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import { Heddle, layerSqlite, run, seq } from "../../dist/bundle/index.js"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Layer from "effect/Layer"

export const version = "0.1.0"

const check = (got, want) => {
  if (got !== want) throw new Error(`heddle: got ${got}, want ${want}`)
}
const chain = (name, count) => {
  let flow = seq(name).step("s0", () => ({ n: 1 }))
  for (let i = 1; i < count; i++) flow = flow.step(`s${i}`, (scope) => ({ n: scope[`s${i - 1}`].n + 1 }))
  return flow.returns((scope) => scope[`s${count - 1}`].n)
}
const value = async (flow, options) => (await run(flow, undefined, options))._unsafeUnwrap()
const steps = (count) => async () => {
  const flow = chain("steps", count)
  return async () => check(await value(flow), count)
}
const durable = (synchronous, concurrent) => async (file) => {
  const flow = chain("durable", 10)
  const engine = ManagedRuntime.make(Heddle.layer.pipe(Layer.provide(layerSqlite(file, { synchronous }))))
  const one = Heddle.run(flow, undefined)
  return async () => {
    const all = await engine.runPromise(Effect.forEach(Array.from({ length: concurrent }), () => one, { concurrency: "unbounded" }))
    for (const n of all) check(n, 10)
  }
}
const loop = (count) =>
  seq("loop").step("x", () => ({ n: 0 })).loop({ times: count }, (b) => b.update("x", ({ x }) => ({ n: x.n + 1 }))).returns(({ x }) => x.n)

export default {
  step10: steps(10),
  step100: steps(100),
  step1000: steps(1000),
  loop1000: async () => {
    const flow = loop(1000)
    return async () => check(await value(flow), 1000)
  },
  fan10000: async () => {
    const flow = seq("fan").each("list", () => Array.from({ length: 10_000 }, (_, i) => i), (b) => b.step("s", ({ item }) => ({ n: item + 1 })), {
      concurrency: "unbounded",
    }).returns(({ list }) => list.length)
    return async () => check(await value(flow), 10_000)
  },
  each100c10: async () => {
    const flow = seq("each").each("list", () => Array.from({ length: 100 }, (_, i) => i), (b) => b.step("s", () => sleep(1)), { concurrency: 10 }).returns((
      { list },
    ) => list.length)
    return async () => check(await value(flow), 100)
  },
  match8: async () => {
    const arms = Object.fromEntries(Array.from({ length: 8 }, (_, k) => [`k${k}`, (b) => b.step("arm", () => 100 + k).returns(({ arm }) => arm)]))
    const flow = seq("match", { input: { "~standard": { version: 1, vendor: "bench", validate: (input) => ({ value: input }) } } })
      .match("m", ({ input }) => `k${input}`, arms).returns(({ m }) => m)
    return async () => {
      for (let k = 0; k < 8; k++) check((await run(flow, k))._unsafeUnwrap(), 100 + k)
    }
  },
  sqliteNormal1: durable("normal", 1),
  sqliteFull20: durable("full", 20),
  /** A run that died in its 10,000th pass: the time from `resume` to its result. */
  resume10000: async (file) => {
    const flow = loop(10_000)
    check(await value(flow, { store: file, id: "whole", durability: "async" }), 10_000)
    return async () => {
      const db = new DatabaseSync(file)
      // as it was when it died: the last two records are gone, and nobody drives it
      const { nr } = db.prepare("SELECT nr FROM runs WHERE id = 'whole'").get()
      const { id } = db.prepare("SELECT id FROM events WHERE run = ? AND kind = 'loop.iterated' ORDER BY id DESC LIMIT 1").get(nr)
      db.prepare("DELETE FROM events WHERE run = ? AND id > ?").run(nr, id)
      db.prepare("UPDATE runs SET status = 'running', crashes = 0 WHERE nr = ?").run(nr)
      db.prepare("UPDATE runs SET owner = ?").run(`${hostname()}:999999`)
      db.close()
      const began = performance.now()
      check(await value(flow, { store: file, id: "whole" }), 10_000)
      return performance.now() - began
    }
  },
  /** Bytes for 200 steps of 1 KB over the bytes of the data: of the journal's rows, and of the file a second run adds. */
  bytes: async (file) => {
    const payload = (i) => ({ text: `${i}`.padEnd(1000, "x"), i })
    let flow = seq("bytes")
    for (let i = 0; i < 200; i++) flow = flow.step(`s${i}`, () => payload(i))
    const data = Array.from({ length: 200 }, (_, i) => JSON.stringify(payload(i)).length).reduce((a, b) => a + b)
    const size = () => {
      const db = new DatabaseSync(file)
      db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
      const { pages } = db.prepare("SELECT (SELECT * FROM pragma_page_count) * (SELECT * FROM pragma_page_size) AS pages").get()
      const { rows } = db.prepare("SELECT sum(length(kind) + length(parent) + length(name) + length(data) + 3 * 8) AS rows FROM events").get()
      db.close()
      return { pages: Number(pages), rows: Number(rows) }
    }
    await value(flow, { store: file })
    const first = size()
    return async () => {
      await value(flow, { store: file })
      const { pages } = size()
      return { rows: first.rows / data, file: (pages - first.pages) / data }
    }
  },
}
