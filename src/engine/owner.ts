/** Who drives a run, and is it still alive? */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"

const host = hostname().replaceAll(":", "-")
/** This process, as written on the runs it drives; the last part tells it from an earlier one with the same number. */
export const owner = `${host}:${process.pid}:${randomBytes(4).toString("hex")}`

/** False only for a process of this machine that is gone; of others nothing is known but their lease. */
export function isAlive(of: string): boolean {
  const [at, pid] = of.split(":")
  if (at !== host) return true
  if (Number(pid) === process.pid) return of === owner
  try {
    process.kill(Number(pid), 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
