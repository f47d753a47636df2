// @mastra/core workflows, default engine. In-memory rows: no Mastra instance, so no store at all (its fastest
// form); input validation and events stay at their defaults. Durable rows: LibSQLStore.
import { readFileSync } from "node:fs"
import { findPackageJSON } from "node:module"
import { setTimeout as sleep } from "node:timers/promises"
import { Mastra } from "@mastra/core"
import { createStep, createWorkflow } from "@mastra/core/workflows"
import { LibSQLStore } from "@mastra/libsql"
import { z } from "zod"

export const version = JSON.parse(readFileSync(findPackageJSON("@mastra/core", import.meta.url))).version

const N = z.object({ n: z.number() })
const inc = async ({ inputData: { n } }) => ({ n: n + 1 })
const step = (id, execute = inc) => createStep({ id, inputSchema: N, outputSchema: N, execute })
const flow = (id, inputSchema = N, outputSchema = N) => createWorkflow({ id, inputSchema, outputSchema })

const run = async (wf, inputData) => {
  const r = await (await wf.createRun()).start({ inputData })
  if (r.status !== "success") throw new Error(`mastra: ${r.status}`, { cause: r.error })
  return r.result
}
const check = (n, want) => {
  if (n !== want) throw new Error(`mastra: got ${n}, want ${want}`)
}

const seq = (count) => {
  let wf = flow(`seq${count}`)
  for (let i = 0; i < count; i++) wf = wf.then(step(`s${i}`))
  return wf.commit()
}
const steps = (count) => async () => {
  const wf = seq(count)
  return async () => check((await run(wf, { n: 0 })).n, count)
}

const foreach = (count, concurrency, execute) => async () => {
  const wf = flow("each", z.array(N), z.array(N)).foreach(step("item", execute), { concurrency }).commit()
  const items = Array.from({ length: count }, () => ({ n: 0 }))
  return async () => check((await run(wf, items)).reduce((a, x) => a + x.n, 0), count)
}

const durable = (synchronous, runs) => async (file) => {
  const storage = new LibSQLStore({ id: "bench", url: `file:${file}` })
  const wf = new Mastra({ storage, logger: false, workflows: { wf: seq(10) } }).getWorkflow("wf")
  await storage.init()
  // The libsql client has a pool of 20 connections and the pragma is per connection: 20 calls at once reach
  // every one of them (Mastra itself sets NORMAL on 2 of the 20, the others open at FULL).
  const all = (sql) => Promise.all(Array.from({ length: 20 }, () => storage.client.execute(sql)))
  await all(`PRAGMA synchronous=${synchronous}`)
  for (const r of await all("PRAGMA synchronous")) check(r.rows[0].synchronous, synchronous === "FULL" ? 2 : 1)
  return async () => {
    for (const r of await Promise.all(Array.from({ length: runs }, () => run(wf, { n: 0 })))) check(r.n, 10)
  }
}

export default {
  step10: steps(10),
  step100: steps(100),
  step1000: steps(1000),

  loop1000: async () => {
    const wf = flow("loop").dountil(step("body"), async ({ inputData }) => inputData.n >= 1000).commit()
    return async () => check((await run(wf, { n: 0 })).n, 1000)
  },

  fan10000: foreach(10_000, 64, inc),
  each100c10: foreach(100, 10, async ({ inputData: { n } }) => {
    await sleep(1)
    return { n: n + 1 }
  }),

  match8: async () => {
    const arms = Array.from({ length: 8 }, (_, i) => i)
    const wf = flow("match", N, z.any()).branch(
      arms.map((i) => [async ({ inputData }) => inputData.n === i, step(`arm${i}`, async () => ({ n: 100 + i }))]),
    ).commit()
    return async () => {
      for (const i of arms) check((await run(wf, { n: i }))[`arm${i}`].n, 100 + i)
    }
  },

  sqliteNormal1: durable("NORMAL", 1),
  sqliteFull20: durable("FULL", 20),
}
