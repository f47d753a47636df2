/** Who drives a run, and is it still alive? */
import { hostname } from "node:os"

const host = hostname()
/** This process, as written on the runs it drives. */
export const owner = `${host}:${process.pid}`

/** False only for a process of this machine that is gone; of others nothing is known. */
export function isAlive(of: string): boolean {
  const [at, pid] = of.split(":")
  if (at !== host) return true
  try {
    process.kill(Number(pid), 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
