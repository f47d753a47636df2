/**
 * `npm run test:processes [-- --seconds 60] [-- --processes 8] [-- --runs 200]`: several workers on one database, killed and stopped at random.
 * Every run must end once, and the ledger of effects must agree with the journal. Prints figures as JSON.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { openHeddle, seq } from "heddle"
import { randomOf } from "../../src/testing/mock.ts"

const given = (name: string, otherwise: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? otherwise : Number(process.argv[at + 1])
}
const [seconds, processes, runs] = [given("seconds", 60), given("processes", 8), given("runs", 200)]
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1_000_000))
const random = randomOf(seed)
const folder = mkdtempSync(join(tmpdir(), "heddle-processes-"))
const [db, log] = [join(folder, "run.db"), join(folder, "run.log")]

const heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
const slow = seq<{ readonly n: number; readonly ms: number }>("slow").step("a", () => 0).loop("l", { times: 3 }, (b) => b.step("b", () => 0)).returns((
  { input },
) => input.n)
for (let n = 0; n < runs; n++) (await heddle.start(slow, { n, ms: 200 + Math.floor(random() * 400) }, { id: `r${n}` }))._unsafeUnwrap()

const begin = (): ChildProcess => spawn(process.execPath, ["--conditions=source", "test/faults/worker.ts", "worker", db, log], { stdio: "ignore" })
const workers = Array.from({ length: processes }, begin)
const done = { killed: 0, stopped: 0 }
const end = Date.now() + seconds * 1000
while (Date.now() < end) {
  await sleep(100 + random() * 400)
  const i = Math.floor(random() * workers.length)
  if (random() < 0.6) {
    workers[i]!.kill("SIGKILL")
    workers[i] = begin()
    done.killed++
  } else {
    const still = workers[i]!
    still.kill("SIGSTOP")
    // longer than its lease: others take its runs over, and then it wakes
    setTimeout(() => still.kill("SIGCONT"), 2000 + random() * 2000)
    done.stopped++
  }
}
const waited = Date.now()
const left = async () => (await heddle.list({ limit: runs * 2 }))._unsafeUnwrap().filter(({ status }) => status !== "completed")
while ((await left()).length > 0 && Date.now() - waited < 120_000) await sleep(250)
for (const worker of workers) worker.kill("SIGCONT")
for (const worker of workers) worker.kill("SIGTERM")
await sleep(1500)
for (const worker of workers) worker.kill("SIGKILL")

const unfinished = await left()
await heddle.close()
const sql = new DatabaseSync(db)
const count = (query: string): number => Number(sql.prepare(query).get()?.["n"])
const ends = count("SELECT count(*) AS n FROM events WHERE kind = 'run.completed'")
const twice = count(
  "SELECT count(*) AS n FROM (SELECT run, parent, name FROM events WHERE kind = 'step.completed' GROUP BY run, parent, name HAVING count(*) > 1)",
)
const gaps = count("SELECT count(*) AS n FROM (SELECT run, count(*) AS c, max(id) % 16777216 AS m FROM events GROUP BY run) WHERE c <> m")
const recorded = count("SELECT count(*) AS n FROM events WHERE kind = 'step.completed'")
const integrity = sql.prepare("PRAGMA integrity_check").get()?.["integrity_check"]
sql.close()
const effects = existsSync(log) ? readFileSync(log, "utf8").split("\n").filter(Boolean) : []
const figures = {
  seed,
  processes,
  runs,
  ...done,
  unfinished: unfinished.length,
  ended: ends,
  recordedTwice: twice,
  gaps,
  integrity,
  // every recorded step has worked at least once; what worked again had no record before its process died
  effects: effects.length,
  missing: recorded - new Set(effects).size,
  again: effects.length - new Set(effects).size,
}
console.log(JSON.stringify(figures))
process.exitCode = unfinished.length === 0 && ends === runs && twice === 0 && gaps === 0 && integrity === "ok" && figures.missing === 0 ? 0 : 1
