import { Effect } from "effect"
import { err } from "neverthrow"
import { type Heddle, nest, run, seq, step } from "heddle"
import { expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failure } from "../support.ts"

const kinds = (heddle: Heddle["Service"], id: string) =>
  Effect.runPromise(Effect.map(heddle.events(id), (events) => events.map(({ kind, parent, name }) => `${kind} ${parent}/${name}`)))
class Declined {
  readonly _tag = "Declined"
}
const declined = () => err(new Declined())

it("a failing run is undone last-first: in blocks, loops, forks and nested flows, each with its own output and input", async () => {
  const undone: Array<unknown> = []
  const note = (name: string) => (output: unknown, scope: object) => void undone.push([name, output, scope])
  const inner = seq<{ n: number }>("inner").step("reserve", ({ input }) => input.n * 10, { effects: "a seat", compensate: note("reserve") })
  const book = step("book", ({ a }: { a: number }) => a + 100, { effects: "a room", compensate: (output, { a }) => void undone.push(["book", output, a]) })
  const flow = seq("saga")
    .step("a", () => 1, { compensate: note("a") })
    .step(book)
    .loop("twice", { times: 2 }, (b) => b.update("a", ({ a }) => a + 1, { compensate: note("twice") }))
    .each("all", () => ["x", "y"], (b) => b.step("s", ({ item }) => item, { compensate: note("each") }), { concurrency: 1 })
    .step("nested", nest(inner, ({ a }) => ({ n: a })))
    .step("pay", declined)
  const heddle = makeHeddle(memoryStore())
  const error = await failure(heddle.run(flow, undefined, { id: "r" }))
  expect(error).toBeInstanceOf(Declined)
  expect(await Effect.runPromise(heddle.get("r"))).toMatchObject({ status: "compensated" })
  const outer = { input: undefined, a: 3, book: 101, twice: {} }
  expect(undone.map(([name, output]: any) => [name, output])).toEqual([
    ["reserve", 30],
    ["each", "y"],
    ["each", "x"],
    ["twice", 3],
    ["twice", 2],
    ["book", 101],
    ["a", 1],
  ])
  expect((undone[0] as any)[2]).toEqual({ input: { n: 3 } })
  expect((undone[1] as any)[2]).toMatchObject({ ...outer, item: "y", index: 1 })
  expect((undone[3] as any)[2]).toMatchObject({ a: 2, book: 101, index: 1 })
  expect((undone[4] as any)[2]).toMatchObject({ a: 1, index: 0 })
  expect((undone[5] as any)[2]).toBe(1)
  // asked again, the answer is the same, and nothing is undone twice
  expect(await failure(heddle.resume(flow, "r"))).toMatchObject({ _tag: "Declined" })
  expect(undone).toHaveLength(7)
})

it("protect undoes what was done inside, then handles the error; what was done outside stands", async () => {
  const log: Array<string> = []
  const flow = seq("p").step("outside", () => 1, { compensate: () => void log.push("outside") })
    .protect("p", (b) => b.step("inside", () => 2, { compensate: () => void log.push("inside") }).step("pay", declined), {
      catch: { Declined: () => (log.push("handled"), "sorry") },
    }).returns(({ p }) => p)
  const heddle = makeHeddle(memoryStore())
  expect(await Effect.runPromise(heddle.run(flow, undefined, { id: "r" }))).toBe("sorry")
  expect(log).toEqual(["inside", "handled"])
  expect(await kinds(heddle, "r")).toEqual([
    "run.started /",
    "step.completed /outside",
    "step.completed p/inside",
    "step.failed p/pay",
    "protect.caught /p",
    "compensation.completed p/inside",
    "protect.completed /p",
    "run.completed /",
  ])
})

it("an error that a protect does not handle undoes the inside there and the rest at the run's end", async () => {
  const log: Array<string> = []
  const undo = (name: string) => ({ compensate: () => void log.push(name) })
  const flow = seq("u").step("a", () => 1, undo("a")).protect(
    "outer",
    (b) => b.step("b", () => 1, undo("b")).protect("inner", (c) => c.step("c", () => 1, undo("c")).step("pay", declined), { catch: {} }),
    { timeout: "1 minute" },
  )
  const heddle = makeHeddle(memoryStore())
  await failure(heddle.run(flow, undefined, { id: "r" }))
  expect(log).toEqual(["c", "b", "a"])
  // nothing outside: the run is compensated all the same, for it cannot go on inside
  const only = seq("o").protect("p", (b) => b.step("c", () => 1, undo("only")).step("pay", declined), {})
  await failure(heddle.run(only, undefined, { id: "o" }))
  expect(await Effect.runPromise(heddle.get("o"))).toMatchObject({ status: "compensated" })
  // nothing done that could be undone: the run has failed, and can be retried
  const none = seq("n").protect("p", (b) => b.step("pay", declined).step("c", () => 1, undo("never")), {})
  await failure(heddle.run(none, undefined, { id: "n" }))
  expect(await Effect.runPromise(heddle.get("n"))).toMatchObject({ status: "failed" })
})

it("a compensation is tried again, may take only so long, and says when it fails for good", async () => {
  let broken = true
  let tries = 0
  const log: Array<string> = []
  const flow = seq("f")
    .step("first", () => 1, { compensate: () => void log.push("first") })
    .step("flaky", () => 2, {
      compensate: {
        undo: (_output, _scope, { attempt, key }) => (log.push(`flaky ${attempt} ${key}`), broken ? err({ _tag: "Down" } as const) : undefined),
        retry: { times: 1, backoff: 1 },
      },
    })
    .step("slow", () => 3, { compensate: { undo: () => broken ? Effect.never : Effect.sync(() => void log.push("slow")), timeout: 5 } })
    .step("pay", () => (tries++, err(new Declined())))
  const heddle = makeHeddle(memoryStore())
  const error = await failure(heddle.run(flow, undefined, { id: "r" }))
  expect(error).toMatchObject({ _tag: "CompensationFailed", run: "r", failures: [{ path: "slow" }, { path: "flaky", error: { _tag: "Down" } }] })
  expect(error.message).toContain("2 compensations failed:\n  slow: step 'slow' did not finish within 5 ms")
  expect(log).toEqual(["flaky 1 r/flaky/compensate", "flaky 2 r/flaky/compensate", "first"])
  expect(await Effect.runPromise(heddle.get("r"))).toMatchObject({ status: "failed" })
  broken = false
  expect(await failure(heddle.retry(flow, "r"))).toMatchObject({ _tag: "Declined" })
  expect(log.slice(3)).toEqual(["slow", "flaky 1 r/flaky/compensate"])
  expect(tries).toBe(1)
  expect(await Effect.runPromise(heddle.get("r"))).toMatchObject({ status: "compensated" })
})

it("onFailure stop leaves the others as they are; a protect that cannot undo does not handle", async () => {
  const log: Array<string> = []
  const flow = seq("s").protect("p", (b) =>
    b.step("first", () => 1, { compensate: () => void log.push("first") })
      .step("stops", () => 2, { compensate: { undo: () => err({ _tag: "Down" } as const), onFailure: "stop" } }).step("pay", declined), {
    fallback: () => "fine",
  })
  expect((await run(flow))._unsafeUnwrapErr()).toMatchObject({ _tag: "CompensationFailed", failures: [{ path: "p/stops" }] })
  expect(log).toEqual([])
})

it("fallback takes what no handler names, with rollback or without", async () => {
  const flow = (rollback: boolean) =>
    seq("f").step("n", () => 1).protect("p", (b) => b.update("n", () => 5).step("x", () => err(7 as const)), {
      fallback: (error, { n }) => `${error} ${n}`,
      rollback,
    }).returns(({ n, p }) => [n, p])
  expect((await run(flow(true)))._unsafeUnwrap()).toEqual([1, "7 1"])
  expect((await run(flow(false)))._unsafeUnwrap()).toEqual([5, "7 1"])
  const both = seq("b").protect("p", (b) => b.step("x", declined), { catch: { Declined: () => "named" }, fallback: () => "other" }).returns(({ p }) => p)
  expect((await run(both))._unsafeUnwrap()).toBe("named")
})

it("protect has a time limit of its own, which counts over suspensions", async () => {
  const flow = seq("t").protect("p", (b) => b.step("s", () => Effect.never), {
    timeout: 10,
    catch: { ProtectTimedOut: ({ path, milliseconds }) => [path, milliseconds] },
  })
    .returns(({ p }) => p)
  expect((await run(flow))._unsafeUnwrap()).toEqual(["p", 10])
  const waits = seq("w").protect("p", (b) => b.wait("go"), { timeout: 1500, fallback: (error) => error._tag })
  const store = memoryStore()
  expect(await failure(makeHeddle(store).run(waits, undefined, { id: "w", onSuspend: "return" }))).toMatchObject({ _tag: "RunSuspended", waits: ["go"] })
  expect(await Effect.runPromise(makeHeddle(store).resume(waits, "w"))).toEqual({ p: "ProtectTimedOut" })
})

it("cancelling a run undoes it: here, or by whoever resumes it", async () => {
  const log: Array<string> = []
  const flow = seq("c").step("a", () => 1, { compensate: () => void log.push("a") }).wait("go")
  const store = memoryStore()
  const heddle = makeHeddle(store)
  for (const id of ["x", "y"]) await failure(heddle.run(flow, undefined, { id, onSuspend: "return" }))
  expect(await Effect.runPromise(heddle.cancel("x", { flow, reason: "enough" }))).toBe("cancelled")
  expect(log).toEqual(["a"])
  expect(await Effect.runPromise(heddle.cancel("x"))).toBe("cancelled")
  expect(await failure(heddle.resume(flow, "x"))).toMatchObject({ _tag: "RunCancelled", reason: "enough" })
  expect(await Effect.runPromise(heddle.cancel("y"))).toBe("compensating")
  expect(await failure(heddle.resume(flow, "y"))).toMatchObject({ _tag: "RunCancelled", reason: "" })
  expect(log).toEqual(["a", "a"])
  expect(await Effect.runPromise(heddle.get("y"))).toMatchObject({ status: "cancelled" })
})

it("collect gives what every fork came to, also after a resume", async () => {
  const store = memoryStore()
  let broken = true
  const flow = seq("k").parallel("both", { good: (b) => b.step("x", () => 1), bad: (b) => b.step("y", declined) }, { failure: "collect" })
    .each("all", () => [1, 2], (b) => b.step("s", ({ item }) => item === 1 ? err({ _tag: "One" as const }) : item), { failure: "collect" })
    .step("end", ({ both, all }) => broken ? err({ _tag: "Later" as const }) : [both.bad.ok, both.good.ok && both.good.value.x, all.map(({ ok }) => ok)])
    .returns(({ end, both, all }) => ({ end, tag: both.bad.ok ? "" : both.bad.error._tag, first: all[0] }))
  await failure(makeHeddle(store).run(flow, undefined, { id: "k" }))
  broken = false
  expect(await Effect.runPromise(makeHeddle(store).resume(flow, "k"))).toMatchObject({ end: [false, 1, [false, true]], tag: "Declined", first: { ok: false } })
})

it("at most once: a step that was begun and not finished is not run again", async () => {
  const store = memoryStore()
  let runs = 0
  const flow = seq("m").step("once", () => (runs++, runs === 1 ? Effect.never : 5), { delivery: "atMostOnce" }).returns(({ once }) => once)
  const fiber = Effect.runFork(makeHeddle(store).run(flow, undefined, { id: "m" }))
  await Effect.runPromise(Effect.sleep(10))
  fiber.interruptUnsafe()
  await Effect.runPromise(Effect.sleep(10))
  expect(await failure(makeHeddle(store).resume(flow, "m"))).toMatchObject({ _tag: "StepUncertain", path: "once" })
  expect(runs).toBe(1)
  const caught = seq("k").protect("p", (b) => b.step("once", () => 5, { delivery: "atMostOnce", timeout: "1 second" }), { catch: { StepUncertain: () => 0 } })
  expect((await run(caught))._unsafeUnwrap()).toEqual({ p: { once: 5 } })
})
