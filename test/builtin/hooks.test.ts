/** Ready-made hooks, and hooks made out of several handlers. */
import { Effect } from "effect"
import { type AnyFlow, decide, type Hook, hook, seq } from "heddle"
import { audit, caching, cost, firstMatch, inSequence, logging, type LogLine, metrics, rateLimit, redaction, retryAdvice, together, vote } from "heddle/hooks"
import { testFlow } from "heddle/testing"
import { expect, it, vi } from "vitest"
import { no } from "../support.ts"

const ran = (flow: AnyFlow, ...hooks: ReadonlyArray<Hook>) => testFlow(flow, undefined as never, { hooks })
const secret = "hunter2"

it("logging says where a run is, never what the values are", async () => {
  const lines: Array<LogLine> = []
  await ran(seq("f").step("a", () => secret).step("b", ({ a }) => (a === "" ? Effect.succeed(1) : no())), ...logging((line) => void lines.push(line)))
  expect(lines.map(({ point, path, tag }) => [point, path, tag])).toEqual([
    ["run.before", "", undefined],
    ["step.before", "a", undefined],
    ["step.after", "a", undefined],
    ["step.before", "b", undefined],
    ["step.error", "b", "No"],
    ["run.error", "", "No"],
  ])
  expect(JSON.stringify(lines)).not.toContain(secret)
})

it("logging writes JSON lines to stderr unless told otherwise, each of bounded length", async () => {
  const written = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  await ran(seq("f").step("a", () => Effect.fail(new Error("x".repeat(20_000)))), ...logging())
  const lines = written.mock.calls.map(([text]) => String(text))
  written.mockRestore()
  expect(lines.map((line) => JSON.parse(line).point)).toEqual(["run.before", "step.before", "step.error", "run.error"])
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(8500)
})

it("audit tells choices, caught errors and what is undone", async () => {
  const lines: Array<LogLine> = []
  const flow = seq("f").step("a", () => 1, { compensate: () => undefined }).when("w", () => true, (b) => b.step("x", () => 1))
    .protect("p", (b) => b.step("y", no), { catch: { No: () => 0 } }).step("z", no)
  await ran(flow, ...audit((line) => void lines.push(line)))
  expect(lines.map(({ point, path, chosen }) => [point, path, chosen].filter((one) => one !== undefined).join(" "))).toEqual([
    "run.before ",
    "when.decided w yes",
    "protect.caught p",
    "run.error ",
    "rollback.before ",
    "compensation.before a",
    "compensation.after a",
    "rollback.after ",
  ])
})

it("metrics count what came of each step, also where another hook has decided", async () => {
  const { hooks, snapshot } = metrics()
  const flow = seq("f").loop({ times: 3 }, (b) => b.step("s", () => 1)).protect("p", (b) => b.step("bad", no), { catch: { No: () => 0 } }).step("r", () => 1)
  await ran(flow, ...hooks, hook("step.before", ({ path }) => path === "r" ? decide.replace(5) : undefined))
  const found = snapshot()
  expect(Object.keys(found)).toEqual(["f/loop#1/s", "f/p/bad", "f/r"])
  expect(found["f/loop#1/s"]).toMatchObject({ started: 3, completed: 3, failed: 0 })
  expect(found["f/p/bad"]).toMatchObject({ started: 1, completed: 0, failed: 1 })
  expect(found["f/r"]).toMatchObject({ started: 1, completed: 1 })
  const { p50, p99, max } = found["f/loop#1/s"]!
  expect([p50 <= p99, p99 <= max, max > 0]).toEqual([true, true, true])
})

it("metrics of a step that has not ended, or not begun here", async () => {
  const { hooks, snapshot } = metrics()
  const told = { run: "r", flow: "f", path: "s" } as never
  hooks.find(({ point }) => point === "step.before")!.handle(told)
  expect(snapshot()["f/s"]).toEqual({ started: 1, completed: 0, failed: 0, p50: 0, p95: 0, p99: 0, max: 0 })
  hooks.find(({ point }) => point === "step.after")!.handle({ run: "r", flow: "f", path: "t" } as never)
  expect(snapshot()["f/t"]).toMatchObject({ started: 0, completed: 1, max: 0 })
})

it("metrics keep the newest durations", async () => {
  const { hooks, snapshot } = metrics()
  await ran(seq("f").loop({ times: 1100 }, (b) => b.step("s", () => 1)), ...hooks)
  expect(snapshot()["f/loop#1/s"]).toMatchObject({ started: 1100, completed: 1100 })
})

it("caching answers what was answered before", async () => {
  let calls = 0
  const flow = seq("f").loop("l", { times: 3, collect: "all" }, (b) => b.step("s", () => ++calls).step("t", () => ++calls).returns(({ s }) => s))
  const tested = await ran(flow, caching(({ path }) => path.endsWith("/s") ? "s" : undefined, { ttl: "1 hour" }))
  expect([tested.state, calls]).toEqual([{ l: [1, 1, 1] }, 4])
})

it("rateLimit lets steps begin in turn, or ends the run", async () => {
  const at: Array<number> = []
  const begun = () => Effect.clockWith((clock) => Effect.sync(() => at.push(clock.currentTimeMillisUnsafe())))
  const flow = seq("f").loop({ times: 5 }, (b) => b.step("s", begun))
  await ran(flow, rateLimit({ permits: 2, per: "1 second" }))
  expect(at.map((one) => Math.round((one - at[0]!) / 1000))).toEqual([0, 0, 1, 1, 2])
  const tested = await ran(flow, rateLimit({ permits: 2, per: "1 second", otherwise: "cancel" }))
  expect(tested.result).toMatchObject({ error: { _tag: "RunCancelled", reason: "more than 2 steps in 1000 ms" } })
  expect((await ran(flow, rateLimit({ permits: 1, per: "1 hour", key: () => undefined }))).result.ok).toBe(true)
  const apart = seq("f").loop({ times: 2 }, (b) => b.step("s", () => 1).step("t", () => 1))
  expect((await ran(apart, rateLimit({ permits: 2, per: "1 hour", key: ({ path }) => path.at(-1)!, otherwise: "cancel" }))).result.ok).toBe(true)
})

it("cost adds up, warns and ends the run beyond its budget", async () => {
  const alerts: Array<number> = []
  const { hooks, spent } = cost({ of: ({ output }) => (output as { readonly usd?: number }).usd, budget: 1, onAlert: ({ part }) => void alerts.push(part) })
  const flow = seq("f").loop({ times: 9 }, (b) => b.step("free", () => ({})).step("call", () => ({ usd: 0.26 })))
  const tested = await ran(flow, ...hooks)
  expect(tested.result).toMatchObject({ error: { _tag: "RunCancelled" } })
  expect(alerts).toEqual([0.5, 0.75, 0.9])
  expect([spent("test"), spent("other")]).toEqual([1.04, 0])
  expect((await ran(flow, ...cost({ of: () => 1 }).hooks)).result.ok).toBe(true)
})

it("retryAdvice tries again what passes", async () => {
  const tries = async (error: unknown, ...advice: Parameters<typeof retryAdvice>) => {
    let calls = 0
    await ran(seq("f").step("s", () => (calls++, Effect.fail(error))), retryAdvice(...advice))
    return calls
  }
  expect(await tries({ status: 429 })).toBe(4)
  expect(await tries({ status: 503 }, { times: 1 })).toBe(2)
  expect(await tries({ status: 404 })).toBe(1)
  expect(await tries({ status: 503, retryable: false })).toBe(1)
  expect(await tries("plain")).toBe(1)
  expect(await tries("plain", { times: 2, delay: 0, when: () => true })).toBe(3)
})

it("redaction hides values before they are recorded, wherever they are; what has none is left as it is", async () => {
  const given = { user: "Ada", Password: secret, list: [{ apiKey: secret, key: secret, n: 1 }], at: new Date(0) }
  const flow = seq("f").step("a", () => given).step("plain", () => ({ n: [1, { b: 2n }] })).step("text", () => "x").returns(({ a, plain }) => ({ a, plain }))
  const tested = await ran(flow, ...redaction(["password", /key$/gi]))
  const shown = { user: "Ada", Password: "[redacted]", list: [{ apiKey: "[redacted]", key: "[redacted]", n: 1 }], at: new Date(0) }
  expect(tested.result).toEqual({ ok: true, value: { a: shown, plain: { n: [1, { b: 2n }] } } })
  expect(JSON.stringify(tested.events)).not.toContain(secret)
  expect(tested.hooks.length).toBe(1)
  const own = await ran(seq("f").step("a", () => 1).returns(() => ({ password: secret })), ...redaction(["password"]))
  expect(own.result).toEqual({ ok: true, value: { password: "[redacted]" } })
})

it("handlers in sequence, at once, by condition, by vote", async () => {
  const one = () => decide.replace(1)
  const two = async () => decide.replace(2)
  const none = () => undefined
  const stop = () => Effect.succeed(decide.cancel("stop"))
  const result = async (handler: any) => {
    const tested = await ran(seq("f").step("s", () => 0), hook("step.after", handler as never))
    return tested.result.ok ? (tested.result.value as { readonly s: number }).s : (tested.result.error as { readonly _tag: string })._tag
  }
  expect(await result(inSequence<"step.after">(none, two, one))).toBe(2)
  expect(await result(inSequence<"step.after">(none))).toBe(0)
  expect(await result(together<"step.after">(none, one, stop))).toBe("RunCancelled")
  expect(await result(together<"step.after">(none))).toBe(0)
  expect(await result(firstMatch<"step.after">([() => false, one], [() => true, two]))).toBe(2)
  expect(await result(firstMatch<"step.after">([() => false, one]))).toBe(0)
  expect(await result(vote<"step.after">(2, one, two, one))).toBe(1)
  expect(await result(vote<"step.after">(2, one, two, none))).toBe(0)
  const big = (n: bigint) => () => decide.replace(new Map([["n", n]]))
  expect(await result(vote<"step.after">(2, big(1n), big(2n)))).toBe(0)
  expect(await result(vote<"step.after">(2, big(1n), big(2n), big(2n)))).toEqual(new Map([["n", 2n]]))
})
