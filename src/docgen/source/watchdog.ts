/** Ends the process where a file that is loaded never gives back the thread: nothing else could say so. */
import { Worker } from "node:worker_threads"

const code = `
const { workerData } = require("node:worker_threads")
const { writeSync } = require("node:fs")
const state = new Int32Array(workerData.state)
if (Atomics.wait(state, 0, 0, workerData.most) === "timed-out") {
  writeSync(2, "✗ " + workerData.file + " loops at import: it did not give back the thread within " + workerData.most / 1000 + " s\\n  a flow file must do nothing but make flows\\n")
  process.kill(process.pid, "SIGKILL")
}
`

/** What `work` gives; the process ends with a sentence if the thread is blocked for longer than `most` milliseconds meanwhile. */
export async function watched<A>(file: string, most: number, work: () => Promise<A>): Promise<A> {
  const state = new SharedArrayBuffer(4)
  const dog = new Worker(code, { eval: true, execArgv: [], workerData: { state, file, most } })
  dog.unref()
  try {
    return await work()
  } finally {
    const flag = new Int32Array(state)
    Atomics.store(flag, 0, 1)
    Atomics.notify(flag, 0)
  }
}
