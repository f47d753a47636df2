import { Effect, Fiber } from "effect"
import { err } from "neverthrow"
import { nest, seq } from "heddle"
import { expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failure, go, status } from "../support.ts"

it("pause interrupts the steps of a run; resume runs them again and goes on", async () => {
  const heddle = makeHeddle(memoryStore())
  let [began, finalized] = [0, 0]
  const flow = seq("p").step("a", () => 1).step("b", () => {
    began++
    return began === 1 ? Effect.ensuring(Effect.never, Effect.sync(() => finalized++)) : Effect.succeed(2)
  })
  const fiber = Effect.runFork(Effect.flip(heddle.run(flow, undefined, { id: "p" })))
  await go(Effect.sleep(10))
  await go(heddle.pause("p", { reason: "lunch" }))
  expect(await go(Fiber.join(fiber))).toMatchObject({ _tag: "RunPaused", reason: "lunch", message: "run 'p' was paused: lunch. Resume it to go on" })
  expect([finalized, await status(heddle, "p")]).toEqual([1, "paused"])
  expect(await failure(heddle.run(flow, undefined, { id: "p" }))).toMatchObject({ _tag: "RunPaused", message: "run 'p' was paused. Resume it to go on" })
  expect(await go(heddle.resume(flow, "p"))).toEqual({ a: 1, b: 2 })
  expect(await failure(heddle.pause("p"))).toMatchObject({ _tag: "CommandRefused", command: "pause", status: "completed" })
})

it("a stale command is refused, and so is one that does not fit", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("s").step("a", () => 1).wait("go")
  await failure(heddle.run(flow, undefined, { id: "s", onSuspend: "return" }))
  const seen = (await go(heddle.events("s"))).at(-1)!.seq
  const error = await failure(heddle.pause("s", { expect: seen - 1 }))
  expect(error.message).toBe(`cannot pause run 's', which is suspended: it has got on since: you saw event ${seen - 1}, the newest is ${seen}. Look again`)
  await go(heddle.pause("s", { expect: seen }))
  expect(await failure(heddle.retry(flow, "s"))).toMatchObject({ _tag: "CommandRefused", reason: "possible where it is failed, quarantined" })
  expect(await failure(heddle.cancel("nobody"))).toMatchObject({ _tag: "RunNotFound" })
})

it("retry goes on at the step that failed; rerun starts anew, with the same input or another", async () => {
  const heddle = makeHeddle(memoryStore())
  let broken = true
  let first = 0
  const flow = seq("r", { input: z.object({ n: z.number() }) }).step("a", ({ input }) => (first++, input.n)).step(
    "b",
    ({ a }) => broken ? err({ _tag: "Down" } as const) : a + 1,
  ).returns(({ b }) => b)
  await failure(heddle.run(flow, { n: 1 }, { id: "r" }))
  broken = false
  expect(await go(heddle.retry(flow, "r"))).toBe(2)
  expect(first).toBe(1)
  expect(await go(heddle.rerun(flow, "r", { id: "again" }))).toBe(2)
  expect(await go(heddle.rerun(flow, "r", { id: "other", input: { n: 5 } }))).toBe(6)
  expect(first).toBe(3)
  expect(await go(heddle.get("again"))).toMatchObject({ origin: "r" })
})

const steps: Array<string> = []
const shop = seq("shop").step("a", () => (steps.push("a"), 1))
  .loop("l", { times: 3 }, (b) => b.step("x", ({ index }) => (steps.push(`x${index}`), index)).update("a", ({ a }) => (steps.push("u"), a + 1)))
  .parallel("p", {
    one: (b) => b.step("y", () => (steps.push("y"), 1)).step("y2", () => (steps.push("y2"), 2)),
    two: (b) => b.step("z", () => (steps.push("z"), 3)),
  })
  .when("w", () => true, (b) => b.step("v", () => (steps.push("v"), 4)))
  .each("e", () => ["i", "j"], (b) => b.step("q", ({ item }) => (steps.push(`q${item}`), item)), { concurrency: 1 })
  .step("end", ({ a, e }) => (steps.push("end"), `${a} ${e.length}`))
const ran = () => steps.splice(0)

it("rewind takes back what came from a step on, in loops, forks and items, and only that", async () => {
  const heddle = makeHeddle(memoryStore())
  const whole = await go(heddle.run(shop, undefined, { id: "s" }))
  expect(whole.end).toBe("4 2")
  ran()
  for (
    const [path, again] of [
      ["end", ["end"]],
      ["e[1]/q", ["qj", "end"]],
      ["e[0]", ["qi", "end"]],
      ["w/yes/v", ["v", "qi", "qj", "end"]],
      ["p/one/y2", ["y2", "v", "qi", "qj", "end"]],
      ["p/one", ["y", "y2", "v", "qi", "qj", "end"]],
      ["l[2]/a", ["u", "y", "z", "y2", "v", "qi", "qj", "end"]],
      ["l[1]", ["x1", "u", "x2", "u", "y", "z", "y2", "v", "qi", "qj", "end"]],
      ["a", ["a", "x0", "u", "x1", "u", "x2", "u", "y", "z", "y2", "v", "qi", "qj", "end"]],
    ] as const
  ) {
    const plan = await go(heddle.plan(shop, "s", path))
    const done = await go(heddle.rewind(shop, "s", path, { reason: "again" }))
    expect(done).toEqual(plan)
    expect(plan.again.length).toBe(again.length)
    expect(await status(heddle, "s")).toBe("pending")
    expect(await go(heddle.resume(shop, "s"))).toEqual(whole)
    expect(ran().sort()).toEqual([...again].sort())
  }
  for (const path of ["nothing", "l[1]/nothing", "a/b", "p/three"]) {
    expect((await failure(heddle.plan(shop, "s", path))).message).toContain(`the flow has no step '${path}'`)
  }
  expect(await failure(heddle.plan(seq("other"), "s", "a"))).toMatchObject({ _tag: "RunConflict" })
  expect((await failure(heddle.rewind(seq("shop").step("a", () => 1), "s", "a"))).reason).toContain("the flow has changed since")
})

it("fork starts a new run that has done what came before; the old one stays as it is", async () => {
  const heddle = makeHeddle(memoryStore())
  await go(heddle.run(shop, undefined, { id: "s" }))
  ran()
  const plan = await go(heddle.fork(shop, "s", "p/two/z", { as: "f" }))
  expect(plan.run).toBe("f")
  expect(plan.kept).toEqual(["a", "l[0]/x", "l[0]/a", "l[1]/x", "l[1]/a", "l[2]/x", "l[2]/a", "p/one/y", "p/one/y2"])
  expect(await go(heddle.resume(shop, "f"))).toMatchObject({ end: "4 2" })
  expect(ran()).toEqual(["z", "v", "qi", "qj", "end"])
  expect(await go(heddle.get("f"))).toMatchObject({ status: "completed", origin: "s" })
  expect(await status(heddle, "s")).toBe("completed")
  expect(await failure(heddle.fork(shop, "s", "a", { as: "f" }))).toMatchObject({ _tag: "RunConflict" })
  expect(typeof (await go(heddle.fork(shop, "s", "a"))).run).toBe("string")
})

it("children: a flow as a run of its own gives its output, and is the same run when its parent is resumed", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  let worked = 0
  const child = seq("child", { input: z.object({ n: z.number() }) }).step("w", ({ input }) => (worked++, input.n * 2)).returns(({ w }) => w)
  let broken = true
  const parent = seq("parent").step("n", () => 4).step("double", nest(child, ({ n }) => ({ n }), { as: "run" })).step(
    "end",
    ({ double }) => broken ? err({ _tag: "Down" } as const) : double + 1,
  )
  await failure(heddle.run(parent, undefined, { id: "p" }))
  const [run] = await go(heddle.list({ parent: "p" }))
  expect(run).toMatchObject({ flow: "child", parent: "p", status: "completed" })
  broken = false
  expect(await go(makeHeddle(store).retry(parent, "p"))).toMatchObject({ double: 8, end: 9 })
  expect(worked).toBe(1)
  const plain = seq("plain").step("n", () => 3).step(nest(child, { as: "run" })).returns(({ child }) => child)
  expect(await go(heddle.run(plain, undefined))).toBe(6)
})

it("a child's failure is its step's, is tried again with its parent, and can be collected", async () => {
  const heddle = makeHeddle(memoryStore())
  let broken = true
  const child = seq<{ n: number }>("odd").step("w", ({ input }) => broken && input.n === 1 ? err({ _tag: "Odd" as const }) : input.n).returns(({ w }) => w)
  const parent = seq("three").each("all", () => [0, 1, 2], (b) => b.step("one", nest(child, ({ item }) => ({ n: item }), { as: "run" })))
  expect(await failure(heddle.run(parent, undefined, { id: "p" }))).toMatchObject({ _tag: "Odd" })
  const collected = seq("collects").each("all", () => [0, 1, 2], (b) => b.step("one", nest(child, ({ item }) => ({ n: item }), { as: "run" })), {
    failure: "collect",
  })
  expect((await go(heddle.run(collected, undefined))).all.map(({ ok }) => ok)).toEqual([true, false, true])
  broken = false
  expect((await go(heddle.retry(parent, "p"))).all).toEqual([{ one: 0 }, { one: 1 }, { one: 2 }])
})

it("a child that waits suspends its parent; its signal wakes both; cancelling and pausing reach it", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const child = seq("asks").wait("go", { schema: z.number() }).returns(({ go: n }) => n)
  const grandchild = seq("middle").step("inner", nest(child, () => undefined, { as: "run" })).returns(({ inner }) => inner)
  const parent = seq("boss").step("ask", nest(grandchild, () => undefined, { as: "run" })).returns(({ ask }) => ask)
  const start = async (id: string) => {
    expect(await failure(heddle.run(parent, undefined, { id, onSuspend: "return" }))).toMatchObject({ _tag: "RunSuspended", waits: [] })
    const [middle] = await go(heddle.list({ parent: id }))
    const [leaf] = await go(heddle.list({ parent: middle!.id }))
    return [middle!.id, leaf!.id] as const
  }
  const [, leaf] = await start("one")
  await go(heddle.signal(child, leaf, "go", 7))
  expect(await go(makeHeddle(store).resume(parent, "one"))).toBe(7)

  const waited = Effect.runFork(heddle.run(parent, undefined, { id: "live" }))
  await go(Effect.sleep(20))
  const live = (await go(heddle.list({ flow: "asks", status: "suspended" })))[0]!
  await go(heddle.signal(child, live.id, "go", 8))
  expect(await go(Fiber.join(waited))).toBe(8)

  const [middle2, leaf2] = await start("two")
  await go(heddle.pause("two"))
  expect([await status(heddle, middle2), await status(heddle, leaf2)]).toEqual(["paused", "paused"])
  await go(heddle.signal(child, leaf2, "go", 9))
  expect(await go(heddle.resume(parent, "two"))).toBe(9)

  const [middle3, leaf3] = await start("three")
  expect(await go(heddle.cancel("three", { reason: "no" }))).toBe("cancelled")
  expect([await status(heddle, middle3), await status(heddle, leaf3)]).toEqual(["cancelled", "cancelled"])
})
