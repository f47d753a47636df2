/** Bugs that a second reading found, each with what it broke. */
import { createHash } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import { Effect } from "effect"
import { type AnyFlow, type Heddle, nest, type RunEvent, seq, transaction } from "heddle"
import { describe, expect, it, vi } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { LiveRuns } from "../../src/engine/live.ts"
import { isAlive, owner } from "../../src/engine/owner.ts"
import { StoreFailed } from "../../src/model/error.ts"
import { eventKinds } from "../../src/model/event.ts"
import { eventParts } from "../../src/model/event-data.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { span } from "../../src/store/sqlite/writer.ts"
import type { Store } from "../../src/store/store.ts"
import { failing, file, go, newRun, no, out, status } from "../support.ts"

const once = { id: "r", onSuspend: "return" } as const
const onFile = <A>(use: (store: Store["Service"], path: string) => Promise<A>, path = file()): Promise<A> =>
  go(Effect.scoped(Effect.flatMap(openSqlite(path), (store) => Effect.promise(() => use(store, path)))))
/** The store fails at the first append that `where` picks: a crash there, or a lock. */
const failOnce = (store: Store["Service"], where: (event: Pick<RunEvent, "kind" | "name">) => boolean) =>
  failing(store, "events.append", { where: (_run, event) => where(event) })

describe("one file, several processes", () => {
  it("an id that comes back after prune never leads to another run", async () => {
    const path = file()
    const daily = seq("daily").step("a", () => 1)
    const order = seq("order").wait("go")
    await onFile((one) =>
      onFile(async (two) => {
        const [a, b] = [makeHeddle(one), makeHeddle(two)]
        await go(a.run(daily, undefined, { id: "daily" }))
        await go(b.prune())
        await out(b.run(order, undefined, { id: "order", onSuspend: "return" }))
        await go(b.run(daily, undefined, { id: "daily" }))
        expect((await go(a.events("daily"))).map(({ kind }) => kind)).toEqual(["run.started", "step.completed", "run.completed"])
        expect((await go(a.prune({ flow: "daily" }))).length).toBe(1)
        expect(await status(b, "order")).toBe("suspended")
      }, path), path)
  })

  it("two services on one store both hear of another process", async () => {
    const path = file()
    await onFile((store) =>
      onFile(async (elsewhere) => {
        const flow = seq("two").wait("go")
        const [a, b, other] = [makeHeddle(store), makeHeddle(store), makeHeddle({ ...elsewhere, name: `${path}-elsewhere` })]
        const both = [go(a.run(flow, undefined, { id: "one" })), go(b.run(flow, undefined, { id: "two" }))]
        await sleep(100)
        for (const id of ["one", "two"]) await go(other.signal(flow, id, "go", undefined))
        expect(await Promise.all(both)).toEqual([{ go: undefined }, { go: undefined }])
        // one bell, and one count of how often it rang
        const [left, right] = [new LiveRuns(store, 1000), new LiveRuns(store, 1000)]
        const before = left.rung
        right.ring("one")
        expect(left.rung).toBe(before + 1)
      }, path), path)
  })

  it("a thread of this process is alive, another process that had its number is not", async () => {
    const [host, pid, mark] = owner.split(":")
    expect([isAlive(`${host}:${pid}:${mark}:another`), isAlive(`${host}:${pid}:dead:another`), isAlive("elsewhere:1:a:b")]).toEqual([true, false, true])
    vi.resetModules()
    const copy = await import("../../src/engine/owner.ts")
    expect([copy.owner === owner, copy.owner.startsWith(`${host}:${pid}:${mark}:`)]).toEqual([false, true])
    const worker = new Worker("import('node:worker_threads').then(({ parentPort }) => parentPort.postMessage(process.env.HEDDLE_PROCESS))", { eval: true })
    expect(await new Promise((resolve) => worker.once("message", resolve))).toBe(`${pid}:${mark}`)
  })
})

describe("durability and failing stores", () => {
  it("a transaction beside another fork takes a number of its own", () =>
    onFile(async (store) => {
      const flow = seq("f").parallel("p", {
        a: (b) => b.step("s1", () => 1).step("s2", () => 2),
        b: (b) => b.step("t", transaction(() => 1)),
      })
      expect(await out(makeHeddle(store).run(flow, undefined, once))).toEqual({ p: { a: { s1: 1, s2: 2 }, b: { t: 1 } } })
    }))

  it.each(["cancel", "pause"] as const)("exit: what was done before a %s is known", (command) =>
    onFile(async (store) => {
      const log: Array<string> = []
      const flow = seq("f").step("charge", () => void log.push("charge"), { compensate: () => void log.push("refund") })
        .step("b", () => (log.length > 1 || command === "cancel" ? Effect.never : Effect.sleep(300)))
      const heddle = makeHeddle(store)
      const running = out(heddle.run(flow, undefined, { id: "x", durability: "exit" }))
      await sleep(60)
      if (command === "cancel") await go(heddle.cancel("x", { flow }))
      else {
        await go(heddle.pause("x"))
        await go(heddle.resume(flow, "x"))
      }
      await running
      expect(log).toEqual(command === "cancel" ? ["charge", "refund"] : ["charge"])
    }))

  it("a store that fails is nobody's result: no fork's, and nothing to try again", async () => {
    const charged = { collect: 0, retry: 0 }
    const forks = seq("f").parallel("p", { a: (b) => b.step("charge", () => ++charged.collect), b: (b) => b.step("x", () => 1) }, { failure: "collect" })
    const kept = memoryStore()
    expect(await out(makeHeddle(failOnce(kept, ({ name }) => name === "charge")).run(forks, undefined, once))).toBeInstanceOf(StoreFailed)
    expect(await out(makeHeddle(kept).run(forks, undefined, once))).toEqual({ p: { a: { ok: true, value: { charge: 2 } }, b: { ok: true, value: { x: 1 } } } })
    const inner = seq("i").step("charge", () => ++charged.retry).step("b", () => Effect.succeed(1) as Effect.Effect<number, { readonly _tag: "No" }>)
    const retried = seq("f").step("i", nest(inner, () => undefined), { retry: { times: 3, backoff: 1 } })
    expect(await out(makeHeddle(failOnce(memoryStore(), ({ name }) => name === "b")).run(retried, undefined, once))).toBeInstanceOf(StoreFailed)
    expect(charged.retry).toBe(1)
  })

  it("async: a transaction is not committed behind events that were lost", () =>
    onFile(async (store) => {
      let commits = 0
      const flow = seq("tx").step("a", () => 1).step("t", transaction(() => ++commits))
      // the number of a run's third event is taken: what goes before it is refused
      const heddle = makeHeddle(store)
      const { run } = await go(
        store.runs.create(newRun({ id: "r", flow: "tx", owner: "", status: "paused" })),
      )
      await go(store.events.append(run, { seq: 1, kind: "step.completed", parent: "", name: "x", data: "{}" }, "sync"))
      await go(store.events.append(run, { seq: 1, kind: "step.completed", parent: "", name: "y", data: "{}" }, "async"))
      expect(await out(store.events.transact(run, () => ({ seq: 2, kind: "step.completed", parent: "", name: "t" }), () => (commits++, "{}")))).toBeInstanceOf(
        StoreFailed,
      )
      // and so is everything of this owner's
      expect(await out(store.events.append(run, { seq: 3, kind: "step.completed", parent: "", name: "z", data: "{}" }, "sync"))).toBeInstanceOf(StoreFailed)
      expect(commits).toBe(0)
      expect(await go(heddle.run(flow, undefined, { id: "other" }))).toEqual({ a: 1, t: 1 })
      const { run: other } = await go(store.runs.create({ ...run, id: "long", due: undefined }))
      expect(await out(store.events.append(other, { seq: span, kind: "step.completed", parent: "", name: "z", data: "{}" }, "sync"))).toBeInstanceOf(
        StoreFailed,
      )
    }))

  it("a transaction of an owner that has lost the run is taken back", () =>
    onFile(async (store) => {
      const { run } = await go(store.runs.create(newRun({ id: "r", owner: "a", due: 1 })))
      await go(store.runs.claim(run, { owner: "b", lease: 5, status: "running" }))
      const work = (): string => "{}"
      const late = store.events.transact(run, () => ({ seq: 1, kind: "step.completed", parent: "", name: "t" }), work)
      expect(await out(late)).toMatchObject({ _tag: "RunTakenOver" })
      expect(await go(store.events.head(run))).toBe(0)
    }))

  it("a run whose store failed for a moment is free for whoever comes", async () => {
    const store = memoryStore()
    const flow = seq("f").step("a", () => 1)
    const heddle = makeHeddle(failOnce(store, ({ name }) => name === "a"))
    const busy = Effect.runFork(heddle.run(seq("busy").step("s", () => Effect.never), undefined))
    await go(Effect.scoped(Effect.gen(function*() {
      yield* heddle.worker([flow], { poll: 10 })
      yield* heddle.start(flow, undefined, { id: "r" })
      yield* Effect.sleep(1600)
    })))
    busy.interruptUnsafe()
    expect(await status(heddle, "r")).toBe("completed")
  })

  it("a worker outlives a store that fails for a moment", async () => {
    const heddle = makeHeddle(failing(memoryStore(), "runs.due", { times: 2 }))
    const flow = seq("f").step("a", () => 1)
    await go(Effect.scoped(Effect.gen(function*() {
      yield* heddle.worker([flow], { poll: 10 })
      yield* heddle.start(flow, undefined, { id: "r" })
      yield* Effect.sleep(100)
    })))
    expect(await status(heddle, "r")).toBe("completed")
  })

  it("runs that go on in this process leave room for others", async () => {
    const heddle = makeHeddle(memoryStore(), { lease: 1 })
    const flow = seq("f").step("a", ({ input }) => input as unknown === undefined ? 1 : Effect.never)
    const busy = Array.from({ length: 12 }, (_, i) => Effect.runFork(heddle.run(seq("f").step("a", () => Effect.never), undefined, { id: `busy${i}` })))
    await sleep(20)
    await go(Effect.scoped(Effect.gen(function*() {
      yield* heddle.worker([flow], { poll: 10, concurrency: 10 })
      yield* heddle.start(flow, undefined, { id: "r" })
      yield* Effect.sleep(100)
    })))
    busy.forEach((fiber) => fiber.interruptUnsafe())
    expect(await status(heddle, "r")).toBe("completed")
  })

  it("the structure of a flow is kept by the next run if the first could not", async () => {
    const heddle = makeHeddle(failing(memoryStore(), "flows.save"))
    const flow = seq("f").wait("go")
    await out(heddle.run(flow, undefined, once))
    await out(heddle.run(flow, undefined, once))
    await go(heddle.signal(flow, "r", "go", undefined))
    expect(await go(heddle.resume(flow.step("more", () => 1), "r"))).toEqual({ go: undefined, more: 1 })
  })

  it("a command that could not be written leaves no completed run due", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(failing(store, "events.commit"))
    const flow = seq("f").step("a", () => 1)
    await go(heddle.run(flow, undefined, { id: "r" }))
    expect(await out(heddle.rewind(flow, "r", "a"))).toBeInstanceOf(StoreFailed)
    expect(await go(heddle.get("r"))).toMatchObject({ status: "completed", due: undefined })
  })
})

describe("migrations", () => {
  const v1 = seq("m").step("a", () => 1).step("b", () => 2).wait("go")
  const times = (seen: Array<unknown>) =>
    seq("m", { version: 2, migrations: { 1: (state: any) => (seen.push(state), { ...state, a: state.a * 100, b: state.b * 100 }) } }).step("a", () => 1).step(
      "b",
      () => 2,
    ).wait("go")

  it.each(["step.migrated", "run.migrated"] as const)("a crash at %s leaves the run as it was, for the new code and the old", async (kind) => {
    const seen: Array<unknown> = []
    const v2 = times(seen)
    for (const rolledBack of [false, true]) {
      const store = memoryStore()
      await out(makeHeddle(store).run(v1, undefined, once))
      await go(makeHeddle(store).signal(v1, "r", "go", undefined))
      let n = 0
      const broken = makeHeddle(failOnce(store, (event) => event.kind === kind && (kind === "run.migrated" || ++n === 2)))
      expect(await out(broken.resume(v2 as never, "r"))).toBeInstanceOf(StoreFailed)
      const heddle = makeHeddle(store)
      expect(await go(heddle.resume((rolledBack ? v1 : v2) as never, "r"))).toEqual(
        rolledBack ? { a: 1, b: 2, go: undefined } : { a: 100, b: 200, go: undefined },
      )
    }
    expect(seen).toEqual([{ a: 1, b: 2 }, { a: 1, b: 2 }, { a: 1, b: 2 }])
  })

  it("sees the value a name has, and what it changes stays changed", async () => {
    const first = seq("u").step("a", () => 1).update("a", ({ a }) => a + 10).wait("go")
    const seen: Array<unknown> = []
    const second = seq("u", { version: 2, migrations: { 1: (state: any) => (seen.push(state), { ...state, a: state.a * 100 }) } }).step("a", () => 1)
      .update("a", ({ a }) => a + 10).wait("go").returns(({ a }) => a)
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(first, undefined, once))
    await go(heddle.signal(first, "r", "go", undefined))
    expect(await go(heddle.resume(second, "r"))).toBe(1100)
    expect(seen).toEqual([{ a: 11 }])
  })

  it("a migrated run can be gone back in, with what the migration gave", async () => {
    const seen: Array<unknown> = []
    const v2 = times(seen)
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(v1, undefined, once))
    await go(heddle.signal(v2 as never, "r", "go" as never, undefined as never))
    await go(heddle.resume(v2 as never, "r"))
    expect(await go(heddle.plan(v2, "r", "b"))).toMatchObject({ again: ["b"], kept: ["a"] })
    await go(heddle.rewind(v2, "r", "b"))
    await go(heddle.signal(v2 as never, "r", "go" as never, undefined as never))
    expect(await go(heddle.resume(v2 as never, "r"))).toMatchObject({ a: 100, b: 2 })
  })

  it("refuses what a block has changed among other things, unless it is given back as it was; a promise is no state", async () => {
    const body = (flow: any) => flow.step("a", () => 1).loop("l", { times: 2 }, (b: any) => b.update("a", ({ a }: any) => a + 1)).wait("go")
    const of = (migration: (state: any) => any) => body(seq("t", { version: 2, migrations: { 1: migration } }))
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(body(seq("t")), undefined, once))
    await go(heddle.signal(body(seq("t")), "r", "go" as never, undefined as never))
    expect((await out(heddle.resume(of((state) => ({ ...state, a: 7 })), "r"))).message).toContain("'a', which 'l' has changed among other things")
    expect((await out(heddle.resume(of(async (state) => state), "r"))).message).toContain("it is asynchronous")
    expect(await out(heddle.resume(of((state) => state), "r"))).toMatchObject({ a: 3 })
  })

  it("what is undone afterwards is undone as the new version knows it", async () => {
    const undone: Array<unknown> = []
    const flow = (version: 1 | 2, charge: () => unknown) =>
      seq("c", version === 2 ? { version, migrations: { 1: (state: any) => ({ ...state, charge: { cents: state.charge.amount * 100 } }) } } : {} as never)
        .step("charge", charge, { compensate: (output) => void undone.push(output) })
        .step("two", () => 7, { compensate: (output, scope) => void undone.push([output, (scope as any).charge]) }).wait("go").step("bad", no)
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow(1, () => ({ amount: 7 })) as any, undefined, once))
    const now = flow(2, () => ({ cents: 1 })) as any
    await go(heddle.signal(now, "r", "go" as never, undefined as never))
    await out(heddle.resume(now, "r"))
    expect(undone).toEqual([[7, { cents: 700 }], { cents: 700 }])
  })

  it("an open node that was only retuned goes on", async () => {
    const wait = (version: 1 | 2, timeout: "1 day" | "2 days") =>
      seq("w", { version, migrations: { 1: (state) => ({ ...state, a: 2 }) } }).step("a", () => 1).wait("go", { timeout })
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(wait(1, "1 day"), undefined, once))
    await go(heddle.signal(wait(1, "1 day"), "r", "go", undefined))
    expect(await out(heddle.resume(wait(2, "2 days"), "r"))).toMatchObject({ a: 2 })
  })
})

describe("undoing", () => {
  const charges = (log: Array<string>) =>
    seq("pay").step("charge", (_, { key }) => void log.push(`charge ${key}`), { compensate: (_o, _i, { key }) => void log.push(`refund ${key}`) })

  it("a fork does not undo what its original did", async () => {
    const log: Array<string> = []
    const flow = charges(log).step("b", () => (log.length > 1 ? no() : Effect.succeed(log.push("b"))))
    const heddle = makeHeddle(memoryStore())
    await go(heddle.run(flow, undefined, { id: "orig" }))
    await go(heddle.fork(flow, "orig", "b", { as: "exp" }))
    expect(await out(heddle.resume(flow, "exp"))).toEqual({ _tag: "No" })
    expect(log).toEqual(["charge orig/charge", "b"])
  })

  it("what a rewind takes back still stands, and is undone when the run is", async () => {
    const log: Array<string> = []
    const flow = charges(log).wait("go")
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow, undefined, once))
    await go(heddle.rewind(flow, "r", "charge"))
    expect(await go(heddle.cancel("r", { flow }))).toBe("cancelled")
    expect(log).toEqual(["charge r/charge", "refund r/charge/compensate"])
  })

  it("a finished child is undone with its parent: when it fails, when it is cancelled, two deep", async () => {
    for (const how of ["fails", "cancel"] as const) {
      const log: Array<string> = []
      const child = seq("outer").step("c", nest(charges(log), () => undefined, { as: "run" }))
      const parent = seq("p").step("c", nest(child, () => undefined, { as: "run" })).wait("go").step("x", no)
      const heddle = makeHeddle(memoryStore())
      await out(heddle.run(parent, undefined, once))
      if (how === "cancel") await go(heddle.cancel("r", { flow: parent }))
      else {
        await go(heddle.signal(parent, "r", "go", undefined))
        expect(await out(heddle.resume(parent, "r"))).toEqual({ _tag: "No" })
      }
      expect(log.map((line) => line.split(" ")[0])).toEqual(["charge", "refund"])
      expect((await go(heddle.list({}))).map((run) => run.status).sort()).toEqual(
        how === "cancel" ? ["cancelled", "cancelled", "cancelled"] : ["cancelled", "cancelled", "compensated"],
      )
    }
  })

  it("a child that was cancelled already is not undone again", async () => {
    const log: Array<string> = []
    const child = charges(log)
    const parent = seq("p").step("c", nest(child, () => undefined, { as: "run" })).wait("go")
    const store = memoryStore()
    const heddle = makeHeddle(failOnce(store, ({ kind, name }) => kind === "compensation.completed" && name === "c"))
    await out(heddle.run(parent, undefined, once))
    await out(heddle.cancel("r", { flow: parent }))
    await out(makeHeddle(store).resume(parent, "r"))
    expect([log.length, await status(heddle, "r")]).toEqual([2, "cancelled"])
  })

  it("an undo of a child that crashed midway goes on", async () => {
    const log: Array<string> = []
    const parent = seq("p").step("c", nest(charges(log), () => undefined, { as: "run" })).wait("go")
    const store = memoryStore()
    await out(makeHeddle(store).run(parent, undefined, once))
    await out(makeHeddle(failOnce(store, ({ kind, name }) => kind === "compensation.completed" && name === "charge")).cancel("r", { flow: parent }))
    expect((await go(store.runs.list({ flow: "pay" })))[0]?.status).toBe("compensating")
    await out(makeHeddle(store).resume(parent, "r"))
    expect((await go(store.runs.list({}))).map((run) => run.status)).toEqual(["cancelled", "cancelled"])
  })

  it("an undo that was caught does not end the run for good", async () => {
    const flow = seq("f").parallel("p", { a: (b) => b.protect("q", (c) => c.step("s", () => 1, { compensate: () => undefined }).step("x", no), {}) }, {
      failure: "collect",
    })
      .step("later", no)
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow, undefined, once))
    expect(await status(heddle, "r")).toBe("failed")
  })

  it("of a join that failed, the undone part ends it", async () => {
    const flow = seq("f").parallel("p", { a: (b) => b.protect("q", (c) => c.step("s", () => 1, { compensate: () => undefined }).step("x", no), {}) }, {
      failure: "waitAll",
    })
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow, undefined, once))
    expect(await status(heddle, "r")).toBe("compensated")
  })

  it("also when the fork had failed before a crash", async () => {
    const log: Array<string> = []
    const flow = seq("f").parallel("p", {
      a: (b) => b.protect("q", (c) => c.step("s", () => 1, { compensate: () => void log.push("s") }).step("x", no), {}),
      z: (b) => b.step("slow", () => Effect.as(Effect.sleep(20), 1)),
    }, { failure: "waitAll" })
    const store = memoryStore()
    await out(makeHeddle(failing(store, "events.append", { where: (_run, { name }) => name === "slow" })).run(flow, undefined, once))
    const heddle = makeHeddle(store)
    expect(await out(heddle.resume(flow, "r"))).toMatchObject({ _tag: "JoinFailed" })
    expect([await status(heddle, "r"), log]).toEqual(["compensated", ["s"]])
  })

  it("a step that interrupts its own run is undone like any that fails", async () => {
    const log: Array<string> = []
    const heddle = makeHeddle(memoryStore())
    expect((await out(heddle.run(charges(log).step("s", () => Effect.interrupt), undefined, once))).message).toContain("interrupted its own run")
    expect(log).toEqual(["charge r/charge", "refund r/charge/compensate"])
  })

  it("whoever cancels without knowing the flow leaves it to those who do", async () => {
    const log: Array<string> = []
    const flow = charges(log).wait("go")
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow, undefined, once))
    expect(await go(heddle.cancel("r"))).toBe("compensating")
    expect(await go(heddle.get("r"))).toMatchObject({ status: "compensating", owner: "" })
    await go(Effect.scoped(Effect.andThen(heddle.worker([flow], { poll: 5 }), Effect.sleep(60))))
    expect([await status(heddle, "r"), log.length]).toEqual(["cancelled", 2])
  })

  it("a command with another flow changes nothing", async () => {
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(charges([]).wait("go"), undefined, once))
    expect(await out(heddle.cancel("r", { flow: seq("other").step("s", () => 1) }))).toMatchObject({ _tag: "RunConflict" })
    expect(await status(heddle, "r")).toBe("suspended")
  })
})

describe("waiting and being waited for", () => {
  it("a run that waits keeps its process alive, a signal from elsewhere ends it", async () => {
    const path = file()
    const code = `import { run, seq } from "heddle"; const r = await run(seq("f").wait("go"), undefined, { store: ${
      JSON.stringify(path)
    }, id: "x" }); console.log(JSON.stringify(r._unsafeUnwrap()))`
    const { spawn } = await import("node:child_process")
    const child = spawn(process.execPath, ["--conditions=source", "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "pipe"],
    })
    let [text, errors] = ["", ""]
    child.stdout.on("data", (chunk) => text += String(chunk))
    child.stderr.on("data", (chunk) => errors += String(chunk))
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve))
    await onFile(async (store) => {
      const heddle = makeHeddle(store)
      const flow = seq("f").wait("go")
      for (let i = 0; i < 200 && (await out(heddle.get("x")))?.status !== "suspended"; i++) await sleep(50)
      await go(heddle.signal(flow, "x", "go", undefined))
    }, path)
    expect([await ended, text.trim(), errors]).toEqual([0, "{}", ""])
  })

  it("a signal between looking and waiting is not missed", async () => {
    const store = memoryStore()
    const flow = seq("f").wait("go")
    let heddle: Heddle["Service"]
    let sent = false
    // the signal comes right after the wait, and whoever waits for the run, have looked
    const looking = {
      ...store,
      runs: {
        ...store.runs,
        get: (id: string) =>
          Effect.tap(
            store.runs.get(id),
            (run) => run.status === "suspended" && !sent ? Effect.suspend(() => (sent = true, heddle.signal(flow, "r", "go", undefined))) : Effect.void,
          ),
      },
    } as Store["Service"]
    heddle = makeHeddle(looking)
    expect(await go(heddle.run(flow, undefined, { id: "r" }))).toEqual({ go: undefined })
    expect(sent).toBe(true)
  })

  it("a signal for a child makes its parents due in the same write", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const child = seq("kid").wait("go")
    const parent = seq("p").step("c", nest(child, () => undefined, { as: "run" }))
    await out(heddle.run(parent, undefined, once))
    const [kid] = await go(heddle.list({ flow: "kid" }))
    // whoever sent it died before it could tell anybody
    await go(store.signals.send(kid!.id, { id: "s", name: "go", data: "{\"$\":\"undefined\"}" }, Date.now()))
    expect(await go(heddle.resume(parent, "r"))).toEqual({ c: { go: undefined } })
  })

  it("a child that exists keeps its input; another try is another child", async () => {
    let [n, tries] = [0, 0]
    const child = seq<{ at: number }>("kid").step("s", () => (++tries < 3 ? no() : Effect.succeed(tries))).wait("go")
    const parent = seq("p").step("c", nest(child, () => ({ at: ++n }), { as: "run" }), { retry: { times: 5, backoff: 1 } })
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(parent, undefined, once))
    const kids = await go(heddle.list({ flow: "kid" }))
    expect([tries, kids.map((run) => run.status)]).toEqual([3, ["suspended", "failed", "failed"]])
    await go(heddle.signal(child, kids[0]!.id, "go", undefined))
    expect(await go(heddle.resume(parent, "r"))).toEqual({ c: { s: 3, go: undefined } })
  })

  it("a time that was over begins anew when the run is tried again", async () => {
    let slow = true
    const work = () => (slow ? Effect.sleep("1 hour") : Effect.void)
    const flow = seq("f").protect("p", (b) => b.step("s", work), { timeout: 30 }).wait("w", { timeout: 30 })
    const heddle = makeHeddle(memoryStore())
    expect(await out(heddle.run(flow, undefined, { id: "r" }))).toMatchObject({ _tag: "ProtectTimedOut" })
    slow = false
    expect(await out(heddle.retry(flow, "r"))).toMatchObject({ _tag: "WaitTimedOut" })
    const retried = out(heddle.retry(flow, "r"))
    await go(heddle.signal(flow, "r", "w", undefined))
    expect(await retried).toMatchObject({ w: undefined })
  })

  it("a signal goes to the wait it fits", async () => {
    const flow = seq("f").parallel("p", {
      one: (b) => b.wait("a", { signal: "s", schema: z.number() }),
      two: (b) => b.wait("b", { signal: "s", schema: z.string() }),
    })
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow, undefined, once))
    await go(heddle.signal(flow, "r", "s", "x"))
    await go(heddle.signal(flow, "r", "s", 1))
    expect(await out(heddle.resume(flow, "r", { onSuspend: "return" }))).toEqual({ p: { one: { a: 1 }, two: { b: "x" } } })
  })

  it("a signal that was being looked at when its wait ended is there for the next", async () => {
    let asked = 0
    // it answers the sender, and never whoever receives it
    const slow: any = { "~standard": { version: 1, vendor: "t", validate: (value: unknown) => (++asked === 1 ? { value } : new Promise(() => undefined)) } }
    const flow = seq("f").parallel("p", {
      a: (b) => b.wait("x", { signal: "s", schema: slow }),
      b: (b) => b.step("n", () => Effect.as(Effect.sleep(100), 1)),
    }, { failure: "first" }).wait("y", { signal: "s", schema: z.number() })
    const heddle = makeHeddle(memoryStore())
    const running = go(heddle.run(flow, undefined, { id: "r" }))
    await sleep(20)
    await go(heddle.signal(flow, "r", "s", 5 as never))
    expect(await running).toMatchObject({ p: { fork: "b" }, y: 5 })
    expect(asked).toBe(2)
  })

  it("a signal between picking and blocking is not missed", async () => {
    const store = memoryStore()
    const flow = seq("f").parallel("p", { a: (b) => b.wait("go"), b: (b) => b.step("s", () => Effect.sleep(200)) })
    const services: Array<Heddle["Service"]> = []
    let sent = false
    const waiting: typeof store.signals.waiting = (run, name) =>
      Effect.tap(store.signals.waiting(run, name), () => {
        if (sent) return Effect.void
        sent = true
        return Effect.orDie(services[0]!.signal(flow, "r", "go", undefined))
      })
    services.push(makeHeddle({ ...store, signals: { ...store.signals, waiting } }))
    const began = performance.now()
    expect(await go(services[0]!.run(flow, undefined, { id: "r" }))).toMatchObject({ p: { a: { go: undefined } } })
    expect([sent, performance.now() - began < 5000]).toEqual([true, true])
  })

  it("whoever waits for a run that suspends waits on, whoever began it", async () => {
    const flow = seq("f").step("s", () => Effect.sleep(30)).wait("go")
    const heddle = makeHeddle(memoryStore())
    const first = out(heddle.run(flow, undefined, once))
    await sleep(5)
    const second = out(heddle.run(flow, undefined, { id: "r" }))
    expect(await first).toMatchObject({ _tag: "RunSuspended" })
    await go(heddle.signal(flow, "r", "go", undefined))
    expect(await second).toMatchObject({ go: undefined })
  })

  it("a child that somebody else has just created is driven all the same", async () => {
    const store = memoryStore()
    const child = seq("kid").step("s", () => 1)
    const parent = seq("p").step("c", nest(child, () => undefined, { as: "run" })).step("x", ({ c }) => c.s)
    const heddle = makeHeddle(store)
    await go(heddle.run(parent, undefined, { id: "r" }))
    const [kid] = await go(heddle.list({ flow: "kid" }))
    let hidden = true
    const late = {
      ...store,
      runs: { ...store.runs, get: (id: string) => id === kid!.id && hidden ? (hidden = false, store.runs.get("nobody")) : store.runs.get(id) },
    }
    await go(heddle.rewind(parent, "r", "x"))
    await go(store.events.remove(await go(store.runs.get("r")), [2]))
    expect(await go(makeHeddle(late).resume(parent, "r"))).toMatchObject({ x: 1 })
    expect(hidden).toBe(false)
  })

  it("a step that cancels or pauses its own run ends as cancelled or paused", async () => {
    const heddle: Heddle["Service"] = makeHeddle(memoryStore())
    const cancels = seq("c").step("a", (_, { run }): Effect.Effect<unknown, unknown> => heddle.cancel(run))
    expect(await out(heddle.run(cancels, undefined, { id: "c" }))).toMatchObject({ _tag: "RunCancelled" })
    const pauses = seq("p").step("a", (_, { run }): Effect.Effect<unknown, unknown> => heddle.pause(run))
    expect(await out(heddle.run(pauses, undefined, { id: "p" }))).toMatchObject({ _tag: "RunPaused" })
  })

  it("a run that is interrupted anywhere is never lost for those who come later", async () => {
    const flow = seq("f").step("a", () => Effect.sleep(0)).step("b", () => 1)
    for (let turns = 0; turns < 40; turns++) {
      const heddle = makeHeddle(memoryStore())
      const fiber = Effect.runFork(heddle.run(flow, undefined, { id: "r" }))
      for (let i = 0; i < turns; i++) await Promise.resolve()
      fiber.interruptUnsafe()
      expect(await go(Effect.timeoutOption(heddle.run(flow, undefined, { id: "r" }), 5000)), `${turns} turns`).toMatchObject({ _tag: "Some" })
    }
  })

  it("waiting takes no memory for each piece of news", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").wait("go").wait("more")
    const waiting = Effect.runFork(heddle.run(flow, undefined, { id: "r" }))
    await sleep(20)
    /** What the fiber still has to do behind what it waits for. */
    const depth = () => (waiting as unknown as { readonly _stack: ReadonlyArray<unknown> })._stack.length
    const before = depth()
    // each wakes it: it is not the one it waits for
    for (let i = 0; i < 200; i++) {
      await go(heddle.signal(flow, "r", "more", undefined))
      await sleep(0)
    }
    expect([before > 0, depth()]).toEqual([true, before])
    waiting.interruptUnsafe()
  })
})

describe("small things", () => {
  it("what was matched is what it was, after a resume too", async () => {
    const seen: Array<unknown> = []
    const store = memoryStore()
    let broken = true
    const flow = (seq("f") as any).match("m", () => null as null | "x", {
      null: (b: any) => b.step("s", ({ matched }: any) => (seen.push(matched), broken ? no() : Effect.succeed(1))),
      x: (b: any) => b.step("s", () => 1),
    })
    await out(makeHeddle(store).run(flow, undefined, once))
    broken = false
    await out(makeHeddle(store).resume(flow, "r"))
    expect(seen).toEqual([null, null])
  })

  it("a pass whose output cannot be recorded is an error that can be handled", async () => {
    const flow = seq("f").protect("p", (b) => (b as any).loop("l", { times: 2 }, (c: any) => c.step("s", () => 1).returns(() => () => 1)), {
      fallback: () => "handled",
    }) as AnyFlow
    expect(await out(makeHeddle(memoryStore()).run(flow as never, undefined as never, once))).toEqual({ p: "handled" })
  })

  it("what was compacted is not gone back to", async () => {
    const flow = seq("l").loop("l", { times: 3 }, (b) => b.step("x", () => 1).step("y", () => 2)).wait("go")
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow, undefined, once))
    await go(heddle.compact("r"))
    for (const command of [heddle.rewind(flow, "r", "l[1]/y"), heddle.fork(flow, "r", "l[1]/y")]) {
      expect((await out(command as never)).message).toContain("the run was compacted")
    }
    expect(await go(heddle.rewind(flow, "r", "go"))).toMatchObject({ again: [] })
  })

  it("a place in a loop is named with its pass, and one the run has come to", async () => {
    const flow = seq("l").each("items", () => [1, 2], (b) => b.step("one", () => 1)).step("check", () => 1)
    const heddle = makeHeddle(memoryStore())
    await go(heddle.run(flow, undefined, { id: "r" }))
    expect((await out(heddle.plan(flow, "r", "items[9]/one"))).message).toContain("has not come to 'items[9]/one'")
    expect((await out(heddle.plan(flow, "r", "items/one"))).message).toContain("has no step 'items/one'")
    expect((await go(heddle.plan(flow, "r", "items[1]/one"))).again).toEqual(["items[1]/one", "check"])
    expect(await out(heddle.fork(flow, "r", "check", { as: "a/b" }))).toMatchObject({ _tag: "InputInvalid" })
    await go(heddle.fork(flow, "r", "check", { as: "again" }))
    expect((await out(heddle.fork(flow, "r", "check", { as: "again" }))).message).toBe("run 'again' exists already. Use another id")
  })

  it("a run that has not begun can be forked; what nobody can have seen is not expected", async () => {
    const flow = seq("f").step("a", () => 1)
    const heddle = makeHeddle(memoryStore())
    await go(heddle.start(flow, undefined, { id: "r" }))
    expect((await out(heddle.fork(flow, "r", "a", { as: "x", expect: 9 }))).message).toContain("it has no event 9: the newest is 0")
    await go(heddle.fork(flow, "r", "a", { as: "x" }))
    expect(await go(heddle.resume(flow, "x"))).toEqual({ a: 1 })
  })

  it("the output of a completed run is known without its flow", async () => {
    const heddle = makeHeddle(memoryStore())
    const parsed = seq("f", { input: z.object({ n: z.number().default(7) }) }).step("a", () => [1, new Date(0)]).returns(({ a, input }) => ({ a, input }))
    await go(heddle.run(parsed, {} as never, { id: "parsed" }))
    await go(heddle.run(seq<number>("g").step("a", () => 1), 5, { id: "plain" }))
    expect(await go(heddle.output("parsed"))).toEqual({ a: [1, new Date(0)], input: { n: 7 } })
    expect(await go(heddle.output("plain"))).toEqual({ a: 1 })
    // a journal from elsewhere may lack its beginning
    const store = memoryStore()
    const same = seq<number>("same").step("a", () => 1).returns(({ input }) => input)
    await go(makeHeddle(store).run(same, 5, { id: "r" }))
    await go(store.events.remove(await go(store.runs.get("r")), [1]))
    expect(await go(makeHeddle(store).output("r"))).toBe(5)
    await go(heddle.start(parsed, { n: 1 }, { id: "waits" }))
    expect((await out(heddle.output("waits"))).message).toContain("only completed runs have one")
  })

  it("a quarantined run goes on by retry, not by resume", async () => {
    const store = memoryStore()
    const flow = seq("f").step("s", () => 1)
    const heddle = makeHeddle(store)
    await go(heddle.start(flow, undefined, { id: "r" }))
    await go(
      store.events.append(await go(store.runs.get("r")), { seq: 1, kind: "run.quarantined", parent: "", name: "", data: "{\"count\":5}" }, "sync", {
        status: "quarantined",
        due: undefined,
      }),
    )
    expect(await out(heddle.resume(flow, "r"))).toMatchObject({ _tag: "RunQuarantined" })
    expect(await go(heddle.retry(flow, "r"))).toEqual({ s: 1 })
  })
})

describe("bundles", () => {
  const bundle = async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.run(seq("f").step("a", () => 1).step("b", () => 2), undefined, { id: "r" }))
    return JSON.parse(await go(heddle.export("r"))) as any
  }
  const signed = ({ format, sha256: _old, ...content }: any) =>
    JSON.stringify({ format, sha256: createHash("sha256").update(JSON.stringify(content)).digest("hex"), ...content })
  it.each<[string, (bundle: any) => void, string]>([
    ["numbers beyond all bounds", (b) => b.events[2].seq = 2 ** 30, "events[2].seq"],
    ["an event that says nothing", (b) => b.events[1].data = "null", "events[1].data"],
    ["a part of the wrong kind", (b) => b.events[1].data = "{\"forget\":5}", "events[1].data.forget"],
    ["a part that no event has", (b) => b.events[1].data = "{\"evil\":5}", "events[1].data.evil"],
    ["a reference to itself", (b) => b.events[3].data = "{\"ref\":4}", "events[3].data.ref"],
    ["a reference that is none", (b) => b.events[3].data = "{\"ref\":\"x\"}", "events[3].data.ref"],
    ["references that are none", (b) => b.events[3].data = "{\"updates\":[1]}", "events[3].data.updates"],
    ["a deep reference forward", (b) => b.events[3].data = "{\"ref\":{\"r\":{\"a\":{\"r\":[9]}}}}", "events[3].data.ref"],
    ["a jump that is none", (b) => b.events[3].data = "{\"jump\":\"up\"}", "events[3].data.jump"],
    ["an origin that is none", (b) => b.events[3].data = "{\"from\":[]}", "events[3].data.from"],
    ["a bound of the future", (b) => b.events[3].data = "{\"bound\":[9]}", "events[3].data.bound"],
    ["another flow's structure", (b) => b.structure = b.structure.replace("\"a\"", "\"z\""), "structure"],
    ["no structure at all", (b) => b.structure = "5", "structure"],
  ])("%s", async (_what, change, at) => {
    const changed = await bundle()
    change(changed)
    expect(await out(makeHeddle(memoryStore()).import(signed(changed)))).toMatchObject({ _tag: "BundleInvalid", at })
  })
  it("what an event may say is let in", async () => {
    const spent = { "": { steps: 1 } }
    const parts = {
      output: 1,
      ref: 0,
      updates: { a: null, b: { v: 1 } },
      last: 0,
      count: 1,
      again: true,
      chosen: "x",
      jump: "break",
      attempts: 2,
      error: 1,
      tag: "t",
      reason: "r",
      until: 1,
      received: "s",
      undo: {},
      given: {},
      state: [],
      taken: [1],
      of: 1,
      forget: [{ path: "a" }],
      bound: [1],
      child: "c",
      cancelled: true,
      undone: true,
      session: {},
      trace: "00-1-2-01",
      saved: {},
      sent: { from: 0, items: [1] },
      from: 1,
      to: 2,
    }
    for (const kind of eventKinds) {
      const { says, may }: { readonly says: ReadonlyArray<keyof typeof parts>; readonly may: ReadonlyArray<keyof typeof parts> } = eventParts[kind]
      const imported = async (data: object) => {
        const changed = await bundle()
        Object.assign(changed.events[1], { kind, data: JSON.stringify(data) })
        return out(makeHeddle(memoryStore()).import(signed(changed)))
      }
      const whole = Object.fromEntries([...says, ...may].map((part) => [part, parts[part]]))
      expect(await imported({ ...whole, spent }), kind).toMatchObject({ status: "completed" })
      const other = { ...("jump" in whole ? { jump: "continue" } : {}), ...("from" in whole ? { from: "run-1" } : {}) }
      expect(await imported({ ...whole, ...other }), kind).toMatchObject({ status: "completed" })
      for (const wrong of [5, [], null, { "": 1 }]) {
        expect((await imported({ ...whole, spent: wrong })).message).toContain("data.spent: not what an event says there")
      }
      const foreign = Object.keys(parts).find((part) => !(part in whole))!
      expect((await imported({ ...whole, [foreign]: 1 })).message, kind).toContain(`data.${foreign}: not what ${kind} says`)
      if (says.length > 0) expect((await imported({})).message, kind).toContain(`not what ${kind} says`)
    }
  })
  it("what a run belongs to comes with it, if it is an id; older bundles have none", async () => {
    for (const [correlation, wanted] of [["c", { correlation: "c" }], [undefined, { correlation: "r" }], ["not one", { at: "run.correlation" }]] as const) {
      const changed = await bundle()
      Object.assign(changed.run, { correlation })
      const imported = await out(makeHeddle(memoryStore()).import(signed(changed), "x"))
      expect(imported).toMatchObject(wanted)
    }
  })
  it("an import is whole or nothing, keeps received signals, and never replaces a structure of ours", async () => {
    const flow = seq("f").wait("go").wait("more")
    const [from, store] = [makeHeddle(memoryStore()), memoryStore()]
    await out(from.run(flow, undefined, once))
    await go(from.signal(flow, "r", "go", undefined, { id: "s1" }))
    await out(from.resume(flow, "r", { onSuspend: "return" }))
    const to = makeHeddle(store)
    const text = await go(from.export("r"))
    await go(to.import(text))
    expect(await out(to.import(text))).toMatchObject({ _tag: "RunConflict", differs: "exists" })
    expect(await go(to.signal(flow, "r", "go", undefined, { id: "s1" }))).toBe("duplicate")
    await go(to.signal(flow, "r", "more", undefined))
    expect(await go(to.resume(flow, "r"))).toEqual({ go: undefined, more: undefined })
  })
})
