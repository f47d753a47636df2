// `npm run bench:limits [-- --json]`: 256 forks of 5 ms that share 1, 2, 4 … 64 permits: how many times faster than with one, and a plot; then what
// a permit and a budget cost a step.
import { permits, rate, run, seq } from "../dist/bundle/index.js"

const [forks, work] = [256, 5]
const nap = () => new Promise((done) => setTimeout(done, work))
const timed = async (flow) => {
  const began = performance.now()
  ;(await run(flow))._unsafeUnwrap()
  return performance.now() - began
}
const items = Array.from({ length: forks }, (_, i) => i)
const shared = (count) => seq("shared").each("all", () => items, (b) => b.step("nap", nap, { limits: [permits("p", count)] }), { concurrency: "unbounded" })
await timed(shared(64))
const counts = [1, 2, 4, 8, 16, 32, 64]
const scaling = {}
let one
for (const count of counts) {
  const best = Math.min(await timed(shared(count)), await timed(shared(count)))
  one ??= best
  scaling[count] = Number((one / best).toFixed(2))
}
const steps = 100
const chain = (options, budget) => {
  let flow = budget === undefined ? seq("steps") : seq("steps", { budget })
  for (let i = 0; i < steps; i++) flow = flow.step(`s${i}`, () => i, ...(options === undefined ? [] : [options]))
  return flow
}
const variants = {
  "no limit": chain(),
  "a permit": chain({ limits: [permits("p", 1)] }),
  "a rate": chain({ limits: [rate("r", { limit: 1e9, per: 1000 })] }),
  "a budget": chain(undefined, { steps: 1e9 }),
}
const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]))
for (let round = -3; round < 15; round++) {
  for (const [name, flow] of Object.entries(variants)) {
    const began = performance.now()
    for (let i = 0; i < 20; i++) (await run(flow))._unsafeUnwrap()
    if (round >= 0) times[name].push(((performance.now() - began) * 1000) / (20 * steps))
  }
}
const median = (all) => all.sort((a, b) => a - b)[all.length >> 1]
const step = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, Number(median(all).toFixed(2))]))
if (process.argv.includes("--json")) console.log(JSON.stringify({ scaling, unit: "µs/step", ...step }))
else {
  for (const count of counts) {
    console.log(
      `${String(count).padStart(3)} permits  ${"█".repeat(Math.round(scaling[count]))}${"·".repeat(Math.max(0, count - Math.round(scaling[count])))} ${
        scaling[count]
      }×`,
    )
  }
  console.log("µs a step:", step)
}
