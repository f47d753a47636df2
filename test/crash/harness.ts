/** SIGKILL at every write of a target, once or twice, then resume: is the output right, is a recorded step repeated? */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventPath } from "../../src/model/event.ts"

export interface Figures {
  /** Kills. */
  readonly points: number
  /** Resumed runs whose output differs from the undisturbed one's. */
  readonly wrong: number
  /** Steps that were recorded before the kill and worked again after it. */
  readonly repeated: number
  /** Steps that worked again because the kill came before their record: the price of at-least-once. */
  readonly again: number
}
/** Every numbered example; those that start runs of their own store kill themselves no less. */
export const numberedExamples = (): ReadonlyArray<string> =>
  readdirSync("examples").filter((name) => /^\d\d-.*\.ts$/.test(name)).map((name) => `examples/${name}`)

const lines = (file: string): ReadonlyArray<string> => (existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [])

function child(...args: ReadonlyArray<string>): Promise<{ readonly out: string; readonly signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => {
    const process_ = spawn(process.execPath, ["--conditions=source", "test/crash/child.ts", ...args], { stdio: ["ignore", "pipe", "inherit"] })
    let out = ""
    process_.stdout.on("data", (text) => (out += String(text)))
    process_.on("close", (_code, signal) => resolve({ out, signal }))
  })
}

/** The steps recorded in a database, by run and path. */
function recordedSteps(file: string): ReadonlySet<string> {
  if (!existsSync(file)) return new Set()
  const db = new DatabaseSync(file)
  try {
    const rows = db.prepare("SELECT parent, name FROM events WHERE kind = 'step.completed'").all()
    return new Set(rows.map((row) => eventPath({ parent: String(row["parent"]), name: String(row["name"]) })))
  } catch {
    return new Set()
  } finally {
    db.close()
  }
}

/** Kills `target` at each write that `pick` chooses; with `second`, the resumed process too, at that write of its own. */
export async function crash(target: string, pick: (at: number) => boolean = () => true, second?: (at: number) => number): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-crash-"))
  const at = (name: string) => join(folder, name)
  const undisturbed = await child(target, at("whole.db"), at("whole.log"), "0", "lost")
  const [expected, writes] = [undisturbed.out.replace(/ \d+$/, ""), Number(/\d+$/.exec(undisturbed.out)?.[0])]
  if (expected.startsWith("failed") || !(writes > 0)) throw new Error(`${target} does not run undisturbed: ${undisturbed.out}`)
  const figures = { points: 0, wrong: 0, repeated: 0, again: 0 }
  for (let point = 1; point <= writes; point++) {
    if (!pick(point)) continue
    for (const fate of ["lost", "written"]) {
      const [db, log] = [at(`${point}-${fate}.db`), at(`${point}-${fate}.log`)]
      const killed = await child(target, db, log, String(point), fate)
      if (killed.signal !== "SIGKILL") throw new Error(`${target} was not killed at write ${point}: ${killed.out}`)
      if (second !== undefined) await child(target, db, log, String(second(point)), fate === "lost" ? "written" : "lost")
      const recorded = recordedSteps(db)
      const before = lines(log)
      writeFileSync(log, "")
      const resumed = await child(target, db, log, "0", "lost")
      const after = lines(log)
      figures.points++
      if (resumed.out.replace(/ \d+$/, "") !== expected) {
        figures.wrong++
        console.error(`${target} write ${point} ${fate}: ${resumed.out}, expected ${expected}`)
      }
      figures.repeated += after.filter((path) => recorded.has(path)).length
      figures.again += after.filter((path) => before.includes(path) && !recorded.has(path)).length
    }
  }
  rmSync(folder, { recursive: true })
  return figures
}
