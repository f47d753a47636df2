/** The faults of one machine, each as it is: what is done, what must come of it. Numbers are those of the fault table. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect } from "effect"
import * as fc from "fast-check"
import { type AnyFlow, openHeddle, seq } from "heddle"
import { chaotic, crashEverywhere, jumpingClock, testFlow, told } from "heddle/testing"
import { Clock } from "effect/Clock"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openDatabase, schemaVersion } from "../../src/store/sqlite/database.ts"
import { crash } from "../crash/harness.ts"
import { flowOf } from "../crash/patterns.ts"

/** How thorough to be: `quick` samples. */
export interface Effort {
  readonly quick: boolean
  readonly seed: number
}
/** What came of a fault; throws where it is not what must come. `skipped` where this machine cannot do it. */
type Fault = (effort: Effort) => Promise<string>
class Skipped extends Error {}

const node = process.execPath
const flags = ["--conditions=source", "--disable-warning=ExperimentalWarning", "test/faults/worker.ts"]
const folder = (): string => mkdtempSync(join(tmpdir(), "heddle-fault-"))
interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: any
  readonly err: string
}
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
/** Runs a task of `worker.ts`, behind `prefix` (strace, prlimit). */
function act(prefix: ReadonlyArray<string>, ...args: ReadonlyArray<string>): Ended {
  const [command, ...rest] = [...prefix, node, ...flags, ...args] as [string, ...Array<string>]
  const { status, signal, stdout, stderr } = spawnSync(command, rest, { encoding: "utf8", timeout: 60_000 })
  return { code: status, signal, out: parsed(stdout), err: stderr }
}
const begin = (...args: ReadonlyArray<string>): ChildProcess => spawn(node, [...flags, ...args], { stdio: ["ignore", "pipe", "pipe"] })
const ended = (child: ChildProcess): Promise<Ended> =>
  new Promise((resolve) => {
    let [out, err] = ["", ""]
    child.stdout!.on("data", (text) => (out += String(text)))
    child.stderr!.on("data", (text) => (err += String(text)))
    child.on("close", (code, signal) => resolve({ code, signal, out: parsed(out), err }))
  })
function must(holds: boolean, what: string, found?: unknown): void {
  if (!holds) throw new Error(`${what}${found === undefined ? "" : `: found ${JSON.stringify(found)?.slice(0, 400)}`}`)
}
const lines = (file: string): ReadonlyArray<string> => (existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [])
const intact = (file: string): boolean => {
  const db = new DatabaseSync(file)
  try {
    return db.prepare("PRAGMA integrity_check").get()?.["integrity_check"] === "ok"
  } finally {
    db.close()
  }
}
const whole = { ok: true, output: 10 }
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
/** After the fault the run goes on and gives what it should, and no step worked more than twice. */
function recovers(file: string, log: string): void {
  const { out } = act([], "run", file, log)
  must(same(out, whole), "the run recovers", out)
  must(intact(file), "the database is intact")
  const times = new Map<string, number>()
  for (const path of lines(log)) times.set(path, (times.get(path) ?? 0) + 1)
  must([...times.values()].every((n) => n <= 2), "no step worked more than twice", [...times])
}
const strace = (...inject: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (spawnSync("strace", ["-V"]).status !== 0) throw new Skipped("strace is not here")
  return ["strace", "-f", "-qq", "-o", "/dev/null", ...inject.flatMap((one) => ["-e", `inject=${one}`])]
}
/** A small file system of its own. */
function mounted<A>(options: string, use: (at: string) => A): A {
  const at = folder()
  if (spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", at]).status !== 0) throw new Skipped("only root can mount")
  try {
    return use(at)
  } finally {
    spawnSync("umount", ["-l", at])
  }
}
/** A failure of the store that is told as one. */
const isTold = ({ out, code }: Ended): boolean => code === 1 && out.tag === "StoreFailed" && typeof out.message === "string" && out.message.length > 20

export const faults: Readonly<Record<number, { readonly fault: string; readonly run: Fault }>> = {
  1: {
    fault: "the process dies at a write or sync of the system",
    async run({ quick }) {
      const at = folder()
      const trace = join(at, "trace")
      strace()
      execFileSync("strace", [
        "-f",
        "-qq",
        "-e",
        "trace=pwrite64,fdatasync,fsync",
        "-o",
        trace,
        node,
        ...flags,
        "run",
        join(at, "whole.db"),
        join(at, "whole.log"),
      ])
      const calls = { pwrite64: 0, fdatasync: 0, fsync: 0 }
      for (const line of lines(trace)) for (const call of Object.keys(calls) as ReadonlyArray<keyof typeof calls>) if (line.includes(`${call}(`)) calls[call]++
      let points = 0
      for (const call of Object.keys(calls) as ReadonlyArray<keyof typeof calls>) {
        for (let n = 1; n <= calls[call]; n += quick ? Math.ceil(calls[call] / 4) : 1) {
          const [db, log] = [join(at, `${call}${n}.db`), join(at, `${call}${n}.log`)]
          act(strace(`${call}:signal=KILL:when=${n}`), "run", db, log)
          recovers(db, log)
          points++
        }
      }
      return `${points} of ${calls.pwrite64 + calls.fdatasync + calls.fsync} calls`
    },
  },
  2: {
    fault: "kill -9 at a logical point",
    async run({ quick }) {
      const { points, wrong, repeated } = await crash(["wait/loop"], (at) => !quick || at % 5 === 1)
      must(wrong + repeated === 0, "nothing wrong or repeated", { wrong, repeated })
      return `${points} points`
    },
  },
  3: {
    fault: "random kills of random flows",
    async run({ quick, seed }) {
      let rounds = 0
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom("steps", "when", "match", "loop", "each", "parallel", "protect", "compensate", "nested", "retry"), {
            minLength: 1,
            maxLength: 3,
          }),
          fc.boolean(),
          async (path, twice) => {
            const { flow } = flowOf(path.join("/"))
            const report = await crashEverywhere(flow, undefined as never, { kills: twice && path.length < 3 ? 2 : 1 })
            rounds += report.points
            must(report.wrong.length + report.repeated.length === 0, path.join("/"), report)
          },
        ),
        { numRuns: quick ? 10 : 500, seed },
      )
      return `${rounds} kills, seed ${seed}`
    },
  },
  4: {
    fault: "a crash while it resumes",
    async run({ quick }) {
      const { points, wrong, repeated } = await crash(["loop/parallel"], (at) => at % (quick ? 9 : 2) === 1, (at) => 1 + (at % 4))
      must(wrong + repeated === 0, "nothing wrong or repeated", { wrong, repeated })
      return `${points} points`
    },
  },
  5: {
    fault: "power loss: any prefix of the log is all that is left",
    async run({ quick }) {
      const at = folder()
      const [db, log] = [join(at, "run.db"), join(at, "run.log")]
      const child = begin("worker", db, log)
      const heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
      const flow = seq<{ readonly n: number; readonly ms: number }>("slow")
      for (let n = 0; n < 4; n++) await heddle.start(flow as AnyFlow as never, { n, ms: 20 } as never, { id: `r${n}` })
      const copies: Array<string> = []
      for (let i = 0; i < (quick ? 4 : 20); i++) {
        await sleep(15)
        for (const suffix of ["", "-wal"]) if (existsSync(db + suffix)) copyFileSync(db + suffix, join(at, `copy${i}.db${suffix}`))
        copies.push(join(at, `copy${i}.db`))
      }
      child.kill("SIGKILL")
      await heddle.close()
      let cuts = 0
      for (const copy of copies) {
        const size = existsSync(`${copy}-wal`) ? statSync(`${copy}-wal`).size : 0
        for (const part of [1, 0.7, 0.31]) {
          const cut = `${copy}.${part}.db`
          copyFileSync(copy, cut)
          if (size > 0) {
            copyFileSync(`${copy}-wal`, `${cut}-wal`)
            truncateSync(`${cut}-wal`, Math.floor(size * part))
          }
          const opened = openDatabase(cut)
          const gaps = opened.prepare("SELECT count(*) AS n FROM (SELECT run, count(*) AS c, max(id) % 16777216 AS m FROM events GROUP BY run) WHERE c <> m")
            .get()
          opened.close()
          must(gaps?.["n"] === 0 && intact(cut), "a prefix without gaps", gaps)
          cuts++
        }
      }
      return `${cuts} cuts`
    },
  },
  6: {
    fault: "SIGTERM and Ctrl-C",
    async run() {
      const at = folder()
      writeFileSync(
        join(at, "flow.ts"),
        `import { seq } from ${
          JSON.stringify(join(process.cwd(), "src/index.ts"))
        }\nexport const flow = seq("f").step("a", () => 1).step("b", () => new Promise(() => {}))\n`,
      )
      const cli = `import { main } from ${JSON.stringify(join(process.cwd(), "src/cli/main.ts"))}; await main(process.argv)`
      const heddle = (...args: ReadonlyArray<string>) =>
        spawn(node, ["--conditions=source", "--input-type=module", "-e", cli, "heddle", ...args, "--store", join(at, "h.db")], {
          stdio: ["ignore", "pipe", "pipe"],
        })
      await ended(heddle("start", join(at, "flow.ts"), "--id", "r"))
      const worker = heddle("worker", join(at, "flow.ts"), "--grace", "1")
      await sleep(2500)
      worker.kill("SIGTERM")
      const stopped = await ended(worker)
      must(stopped.code === 0, "a worker that is asked to stop exits with 0", stopped)
      const left = await ended(heddle("runs"))
      must(String(left.out).includes("pending"), "its run is left to others", left.out)
      const again = heddle("worker", join(at, "flow.ts"), "--grace", "60")
      await sleep(2500)
      again.kill("SIGINT")
      await sleep(200)
      again.kill("SIGINT")
      const forced = await ended(again)
      must(forced.code === 130, "a second signal forces", forced)
      return "0, then 130"
    },
  },
  7: {
    fault: "disk full",
    run: async () =>
      mounted("size=200k", (at) => {
        const [db, log] = [join(at, "run.db"), join(folder(), "run.log")]
        writeFileSync(join(at, "filler"), Buffer.alloc(60_000))
        const full = act([], "run", db, log)
        must(isTold(full) && /full/.test(full.out.message), "a typed error that says so", full)
        rmSync(join(at, "filler"))
        spawnSync("mount", ["-o", "remount,size=8m", at])
        recovers(db, log)
        return full.out.message
      }),
  },
  8: {
    fault: "file size limit",
    async run() {
      const at = folder()
      const [db, log] = [join(at, "run.db"), join(at, "run.log")]
      const limited = act(["prlimit", "--fsize=100000"], "run", db, log)
      must(isTold(limited), "a typed error", limited)
      recovers(db, log)
      return limited.out.message.split("failed: ")[1]
    },
  },
  9: {
    fault: "EIO at a sync",
    async run() {
      const at = folder()
      const [db, log] = [join(at, "run.db"), join(at, "run.log")]
      const broken = act(strace("fdatasync,fsync:error=EIO:when=6+"), "run", db, log)
      must(isTold(broken), "never a success, a typed error", broken)
      recovers(db, log)
      return broken.out.message.split("failed: ")[1]
    },
  },
  10: {
    fault: "ENOSPC at the n-th write",
    async run({ quick }) {
      let points = 0
      for (let n = 8; n <= 60; n += quick ? 26 : 4) {
        const at = folder()
        const [db, log] = [join(at, "run.db"), join(at, "run.log")]
        const broken = act(strace(`pwrite64:error=ENOSPC:when=${n}+`), "run", db, log)
        must(isTold(broken) || same(broken.out, whole), "a typed error", broken)
        recovers(db, log)
        points++
      }
      return `${points} points`
    },
  },
  11: {
    fault: "every few writes an I/O error",
    async run({ quick }) {
      for (const every of quick ? [5] : [3, 5, 7, 11]) {
        const at = folder()
        const [db, log] = [join(at, "run.db"), join(at, "run.log")]
        const broken = act(strace(`pwrite64:error=EIO:when=9+${every}`), "run", db, log)
        must(isTold(broken) || same(broken.out, whole), "a typed error", broken)
        recovers(db, log)
      }
      return "typed, then recovered"
    },
  },
  12: {
    fault: "a file system that cannot be written",
    run: async () =>
      mounted("size=1m", (at) => {
        spawnSync("mount", ["-o", "remount,ro", at])
        const refused = act([], "run", join(at, "run.db"), join(folder(), "log"))
        must(isTold(refused) && refused.out.message.includes(at), "an error that names the file", refused)
        return refused.out.message.split("failed: ")[1]!
      }),
  },
  13: {
    fault: "the database is locked by another process",
    async run() {
      const db = join(folder(), "run.db")
      act([], "run", db, join(folder(), "log"))
      const holder = new DatabaseSync(db)
      holder.exec("BEGIN EXCLUSIVE")
      const heddle = await openHeddle({ store: db, busyTimeout: 200 })
      const result = heddle.isErr() ? heddle.error : (await heddle.value.run(seq("x").step("a", () => 1), undefined))._unsafeUnwrapErr()
      holder.exec("ROLLBACK")
      holder.close()
      if (heddle.isOk()) await heddle.value.close()
      must(result._tag === "StoreFailed" && result.message.includes("locked"), "a typed error after the wait", result)
      return result.message.split("failed: ")[1]!
    },
  },
  14: {
    fault: "a damaged, truncated or foreign file",
    async run({ quick }) {
      const at = folder()
      const db = join(at, "run.db")
      act([], "run", db, join(at, "log"))
      const good = readFileSync(db)
      let [told_, fine] = [0, 0]
      const attempt = async (bytes: Buffer): Promise<void> => {
        const file = join(at, `bad${told_ + fine}.db`)
        writeFileSync(file, bytes)
        const opened = await openHeddle({ store: file })
        const error = opened.isErr() ? opened.error : (await opened.value.events("run")).match(() => undefined, (found) => found)
        if (opened.isOk()) await opened.value.close()
        if (error === undefined) fine++
        else {
          must(error._tag === "StoreFailed" || error._tag === "RunNotFound", "a typed error", error)
          told_++
        }
        must(existsSync(file), "the file is left where it is")
      }
      await attempt(Buffer.from("this is not a database, but a text of some length ".repeat(30)))
      for (let offset = 0; offset < good.length; offset += quick ? 4096 * 3 : 512) {
        const flipped = Buffer.from(good)
        for (let i = 0; i < 16 && offset + i < flipped.length; i++) flipped[offset + i]! ^= 0xff
        await attempt(flipped)
        await attempt(good.subarray(0, offset))
      }
      return `${told_} told, ${fine} unharmed`
    },
  },
  15: {
    fault: "an older format, a newer one, a death while it is brought up to date",
    async run() {
      const at = folder()
      const old = (file: string): void => {
        const db = new DatabaseSync(file)
        db.exec(readFileSync("test/fixtures/format-1.sql", "utf8"))
        db.close()
      }
      const first = join(at, "one.db")
      old(first)
      const heddle = (await openHeddle({ store: first }))._unsafeUnwrap()
      const result = await heddle.resume(
        seq("add", { input: z.object({ n: z.number() }) }).step("m", ({ input }) => input.n + 1).step("k", ({ m }) => m + 1).returns(({ k }) => k),
        "old",
      )
      await heddle.close()
      must(result._unsafeUnwrap() === 3, "a run of the old format goes on", result)
      const killed = join(at, "killed.db")
      let points = 0
      for (let n = 1; n < 12; n++) {
        rmSync(killed, { force: true })
        old(killed)
        act(strace(`pwrite64:signal=KILL:when=${n}`), "run", killed, join(at, "log"))
        must(same(act([], "run", killed, join(at, "log")).out, whole), "a second try brings it up to date")
        points++
      }
      const newer = new DatabaseSync(first)
      newer.exec(`PRAGMA user_version = ${schemaVersion + 1}`)
      newer.close()
      const refused = act([], "run", first, join(at, "log"))
      must(isTold(refused) && refused.out.message.includes("newer Heddle"), "a newer one is refused", refused)
      return `${points} deaths`
    },
  },
  16: {
    fault: "eight processes resume one run",
    async run() {
      const at = folder()
      const [db, log] = [join(at, "run.db"), join(at, "run.log")]
      const heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
      await heddle.start(
        seq<{ readonly n: number; readonly ms: number }>("slow").step("a", () => 0).loop("l", { times: 3 }, (b) => b.step("b", () => 0)).returns(({ input }) =>
          input.n
        ),
        { n: 7, ms: 150 },
        { id: "one" },
      )
      await heddle.close()
      const all = await Promise.all(Array.from({ length: 8 }, () => ended(begin("resume", db, log, "one"))))
      const won = all.filter(({ out }) => out.ok)
      must(won.length >= 1 && won.every(({ out }) => out.output === 7), "one drives it", all.map(({ out }) => out))
      must(all.filter(({ out }) => !out.ok).every(({ out }) => /RunOwned|RunTakenOver/.test(out.exit)), "the others are told", all.map(({ out }) => out))
      must(lines(log).length === 4, "every step worked once", lines(log))
      return `${won.length} with the result, ${8 - won.length} refused`
    },
  },
  17: {
    fault: "an owner that stands still loses its run",
    async run() {
      const at = folder()
      const [db, log] = [join(at, "run.db"), join(at, "run.log")]
      const heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
      await heddle.start(
        seq<{ readonly n: number; readonly ms: number }>("slow").step("a", () => 0).loop("l", { times: 3 }, (b) => b.step("b", () => 0)).returns(({ input }) =>
          input.n
        ),
        { n: 7, ms: 400 },
        { id: "one" },
      )
      const first = begin("resume", db, log, "one")
      const firstEnd = ended(first)
      while (lines(log).length < 2) await sleep(20)
      first.kill("SIGSTOP")
      await sleep(600)
      const second = await ended(begin("resume", db, log, "one"))
      first.kill("SIGCONT")
      const late = await firstEnd
      await heddle.close()
      must(second.out.ok && second.out.output === 7, "another takes over", second)
      must(late.out.ok === false && /RunTakenOver/.test(late.out.exit), "the first may not write any more", late)
      return "taken over, fenced off"
    },
  },
  18: {
    fault: "one id started many times, with the same and with another input",
    async run() {
      const at = folder()
      const [db, log] = [join(at, "run.db"), join(at, "run.log")]
      const all = await Promise.all([1, 1, 2].map((n) => ended(begin("start", db, log, "20", String(n)))))
      const outputs = all.flatMap(({ out }) => out.output as Array<unknown>)
      must(
        outputs.every((one) => one === 1 || one === 2 || one === "RunConflict" || one === "RunOwned" || one === "RunTakenOver"),
        "the same, or a typed conflict",
        outputs,
      )
      must(new Set(lines(log)).size === lines(log).length && lines(log).length === 4, "every step worked once", lines(log))
      return `${outputs.length} starts, ${outputs.filter((one) => one === "RunConflict").length} conflicts`
    },
  },
  19: {
    fault: "duplicate, early, late and reordered signals",
    async run({ quick, seed }) {
      const flow = seq("s").wait("a", { schema: z.number() }).wait("b", { schema: z.number() }).wait("a2", { signal: "a", schema: z.number() }).returns((
        s,
      ) => [s.a, s.b, s.a2])
      await fc.assert(
        fc.asyncProperty(fc.shuffledSubarray(["a1", "a2", "b1", "a1", "b1", "a2"], { minLength: 6 }), async (order) => {
          const heddle = makeHeddle(memoryStore())
          const sent: Array<string> = []
          await Effect.runPromise(heddle.start(flow, undefined, { id: "s" }))
          const run = Effect.runFork(heddle.run(flow, undefined, { id: "s" }))
          for (const id of order) {
            const result = await Effect.runPromise(Effect.result(heddle.signal(flow, "s", id[0] as "a", Number(id[1]), { id })))
            const outcome = result._tag === "Success" ? result.success : "late"
            must(sent.includes(id) ? outcome !== "accepted" : outcome === "accepted", `${id} in ${order.join()}`, outcome)
            sent.push(id)
            await sleep(0)
          }
          const first = order.find((id) => id.startsWith("a"))!
          const output = await new Promise((resolve) => run.addObserver((exit: any) => resolve(exit.value)))
          must(same(output, [Number(first[1]), 1, 3 - Number(first[1])]), `received in order of ${order.join()}`, output)
        }),
        { numRuns: quick ? 20 : 300, seed },
      )
      return `seed ${seed}`
    },
  },
  20: {
    fault: "the clock jumps by 30 days, forward and back",
    async run() {
      const flow = seq("c").wait({ for: "1 hour" }).returns(() => "done")
      const store = memoryStore()
      const at = (time: string) => (effect: Effect.Effect<unknown, unknown>) =>
        Effect.runPromiseExit(Effect.provideService(effect, Clock, jumpingClock(Date.parse(time))))
      const heddle = makeHeddle(store)
      const suspended = await at("2030-06-01T00:00:00Z")(heddle.run(flow, undefined, { id: "c", onSuspend: "return" }))
      const back = await at("2030-05-01T00:00:00Z")(heddle.resume(flow, "c", { onSuspend: "return" }))
      const forward = await at("2030-07-01T00:00:00Z")(heddle.resume(flow, "c", { onSuspend: "return" }))
      must(suspended._tag === "Failure" && back._tag === "Failure" && forward._tag === "Success", "absolute time", [suspended._tag, back._tag, forward._tag])
      return "not early, at once when due"
    },
  },
  21: {
    fault: "the code changes between start and resume",
    async run() {
      const was = () => seq("v").step("a", () => 1).loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go"))
      const mutations: Readonly<Record<string, AnyFlow>> = {
        rename: seq("v").step("z", () => 1).loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go")),
        reorder: seq("v").loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go")).step("a", () => 1),
        insert: seq("v").step("a", () => 1).step("new", () => 1).loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go")),
        delete: seq("v").loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go")),
        inside: seq("v").step("a", () => 1).loop("l", { times: 2 }, (b) => b.step("y", () => 1).wait("go")),
        kind: seq("v").step("a", () => 1).each("l", () => [1], (b) => b.step("x", () => 1).wait("go")),
      }
      for (const [name, flow] of Object.entries(mutations)) {
        const heddle = makeHeddle(memoryStore())
        await Effect.runPromiseExit(heddle.run(was(), undefined, { id: "v", onSuspend: "return" }))
        const error: any = await Effect.runPromise(Effect.flip(heddle.resume(flow as never, "v", { onSuspend: "return" }) as Effect.Effect<unknown, unknown>))
        must(error._tag === "FlowChanged" && error.changes.length > 0, name, error)
      }
      return `${Object.keys(mutations).length} changes refused, each with its difference`
    },
  },
  22: {
    fault: "conditions that do not give the same twice",
    async run({ quick }) {
      let decided = 0
      for (let i = 0; i < (quick ? 5 : 30); i++) {
        const store = memoryStore()
        const flow = seq("r").when("w", () => Math.random() < 0.5, (b) => b.step("x", () => "yes"), (b) => b.step("y", () => "no"))
          .loop("l", { while: () => Math.random() < 0.7, max: 50 }, (b) => b.step("s", () => 1)).wait("go")
        await Effect.runPromiseExit(makeHeddle(store).run(flow, undefined, { id: "r", onSuspend: "return" }))
        const before = told(await Effect.runPromise(makeHeddle(store).events("r")))
        await Effect.runPromise(makeHeddle(store).signal(flow, "r", "go", undefined))
        await Effect.runPromise(makeHeddle(store).resume(flow, "r"))
        const after = told(await Effect.runPromise(makeHeddle(store).events("r")))
        must(same(after.slice(0, before.length), before) && after.slice(before.length).every((one) => !one.includes("decided")), "decisions stand", after)
        decided++
      }
      return `${decided} runs kept their decisions`
    },
  },
  27: {
    fault: "little memory",
    async run({ quick }) {
      const at = folder()
      const runs = quick ? 4000 : 20_000
      const { code, signal, out } = (() => {
        const found = spawnSync(node, ["--max-old-space-size=48", ...flags, "many", join(at, "run.db"), "", String(runs)], {
          encoding: "utf8",
          timeout: 280_000,
        })
        return { code: found.status, signal: found.signal, out: parsed(found.stdout) as any }
      })()
      must(code === 0, "it does not run out of memory", { code, signal })
      const rss = out.output as ReadonlyArray<number>
      const growth = rss.at(-1)! - rss[Math.floor(rss.length / 2)]!
      must(growth <= 40, "it does not grow", rss)
      return `${runs} runs in 48 MB of heap, RSS ${rss.join(" ")} MB`
    },
  },
  28: {
    fault: "no file descriptors left",
    async run() {
      const at = folder()
      const results = [24, 26, 28, 40].map((limit) => act(["prlimit", `--nofile=${limit}`], "run", join(at, `${limit}.db`), join(at, `${limit}.log`)))
      must(results.every((one) => same(one.out, whole) || isTold(one) || /EMFILE|Too many open files/i.test(one.err)), "told, or works", results)
      recovers(join(at, "40.db"), join(at, "40.log"))
      return results.map(({ out }) => (same(out, whole) ? "works" : "told")).join(", ")
    },
  },
  29: {
    fault: "a run that kills its process",
    async run() {
      const at = folder()
      const [db, log] = [join(at, "run.db"), join(at, "run.log")]
      const heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
      await heddle.start(seq("poison").step("dies", () => 1) as AnyFlow as never, undefined as never, { id: "bad" })
      let deaths = 0
      while ((await heddle.get("bad"))._unsafeUnwrap().status !== "quarantined" && deaths < 12) {
        const worker = begin("worker", db, log)
        const end = ended(worker)
        await Promise.race([
          end,
          (async () => {
            while ((await heddle.get("bad"))._unsafeUnwrap().status !== "quarantined") await sleep(50)
            worker.kill("SIGTERM")
          })(),
        ])
        if ((await end).signal === "SIGABRT") deaths++
      }
      const worker = begin("worker", db, log)
      await heddle.start(
        seq<{ readonly n: number; readonly ms: number }>("slow").step("a", () => 0).loop("l", { times: 3 }, (b) => b.step("b", () => 0)),
        { n: 1, ms: 1 } as never,
        { id: "good" },
      )
      for (let i = 0; i < 100 && (await heddle.get("good"))._unsafeUnwrap().status !== "completed"; i++) await sleep(100)
      const end = ended(worker)
      worker.kill("SIGTERM")
      await end
      const [bad, good] = [(await heddle.get("bad"))._unsafeUnwrap(), (await heddle.get("good"))._unsafeUnwrap()]
      await heddle.close()
      must(bad.status === "quarantined" && deaths === 5, "quarantined after five deaths", { bad, deaths })
      must(good.status === "completed", "others go on", good)
      return `${deaths} deaths, then quarantined; others went on`
    },
  },
  30: {
    fault: "a long history, many runs",
    async run({ quick }) {
      const db = join(folder(), "big.db")
      const opened = openDatabase(db)
      const [runs, events] = quick ? [20_000, 5000] : [1_000_000, 50_000]
      opened.exec("BEGIN")
      const insert = opened.prepare(
        "INSERT INTO runs (id, flow, version, fingerprint, status, input, owner, fence, due, created_at, updated_at) VALUES (?, ?, 1, 'x', ?, 'null', '', 1, NULL, 1, 1)",
      )
      for (let i = 0; i < runs; i++) insert.run(`r${i}`, `f${i % 7}`, i % 100 === 0 ? "failed" : "completed")
      opened.exec("COMMIT")
      for (
        const [query, index] of [
          ["SELECT * FROM events WHERE run = 1 AND parent = ''", "events_by_parent"],
          ["SELECT * FROM runs WHERE due <= 1 AND flow IN (SELECT value FROM json_each('[]')) ORDER BY due LIMIT 1", "runs_due"],
          ["SELECT * FROM runs WHERE parent = 'x' ORDER BY nr DESC LIMIT 1", "runs_by_parent"],
          ["SELECT * FROM signals WHERE run = 1 AND name = 'x' AND taken IS NULL AND late = 0 ORDER BY nr", "signals_waiting"],
        ] as const
      ) {
        const plan = JSON.stringify(opened.prepare(`EXPLAIN QUERY PLAN ${query}`).all())
        must(plan.includes(index), `${query} uses ${index}`, plan)
      }
      opened.close()
      const heddle = (await openHeddle({ store: db, synchronous: "normal" }))._unsafeUnwrap()
      const long = seq("long").loop("l", { times: events / 2 }, (b) => b.step("s", ({ index }) => index)).wait("go")
      const suspended = (await heddle.run(long, undefined, { id: "long", onSuspend: "return", durability: "async" }))._unsafeUnwrapErr()
      must(suspended._tag === "RunSuspended", "it waits", suspended)
      const time = async (work: () => Promise<unknown>): Promise<number> => {
        const began = performance.now()
        await work()
        return performance.now() - began
      }
      const listing = await time(async () => (await heddle.list({ limit: 50 }))._unsafeUnwrap())
      const opening = await time(async () => (await heddle.events("long"))._unsafeUnwrap())
      await heddle.signal(long, "long", "go", undefined)
      const resuming = await time(async () => (await heddle.resume(long, "long"))._unsafeUnwrap())
      await heddle.close()
      must(listing < 100 && opening < 1000 && resuming < 500, "bounded", { listing, opening, resuming })
      return `${runs} runs listed in ${listing.toFixed(1)} ms, ${events} events read in ${opening.toFixed(0)} ms, resumed in ${resuming.toFixed(1)} ms`
    },
  },
  31: {
    fault: "simulation: the same seed gives the same run",
    async run({ quick, seed }) {
      const { flow } = flowOf("parallel/retry")
      let schedules = 0
      for (let i = 0; i < (quick ? 30 : 2000); i++) {
        const once = async () => told((await testFlow(chaotic(flow, seed + i, { rate: 0.4 }), undefined as never, { clock: new Date(0) })).events)
        const [first, second] = [await once(), await once()]
        must(same(first, second), `seed ${seed + i}`, { first, second })
        schedules++
      }
      return `${schedules} schedules, seeds from ${seed}`
    },
  },
}

export interface Outcome {
  readonly id: number
  readonly fault: string
  readonly outcome: string
  readonly pass: boolean
}
/** Does it, and says what came of it. */
export async function suffer(id: number, effort: Effort): Promise<Outcome> {
  const { fault, run } = faults[id]!
  try {
    return { id, fault, outcome: await run(effort), pass: true }
  } catch (error) {
    if (error instanceof Skipped) return { id, fault, outcome: `skipped: ${error.message}`, pass: true }
    return { id, fault, outcome: error instanceof Error ? error.message : String(error), pass: false }
  }
}
mkdirSync(tmpdir(), { recursive: true })
