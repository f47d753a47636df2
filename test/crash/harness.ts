/** SIGKILL at every write of targets, once or twice, then resume: is the output right, is a recorded step repeated? */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventPath } from "../../src/model/event.ts"
import type { Ended, Job } from "./child.ts"

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
/** Every numbered example that may be imported without running; those that start runs of their own store kill themselves no less. */
export const numberedExamples = (): ReadonlyArray<string> =>
  readdirSync("examples").filter((name) => /^\d\d-.*\.ts$/.test(name)).map((name) => `examples/${name}`)
    .filter((name) => readFileSync(name, "utf8").includes("import.meta.main"))

const lines = (file: string): ReadonlyArray<string> => (existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [])

/** Jobs in a process of their own. */
function child(jobs: ReadonlyArray<Job>): Promise<{ readonly ended: ReadonlyMap<string, Ended>; readonly signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    const args = ["--conditions=source", "--disable-warning=ExperimentalWarning", "test/crash/child.ts", JSON.stringify(jobs)]
    const process_ = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
    let out = ""
    process_.stdout.on("data", (text) => (out += String(text)))
    process_.on("close", (code, signal) => {
      if (signal === null && code !== 0) return reject(new Error(`the child of ${jobs.map(({ target }) => target).join(", ")} ended with ${code}`))
      const ended = signal === null ? (JSON.parse(out) as ReadonlyArray<Ended>) : []
      resolve({ ended: new Map(ended.map((one) => [one.target, one])), signal })
    })
  })
}

/** The steps recorded in a database, by path. */
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

/** Two processes at a time. */
async function all(tasks: ReadonlyArray<() => Promise<void>>): Promise<void> {
  const waiting = [...tasks]
  const worker = async (): Promise<void> => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) await task()
  }
  await Promise.all([worker(), worker()])
}

/**
 * Kills all of `targets` at the first write, before it and after it, then at the second, and so on, where `pick` chooses the write; with
 * `second`, the resumed process too, at that write of its own.
 */
export async function crash(
  targets: ReadonlyArray<string>,
  pick: (at: number) => boolean = () => true,
  second?: (at: number) => number,
): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-crash-"))
  const job = (target: string, round: string, at: number, fate: Job["fate"]): Job => {
    const file = join(folder, `${target.replaceAll("/", "-")}-${round}`)
    return { target, at, fate, db: `${file}.db`, log: `${file}.log` }
  }
  const undisturbed = (await child(targets.map((target) => job(target, "whole", 0, "lost")))).ended
  for (const { target, end, writes } of undisturbed.values()) {
    if (end.startsWith("failed") || !(writes > 0)) throw new Error(`${target} does not run undisturbed: ${end}`)
  }
  const figures = { points: 0, wrong: 0, repeated: 0, again: 0 }
  const round = async (point: number, fate: Job["fate"]): Promise<void> => {
    const at = (n: number, other = fate) => chosen.map((target) => job(target, `${point}-${fate}`, n, other))
    // each round another target is the last, which dies while it writes
    const turn = (point * 7) % targets.length
    const chosen = [...targets.slice(turn), ...targets.slice(0, turn)].filter((target) => undisturbed.get(target)!.writes >= point)
    const killed = await child(at(point))
    if (killed.signal !== "SIGKILL") throw new Error(`nothing was killed at write ${point}`)
    if (second !== undefined) await child(at(second(point), fate === "lost" ? "written" : "lost"))
    const left = at(0).map((one) => ({ ...one, recorded: recordedSteps(one.db), before: lines(one.log) }))
    for (const { log } of left) writeFileSync(log, "")
    const { ended } = await child(at(0))
    for (const { target, db, log, recorded, before } of left) {
      figures.points++
      const [end, expected, after] = [ended.get(target)!.end, undisturbed.get(target)!.end, lines(log)]
      const repeated = after.filter((path) => recorded.has(path))
      if (end !== expected) {
        figures.wrong++
        console.error(`${target} write ${point} ${fate}: ${end}, expected ${expected}`)
      }
      if (repeated.length > 0) console.error(`${target} write ${point} ${fate}: ${repeated.join(", ")} again`)
      figures.repeated += repeated.length
      figures.again += after.filter((path) => before.includes(path) && !recorded.has(path)).length
      for (const file of [db, `${db}-wal`, `${db}-shm`, log]) rmSync(file, { force: true })
    }
  }
  const most = Math.max(...Array.from(undisturbed.values(), ({ writes }) => writes))
  const points = Array.from({ length: most }, (_, i) => i + 1).filter(pick)
  await all(points.flatMap((point) => (["lost", "written"] as const).map((fate) => () => round(point, fate))))
  rmSync(folder, { recursive: true })
  return figures
}
