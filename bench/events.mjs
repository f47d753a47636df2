// `npm run bench:events [-- --json]`: what a step of a flow of 100 costs while nobody listens, while one listens, while one follows, while a subscriber
// never reads; and the memory that subscriber takes. In turns of one run.
import { Effect, Fiber, Stream } from "effect"
import { Heddle, seq } from "../dist/bundle/index.js"
import { meter } from "../dist/src/builtin/telemetry/index.js"

const steps = 100
let flow = seq("steps").step("s0", () => ({ n: 1 }))
for (let i = 1; i < steps; i++) flow = flow.step(`s${i}`, (scope) => ({ n: scope[`s${i - 1}`].n + 1 }))
const nobody = (use) => use(undefined)
const listening = (listener) => (use, heddle) => {
  const stop = heddle.listen(listener)
  return use().finally(stop)
}
const variants = {
  "nobody listens": nobody,
  "one listens": listening(() => undefined),
  meter: listening(meter()),
  "one subscribes and reads": async (use, heddle) => {
    const reading = Effect.runFork(Stream.runDrain(heddle.subscribe()))
    await use()
    reading.interruptUnsafe()
  },
  "one subscribes and never reads": async (use, heddle) => {
    const reading = Effect.runFork(Stream.runForEach(heddle.subscribe(), () => Effect.never))
    await new Promise((done) => setImmediate(done))
    await use()
    reading.interruptUnsafe()
  },
}
const once = (heddle, around) => {
  let took = 0
  const use = async () => {
    const began = performance.now()
    for (let i = 0; i < 20; i++) await Effect.runPromise(heddle.run(flow, undefined))
    took = ((performance.now() - began) * 1000) / (20 * steps)
  }
  return around(use, heddle).then(() => took)
}
const fresh = () => Effect.runPromise(Effect.provide(Heddle, Heddle.layerMemory))
const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]))
for (let round = -3; round < 15; round++) {
  for (const [name, around] of Object.entries(variants)) {
    const time = await once(await fresh(), async (use, heddle) => around(use, heddle))
    if (round >= 0) times[name].push(time)
  }
}
const median = (all) => all.sort((a, b) => a - b)[all.length >> 1]
const figures = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, Number(median(all).toFixed(2))]))

// a subscriber that never reads, over 100,000 events
const heddle = await fresh()
const stuck = Effect.runFork(Stream.runForEach(heddle.subscribe(), () => Effect.never))
await new Promise((done) => setImmediate(done))
const run = async (times_) => {
  for (let i = 0; i < times_; i++) await Effect.runPromise(heddle.run(flow, undefined, { id: "same" }).pipe(Effect.andThen(heddle.prune())))
}
await run(20)
globalThis.gc?.()
const before = process.memoryUsage().heapUsed
await run(500)
globalThis.gc?.()
const kept = Math.round((process.memoryUsage().heapUsed - before) / 1024)
await Effect.runPromise(Fiber.interrupt(stuck))
const all = { unit: "µs/step", ...figures, "KB kept for one that never reads, after 100,000 events": kept }
console.log(process.argv.includes("--json") ? JSON.stringify(all) : all)
