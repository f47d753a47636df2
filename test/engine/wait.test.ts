import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { atLeast, Heddle, run, seq } from "heddle"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { encode } from "../../dsl/ir/encode.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import type { Store } from "../../src/store/store.ts"
import { failure } from "../support.ts"

const approval = seq("order").step("draft", () => "text")
  .wait("approval", { schema: z.object({ by: z.string() }), timeout: "2 days" })
  .returns(({ draft, approval }) => `${draft} by ${approval.by}`)
const openStore = () => Effect.runPromise(Scope.provide(openSqlite(join(mkdtempSync(join(tmpdir(), "heddle-wait-")), "h.db")), Scope.makeUnsafe()))
const kinds = (heddle: Heddle["Service"], id: string) => Effect.map(heddle.events(id), (events) => events.map(({ kind }) => kind))
/** Runs on a clock that stands still until it is told to go on. */
const virtually = <A>(effect: Effect.Effect<A, unknown>): Promise<A> => Effect.runPromise(Effect.provide(effect, TestClock.layer()))

it("a run that waits leaves memory, says what it waits for, and goes on by the signal", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const suspended = await failure(heddle.run(approval, undefined, { id: "a", onSuspend: "return" }))
  expect(suspended).toMatchObject({ _tag: "RunSuspended", waits: ["approval"] })
  expect(suspended.message).toMatch(/^run 'a' is suspended: it waits for signal 'approval' or the time 20/)
  expect(await Effect.runPromise(heddle.get("a"))).toMatchObject({ status: "suspended", waits: ["approval"] })
  expect(await Effect.runPromise(heddle.signal(approval, "a", "approval", { by: "Ada" }))).toBe("accepted")
  // another process
  const other = makeHeddle(store)
  expect(await Effect.runPromise(other.resume(approval, "a"))).toBe("text by Ada")
  expect(await Effect.runPromise(kinds(other, "a"))).toEqual([
    "run.started",
    "step.completed",
    "wait.started",
    "run.suspended",
    "run.resumed",
    "wait.completed",
    "run.completed",
  ])
})

it("whoever waits for the run is woken by the signal", async () => {
  const heddle = makeHeddle(memoryStore())
  const output = await Effect.runPromise(Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(heddle.run(approval, undefined, { id: "a" }), { startImmediately: true })
    yield* Effect.sleep(20)
    expect((yield* heddle.get("a")).status).toBe("suspended")
    yield* heddle.signal(approval, "a", "approval", { by: "Bob" })
    return yield* Fiber.join(fiber)
  }))
  expect(output).toBe("text by Bob")
})

it("signals: early ones wait, duplicates are dropped, wrong and unknown ones refused, late ones refused and recorded", async () => {
  const heddle = makeHeddle(memoryStore())
  const two = seq("two").wait("first", { schema: z.number() }).wait("second", { signal: "first", schema: z.number() }).wait("plain").returns((s) => [
    s.first,
    s.second,
    s.plain,
  ])
  await Effect.runPromise(heddle.start(two, undefined, { id: "s", at: new Date(Date.now() + 3_600_000) }))
  await Effect.runPromise(heddle.signal(two, "s", "first", 1, { id: "one" }))
  expect(await Effect.runPromise(heddle.signal(two, "s", "first", 7, { id: "one" }))).toBe("duplicate")
  await Effect.runPromise(heddle.signal(two, "s", "first", 2, { id: "two" }))
  await Effect.runPromise(heddle.signal(two, "s", "plain", undefined, { id: "three" }))
  expect(await failure(heddle.signal(two, "s", "first", "x" as never))).toMatchObject({ _tag: "SignalRefused", signal: "first" })
  expect((await failure(heddle.signal(two, "s", "other" as never, undefined as never))).message).toBe(
    "signal 'other' to run 's' was refused: flow 'two' waits for 'first', 'plain'",
  )
  expect((await failure(heddle.signal(seq("none") as never, "s", "x" as never, undefined as never))).reason).toBe("flow 'none' waits for no signal")
  expect(await failure(heddle.signal(two, "s", "first", 1, { id: "" }))).toMatchObject({ reason: "its id must have 1 to 256 characters" })
  const nested = seq("any").wait("any", { schema: z.any() })
  await Effect.runPromise(heddle.start(nested, undefined, { id: "any", at: new Date(Date.now() + 3_600_000) }))
  expect((await failure(heddle.signal(nested, "any", "any", { f: () => 1 }))).reason).toContain("cannot be recorded")
  expect(await failure(heddle.signal(two, "nobody", "first", 1))).toMatchObject({ _tag: "RunNotFound" })
  const output = await virtually(Effect.gen(function*() {
    yield* TestClock.setTime(Date.now() + 7_200_000)
    return yield* heddle.resume(two, "s")
  }))
  expect(output).toEqual([1, 2, undefined])
  expect((await failure(heddle.signal(two, "s", "first", 3, { id: "late" }))).reason).toBe("the run has ended; it was recorded as late")
  const signals = await Effect.runPromise(heddle.signals("s"))
  expect(signals.map(({ id, late, taken }) => [id, late, taken !== undefined])).toEqual([
    ["one", false, true],
    ["two", false, true],
    ["three", false, true],
    ["late", true, false],
  ])
})

describe("where", () => {
  const schema = z.object({ nr: z.number(), by: z.string() })
  const orders = seq("orders").each(
    "all",
    () => [1, 2, 3],
    (b) => b.wait("ok", { signal: "ok", schema, where: ({ nr }, { item }) => nr === item }).returns(({ ok, item }) => `${item} by ${ok.by}`),
  )

  it("each signal is received by the wait that it is meant for, in whatever order they come", async () => {
    for (const store of [memoryStore(), await openStore()]) {
      const heddle = makeHeddle(store)
      await failure(heddle.run(orders, undefined, { id: "o", onSuspend: "return" }))
      for (const [nr, by] of [[3, "Cy"], [7, "Ed"], [1, "Ada"], [2, "Bo"]] as const) await Effect.runPromise(heddle.signal(orders, "o", "ok", { nr, by }))
      expect((await Effect.runPromise(heddle.resume(orders, "o"))).all).toEqual(["1 by Ada", "2 by Bo", "3 by Cy"])
    }
  })

  it("one that nobody means stays, and does not keep the run from resting", async () => {
    for (const store of [memoryStore(), await openStore()]) {
      const heddle = makeHeddle(store)
      await failure(heddle.run(orders, undefined, { id: "o", onSuspend: "return" }))
      await Effect.runPromise(heddle.signal(orders, "o", "ok", { nr: 9, by: "Mallory" }))
      expect((await Effect.runPromise(heddle.get("o"))).due).toBeDefined()
      await failure(heddle.resume(orders, "o", { onSuspend: "return" }))
      expect(await Effect.runPromise(heddle.get("o"))).toMatchObject({ status: "suspended", due: undefined, waits: ["ok"] })
      await Effect.runPromise(heddle.signal(orders, "o", "ok", { nr: 1, by: "Ada" }))
      expect((await Effect.runPromise(heddle.get("o"))).due).toBeDefined()
    }
  })

  it("it is a part of the flow that people see, and no part of its structure", () => {
    const all = encode(orders.ir).body[0]!
    expect(all.blocks[0]!.block[0]!.text).toEqual({ where: "({ nr }, { item }) => nr === item" })
  })

  it("what is thrown while it is asked fails the wait, and takes no signal", async () => {
    const picky = seq("picky").wait("ok", {
      schema,
      where: () => {
        throw new Error("not today")
      },
    })
    const heddle = makeHeddle(memoryStore())
    await failure(heddle.run(picky, undefined, { id: "p", onSuspend: "return" }))
    await Effect.runPromise(heddle.signal(picky, "p", "ok", { nr: 1, by: "Ada" }))
    expect(await failure(heddle.resume(picky, "p"))).toMatchObject({ _tag: "ConditionThrew", path: "ok" })
  })
})

it("a payload that no longer fits when it is received is recorded as refused, and the wait goes on", async () => {
  const heddle = makeHeddle(memoryStore())
  let strict = false
  const moody = z.object({ by: z.string().refine(() => !strict, "not today") })
  const flow = seq("moody").wait("go", { schema: moody }).returns(({ go }) => go.by)
  await failure(heddle.run(flow, undefined, { id: "m", onSuspend: "return" }))
  await Effect.runPromise(heddle.signal(flow, "m", "go", { by: "Ada" }))
  strict = true
  expect(await failure(heddle.resume(flow, "m", { onSuspend: "return" }))).toMatchObject({ _tag: "RunSuspended" })
  strict = false
  await Effect.runPromise(heddle.signal(flow, "m", "go", { by: "Bob" }))
  expect(await Effect.runPromise(heddle.resume(flow, "m"))).toBe("Bob")
  const refused = (await Effect.runPromise(heddle.events("m"))).find(({ kind }) => kind === "wait.refused")
  expect(refused?.data).toContain("not today")
})

it("durations and dates are absolute: they pass while nothing runs, and are waited for without a process", async () => {
  const flow = seq("times").wait({ for: "2 days" }).step("a", () => 1).wait("until", { until: new Date("2030-01-01T00:00:00Z") })
    .wait("short", { for: ({ a }) => a }).returns(({ a }) => a)
  const store = memoryStore()
  await virtually(Effect.gen(function*() {
    const heddle = makeHeddle(store)
    yield* TestClock.setTime(Date.parse("2029-12-01T00:00:00Z"))
    const error = yield* Effect.flip(heddle.run(flow, undefined, { id: "t", onSuspend: "return" }))
    expect(error).toMatchObject({ _tag: "RunSuspended", until: Date.parse("2029-12-03T00:00:00Z") })
  }))
  await virtually(Effect.gen(function*() {
    const heddle = makeHeddle(store)
    yield* TestClock.setTime(Date.parse("2029-12-02T23:59:00Z"))
    const fiber = yield* Effect.forkChild(heddle.resume(flow, "t"))
    yield* TestClock.adjust("1 minute")
    expect(yield* heddle.get("t")).toMatchObject({ status: "suspended", due: Date.parse("2030-01-01T00:00:00Z") })
    yield* TestClock.adjust("30 days")
    yield* TestClock.adjust(10)
    expect(yield* Fiber.join(fiber)).toBe(1)
  }))
})

it("a clock that jumps back fires nothing early", async () => {
  const flow = seq("back").wait({ for: "1 hour" }).returns(() => "late enough")
  const store = memoryStore()
  await virtually(Effect.gen(function*() {
    const heddle = makeHeddle(store)
    yield* TestClock.setTime(Date.parse("2030-06-01T12:00:00Z"))
    yield* Effect.flip(heddle.run(flow, undefined, { id: "b", onSuspend: "return" }))
    yield* TestClock.setTime(Date.parse("2030-05-01T12:00:00Z"))
    expect(yield* Effect.flip(heddle.resume(flow, "b", { onSuspend: "return" }))).toMatchObject({ _tag: "RunSuspended" })
    yield* TestClock.setTime(Date.parse("2030-07-01T12:00:00Z"))
    expect(yield* heddle.resume(flow, "b", { onSuspend: "return" })).toBe("late enough")
  }))
})

it("a wait that times out fails, or goes on with undefined", async () => {
  const fails = seq("fails").wait("go", { schema: z.string(), timeout: "1 minute" })
  const goesOn = seq("goes-on").wait("go", { schema: z.string(), timeout: "1 minute", atTimeout: "continue" }).returns(({ go }) => go ?? "nobody")
  const caught = seq("caught").protect("p", (b) => b.wait("go", { timeout: "1 minute" }), { catch: { WaitTimedOut: (error) => error.milliseconds } })
  await virtually(Effect.gen(function*() {
    const heddle = makeHeddle(memoryStore())
    const fibers = [
      yield* Effect.forkChild(Effect.flip(heddle.run(fails, undefined))),
      yield* Effect.forkChild(heddle.run(goesOn, undefined)),
      yield* Effect.forkChild(heddle.run(caught, undefined)),
    ] as const
    yield* TestClock.adjust("2 minutes")
    expect(yield* Fiber.join(fibers[0])).toMatchObject({ _tag: "WaitTimedOut", path: "go", milliseconds: 60_000 })
    expect(yield* Fiber.join(fibers[1])).toBe("nobody")
    expect(yield* Fiber.join(fibers[2])).toEqual({ p: 60_000 })
  }))
})

it("an end that is no time is an error with its place", async () => {
  const heddle = makeHeddle(memoryStore())
  expect(await failure(heddle.run(seq("d").wait("w", { until: () => new Date("nonsense") }), undefined))).toMatchObject({ _tag: "ConditionThrew", path: "w" })
  expect(await failure(heddle.run(seq("d").wait("w", { for: "soon" as never }), undefined))).toMatchObject({ _tag: "FlowInvalid" })
})

it("a run is suspended only when all of its forks wait; forks that wait for one signal get one each", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  let done = false
  const flow = seq("forks").parallel("both", {
    a: (b) => b.wait("go", { schema: z.number() }),
    b: (b) => b.wait("go", { schema: z.number() }),
    c: (b) => b.step("slow", () => Effect.as(Effect.sleep(40), done = true)),
  })
  const output = await Effect.runPromise(Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(heddle.run(flow, undefined, { id: "f" }), { startImmediately: true })
    yield* Effect.sleep(10)
    expect((yield* heddle.get("f")).status).toBe("running")
    yield* heddle.signal(flow, "f", "go", 1)
    yield* Effect.sleep(60)
    expect(done).toBe(true)
    expect((yield* heddle.get("f")).status).toBe("suspended")
    yield* heddle.signal(flow, "f", "go", 2)
    return yield* Fiber.join(fiber)
  }))
  expect([output.both.a.go, output.both.b.go].sort()).toEqual([1, 2])
})

it("queued forks do not keep a run in memory, and waits inside loops and each go on where they were", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("queue").each("all", () => [1, 2, 3], (b) => b.wait("go", { schema: z.string() }), { concurrency: 1, failure: atLeast(1) })
    .step("n", () => 0).loop("again", { times: 2 }, (b) => b.wait("go", { schema: z.string() }).update("n", ({ n }) => n + 1)).returns(({ all, n }) => [all, n])
  const output = await Effect.runPromise(Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(heddle.run(flow, undefined, { id: "q" }), { startImmediately: true })
    for (const text of ["a", "b", "c", "d", "e"]) {
      yield* Effect.sleep(10)
      expect((yield* heddle.get("q")).status).toBe("suspended")
      yield* heddle.signal(flow, "q", "go", text)
    }
    return yield* Fiber.join(fiber)
  }))
  expect(output).toEqual([[{ go: "a" }, { go: "b" }, { go: "c" }], 2])
})

it("a short wait stays in memory", async () => {
  const heddle = makeHeddle(memoryStore())
  expect(await Effect.runPromise(heddle.run(seq("short").wait({ for: 5 }).returns(() => 1), undefined, { id: "s" }))).toBe(1)
  expect(await Effect.runPromise(kinds(heddle, "s"))).toEqual(["run.started", "wait.started", "wait.completed", "run.completed"])
})

it("a signal that comes while the run is being suspended is not lost", async () => {
  const store = memoryStore()
  let racing: Effect.Effect<unknown, unknown> = Effect.void
  const slow: Store["Service"] = {
    ...store,
    events: {
      ...store.events,
      append: (run, event, ...rest) =>
        event.kind === "run.suspended" ?
          Effect.andThen(Effect.orDie(racing), store.events.append(run, event, ...rest)) :
          store.events.append(run, event, ...rest),
    },
  }
  racing = Effect.suspend(() => store.signals.send("r", { id: "x", name: "approval", data: "{\"by\":\"Eve\"}" }, Date.now()))
  expect(await Effect.runPromise(makeHeddle(slow).run(approval, undefined, { id: "r" }))).toBe("text by Eve")
})

it("on a file, a signal from another process wakes whoever waits", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "heddle-wait-")), "heddle.db")
  const waiting = run(approval, undefined, { store: file, id: "w" })
  const other = (use: (heddle: Heddle["Service"]) => Effect.Effect<unknown, unknown>) =>
    Effect.runPromise(Effect.provide(Heddle.use(use), Heddle.layerSqlite(file)))
  await new Promise((resolve) => setTimeout(resolve, 100))
  await other((heddle) => heddle.signal(approval, "w", "approval", { by: "Zoe" }))
  expect((await waiting)._unsafeUnwrap()).toBe("text by Zoe")
})
