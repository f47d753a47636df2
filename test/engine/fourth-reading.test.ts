/** What a fourth reading found in services: each was wrong once. */
import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect } from "effect"
import { decide, hook, secret, seq, state } from "heddle"
import { expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { SessionNotFound } from "../../src/model/service-error.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failing, failure, file, go, no, out } from "../support.ts"

const shared = state<number>("shared", { scope: "global", initial: 0 })

it("a fork does not begin before hooks have answered", async () => {
  for (const wait of [0, 5]) {
    let ran = 0
    const heddle = makeHeddle(memoryStore(), { hooks: [hook("fork.before", async () => (await sleep(wait), decide.cancel("no")))] })
    const pay = () => void ran++
    const forks = seq("p").parallel("p", { a: (b) => b.step("pay", pay), b: (b) => b.step("pay", pay) })
    const items = seq("e").each("e", () => [1, 2], (b) => b.step("pay", pay))
    expect(await failure(heddle.run(forks, undefined))).toMatchObject({ _tag: "RunCancelled" })
    expect(await failure(heddle.run(items, undefined))).toMatchObject({ _tag: "RunCancelled" })
    expect(ran).toBe(0)
  }
})

it("a step does not begin again before hooks have answered to a conflict, and not at once", async () => {
  const log: Array<string> = []
  const heddle = makeHeddle(memoryStore(), {
    hooks: [hook("state.conflict", async () => (await sleep(20), log.push("answer"), decide.cancel("enough")))],
  })
  heddle.listen(({ kind }) => void (/state|retried/.test(kind) && log.push(kind)))
  const flow = seq("f").step("s", async (_, { state: kept }) => {
    log.push("body")
    const seen = await kept.get(shared)
    await go(heddle.state({}).set(shared, seen + 10))
    await kept.set(shared, seen + 1)
  })
  expect(await failure(heddle.run(flow, undefined))).toMatchObject({ _tag: "RunCancelled", reason: "enough" })
  expect(log).toEqual(["body", "state.conflicted", "answer"])
  // forty that meet at one value: each gives way, none gives up
  const path = file()
  const sums = await go(Effect.scoped(Effect.gen(function*() {
    const heddle = makeHeddle(yield* openSqlite(path))
    const adds = seq("adds").step("s", async (_, { state: kept }) => {
      const seen = await kept.get(shared)
      await sleep(1)
      await kept.set(shared, seen + 1)
    })
    const all = yield* Effect.forEach(Array.from({ length: 30 }), () => Effect.exit(heddle.run(adds, undefined)), { concurrency: "unbounded" })
    return [all.filter(({ _tag }) => _tag === "Failure").length, yield* heddle.state({}).get(shared)]
  })))
  expect(sums).toEqual([0, 30])
})

it("what hooks say is kept without secrets", async () => {
  const key = "sk-live-fourth-reading"
  secret(key)
  const path = file()
  await go(Effect.scoped(Effect.gen(function*() {
    const because = () => decide.cancel(`because ${key}`)
    const heddle = makeHeddle(yield* openSqlite(path), { hooks: [hook("step.before", because), hook("session.before", because)] })
    const refused = yield* Effect.flip(heddle.run(seq("f").step("s", () => 1), undefined))
    expect(JSON.stringify(refused)).toContain("[redacted]")
    expect((yield* Effect.flip(heddle.sessions.create({ id: "s" }))).message).toContain("because [redacted]")
  })) as Effect.Effect<void>)
  expect(readFileSync(path).includes(key)).toBe(false)
})

it("a session that its first run creates is asked about like any other, and listeners are told", async () => {
  const told: Array<unknown> = []
  const heddle = makeHeddle(memoryStore(), {
    hooks: [
      hook("session.before", ({ session }) => (session === "bad" ? decide.cancel("policy") : undefined)),
      hook("session.after", ({ session, from, to }) => void told.push([session, from, to])),
    ],
  })
  heddle.listen(({ kind, session }) => void (kind.startsWith("session.") && told.push([kind, session])))
  const flow = seq("f").step("s", () => 1)
  expect(await failure(heddle.run(flow, undefined, { session: "bad" }))).toMatchObject({ _tag: "SessionRefused", asked: "be created" })
  expect(await out(heddle.sessions.get("bad"))).toMatchObject({ _tag: "SessionNotFound" })
  await go(heddle.run(flow, undefined, { session: "good" }))
  await go(heddle.run(flow, undefined, { session: "good" }))
  expect(told).toEqual([["session.active", "good"], ["good", undefined, "active"]])
  // somebody else was faster
  const store = memoryStore()
  await go(makeHeddle(store).sessions.create({ id: "good" }))
  const late = makeHeddle(failing(store, "sessions.get", { error: new SessionNotFound({ session: "good" }) }), {
    hooks: [hook("session.after", () => void told.push("again"))],
  })
  await go(late.run(flow, undefined, { session: "good" }))
  expect(told).toHaveLength(2)
})

it("behind a suspension its runs are paused already; a hook of a session that fails is heard of", async () => {
  const seen: Array<unknown> = []
  const heddle = makeHeddle(memoryStore(), {
    hooks: [hook("session.after", async ({ session, to }) => {
      if (to === "suspended") seen.push((await go(heddle.sessions.runs(session))).map(({ status }) => status))
      throw new Error("broken")
    })],
  })
  heddle.listen(({ kind, data }) => void (kind === "hook.failed" && seen.push(JSON.parse(data!))))
  await go(heddle.sessions.create({ id: "s" }))
  await out(heddle.run(seq("f").wait("go"), undefined, { session: "s", onSuspend: "return" }))
  await go(heddle.sessions.suspend("s"))
  expect(seen).toEqual([
    { hook: "session.after", point: "session.after", reason: "broken" },
    ["paused"],
    { hook: "session.after", point: "session.after", reason: "broken" },
  ])
})

it("what hooks hide of State is as if it were not there", async () => {
  const name = state("name", { scope: "global", schema: z.string() })
  const heddle = makeHeddle(memoryStore(), {
    hooks: [hook("state.read", ({ value }) => (value === "b" ? decide.replace(undefined) : value === "bad" ? decide.replace(5) : undefined))],
  })
  const outside = heddle.state({})
  await go(outside.set(name.at("1"), "a"))
  await go(outside.set(name.at("2"), "b"))
  await go(outside.set(name, "b"))
  const read = seq("f").step("s", async (_, { state: kept }) => [await kept.get(name), await kept.list(name)])
  expect(await go(heddle.run(read, undefined))).toEqual({ s: [undefined, [{ member: "1", value: "a" }]] })
  await go(outside.set(name, "bad"))
  expect(await failure(heddle.run(read, undefined))).toMatchObject({ _tag: "StateRefused" })
})

it("a conflict in a compensation is heard of", async () => {
  const heddle = makeHeddle(memoryStore())
  const told: Array<string> = []
  heddle.listen(({ kind, path }) => void (kind === "state.conflicted" && told.push(path)))
  let tries = 0
  const flow = seq("f").step("a", () => 1, {
    compensate: async (_, _given, { state: kept }) => {
      const seen = await kept.get(shared)
      if (tries++ === 0) await go(heddle.state({}).set(shared, 7))
      await kept.set(shared, seen + 1)
    },
  }).step("b", no)
  await out(heddle.run(flow, undefined))
  expect([told, tries, await go(heddle.state({}).get(shared))]).toEqual([["a"], 2, 8])
})

it("a warning is asked about before too much is, and may end the run instead", async () => {
  const log: Array<string> = []
  const heddle = makeHeddle(memoryStore(), {
    hooks: [
      hook("limit.warned", async ({ percent }) => (await sleep(1), log.push(`warned ${percent}`), decide.cancel("dear"))),
      hook("limit.exceeded", () => void log.push("exceeded")),
    ],
  })
  const flow = seq("f", { budget: { tokens: 100 } }).step("s", (_, { charge }) => charge({ tokens: 300 }))
  expect(await failure(heddle.run(flow, undefined))).toMatchObject({ _tag: "RunCancelled", reason: "dear" })
  expect(log).toEqual(["warned 50"])
})

it("a worker that could drive nothing is refused", () => {
  const heddle = makeHeddle(memoryStore())
  for (const concurrency of [0, -1, 1.5, Number.NaN]) {
    expect(() => Effect.runSync(Effect.scoped(heddle.worker([seq("f").step("s", () => 1)], { concurrency })))).toThrow(`concurrency is ${concurrency}`)
  }
})
