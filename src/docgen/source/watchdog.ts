/** Looks after files that are loaded: one that never gives back the thread ends the process, one that ends the process is no success. Nothing else could say so. What they print goes to stderr. */
import { writeSync } from "node:fs"
import { Worker } from "node:worker_threads"
import { take } from "../../builtin/mcp/take.ts"

const code = `
const { workerData } = require("node:worker_threads")
const { writeSync } = require("node:fs")
const state = new Int32Array(workerData.state)
if (Atomics.wait(state, 0, 0, workerData.most) === "timed-out") {
  writeSync(2, "✗ " + workerData.file + " loops at import: it did not give back the thread within " + workerData.most / 1000 + " s\\n  a flow file must do nothing but make flows\\n")
  process.kill(process.pid, "SIGKILL")
}
`

/** Files that are being loaded. */
const underWay = new Set<string>()
let giveBack: (() => void) | undefined
/** Told when the process ends meanwhile. */
export const endedAtImport = (): void => {
  writeSync(2, `${[...underWay].join(", ")} ended the process at import: a flow file must do nothing then\n`)
  process.exitCode = 2
}

/** What `work` gives; the process ends with a sentence if the thread is blocked for longer than `most` milliseconds meanwhile. */
export async function watched<A>(file: string, most: number, work: () => Promise<A>): Promise<A> {
  const state = new SharedArrayBuffer(4)
  const dog = new Worker(code, { eval: true, execArgv: [], workerData: { state, file, most } })
  dog.unref()
  // one listener for all of them; stdout belongs to what Heddle says
  if (underWay.size === 0) {
    process.once("exit", endedAtImport)
    ;({ giveBack } = take(process.stdout))
  }
  underWay.add(file)
  try {
    return await work()
  } finally {
    underWay.delete(file)
    if (underWay.size === 0) {
      process.off("exit", endedAtImport)
      giveBack!()
    }
    const flag = new Int32Array(state)
    Atomics.store(flag, 0, 1)
    Atomics.notify(flag, 0)
  }
}
