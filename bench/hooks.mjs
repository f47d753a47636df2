// `npm run bench:hooks [-- --json]`: what a step of a flow of 100 costs with no hook, hooks that stand elsewhere, one and ten that are asked; in turns of one run.
import { hook, run, seq } from "../dist/bundle/index.js"

const steps = 100
let flow = seq("steps").step("s0", () => ({ n: 1 }))
for (let i = 1; i < steps; i++) flow = flow.step(`s${i}`, (scope) => ({ n: scope[`s${i - 1}`].n + 1 }))
const asked = (count, point) => Array.from({ length: count }, () => hook(point, () => undefined))
const variants = { none: undefined, "10 elsewhere": asked(10, "loop.iteration"), "1 asked": asked(1, "step.after"), "10 asked": asked(10, "step.after") }
const once = async (hooks) => {
  const began = performance.now()
  for (let i = 0; i < 20; i++) (await run(flow, undefined, hooks === undefined ? {} : { hooks }))._unsafeUnwrap()
  return ((performance.now() - began) * 1000) / (20 * steps)
}
const times = Object.fromEntries(Object.keys(variants).map((name) => [name, []]))
for (let round = -3; round < 15; round++) {
  for (const [name, hooks] of Object.entries(variants)) {
    const time = await once(hooks)
    if (round >= 0) times[name].push(time)
  }
}
const median = (all) => all.sort((a, b) => a - b)[all.length >> 1]
const figures = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, Number(median(all).toFixed(2))]))
console.log(process.argv.includes("--json") ? JSON.stringify({ unit: "µs/step", ...figures }) : figures)
