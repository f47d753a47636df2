import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import { err } from "neverthrow"
import { type Heddle, nest, seq } from "heddle"
import { expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { owner } from "../../src/engine/owner.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failure, go, racing } from "../support.ts"

const until = async (holds: () => Promise<boolean>): Promise<void> => {
  const end = Date.now() + 5000
  while (!(await holds())) {
    if (Date.now() > end) throw new Error("it did not happen within 5 s")
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
const isAt = (heddle: Heddle["Service"], id: string, status: string) => until(async () => (await go(heddle.get(id))).status === status)

it("a worker drives what is started, woken, due and released, no more at once than it may", async () => {
  const heddle = makeHeddle(memoryStore())
  let [now, most] = [0, 0]
  const work = seq<{ n: number }>("work").step("w", ({ input }) =>
    Effect.gen(function*() {
      most = Math.max(most, ++now)
      yield* Effect.sleep(5)
      now--
      return input.n
    })).returns(({ w }) => w)
  const waits = seq("waits").wait("go").returns(() => "went")
  const child = seq("nap").wait({ for: "2 seconds" }).returns(() => 1)
  const parent = seq("naps").step("c", nest(child, () => undefined, { as: "run" }))
  await go(Effect.scoped(Effect.gen(function*() {
    const worker = yield* heddle.worker([work, waits, parent], { concurrency: 3 })
    for (let n = 0; n < 10; n++) yield* heddle.start(work, { n }, { id: `w${n}` })
    yield* heddle.start(waits, undefined, { id: "waits" })
    yield* heddle.start(parent, undefined, { id: "parent" })
    yield* heddle.start(work, { n: 5 }, { id: "later", at: new Date(Date.now() + 150) })
    yield* Effect.promise(() => isAt(heddle, "waits", "suspended"))
    yield* heddle.signal(waits, "waits", "go", undefined)
    for (const id of ["waits", ...Array.from({ length: 10 }, (_, n) => `w${n}`)]) yield* Effect.promise(() => isAt(heddle, id, "completed"))
    expect((yield* heddle.get("later")).status).toBe("pending")
    yield* Effect.promise(() => isAt(heddle, "later", "completed"))
    yield* Effect.promise(() => isAt(heddle, "parent", "completed"))
    expect(worker.running()).toBe(0)
    yield* worker.stop
    yield* worker.done
    yield* worker.stop
  })))
  expect(most).toBe(3)
  expect(await failure(Effect.scoped(heddle.worker([seq("bad/name")])))).toMatchObject({ _tag: "FlowInvalid" })
})

it("stopping takes no more work, waits for what goes on, and gives the rest up", async () => {
  const heddle = makeHeddle(memoryStore())
  let done = false
  const quick = seq("quick").step("s", () => Effect.as(Effect.sleep(30), done = true))
  const endless = seq("endless").step("s", () => Effect.never)
  await go(Effect.scoped(Effect.gen(function*() {
    const worker = yield* heddle.worker([quick, endless], { grace: 100 })
    yield* heddle.start(quick, undefined, { id: "quick" })
    yield* heddle.start(endless, undefined, { id: "endless" })
    yield* Effect.sleep(10)
    expect(worker.running()).toBe(2)
    yield* worker.stop
    yield* heddle.start(quick, undefined, { id: "after" })
    yield* Effect.sleep(10)
  })))
  expect(done).toBe(true)
  expect(await go(Effect.map(heddle.list(), (runs) => runs.map(({ id, status }) => [id, status])))).toEqual([["after", "pending"], ["endless", "pending"], [
    "quick",
    "completed",
  ]])
})

it("runs that fail, or that cannot be driven with this code, do not keep a worker busy", async () => {
  const heddle = makeHeddle(memoryStore())
  let tries = 0
  const fails = seq("fails").step("s", () => (tries++, err({ _tag: "No" } as const)))
  await failure(heddle.run(seq("changed").step("a", () => 1).wait("go"), undefined, { id: "changed", onSuspend: "return" }))
  await go(Effect.scoped(Effect.gen(function*() {
    const worker = yield* heddle.worker([fails, seq("changed").step("b", () => 1).wait("go")])
    yield* heddle.start(fails, undefined, { id: "f" })
    yield* Effect.promise(() => isAt(heddle, "f", "failed"))
    yield* heddle.signal(seq("changed").wait("go"), "changed", "go", undefined)
    yield* Effect.sleep(1200)
    expect(worker.running()).toBe(0)
    yield* heddle.cancel("changed")
  })))
  expect(tries).toBe(1)
})

it("a run whose owner died is taken over; one that kills its owner too often is quarantined", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store, { poisoned: 3 })
  const flow = seq("poison").step("a", () => 1)
  const [host] = owner.split(":")
  await go(heddle.start(flow, undefined, { id: "p" }))
  const dies = async () => {
    const run = await go(store.runs.get("p"))
    await go(
      store.runs.claim(run, { owner: `${host}:999999999:x`, lease: Date.now() + 60_000, status: "running", crashes: run.crashes, crashedAt: run.crashedAt }),
    )
  }
  const held = makeHeddle({
    ...store,
    events: { ...store.events, append: (run, event, ack, change) => change === undefined ? Effect.never : store.events.append(run, event, ack, change) },
  }, {
    poisoned: 3,
  })
  for (const crashes of [1, 2]) {
    await dies()
    const fiber = Effect.runFork(held.resume(flow, "p"))
    await until(async () => (await go(store.runs.get("p"))).crashes === crashes)
    fiber.interruptUnsafe()
    await go(Effect.sleep(5))
  }
  await dies()
  const error = await failure(heddle.resume(flow, "p").pipe(Effect.catchTag("RunQuarantined", (one) => Effect.fail(one))))
  expect(error).toMatchObject({ _tag: "RunQuarantined", crashes: 3 })
  expect(await failure(heddle.run(flow, undefined, { id: "p" }))).toMatchObject({ _tag: "RunQuarantined" })
  expect(await go(heddle.retry(flow, "p"))).toEqual({ a: 1 })
  expect(await go(store.runs.get("p"))).toMatchObject({ crashes: 0 })
})

it("an owner that stands still loses its run when the lease is over, and cannot write any more", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "heddle-lease-")), "heddle.db")
  const flow = seq("lease").step("a", () => Effect.sleep(400)).step("b", () => "done").returns(({ b }) => b)
  await go(Effect.scoped(Effect.gen(function*() {
    const store = yield* openSqlite(file)
    // renews nothing, as if its process were stopped
    const still = {
      ...store,
      name: `${file}-elsewhere`,
      runs: { ...store.runs, renew: () => Effect.void, look: () => Effect.succeed({ version: 0, runs: [] }) },
    }
    const fiber = yield* Effect.forkChild(Effect.flip(makeHeddle(still, { lease: 100 }).run(flow, undefined, { id: "l" })), { startImmediately: true })
    yield* Effect.sleep(10)
    const other = makeHeddle(store, { lease: 100 })
    yield* Effect.sleep(150)
    expect(yield* other.resume(flow, "l")).toBe("done")
    expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "RunTakenOver" })
  })))
})

it("workers of several processes keep to their bounds together", async () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-workers-"))
  const [file, log, ready] = [join(folder, "runs.db"), join(folder, "log"), join(folder, "ready")]
  const code = `
    import { appendFileSync, readFileSync } from "node:fs"
    import { openHeddle, seq } from "heddle"
    const work = seq("work").step("w", async (_, { run }) => {
      appendFileSync(${JSON.stringify(log)}, \`begin \${run[0]} \${process.pid}\\n\`)
      await new Promise((done) => setTimeout(done, 20))
      appendFileSync(${JSON.stringify(log)}, \`end \${run[0]} \${process.pid}\\n\`)
    })
    const heddle = (await openHeddle({ store: ${JSON.stringify(file)} }))._unsafeUnwrap()
    if (process.argv[1] === "start") {
      for (const id of ["a", "b", "c"]) {
        await heddle.sessions.create({ id })
        for (let n = 0; n < 8; n++) await heddle.start(work, undefined, { id: id + n, session: id })
      }
    } else {
      // none has done all before the others are there
      appendFileSync(${JSON.stringify(ready)}, "x")
      while (readFileSync(${JSON.stringify(ready)}).length < 3) await new Promise((done) => setTimeout(done, 5))
      await heddle.worker([work], { concurrency: 5, perSession: 1, poll: 10 })
      while ((await heddle.list({ status: "completed", limit: 100 }))._unsafeUnwrap().length < 24) await new Promise((done) => setTimeout(done, 20))
    }
    await heddle.close()
  `
  const begun = (argument: string) =>
    spawn(process.execPath, ["--conditions=source", "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", code, argument], { stdio: "inherit" })
  expect(await once(begun("start"), "exit")).toEqual([0, null])
  expect(await Promise.all([1, 2, 3].map(() => once(begun("work"), "exit")))).toEqual([[0, null], [0, null], [0, null]])
  const open = new Set<string>()
  const [processes, most] = [new Set<string>(), { at: 0 }]
  for (const line of readFileSync(log, "utf8").trim().split("\n")) {
    const [what, session, pid] = line.split(" ") as [string, string, string]
    processes.add(pid)
    if (what === "begin") expect([session, open.has(session)]).toEqual([session, false])
    if (what === "begin") open.add(session)
    else open.delete(session)
    most.at = Math.max(most.at, open.size)
  }
  expect([processes.size > 1, most.at > 1]).toEqual([true, true])
}, 60_000)

it("a run that another worker has taken first is looked at again soon", async () => {
  let races = 0
  const heddle = makeHeddle(racing(memoryStore(), () => ++races === 1))
  const flow = seq("f").step("s", () => 1)
  await go(heddle.start(flow, undefined, { id: "r" }))
  await go(Effect.scoped(Effect.gen(function*() {
    yield* heddle.worker([flow], { perFlow: 1, poll: 5 })
    yield* Effect.promise(() => isAt(heddle, "r", "completed"))
  })))
  expect(races).toBe(2)
})
