// The floor: what the same work costs by hand, in Effect and node:sqlite, with nothing recorded but what the row says.
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"

export const version = "hand-written Effect 4.1.0 and node:sqlite"

const check = (got, want) => {
  if (got !== want) throw new Error(`floor: got ${got}, want ${want}`)
}
const work = ({ n }) => ({ n: n + 1 })
const steps = (count) => async () => {
  const chain = Array.from({ length: count }).reduce((effect) => Effect.flatMap(effect, (x) => Effect.sync(() => work(x))), Effect.succeed({ n: 0 }))
  return async () => check((await Effect.runPromise(chain)).n, count)
}
const open = (file, synchronous) => {
  const db = new DatabaseSync(file)
  db.exec(
    `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; CREATE TABLE IF NOT EXISTS log (run INTEGER, seq INTEGER, path TEXT, data TEXT, PRIMARY KEY (run, seq))`,
  )
  const insert = db.prepare("INSERT INTO log VALUES (?, ?, ?, ?)")
  return (run, seq, value) => insert.run(run, seq, `s${seq}`, JSON.stringify(value))
}
let runs = 0
/** One insert, and so one commit, a step. */
const durable = (synchronous, concurrent) => async (file) => {
  const insert = open(file, synchronous)
  const one = Effect.suspend(() => {
    const run = ++runs
    return Array.from({ length: 10 }).reduce((effect, _x, i) =>
      Effect.flatMap(effect, (x) =>
        Effect.sync(() => {
          const next = work(x)
          insert(run, i, next)
          return next
        })), Effect.succeed({ n: 0 }))
  })
  return async () => {
    const all = await Effect.runPromise(Effect.forEach(Array.from({ length: concurrent }), () => one, { concurrency: "unbounded" }))
    for (const { n } of all) check(n, 10)
  }
}

export default {
  step10: steps(10),
  step100: steps(100),
  step1000: steps(1000),
  loop1000: async () => async () => {
    let x = { n: 0 }
    await Effect.runPromise(Effect.whileLoop({
      while: () => x.n < 1000,
      body: () => Effect.sync(() => work(x)),
      step: (next) => {
        x = next
      },
    }))
    check(x.n, 1000)
  },
  fan10000: async () => {
    const items = Array.from({ length: 10_000 }, (_, i) => i)
    return async () =>
      check((await Effect.runPromise(Effect.forEach(items, (n) => Effect.sync(() => work({ n })), { concurrency: "unbounded" }))).length, 10_000)
  },
  each100c10: async () => {
    const items = Array.from({ length: 100 }, (_, i) => i)
    return async () => check((await Effect.runPromise(Effect.forEach(items, () => Effect.promise(() => sleep(1)), { concurrency: 10 }))).length, 100)
  },
  match8: async () => {
    const arms = Array.from({ length: 8 }, (_, k) => () => Effect.sync(() => 100 + k))
    return async () => {
      for (let k = 0; k < 8; k++) check(await Effect.runPromise(Effect.flatMap(Effect.succeed(k), (arm) => arms[arm]())), 100 + k)
    }
  },
  sqliteNormal1: durable("normal", 1),
  sqliteFull20: durable("full", 20),
  /** Reads where a loop of 10,000 was and does its last pass. */
  resume10000: async (file) => {
    const insert = open(file, "full")
    const db = new DatabaseSync(file)
    const last = db.prepare("SELECT seq, data FROM log WHERE run = ? ORDER BY seq DESC LIMIT 1")
    return async () => {
      const run = ++runs
      insert(run, 9999, { n: 9999 })
      const began = performance.now()
      const { n } = work(JSON.parse(last.get(run).data))
      insert(run, 10_000, { n })
      check(n, 10_000)
      return performance.now() - began
    }
  },
}
