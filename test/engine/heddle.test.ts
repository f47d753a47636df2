import { spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { Context, Effect, Fiber, Layer } from "effect"
import { err } from "neverthrow"
import { Heddle, nest, type Notice, resume, run, seq, step } from "heddle"
import { expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { isAlive, owner } from "../../src/engine/owner.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { file, newRun } from "../support.ts"

const flip = <A, E>(effect: Effect.Effect<A, E>): Promise<any> => Effect.runPromise(Effect.flip(effect))
const add = seq("add", { input: z.object({ n: z.number() }) }).step("m", ({ input }) => input.n + 1).returns(({ m }) => m)

it("the same id and input give the same run, other input or another flow a typed conflict", async () => {
  const store = file()
  const options = { store, id: "once" }
  expect((await run(add, { n: 1 }, options))._unsafeUnwrap()).toBe(2)
  expect((await run(add, { n: 1 }, options))._unsafeUnwrap()).toBe(2)
  expect((await run(add, { n: 2 }, options))._unsafeUnwrapErr()).toMatchObject({
    _tag: "RunConflict",
    differs: "input",
    message: "run 'once' is one with another input. Use another id, or the input it was started with",
  })
  expect((await run(seq("other"), undefined, options))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunConflict", differs: "flow" })
  expect((await resume(seq("other"), "once", { store }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunConflict", differs: "flow" })
  expect((await resume(add, "nobody", { store }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunNotFound" })
})

it("starting one id many times at once runs it once", async () => {
  const heddle = makeHeddle(memoryStore())
  let worked = 0
  const flow = seq("one").step("s", async () => sleep(5).then(() => ++worked))
  const outputs = await Effect.runPromise(Effect.all(Array.from({ length: 50 }, () => heddle.run(flow, undefined, { id: "x" })), { concurrency: "unbounded" }))
  expect(outputs).toEqual(Array.from({ length: 50 }, () => ({ s: 1 })))
})

it("an id that is none is refused", async () => {
  for (const id of ["", "a b", "../x", "x".repeat(257)]) {
    expect((await run(add, { n: 1 }, { id }))._unsafeUnwrapErr()).toMatchObject({ _tag: "InputInvalid", issues: [{ path: "id" }] })
  }
})

it("an input that cannot be recorded is refused", async () => {
  const any = seq<{ f: () => void }>("any").returns(() => 1)
  expect((await run(any, { f: () => undefined }))._unsafeUnwrapErr()).toMatchObject({ _tag: "NotStorable", at: "f" })
})

it("a failed run is remembered, and resumes at the step that failed", async () => {
  const store = file()
  let [calls, broken] = [0, true]
  const flow = seq("fails").step("a", () => ++calls).step("b", () => (broken ? err({ _tag: "Down", at: new Date(5) } as const) : Effect.succeed(calls)))
  const options = { store, id: "f" }
  expect((await run(flow, undefined, options))._unsafeUnwrapErr()).toEqual({ _tag: "Down", at: new Date(5) })
  expect((await run(flow, undefined, options))._unsafeUnwrapErr()).toEqual({ _tag: "Down", at: new Date(5) })
  broken = false
  expect((await resume(flow, "f", { store }))._unsafeUnwrap()).toEqual({ a: 1, b: 1 })
  expect((await resume(flow, "f", { store }))._unsafeUnwrap()).toEqual({ a: 1, b: 1 })
})

it("a flow that cannot work does not start", async () => {
  const bad = (seq("bad").step("a", () => 1) as any).step("a", () => 2)
  const error = (await run(bad))._unsafeUnwrapErr() as Error
  expect(error).toMatchObject({ _tag: "FlowInvalid" })
  expect(error.message).toContain("flow 'bad' cannot run:\n  a: 'a' is already bound")
  expect(((await run(seq("a/b")))._unsafeUnwrapErr() as Error).message).toContain("\n  (flow): the flow's name")
})

it("a run of another structure is refused, and says what it was started with", async () => {
  const store = memoryStore()
  const first = seq("v").step("a", () => err("stop"))
  await flip(makeHeddle(store).run(first, undefined, { id: "r" }))
  for (const changed of [seq("v").step("b", () => 1), seq("v", { version: 2 }).step("a", () => err("stop"))]) {
    const error = await flip(makeHeddle(store).resume(changed as never, "r") as Effect.Effect<never, any>)
    expect(error).toMatchObject({ _tag: "FlowChanged", run: "r" })
    expect(error.message).toContain("Resume it with the code it was started with")
  }
})

it("cancelling interrupts the step, runs its finalizers and is recorded with its reason", async () => {
  const heddle = makeHeddle(memoryStore())
  let finalized = false
  const flow = seq("c").step("s", () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => (finalized = true))))
  const exit = await Effect.runPromise(Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(heddle.run(flow, undefined, { id: "r" }), { startImmediately: true })
    yield* heddle.cancel("r", { reason: "not needed" })
    return yield* Effect.flip(Fiber.join(fiber))
  }))
  expect(exit).toMatchObject({ _tag: "RunCancelled", reason: "not needed" })
  expect((exit as Error).message).toBe("run 'r' was cancelled: not needed")
  expect(finalized).toBe(true)
  expect(await Effect.runPromise(heddle.get("r"))).toMatchObject({ status: "cancelled" })
  await Effect.runPromise(heddle.cancel("r"))
  expect(await flip(heddle.resume(flow, "r"))).toMatchObject({ _tag: "RunCancelled", reason: "not needed" })
  expect((await Effect.runPromise(heddle.events("r", 1))).map(({ kind }) => kind)).toEqual(["run.cancelled"])
})

it("cancelling without a reason, and a run that nobody drives", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  await Effect.runPromise(store.runs.create(newRun({ id: "r", flow: "add", input: "1", due: Date.now() + 60_000, owner })))
  await Effect.runPromise(heddle.cancel("r"))
  const error = await flip(heddle.resume(add, "r"))
  expect((error as Error).message).toBe("run 'r' was cancelled")
  await Effect.runPromise(store.runs.create(newRun({ id: "odd", flow: "add", input: "1", due: Date.now() + 60_000, owner })))
  const run = await Effect.runPromise(store.runs.get("odd"))
  await Effect.runPromise(store.events.append(run, { seq: 1, kind: "run.started", parent: "", name: "", data: "{}" }, "sync", { status: "cancelled" }))
  expect(await flip(heddle.resume(add, "odd"))).toMatchObject({ _tag: "StoreFailed", operation: "read" })
})

it("a step that interrupts itself fails the run", async () => {
  const heddle = makeHeddle(memoryStore())
  const error = await flip(heddle.run(seq("self").step("s", () => Effect.interrupt), undefined, { id: "r" }))
  expect(error).toMatchObject({ _tag: "StepThrew", message: "step '' threw: a step interrupted its own run" })
  expect(await Effect.runPromise(heddle.get("r"))).toMatchObject({ status: "failed" })
})

it("what a schema made of the input is recorded: a resumed run sees the same", async () => {
  const store = memoryStore()
  let token = 0
  const schema = z.object({ n: z.number(), token: z.number().default(() => ++token) })
  let down = true
  const flow = seq("token", { input: schema }).step("a", ({ input }) => input.token).step(
    "b",
    ({ input }) => (down ? err("stop") : Effect.succeed(input.token)),
  )
  await flip(makeHeddle(store).run(flow, { n: 1 }, { id: "r" }))
  down = false
  expect(await Effect.runPromise(makeHeddle(store).resume(flow, "r") as Effect.Effect<unknown>)).toEqual({ a: 1, b: 1 })
})

it("an input that cannot be recorded as parsed is parsed again, and may no longer fit", async () => {
  const store = memoryStore()
  const flow = (least: number) =>
    seq("strict", { input: z.object({ n: z.number().min(least) }).transform(({ n }) => ({ n, url: new URL("https://a.example") })) }).step(
      "a",
      ({ input }) => (input.n > 3 ? Effect.succeed(input.url.host) : err("stop")),
    )
  await flip(makeHeddle(store).run(flow(0), { n: 1 }, { id: "r" }))
  expect(await flip(makeHeddle(store).resume(flow(5), "r"))).toMatchObject({ _tag: "InputInvalid", issues: [{ path: "n" }] })
})

it("opening a file twice in one process does not run a run twice", async () => {
  const store = file()
  let calls = 0
  const flow = seq("twice").step("a", async () => {
    calls++
    await sleep(150)
    return 1
  })
  const first = run(flow, undefined, { id: "x", store })
  await sleep(40)
  const second = run(flow, undefined, { id: "x", store })
  expect([(await first)._unsafeUnwrap(), (await second)._unsafeUnwrap(), calls]).toEqual([{ a: 1 }, { a: 1 }, 1])
})

it("who waits for a run goes on with it when the one who began is interrupted", async () => {
  const heddle = makeHeddle(memoryStore())
  let calls = 0
  const flow = seq("wait").step("a", () => (++calls === 1 ? Effect.never : Effect.succeed(calls)))
  expect(
    await Effect.runPromise(Effect.gen(function*() {
      const first = yield* Effect.forkChild(heddle.run(flow, undefined, { id: "x" }), { startImmediately: true })
      const second = yield* Effect.forkChild(heddle.run(flow, undefined, { id: "x" }), { startImmediately: true })
      yield* Fiber.interrupt(first)
      return yield* Fiber.join(second)
    })),
  ).toEqual({ a: 2 })
})

it.each(["sync", "async", "exit"] as const)("interrupted with %s durability, resumed in the same process: nobody is taken over", async (durability) => {
  const layer = Heddle.layerSqlite(file())
  let hang = true
  const flow = seq("again").step("a", () => 1).step("b", () => (hang ? Effect.never : Effect.succeed(2)))
  expect(
    await Effect.runPromise(Effect.provide(
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Heddle.run(flow, undefined, { id: "x", durability }), { startImmediately: true })
        yield* Effect.sleep(20)
        yield* Fiber.interrupt(fiber)
        hang = false
        return yield* Heddle.resume(flow, "x", { durability })
      }),
      layer,
    )),
  ).toEqual({ a: 1, b: 2 })
})

it("resuming with changed code leaves the run as it was", async () => {
  const store = memoryStore()
  await flip(makeHeddle(store).run(seq("v").step("a", () => err("stop")), undefined, { id: "r" }))
  await flip(makeHeddle(store).resume(seq("v").step("b", () => 1), "r"))
  expect(await Effect.runPromise(store.runs.get("r"))).toMatchObject({ status: "failed", fence: 1 })
})

it("a join that failed tries its failed forks again when the run is resumed", async () => {
  const store = memoryStore()
  let down = true
  const flow = seq("join").each(
    "e",
    () => [1, 2, 3],
    (b) => b.step("x", ({ item }) => (down && item === 2 ? err("down") : Effect.succeed(item))).returns(({ x }) => x),
    { failure: "waitAll" },
  )
  expect(await flip(makeHeddle(store).run(flow, undefined, { id: "r" }))).toMatchObject({ _tag: "JoinFailed" })
  down = false
  expect(await Effect.runPromise(makeHeddle(store).resume(flow, "r"))).toEqual({ e: [1, 2, 3] })
})

it("a retried nested flow does not mix the records of its attempts when it is resumed", async () => {
  const store = memoryStore()
  let [attempt, hang] = [0, true]
  const inner = seq("inner").step("mark", () => ++attempt).loop("l", { times: 3, collect: "all" }, (b) =>
    b.step("x", ({ index }) => {
      if (attempt === 1 && index === 2) return err("flaky")
      return attempt === 2 && index === 1 && hang ? Effect.never : Effect.succeed(`t${attempt}i${index}`)
    }).returns(({ x }) => x))
  const flow = seq("outer").parallel("p", {
    a: (b) => b.step("s", nest(inner, () => undefined), { retry: { times: 3, backoff: 1 } }).returns(({ s }) => s),
    b: (b) => b.step("first", () => 1).step("second", () => (hang ? Effect.never : Effect.succeed(2))),
  })
  await Effect.runPromise(Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(makeHeddle(store).run(flow, undefined, { id: "r" }) as Effect.Effect<unknown>, { startImmediately: true })
    yield* Effect.sleep(60)
    yield* Fiber.interrupt(fiber)
  }))
  hang = false
  expect(await Effect.runPromise(makeHeddle(store).resume(flow, "r") as Effect.Effect<unknown>)).toEqual({
    p: { a: { mark: 2, l: ["t2i0", "t2i1", "t2i2"] }, b: { first: 1, second: 2 } },
  })
})

it("a journal with a hole is said to be damaged", async () => {
  const store = memoryStore()
  const flow = seq("hole").loop("l", { times: 2 }, (b) => b.step("x", () => 1)).step("stop", () => err("stop"))
  await flip(makeHeddle(store).run(flow, undefined, { id: "r" }))
  const holed = { ...store, events: { ...store.events, at: () => Effect.succeed(undefined) } }
  const error = await flip(makeHeddle(holed).resume(flow, "r"))
  expect(error.message).toMatch(/^memory: read failed: event \d+ of run 'r' is missing: the journal is damaged$/)
})

it("an interrupted run stays to be resumed", async () => {
  const store = memoryStore()
  let worked = 0
  const flow = seq("i").step("a", () => ++worked).step("b", ({ a }) => (a === 1 && worked === 1 ? Effect.never : Effect.succeed(a)))
  await Effect.runPromise(Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(makeHeddle(store).run(flow, undefined, { id: "r" }), { startImmediately: true })
    yield* Fiber.interrupt(fiber)
  }))
  expect(await Effect.runPromise(store.runs.get("r"))).toMatchObject({ status: "pending", owner: "" })
  worked = 5
  expect(await Effect.runPromise(makeHeddle(store).resume(flow, "r"))).toEqual({ a: 1, b: 1 })
})

it("a run of a live process is not taken, one of a dead process is", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"])
  const host = owner.split(":")[0]!
  const create = (id: string, by: string) =>
    Effect.runPromise(store.runs.create(newRun({ id, flow: "add", input: "{\"n\":1}", due: Date.now() + 60_000, owner: by })))
  await create("mine", `${host}:${other.pid}`)
  await create("far", "elsewhere:1")
  const error = await flip(heddle.resume(add, "mine"))
  expect(error).toMatchObject({ _tag: "RunOwned" })
  expect(error.message).toContain(`is being driven by ${host}:${other.pid}`)
  expect(await flip(heddle.resume(add, "far"))).toMatchObject({ _tag: "RunOwned" })
  other.kill("SIGKILL")
  await new Promise((resolve) => other.on("exit", resolve))
  expect(await flip(heddle.resume(add, "mine"))).toMatchObject({ _tag: "FlowChanged" })
  expect(isAlive(`${host}:1`)).toBe(true)
})

it("a process that lost its run to another stops at its next record", async () => {
  const store = memoryStore()
  const flow = seq("t").step(
    "a",
    () => Effect.flatMap(store.runs.get("r"), (run) => store.runs.claim(run, { owner: "thief:1", lease: Date.now() + 60_000, status: "running" })),
  ).step("b", () => 1)
  const error = await flip(
    makeHeddle(store).run(
      seq("t").step(
        "a",
        () =>
          Effect.asVoid(
            Effect.orDie(
              Effect.flatMap(store.runs.get("r"), (run) => store.runs.claim(run, { owner: "thief:1", lease: Date.now() + 60_000, status: "running" })),
            ),
          ),
      ).step(
        "b",
        () => 1,
      ),
      undefined,
      { id: "r" },
    ),
  )
  void flow
  expect(error).toMatchObject({ _tag: "RunTakenOver" })
  expect(error.message).toContain("stopped without writing")
})

it("a run cancelled by another process is interrupted within a moment", async () => {
  const store = file()
  const flow = seq("far").step("s", () => Effect.never)
  const running = run(flow, undefined, { store, id: "r" })
  const other = Effect.provide(Heddle.use((heddle) => heddle.cancel("r", { reason: "from outside" })), Heddle.layerSqlite(store))
  await sleep(100)
  await Effect.runPromise(other)
  expect((await running)._unsafeUnwrapErr()).toMatchObject({ _tag: "RunCancelled" })
})

it("a run that another process has cancelled ends with that", async () => {
  const store = file()
  const running = run(seq("far").step("s", () => Effect.never), undefined, { store, id: "r" })
  await sleep(100)
  const { openDatabase } = await import("../../src/store/sqlite/database.ts")
  const db = openDatabase(store)
  db.exec("UPDATE runs SET fence = fence + 1, status = 'cancelled'")
  db.close()
  expect((await running)._unsafeUnwrapErr()).toMatchObject({ _tag: "RunCancelled", reason: "by another process" })
})

it("a run taken over by another process ends here with that, and is left alone", async () => {
  const store = file()
  const layer = Heddle.layerSqlite(store)
  const exit = Effect.runPromiseExit(Effect.provide(Heddle.run(seq("far").step("s", () => Effect.never), undefined, { id: "r" }), layer))
  await sleep(100)
  const { openDatabase } = await import("../../src/store/sqlite/database.ts")
  const db = openDatabase(store)
  db.exec("UPDATE runs SET fence = fence + 1, owner = 'thief:1'")
  expect(JSON.stringify(await exit)).toContain("RunTakenOver")
  expect(db.prepare("SELECT status FROM runs").get()).toEqual({ status: "running" })
  db.close()
})

it("listeners are told what happens, in order; one that throws stops nothing", async () => {
  const heddle = makeHeddle(memoryStore())
  const told: Array<string> = []
  const complaints: Array<unknown> = []
  const before = console.error
  console.error = (...args) => void complaints.push(args)
  const stop = heddle.listen(({ kind, path, seq }: Notice) => void told.push(`${kind} ${path} ${seq}`))
  heddle.listen(() => {
    throw new Error("listener")
  })
  const flow = seq("l").step("a", () => 1).loop("b", { times: 1 }, (b) => b.step("c", () => err("no"), { retry: { times: 1, backoff: 1 } }))
  await flip(heddle.run(flow, undefined, { id: "r" }))
  stop()
  await flip(heddle.run(flow, undefined, { id: "r2" }))
  await sleep(1)
  console.error = before
  expect(told).toEqual([
    "run.started  1",
    "step.started a undefined",
    "step.completed a 2",
    "step.started b[0]/c undefined",
    "step.retried b[0]/c undefined",
    "step.failed b[0]/c 3",
    "run.failed  4",
  ])
  expect(complaints.length).toBeGreaterThan(6)
})

it.each(["sync", "async", "exit"] as const)("durability %s: the result is given out once it is durable", async (durability) => {
  const store = file()
  expect((await run(add, { n: 1 }, { store, id: "d", durability }))._unsafeUnwrap()).toBe(2)
  const kinds = await Effect.runPromise(Effect.provide(Heddle.use((heddle) => heddle.events("d")), Heddle.layerSqlite(store)))
  expect(kinds.map(({ kind }) => kind)).toEqual(["run.started", "step.completed", "run.completed"])
})

it("services come from a layer, through either door", async () => {
  class Greeter extends Context.Service<Greeter, { readonly greet: string }>()("test/Greeter") {}
  const flow = seq("s").step("s", () => Greeter.use(({ greet }) => Effect.succeed(greet))).returns(({ s }) => s)
  const layer = Layer.succeed(Greeter, { greet: "hello" })
  expect((await run(flow, undefined, { layer }))._unsafeUnwrap()).toBe("hello")
  const both = Layer.mergeAll(Heddle.layerMemory, layer)
  expect(await Effect.runPromise(Effect.provide(Heddle.run(flow, undefined), both))).toBe("hello")
  expect(await Effect.runPromise(Effect.provide(Effect.flatMap(Effect.exit(Heddle.resume(flow, "none")), (exit) => Effect.succeed(exit._tag)), both))).toBe(
    "Failure",
  )
  expect(await Effect.runPromise(Effect.provide(Heddle.use((heddle) => heddle.list()), both))).toEqual([])
})

it("a store that fails while a run goes on is the run's error", async () => {
  const kept = memoryStore()
  const { StoreFailed } = await import("heddle")
  const failing = {
    ...kept,
    events: {
      ...kept.events,
      append: (...args: Parameters<typeof kept.events.append>) => (args[1].seq === 3 ?
        Effect.fail(new StoreFailed({ store: "s", operation: "append", reason: "full", cause: undefined })) :
        kept.events.append(...args)),
    },
  }
  const error = await flip(makeHeddle(failing).run(seq("f").step("a", () => 1).step("b", () => 2), undefined, { id: "r" }))
  expect(error.message).toBe("s: append failed: full")
  // nothing is lost, and it is free for whoever comes when the store works again
  expect(await Effect.runPromise(kept.runs.get("r"))).toMatchObject({ status: "pending" })
})

it("what is no flow is refused with a sentence", async () => {
  const error = (await run(step("s", () => 1) as never))._unsafeUnwrapErr() as { readonly _tag: string; readonly message: string }
  expect(error).toMatchObject({ _tag: "FlowInvalid", message: expect.stringContaining("put a step or a tool into one") })
})
