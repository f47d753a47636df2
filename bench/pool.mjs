// `npm run bench:pool [-- --json]`: 10,000 uses of a pool of 10, 100 at once: what a use costs beside Effect's own pool and bare permits, and, with uses of
// 1 ms, how near ten members come to ten times one.
import { Effect, Pool as EffectPool, Semaphore } from "effect"
import { Pool } from "../dist/src/builtin/agents/index.js"

const [size, calls, together] = [10, 10_000, 100]
const work = () => Effect.yieldNow
const all = (use) => Effect.runPromise(Effect.forEach(Array.from({ length: calls }), use, { concurrency: together, discard: true }))
const timed = async (use) => {
  const began = performance.now()
  await all(use)
  return performance.now() - began
}
const ours = (more = {}) => new Pool("bench", { size, make: Effect.succeed, ...more })
const permits = Semaphore.makeUnsafe(size)
const pools = { "round-robin": ours(), "least-busy": ours({ strategy: "least-busy", perMember: 2, size: size / 2 }) }
const variants = {
  nothing: work,
  permits: () => Semaphore.withPermits(permits, 1)(work()),
  "Effect's pool": undefined,
  ...Object.fromEntries(Object.entries(pools).map(([name, pool]) => [`our pool, ${name}`, () => pool.use(work)])),
}
const report = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const theirs = yield* EffectPool.make({ acquire: Effect.succeed(1), size })
  variants["Effect's pool"] = () => Effect.scoped(Effect.flatMap(EffectPool.get(theirs), work))
  const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]))
  for (let round = -2; round < 9; round++) {
    for (const [name, use] of Object.entries(variants)) {
      const took = yield* Effect.promise(() => timed(use))
      if (round >= 0) times[name].push((took * 1000) / calls)
    }
  }
  const median = (list) => list.sort((a, b) => a - b)[list.length >> 1]
  return Object.fromEntries(Object.entries(times).map(([name, list]) => [name, Number(median(list).toFixed(2))]))
})))
const napping = async (members) => {
  const pool = ours({ size: members })
  const began = performance.now()
  await Effect.runPromise(Effect.forEach(Array.from({ length: 1000 }), () => pool.use(() => Effect.sleep(2)), { concurrency: "unbounded", discard: true }))
  return performance.now() - began
}
const scaling = Number(((await napping(1)) / (await napping(size))).toFixed(2))
if (process.argv.includes("--json")) console.log(JSON.stringify({ calls, size, unit: "µs/use", ...report, scaling }))
else {
  console.log(`µs a use, ${calls} uses of ${size}, ${together} at once:`, report)
  console.log(`${size} members are ${scaling} times as fast as one`)
}
