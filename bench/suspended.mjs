// 10,000 suspended runs: what each costs in memory and on disk, and how soon a signal wakes one. `npm run bench:suspended [-- --runs 10000]`
import { mkdtempSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openHeddle, seq } from "../dist/bundle/index.js"

const at = process.argv.indexOf("--runs")
const count = at === -1 ? 10_000 : Number(process.argv[at + 1])
const db = join(mkdtempSync(join(tmpdir(), "heddle-suspended-")), "heddle.db")
const flow = seq("waits").step("a", () => ({ text: "x".repeat(100) })).wait("go").step("b", () => Date.now()).returns(({ b }) => b)
const heddle = (await openHeddle({ store: db, synchronous: "normal" }))._unsafeUnwrap()
const memory = () => {
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}
const batch = async (from, to) => {
  for (let i = from; i < to; i += 100) {
    await Promise.all(Array.from({ length: Math.min(100, to - i) }, (_, n) => heddle.run(flow, undefined, { id: `r${i + n}`, onSuspend: "return" })))
  }
}
await batch(count, count + 200)
const before = memory()
const began = performance.now()
await batch(0, count)
const suspending = (performance.now() - began) / count
const after = memory()
const disk = statSync(db).size
const worker = (await heddle.worker([flow], { concurrency: 16 }))._unsafeUnwrap()
const latencies = []
for (let i = 0; i < 500; i++) {
  const sent = performance.now()
  const woken = new Promise((resolve) => {
    const stop = heddle.listen(({ kind, run }) => {
      if (kind !== "run.completed" || run !== `r${i}`) return
      stop()
      resolve()
    })
  })
  ;(await heddle.signal(flow, `r${i}`, "go", undefined))._unsafeUnwrap()
  await woken
  latencies.push(performance.now() - sent)
}
await worker.stop()
await heddle.close()
latencies.sort((a, b) => a - b)
const ms = (value) => Number(value.toFixed(2))
console.log(JSON.stringify({
  runs: count,
  bytesInMemory: Math.round((after - before) / count),
  bytesOnDisk: Math.round(disk / count),
  msToSuspend: ms(suspending),
  wakeUpP50: ms(latencies[Math.floor(latencies.length * 0.5)]),
  wakeUpP99: ms(latencies[Math.floor(latencies.length * 0.99)]),
}))
