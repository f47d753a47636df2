// @langchain/langgraph StateGraph, no checkpointer in memory; SqliteSaver on better-sqlite3 13 for the durable
// rows, with LangGraph's default durability ("async": a checkpoint may be written while the next step runs).
import { readFileSync } from "node:fs"
import { findPackageJSON } from "node:module"
import { setTimeout as sleep } from "node:timers/promises"
import { Annotation, END, Send, START, StateGraph } from "@langchain/langgraph"
import { SqliteSaver } from "@langchain/langgraph-checkpoint-sqlite"
import Database from "better-sqlite3"

export const version = JSON.parse(readFileSync(findPackageJSON("@langchain/langgraph", import.meta.url))).version

const N = Annotation.Root({ n: Annotation })
const Sum = Annotation.Root({ n: Annotation({ reducer: (a, b) => a + b, default: () => 0 }) })
const step = async ({ n }) => ({ n: n + 1 })
const recursionLimit = 100_000 // the default of 25 fails even a chain of 26 nodes
const check = (n, want) => {
  if (n !== want) throw new Error(`langgraph: got ${n}, want ${want}`)
}

const seq = (count, options) => {
  const g = new StateGraph(N)
  for (let i = 0; i < count; i++) g.addNode(`s${i}`, step).addEdge(i === 0 ? START : `s${i - 1}`, `s${i}`)
  return g.addEdge(`s${count - 1}`, END).compile(options)
}
const steps = (count) => async () => {
  const g = seq(count)
  return async () => check((await g.invoke({ n: 0 }, { recursionLimit })).n, count)
}

const sends = (count, maxConcurrency, item) => async () => {
  const g = new StateGraph(Sum).addNode("item", item).addEdge("item", END)
    .addConditionalEdges(START, () => Array.from({ length: count }, () => new Send("item", { n: 0 })), ["item"]).compile()
  return async () => check((await g.invoke({ n: 0 }, { recursionLimit, maxConcurrency })).n, count)
}

const durable = (synchronous, runs) => async (file) => {
  const db = new Database(file)
  const checkpointer = new SqliteSaver(db)
  checkpointer.setup() // sets WAL, makes the tables
  db.pragma(`synchronous=${synchronous}`)
  const g = seq(10, { checkpointer })
  const one = async () => check((await g.invoke({ n: 0 }, { recursionLimit, configurable: { thread_id: crypto.randomUUID() } })).n, 10)
  return async () => {
    await Promise.all(Array.from({ length: runs }, one))
  }
}

export default {
  step10: steps(10),
  step100: steps(100),
  step1000: steps(1000),

  loop1000: async () => {
    const g = new StateGraph(N).addNode("body", step).addEdge(START, "body")
      .addConditionalEdges("body", ({ n }) => (n < 1000 ? "body" : END), ["body", END]).compile()
    return async () => check((await g.invoke({ n: 0 }, { recursionLimit })).n, 1000)
  },

  // Cost grows with the live tasks: 8 is faster than 64, unbounded is O(n^2) (84 s measured earlier).
  // Never 1: maxConcurrency 1 runs only the first Send and returns without an error.
  fan10000: sends(10_000, 8, step),
  each100c10: sends(100, 10, async ({ n }) => {
    await sleep(1)
    return { n: n + 1 }
  }),

  match8: async () => {
    const arms = Array.from({ length: 8 }, (_, i) => i)
    const g = new StateGraph(N)
    for (const i of arms) g.addNode(`arm${i}`, async () => ({ n: 100 + i })).addEdge(`arm${i}`, END)
    g.addConditionalEdges(START, ({ n }) => `arm${n}`, arms.map((i) => `arm${i}`))
    const c = g.compile()
    return async () => {
      for (const i of arms) check((await c.invoke({ n: i }, { recursionLimit })).n, 100 + i)
    }
  },

  sqliteNormal1: durable("NORMAL", 1),
  sqliteFull20: durable("FULL", 20),
}
