// One contender in a process of its own: prepares a workload once, then runs rounds of it on request.
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const { default: workloads } = await import(process.argv[2])
const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"))
const prepared = new Map()

/** Runs batches for `budget` milliseconds; resolves to the median milliseconds of a batch. */
async function round(key, budget) {
  if (!prepared.has(key)) prepared.set(key, await workloads[key](join(folder, `${key}.db`)))
  const batch = prepared.get(key)
  const times = []
  const began = performance.now()
  do {
    const start = performance.now()
    const told = await batch()
    times.push(told ?? performance.now() - start)
  } while (performance.now() - began < budget)
  return times.sort((a, b) => a - b)[times.length >> 1]
}

process.on("message", async ({ key, budget }) => {
  try {
    process.send({ milliseconds: key in workloads ? await round(key, budget) : undefined })
  } catch (error) {
    process.send({ error: String(error?.stack ?? error?.message ?? error) })
  }
})
process.send({ ready: true })
