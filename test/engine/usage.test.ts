/** What is counted whether or not something bounds it, and who is told in time. */
import { Effect } from "effect"
import { decide, hook, nest, openHeddle, permits, seq } from "heddle"
import { describe, expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { Turns } from "../../src/store/turns.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failure, go, no } from "../support.ts"

/** A step that charges so much. */
const dear = (tokens: number) => (_: unknown, { charge }: { readonly charge: (spending: { tokens: number; cost: number }) => void }) => {
  charge({ tokens, cost: tokens / 64 })
  return tokens
}

describe("usage", () => {
  it("is known of a run that nothing bounds, over waits, other processes, children and what is undone", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const waits = seq("waits").step("a", dear(100)).wait("go").step("b", dear(20)).step("many", dear(1)).step("c", () => 1)
    await failure(heddle.run(waits, undefined, { id: "r", onSuspend: "return" }))
    expect(await go(heddle.usage("r"))).toEqual({ tokens: 100, cost: 100 / 64, bytes: 0 })
    // other processes come and go without getting on
    for (let i = 0; i < 20; i++) await failure(makeHeddle(store).resume(waits, "r", { onSuspend: "return" }))
    const other = makeHeddle(store)
    await go(other.signal(waits, "r", "go", undefined))
    await go(other.resume(waits, "r"))
    expect(await go(other.usage("r"))).toEqual({ tokens: 121, cost: 121 / 64, bytes: 0 })
    const child = seq("child").step("a", dear(7))
    const parent = seq("parent").step("own", dear(1)).step("c", nest(child, () => undefined, { as: "run" }))
    await go(heddle.run(parent, undefined, { id: "p" }))
    expect(await go(heddle.usage("p"))).toMatchObject({ tokens: 8 })
    const undone = seq("undone").step("a", () => 1, { compensate: { undo: (_o, _i, { charge }) => charge({ tokens: 3 }) } }).step("no", no)
    await failure(heddle.run(undone, undefined, { id: "u" }))
    expect(await go(heddle.usage("u"))).toMatchObject({ tokens: 3 })
    await go(heddle.run(seq("free").step("a", () => 1), undefined, { id: "f" }))
    expect(await go(heddle.usage("f"))).toEqual({ tokens: 0, cost: 0, bytes: 0 })
    expect((await go(heddle.events("f"))).some(({ data }) => data.includes("spent"))).toBe(false)
    expect(await failure(heddle.usage("nobody"))).toMatchObject({ _tag: "RunNotFound" })
  })

  it("a session knows what its runs have spent, though its policy bounds nothing", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.run(seq("f").step("a", dear(5)), undefined, { session: "s" }))
    await go(heddle.run(seq("f").step("a", dear(5)), undefined, { session: "s" }))
    expect(await go(heddle.sessions.usage("s"))).toMatchObject({ tokens: 10, runs: 2 })
  })
})

it("is given to programs without Effect, too", async () => {
  await using heddle = (await openHeddle())._unsafeUnwrap()
  await heddle.run(seq("f").step("a", dear(5)), undefined, { id: "r" })
  expect((await heddle.usage("r"))._unsafeUnwrap()).toMatchObject({ tokens: 5 })
})

describe("warnings", () => {
  const told: Array<unknown> = []
  const telling = hook("limit.warned", ({ limit, of, percent, path }) => void told.push(`${percent}% of ${limit} of ${of} at '${path}'`))

  it("time: hooks and listeners are told at its shares, and may end the run", async () => {
    told.length = 0
    const heddle = makeHeddle(memoryStore(), { hooks: [telling] })
    const notices: Array<string> = []
    heddle.listen(({ kind, data }) => void (kind === "limit.warned" && notices.push(String(data))))
    const slow = seq("slow", { budget: { time: 100 } }).step("s", () => Effect.sleep(400))
    expect(await failure(heddle.run(slow, undefined, { id: "r" }))).toMatchObject({ _tag: "LimitExceeded", limit: "time", allowed: 100 })
    expect(told).toEqual([50, 75, 90].map((percent) => `${percent}% of time of run 'r' at ''`))
    expect(notices.map((data) => JSON.parse(data) as unknown)).toContainEqual({ limit: "time", of: "run 'r'", used: 75, allowed: 100, percent: 75 })
    // whoever only listens is told, too
    notices.length = 0
    const plain = makeHeddle(memoryStore())
    plain.listen(({ kind, data }) => void (kind === "limit.warned" && notices.push(String(data))))
    await failure(plain.run(slow, undefined))
    expect(notices).toHaveLength(3)
    const careful = makeHeddle(memoryStore(), { hooks: [hook("limit.warned", ({ percent }) => (percent === 75 ? decide.cancel("late") : undefined))] })
    expect(await failure(careful.run(slow, undefined))).toMatchObject({ _tag: "RunCancelled", reason: "late" })
    // what is in time is told nothing
    told.length = 0
    await go(heddle.run(seq("quick", { budget: { time: 60_000 } }).step("s", () => 1), undefined))
    expect(told).toEqual([])
  })

  it("time: a session's and the run's own, whichever is sooner; a share that has passed is not told again", async () => {
    told.length = 0
    const heddle = makeHeddle(memoryStore(), { hooks: [telling] })
    await go(heddle.sessions.create({ id: "s", policy: { duration: 200 } }))
    await go(Effect.sleep(110))
    const slow = seq("slow", { budget: { time: 60_000 } }).step("s", () => Effect.sleep(400))
    expect(await failure(heddle.run(slow, undefined, { session: "s" }))).toMatchObject({ _tag: "LimitExceeded", of: "session 's'", allowed: 200 })
    expect(told).toEqual([75, 90].map((percent) => `${percent}% of time of session 's' at ''`))
  })

  it("runs of a session, in all and in a time; a hook may refuse the next", async () => {
    told.length = 0
    const heddle = makeHeddle(memoryStore(), { hooks: [telling] })
    const notices: Array<string> = []
    heddle.listen(({ kind, session, run }) => void (kind === "limit.warned" && notices.push(`${session}${run}`)))
    await go(heddle.sessions.create({ id: "s", policy: { runs: 4 } }))
    const flow = seq("f").step("a", () => 1)
    for (let i = 0; i < 4; i++) await go(heddle.run(flow, undefined, { session: "s" }))
    expect(told).toEqual([50, 75, 90].map((percent) => `${percent}% of runs of session 's' at ''`))
    expect(notices).toEqual(["s", "s", "s"])
    told.length = 0
    await go(heddle.sessions.create({ id: "fast", policy: { rate: { limit: 2, per: "1 hour" } } }))
    await go(heddle.run(flow, undefined, { session: "fast" }))
    expect(told.splice(0)).toEqual(["50% of rate of session 'fast' at ''"])
    await go(heddle.run(flow, undefined, { session: "fast" }))
    expect(told).toEqual([75, 90].map((percent) => `${percent}% of rate of session 'fast' at ''`))
    expect(await failure(heddle.run(flow, undefined, { session: "s" }))).toMatchObject({ _tag: "SessionRefused" })
    const strict = makeHeddle(memoryStore(), { hooks: [hook("limit.warned", () => decide.cancel("enough"))] })
    await go(strict.sessions.create({ id: "s", policy: { runs: 2 } }))
    expect(await failure(strict.run(flow, undefined, { session: "s" }))).toMatchObject({ _tag: "SessionRefused", reason: "a hook says: enough" })
    const broken = makeHeddle(memoryStore(), { hooks: [hook("limit.warned", () => Promise.reject(new Error("oh")), { onFailure: "fail" })] })
    await go(broken.sessions.create({ id: "s", policy: { runs: 2 } }))
    expect(await failure(broken.run(flow, undefined, { session: "s" }))).toMatchObject({ _tag: "SessionRefused" })
  })

  it("artifacts of a session, kept by a step or from outside", async () => {
    told.length = 0
    const heddle = makeHeddle(memoryStore(), { hooks: [telling] })
    await go(heddle.sessions.create({ id: "s", policy: { artifacts: 4, artifactBytes: 1000 } }))
    const flow = seq("f").step("keep", async (_, { artifacts }) => {
      await artifacts.put("one", "x".repeat(760))
      await artifacts.put("two", "y")
    })
    await go(heddle.run(flow, undefined, { session: "s" }))
    expect(told).toEqual([
      "50% of artifactBytes of session 's' at 'keep'",
      "75% of artifactBytes of session 's' at 'keep'",
      "50% of artifacts of session 's' at 'keep'",
    ])
    await go(heddle.artifacts.put("three", "z", { session: "s" }))
    expect(told.slice(3)).toEqual(["75% of artifacts of session 's' at ''"])
  })
})

it("a limit's key may be what a step is part of: its run, session, user or flow", async () => {
  const heddle = makeHeddle(memoryStore())
  await go(heddle.sessions.create({ id: "s1", user: "ada" }))
  const parts: Array<unknown> = []
  let [now, most] = [0, 0]
  const one = permits("one of each session", 10, { key: (_, part) => (parts.push(part), part.session ?? ""), perKey: 1 })
  const flow = seq("f").step("s", () =>
    Effect.gen(function*() {
      most = Math.max(most, ++now)
      yield* Effect.sleep(20)
      now--
    }), { limits: [one] })
  await Promise.all([1, 2, 3].map((i) => go(heddle.run(flow, undefined, { id: `r${i}`, session: "s1" }))))
  expect(most).toBe(1)
  await Promise.all(["a", "b", "c"].map((session) => go(heddle.run(flow, undefined, { session }))))
  expect(most).toBe(3)
  expect(parts[0]).toEqual({ run: "r1", flow: "f", session: "s1", user: "ada" })
  expect(parts.at(-1)).toMatchObject({ user: undefined })
})

it("a worker drives so many runs of one flow, session and correlation at once, and others pass those that wait", async () => {
  const heddle = makeHeddle(memoryStore())
  const [now, most] = [new Map<string, number>(), new Map<string, number>()]
  const work = (name: string) =>
    seq<{ of: string }>(name).step("w", ({ input: { of } }) =>
      Effect.gen(function*() {
        now.set(of, (now.get(of) ?? 0) + 1)
        most.set(of, Math.max(most.get(of) ?? 0, now.get(of)!))
        yield* Effect.sleep(15)
        now.set(of, now.get(of)! - 1)
      }))
  const [a, b] = [work("a"), work("b")]
  const parent = seq<{ of: string }>("parent").step("c", nest(a, ({ input }: { input: { of: string } }) => input, { as: "run" }))
  const order: Array<string> = []
  heddle.listen(({ kind, run }) => void (kind === "run.started" && order.push(run)))
  for (let i = 0; i < 40; i++) await go(heddle.start(a, { of: "a" }, { id: `a${i}`, session: "s" }))
  for (let i = 0; i < 6; i++) await go(heddle.start(b, { of: "b" }, { id: `b${i}`, correlation: "c" }))
  await go(heddle.start(parent, { of: "p" }, { id: "p", session: "t" }))
  await go(Effect.scoped(Effect.gen(function*() {
    yield* heddle.worker([a, b, parent], { concurrency: 4, perSession: 2, perCorrelation: 1, perFlow: 3 })
    while ((yield* heddle.list({ status: "completed", limit: 100 })).length < 48) yield* Effect.sleep(5)
  })))
  expect(Object.fromEntries(most)).toEqual({ a: 2, b: 1, p: 1 })
  expect(order.slice(0, 4)).toEqual(expect.arrayContaining(["b0", "p"]))
  expect(() => new Turns({ perFlow: 0 })).toThrow("perFlow is 0: use a whole number from 1")
})
