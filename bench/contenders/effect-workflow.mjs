// effect/workflow on WorkflowEngine.layerMemory: every step is an Activity. Activities are made in the body
// because they close over n; their effect is Effect.sync, the cheapest form. The engine never prunes finished
// runs (about 7 KB per 10-step run), so keep batches bounded or make a new process per row.
// Left out: sqlite* (effect 4 has no SQLite store of its own for workflows on npm).
import { readFileSync } from "node:fs"
import { findPackageJSON } from "node:module"
import { Effect, Layer, ManagedRuntime, References, Schema } from "effect"
import { Activity, Workflow, WorkflowEngine } from "effect/workflow"

export const version = JSON.parse(readFileSync(findPackageJSON("effect", import.meta.url))).version

const N = Schema.Struct({ n: Schema.Int })
const act = (name, execute) => Activity.make({ name, success: N, execute })
const step = (name, { n }) => act(name, Effect.sync(() => ({ n: n + 1 })))

let id = 0
// body: (n) => Effect of {n}; resolves to (n, want) => run once and check
const flow = async (body) => {
  const wf = Workflow.make("bench", { payload: { id: Schema.String, n: Schema.Int }, success: N, idempotencyKey: (p) => p.id })
  const rt = ManagedRuntime.make(
    wf.toLayer(body).pipe(
      Layer.provideMerge(WorkflowEngine.layerMemory),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "None")),
    ),
  )
  await rt.context()
  return async (n, want) => {
    const r = await rt.runPromise(wf.execute({ id: String(++id), n }))
    if (r.n !== want) throw new Error(`effect-workflow: got ${r.n}, want ${want}`)
  }
}

const steps = (count) => async () => {
  const run = await flow(Effect.fnUntraced(function*(x) {
    for (let i = 0; i < count; i++) x = yield* step(`s${i}`, x)
    return { n: x.n }
  }))
  return () => run(0, count)
}

const each = (count, concurrency, item) => async () => {
  const items = Array.from({ length: count }, (_, i) => i)
  const run = await flow(() =>
    Effect.map(
      Effect.forEach(items, (i) => item(`item${i}`, { n: 0 }), { concurrency }),
      (rs) => ({ n: rs.reduce((a, r) => a + r.n, 0) }),
    )
  )
  return () => run(0, count)
}

export default {
  step10: steps(10),
  step100: steps(100),
  step1000: steps(1000),

  loop1000: async () => {
    const run = await flow(Effect.fnUntraced(function*(x) {
      while (x.n < 1000) x = yield* step(`body${x.n}`, x) // names must differ, the result is cached by name
      return { n: x.n }
    }))
    return () => run(0, 1000)
  },

  fan10000: each(10_000, 64, step),
  each100c10: each(100, 10, (name, { n }) => act(name, Effect.promise(() => new Promise((done) => setTimeout(() => done({ n: n + 1 }), 1))))),

  match8: async () => {
    const arms = Array.from({ length: 8 }, (_, i) => () => act(`arm${i}`, Effect.sync(() => ({ n: 100 + i }))))
    const run = await flow(({ n }) => arms[n]())
    return async () => {
      for (let i = 0; i < 8; i++) await run(i, 100 + i)
    }
  },
}
