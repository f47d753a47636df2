/** Who drives a run, and is it still alive? */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"

const host = hostname().replaceAll(":", "-")
/** Kept in the environment, which worker threads and a second copy of this package share: they live as long as this process; child processes have another number. */
const variable = "HEDDLE_PROCESS"
const marked = String(process.env[variable])
const mark = marked.startsWith(`${process.pid}:`) ? marked : `${process.pid}:${randomBytes(4).toString("hex")}`
process.env[variable] = mark
/** This process, as written on the runs it drives: its mark tells it from an earlier one with the same number, the last part threads and copies apart. */
export const owner = `${host}:${mark}:${randomBytes(4).toString("hex")}`

/** False only for a process of this machine that is gone; of others nothing is known but their lease. */
export function isAlive(of: string): boolean {
  const [at, pid, process_] = of.split(":")
  if (at !== host) return true
  if (Number(pid) === process.pid) return `${pid}:${process_}` === mark
  try {
    process.kill(Number(pid), 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
