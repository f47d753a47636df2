/** A stream that is killed at random moments must leave in its sink what an undisturbed one leaves. `npm run test:streams [-- --kills 50] [-- --items 5000]` */
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { randomOf } from "../../src/testing/mock.ts"

export const intos = ["transaction", "keyed", "file"] as const
type Into = (typeof intos)[number]
export interface Killed {
  readonly into: Into
  readonly kills: number
  readonly runs: number
  readonly items: number
  /** How many items worked once, how many again. */
  readonly again: number
  readonly wrong: number
}
/** One life of the process; whether it came to the end before it was killed. */
const live = (into: Into, folder: string, killAfter?: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--conditions=source", "--disable-warning=ExperimentalWarning", "test/faults/stream-worker.ts", into, folder])
    let said = ""
    child.stderr.on("data", (text) => (said += String(text)))
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfter)
    child.on("close", (code, signal) => {
      clearTimeout(timer)
      if (code === 0 || signal === "SIGKILL") resolve(code === 0)
      else reject(new Error(`the process ended with ${code}: ${said}`))
    })
  })
/** What is in the sink, and how many items worked again. */
function found(into: Into, folder: string): { readonly text: string; readonly again: number } {
  if (into === "file") return { text: readFileSync(join(folder, "out"), "utf8"), again: 0 }
  const db = new DatabaseSync(join(folder, into === "keyed" ? "keyed.db" : "run.db"))
  const rows = db.prepare(into === "keyed" ? "SELECT key, n, times FROM kept ORDER BY n, key" : "SELECT line FROM own ORDER BY rowid").all()
  db.close()
  return {
    text: rows.map((row) => into === "keyed" ? `${row["key"]} ${row["n"]}` : row["line"]).join("\n"),
    again: rows.reduce((sum, row) => sum + (into === "keyed" ? Number(row["times"]) - 1 : 0), 0),
  }
}
export async function killStreams(
  into: Into,
  { kills, items, seed }: { readonly kills: number; readonly items: number; readonly seed: number },
): Promise<Killed> {
  const random = randomOf(seed)
  const root = mkdtempSync(join(tmpdir(), "heddle-streams-"))
  const folder = (name: string): string => (mkdirSync(join(root, name)), join(root, name))
  writeFileSync(join(root, "numbers"), Array.from({ length: items }, (_, n) => `${n}\n`).join(""))
  const whole = folder("whole")
  const began = Date.now()
  if (!(await live(into, whole))) throw new Error("the undisturbed run did not end")
  const took = Date.now() - began
  const want = found(into, whole).text
  if (want.split("\n").length < items / 7) throw new Error(`the undisturbed run left only ${want.length} characters`)
  const done = { kills: 0, runs: 0, again: 0, wrong: 0 }
  while (done.kills < kills) {
    const at = folder(`run${done.runs++}`)
    while (!(await live(into, at, done.kills < kills ? random() * took : undefined))) done.kills++
    const { text, again } = found(into, at)
    done.again += again
    if (text !== want) done.wrong++
  }
  return { into, items, ...done }
}
if (import.meta.main) {
  const given = (name: string, otherwise: number): number =>
    process.argv.includes(`--${name}`) ? Number(process.argv[process.argv.indexOf(`--${name}`) + 1]) : otherwise
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1_000_000))
  let wrong = 0
  for (const into of intos) {
    const killed = await killStreams(into, { kills: given("kills", 50), items: given("items", 5000), seed })
    console.log(JSON.stringify(killed))
    wrong += killed.wrong
  }
  console.error(`SEED=${seed} npm run test:streams`)
  process.exitCode = wrong === 0 ? 0 : 1
}
