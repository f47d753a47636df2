/** Limits: how many at once, how fast, how much in all. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect } from "effect"
import fc from "fast-check"
import { check, decide, hook, nest, permits, rate, seq, step, transaction } from "heddle"
import { crashEverywhere, testFlow } from "heddle/testing"
import { describe, expect, it, vi } from "vitest"
import type { Permits } from "../../dsl/ir/limit.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { Budgets } from "../../src/services/budgets.ts"
import { poolOf, within } from "../../src/services/permits.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failing, file, go, no, out, status } from "../support.ts"

/** Work that counts how much of it goes on at once, in all and by key. */
const watched = () => {
  const seen = { now: 0, most: 0, order: [] as Array<string>, byKey: new Map<string, number>(), mostOfOne: 0 }
  const work = (key: string, milliseconds: number) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        seen.order.push(key)
        seen.most = Math.max(seen.most, ++seen.now)
        seen.byKey.set(key, (seen.byKey.get(key) ?? 0) + 1)
        seen.mostOfOne = Math.max(seen.mostOfOne, seen.byKey.get(key)!)
      }),
      () => Effect.as(Effect.sleep(milliseconds), key),
      () =>
        Effect.sync(() => {
          seen.now--
          seen.byKey.set(key, seen.byKey.get(key)! - 1)
        }),
    )
  return { seen, work }
}
type Given = { readonly input: { readonly key: string; readonly at?: number } }
const keyed = (limit: Permits<Given>, work: (key: string, ms: number) => Effect.Effect<string>, ms = 5) =>
  seq<{ key: string; at?: number }>("keyed").step("s", ({ input }) => work(input.key, ms), { limits: [limit] })

describe("permits", () => {
  it("no schedule, failure or interruption lets more in than there are, and none is lost", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    const job = fc.record({
      key: fc.constantFrom("a", "b", "c"),
      priority: fc.integer({ min: 0, max: 2 }),
      ms: fc.integer({ min: 0, max: 4 }),
      delay: fc.integer({ min: 0, max: 6 }),
      end: fc.constantFrom("well", "fails", "interrupted"),
      after: fc.integer({ min: 0, max: 8 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), fc.array(job, { maxLength: 25 }), async (count, perKey, jobs) => {
        const limit = permits("p", count, { perKey })
        const { seen, work } = watched()
        await Promise.all(jobs.map(async ({ key, priority, ms, delay, end, after }) => {
          const body = end === "fails" ? Effect.andThen(work(key, ms), Effect.fail("no")) : work(key, ms)
          const one: Effect.Effect<unknown, string> = Effect.andThen(Effect.sleep(delay), within([{ limit, key, priority }], body, () => undefined))
          const fiber = Effect.runFork(Effect.exit(end === "interrupted" ? Effect.asVoid(Effect.timeoutOption(one, after)) : Effect.asVoid(one)))
          await new Promise<void>((resolve) => fiber.addObserver(() => resolve()))
        }))
        expect([seen.most <= count, seen.mostOfOne <= perKey, seen.now, poolOf(limit).running]).toEqual([true, true, 0, 0])
      }),
      { seed, numRuns: 60 },
    )
  }, 60_000)

  it("no crash lets more in or loses one: runs die at any write, in nested forks, and are resumed", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    const places = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }), places, async (count, perKey, dies) => {
        const [inner, outer] = [permits("inner", count, { key: (_, { run }) => run, perKey }), permits("outer", 2)]
        const { seen, work } = watched()
        const step = (b: any) => b.step("s", () => work("x", 1), { limits: [inner, outer] })
        const flow = (seq("f") as any).parallel("p", {
          a: (b: any) => b.each("e", () => [1, 2, 3], step).step("s", () => work("x", 1), { limits: [outer, inner] }),
          b: step,
        })
        let writes = 0
        const heddle = makeHeddle(failing(memoryStore(), "events.append", { times: () => dies.includes(++writes) }))
        const ids = ["r1", "r2", "r3"]
        let ended = await Promise.all(ids.map((id) => out(heddle.run(flow, undefined as never, { id }))))
        for (let tries = 0; ended.some((one) => one?._tag !== undefined) && tries < 20; tries++) {
          expect([poolOf(inner).running, poolOf(outer).running]).toEqual([0, 0])
          ended = await Promise.all(
            ids.map((id) => out(Effect.catchTag(heddle.resume(flow, id) as any, "RunNotFound", () => heddle.run(flow, undefined as never, { id })))),
          )
        }
        expect(ended.map((one) => one?._tag)).toEqual([undefined, undefined, undefined])
        expect([seen.most <= Math.min(count, 2), seen.now, poolOf(inner).running, poolOf(outer).running]).toEqual([true, 0, 0, 0])
      }),
      { seed, numRuns: 40 },
    )
  }, 60_000)

  it("keys take turns, lower priorities go first, over all runs of the process", async () => {
    const { seen, work } = watched()
    const limit = permits("mail", 1, { key: ({ input }: Given) => input.key, priority: ({ input }: Given) => input.at ?? 0 })
    const flow = keyed(limit, work)
    const [one, two] = [makeHeddle(memoryStore()), makeHeddle(memoryStore())]
    const jobs = [["x"], ["a"], ["a"], ["a"], ["b"], ["b"], ["late", 9], ["soon", -1]] as const
    await Promise.all(jobs.map(([key, at], i) => go((i % 2 === 0 ? one : two).run(flow, { key, ...(at === undefined ? {} : { at }) }))))
    expect([seen.most, seen.order.join(" ")]).toEqual([1, "x soon a b a b a late"])
  })

  it("a key that has all it may have lets others pass", async () => {
    const { seen, work } = watched()
    const flow = keyed(permits("per", 3, { key: ({ input }: Given) => input.key, perKey: 1 }), work, 20)
    const heddle = makeHeddle(memoryStore())
    await Promise.all(["a", "a", "a", "b", "c"].map((key) => go(heddle.run(flow, { key }))))
    expect([seen.order.slice(0, 3).toSorted(), seen.mostOfOne, seen.most]).toEqual([["a", "b", "c"], 1, 3])
  })

  it("none is held between attempts, and waiting for one is no part of a timeout", async () => {
    const limit = permits("p", 1)
    let first = true
    const order: Array<string> = []
    const retried = seq("r").step("r", () => {
      order.push("r")
      if (!first) return 1
      first = false
      return Effect.fail({ _tag: "Again" } as const)
    }, { limits: [limit], retry: { times: 1, backoff: 60, jitter: false } })
    const slow = seq("s").step("s", () => Effect.andThen(Effect.sync(() => order.push("s")), Effect.as(Effect.sleep(40), 1)), {
      limits: [limit],
      timeout: 50,
    })
    const heddle = makeHeddle(memoryStore())
    const waits: Array<string> = []
    heddle.listen(({ kind, path, data }) => void (kind === "limit.waited" && waits.push(`${path} ${data}`)))
    await Promise.all([go(heddle.run(retried, undefined)), go(heddle.run(slow, undefined)), go(heddle.run(slow, undefined))])
    expect(order.slice(0, 2)).toEqual(["r", "s"])
    expect(order.toSorted()).toEqual(["r", "r", "s", "s"])
    expect(waits[0]).toBe("s {\"limit\":\"p\"}")
  })

  it("nested forks that share several permits never wait for each other for ever", async () => {
    const [a, b] = [permits("a", 1), permits("b", 1)]
    const nap = () => Effect.as(Effect.sleep(1), 1)
    const leaf = (name: string) => seq(name).step("one", nap, { limits: [a, b] }).step("two", nap, { limits: [b, a] })
    const flow = seq("deep").each(
      "outer",
      () => [1, 2, 3, 4],
      (x) =>
        x.parallel("inner", { left: (y) => y.step("l", nest(leaf("l"), () => undefined)), right: (y) => y.step("r", nest(leaf("r"), () => undefined)) })
          .step("own", nap, { limits: [b, a] }),
    )
    const heddle = makeHeddle(memoryStore())
    const runs = Promise.all(Array.from({ length: 4 }, () => go(heddle.run(flow, undefined))))
    expect(await Promise.race([runs.then(() => "done"), sleep(20_000, "deadlock")])).toBe("done")
  }, 30_000)

  it("a run that is killed or cancelled gives them back; a step that runs at most once begins when it begins", async () => {
    const limit = permits("p", 1)
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const holder = Effect.runFork(Effect.exit(heddle.run(seq("h").step("h", () => Effect.never, { limits: [limit] }), undefined, { id: "h" })))
    await sleep(5)
    const once = seq("o").step("o", () => 1, { limits: [limit], delivery: "atMostOnce" }).step("t", transaction(() => 1), { limits: [limit] })
    const waits = Effect.runFork(Effect.exit(heddle.run(once, undefined, { id: "o" })))
    await sleep(5)
    expect((await go(heddle.events("o"))).map(({ kind }) => kind)).toEqual(["run.started"])
    waits.interruptUnsafe()
    await go(heddle.cancel("h"))
    expect(poolOf(limit).running).toBe(0)
    holder.interruptUnsafe()
    expect(await go(Effect.scoped(Effect.flatMap(openSqlite(file()), (kept) => makeHeddle(kept).run(once, undefined))))).toEqual({ o: 1, t: 1 })
    const report = await crashEverywhere(seq("c").step("a", () => 1, { limits: [limit] }).step("b", () => 2, { limits: [limit] }), undefined)
    expect([report.wrong, report.repeated, poolOf(limit).running]).toEqual([[], [], 0])
  })

  it("wrong ones are refused, and a key that throws says where", async () => {
    const bad = [permits("none", 0), permits("half", 1, { perKey: 0.5 }), rate("never", { limit: 1, per: "soon" as never, burst: 0 })]
    expect(check(seq("f").step("a", () => 1, { limits: bad }).ir).map(({ message }) => message)).toEqual([
      "limit 'never': burst is 0: use a whole number from 1",
      expect.stringContaining("limit 'never': limits: \"soon\" is not a duration"),
      "limit 'none': count is 0: use a whole number from 1",
      "limit 'none': perKey is 0: use a whole number from 1",
      "limit 'half': perKey is 0.5: use a whole number from 1",
    ])
    const child = seq("kid").step("k", () => 1)
    const flow = seq("f").step("c", nest(child, () => undefined), { limits: [permits("p", 1)] } as never)
    expect(check(flow.ir).map(({ rule }) => rule)).toEqual(["limits"])
    const throws = permits("p", 1, {
      key: () => {
        throw new Error("no key")
      },
    })
    expect(await out(makeHeddle(memoryStore()).run(seq("f").step("a", () => 1, { limits: [throws] }), undefined))).toMatchObject({ _tag: "ConditionThrew" })
  })
})

describe("rates", () => {
  it("those that come too early wait, in order, each key for itself; one that is interrupted gives its place back", async () => {
    const limit = rate("api", { limit: 10, per: "1 second", burst: 2, key: ({ item }: { item: string }) => item[0]! })
    const began: Array<readonly [string, number]> = []
    const flow = seq("f").each(
      "all",
      () => ["a1", "a2", "a3", "a4", "b1"],
      (b) =>
        b.step("s", ({ item }) => Effect.clockWith((clock) => Effect.sync(() => began.push([item, clock.currentTimeMillisUnsafe()]))), { limits: [limit] }),
    )
    await testFlow(flow, undefined, { clock: new Date(0) })
    expect(began.toSorted((a, b) => a[1] - b[1] || a[0].localeCompare(b[0]))).toEqual([["a1", 0], ["a2", 0], ["b1", 0], ["a3", 100], ["a4", 200]])
    const slow = rate("slow", { limit: 1, per: 50 })
    const use = within([{ limit: slow, key: "", priority: 0 }], Effect.sync(Date.now), () => undefined)
    const from = await go(use)
    await go(Effect.timeoutOption(use, 5))
    expect((await go(use)) - from).toBeLessThan(95)
  })
})

describe("budgets", () => {
  const spends =
    (name: string, tokens: number) => (_scope: unknown, { charge }: { readonly charge: (s: { tokens: number }) => void }) => (charge({ tokens }), name)

  it.each([10, 9])("%i steps are allowed and ten are made", async (steps) => {
    const flow = seq("f", { budget: { steps } }).loop("l", { times: 10 }, (b) => b.step("s", () => 1))
    const result = await out(makeHeddle(memoryStore()).run(flow, undefined, { id: "r" }))
    if (steps === 10) expect(result).toEqual({ l: { s: 1 } })
    else expect(result).toMatchObject({ _tag: "LimitExceeded", path: "l[9]/s", limit: "steps", of: "run 'r'", used: 10, allowed: 9 })
  })

  it("counts what steps charge, in every budget they belong to; the first that is too small is named", async () => {
    const flow = seq("f", { budget: { tokens: 100 } })
      .protect("inner", (b) => b.loop("l", { times: 5, budget: { tokens: 1000, iterations: 3 } }, (c) => c.step("s", spends("s", 10))), {
        budget: { tokens: 25 },
        catch: { LimitExceeded: ({ of, used, path }) => `${of} ${used} ${path}` },
      })
      .protect("passes", (b) => b.loop("l", { times: 5, budget: { iterations: 3 } }, (c) => c.step("s", () => 1)), {
        catch: { LimitExceeded: ({ message }) => message },
      })
      .step("later", spends("later", 60))
      .step("more", spends("more", 60))
    const tested = await testFlow(flow, undefined)
    expect(tested.state).toMatchObject({
      inner: "'inner' 30 inner/l[2]/s",
      passes: "'passes/l' spends more than the budget of 'passes/l' allows: 4 of 3 iterations. Raise the budget, or spend less",
      later: "later",
    })
    expect(tested.result).toMatchObject({ ok: false, error: { _tag: "LimitExceeded", path: "more", of: "run 'test'", used: 150, allowed: 100 } })
  })

  it("goes on where it was: after a crash, a wait, in another process; a raised one lets a failed run go on", async () => {
    const flow = (tokens: number) =>
      seq("f", { budget: { tokens } }).step("a", spends("a", 40)).wait("go").protect("p", (b) => b.step("b", spends("b", 40)).step("c", spends("c", 40)), {
        budget: { tokens: 90 },
      })
    const store = memoryStore()
    await out(makeHeddle(store).run(flow(100), undefined, { id: "r", onSuspend: "return" }))
    await go(makeHeddle(store).signal(flow(100), "r", "go", undefined))
    await out(makeHeddle(failing(store, "events.append", { where: (_run, { name }) => name === "c" })).resume(flow(100), "r"))
    expect(await out(makeHeddle(store).resume(flow(100), "r"))).toMatchObject({ _tag: "LimitExceeded", used: 120, allowed: 100 })
    expect(await out(makeHeddle(store).resume(flow(90), "r"))).toMatchObject({ used: 120, allowed: 90 })
    expect(await out(makeHeddle(store).resume(flow(1000), "r"))).toMatchObject({ _tag: "LimitExceeded", of: "'p'" })
    expect(await status(makeHeddle(store), "r")).toBe("failed")
  })

  it("other tries of a nested flow go on with what is left; a budget may come later; an exported run keeps what it has spent", async () => {
    let tries = 0
    const inner = seq("i", { budget: { steps: 3 } }).step("a", () => 1).step("b", () => (++tries < 5 ? no() : Effect.succeed(1)))
    const flow = seq("f").step("n", nest(inner, () => undefined), { retry: { times: 5, backoff: 1 } })
    expect(await out(makeHeddle(memoryStore()).run(flow, undefined))).toMatchObject({ _tag: "LimitExceeded", of: "'n'", used: 4, allowed: 3 })
    expect(tries).toBe(1)
    const heddle = makeHeddle(memoryStore())
    const later = (budget: object) => seq("l", budget).step("a", () => 1).wait("go").step("b", spends("b", 5))
    await out(heddle.run(later({}), undefined, { id: "r", onSuspend: "return" }))
    await go(heddle.signal(later({}), "r", "go", undefined))
    expect(await out(heddle.resume(later({ budget: { tokens: 9 } }), "r"))).toMatchObject({ b: "b" })
    const other = makeHeddle(memoryStore())
    await go(other.import(await go(heddle.export("r"))))
    expect((await go(other.events("r"))).at(-1)!.data).toContain("\"spent\":{\"\":{\"steps\":1,\"tokens\":5}}")
  })

  it("those of the engine and of the run that started it count for a child", async () => {
    const child = seq("kid").step("k", spends("k", 30))
    const parent = (tokens: number) =>
      seq("dad", { budget: { tokens } }).each("all", () => [1, 2, 3], (b) => b.step("c", nest(child, () => undefined, { as: "run" })), { concurrency: 1 })
    expect(await out(makeHeddle(memoryStore()).run(parent(90), undefined, { id: "r" }))).toHaveProperty("all")
    expect(await out(makeHeddle(memoryStore()).run(parent(80), undefined, { id: "r" }))).toMatchObject({ _tag: "LimitExceeded", of: "run 'r'", path: "k" })
    const engine = makeHeddle(memoryStore(), { budget: { tokens: 70 } })
    expect(await go(engine.run(child, undefined))).toEqual({ k: "k" })
    expect(await go(engine.run(parent(1000), undefined).pipe(Effect.flip))).toMatchObject({ of: "the engine", used: 90, allowed: 70 })
  })

  it("a nested flow's is the step's; time is what the run is driven, not what it waits", async () => {
    const inner = seq("i", { budget: { steps: 1 } }).step("a", () => 1).step("b", () => 1)
    const tested = await testFlow(seq("f").step("n", nest(inner, () => undefined)), undefined)
    expect(tested.result).toMatchObject({ error: { _tag: "LimitExceeded", of: "'n'", path: "n/b" } })
    const timed = seq("f", { budget: { time: "10 seconds" } }).step("a", () => Effect.as(Effect.sleep("6 seconds"), 1)).wait("nap", { for: "1 day" })
      .step("b", () => Effect.as(Effect.sleep("6 seconds"), 1))
    expect((await testFlow(timed, undefined)).result).toMatchObject({ error: { _tag: "LimitExceeded", limit: "time", path: "", allowed: 10_000 } })
    const quick = seq("f", { budget: { time: "20 seconds" } }).step("a", () => Effect.as(Effect.sleep("6 seconds"), 1)).wait({ for: "1 day" })
    expect((await testFlow(quick, undefined)).result.ok).toBe(true)
  })

  it("hooks and listeners hear of 50, 75 and 90 %, and of too much; a hook may end the run", async () => {
    const told: Array<string> = []
    const hooks = [
      hook("limit.warned", ({ percent, limit, path }) => void told.push(`${percent}% of ${limit} at ${path}`)),
      hook("limit.exceeded", ({ used, allowed }) => void told.push(`${used} of ${allowed}`)),
    ]
    const flow = seq("f", { budget: { cost: 10, steps: 4 } }).step("a", (_, { charge }) => charge({ cost: 6, bytes: 0 })).step(
      "b",
      (_, { charge }) => charge({ cost: 3 }),
    )
      .step("c", async (_, { charge }) => charge({ cost: 2 }))
    const heddle = makeHeddle(memoryStore(), { hooks })
    const notices: Array<string> = []
    heddle.listen(({ kind, path }) => void (kind.startsWith("limit.") && notices.push(`${kind} ${path}`)))
    expect(await out(heddle.run(flow, undefined))).toMatchObject({ _tag: "LimitExceeded", limit: "cost", used: 11 })
    expect(told).toEqual(["50% of cost at a", "50% of steps at b", "75% of cost at b", "90% of cost at b", "75% of steps at c", "11 of 10"])
    expect(notices).toEqual(["limit.warned a", "limit.warned b", "limit.warned b", "limit.warned b", "limit.warned c", "limit.exceeded c"])
    const ends = makeHeddle(memoryStore(), { hooks: [hook("limit.exceeded", () => decide.cancel("enough"))] })
    const many = seq("f", { budget: { steps: 1 } }).step("a", () => 1).step("b", () => 1)
    expect(await out(ends.run(many, undefined))).toMatchObject({ _tag: "RunCancelled", reason: "enough" })
  })

  it("what a step charges is checked, and an error inside is told as it is", async () => {
    const charges = (cost: number) => seq("f", { budget: { cost: 5 } }).step("a", (_, { charge }) => charge({ cost }))
    const heddle = makeHeddle(memoryStore())
    expect((await out(heddle.run(charges(-1), undefined))).message).toContain("charge: cost is -1")
    expect(await out(heddle.run(charges(6), undefined))).toMatchObject({ _tag: "LimitExceeded" })
    expect(await go(heddle.run(seq("f").step("a", (_, { charge }) => charge({ cost: 1e9 })), undefined))).toEqual({ a: undefined })
    await go(Effect.scoped(Effect.gen(function*() {
      const kept = makeHeddle(yield* openSqlite(file()))
      const tx = seq("f", { budget: { cost: 5 } }).step("t", transaction((_sql, _scope, { charge }) => charge({ cost: 6 })))
      expect(yield* Effect.flip(kept.run(tx, undefined))).toMatchObject({ _tag: "LimitExceeded" })
      expect(yield* kept.run(seq("f", { budget: { steps: 1 } }).step("t", transaction(() => 1)), undefined, { id: "r" })).toEqual({ t: 1 })
      expect((yield* kept.events("r")).map(({ data }) => data)).toEqual([
        "{\"spent\":{\"\":{}}}",
        "{\"output\":1,\"spent\":{\"\":{\"steps\":1}}}",
        "{\"ref\":{\"r\":{\"t\":2}},\"spent\":{\"\":{\"steps\":1}}}",
      ])
    })))
    const wrong = seq("f", { budget: { stepz: 1, steps: -1, time: "soon" } as never }).loop(
      "l",
      { times: 1, budget: { tokens: Number.NaN } },
      (b) => b.step("s", () => 1),
    )
    expect(check(wrong.ir).map(({ path, message }) => `${path}: ${message}`)).toEqual([
      ": 'stepz' is nothing a budget bounds: steps, iterations, tokens, cost, bytes, depth, fanOut, time",
      ": the budget of steps is -1: give a number from 0",
      ": the budget of time is soon: give a duration",
      "l: the budget of tokens is NaN: give a number from 0",
    ])
    void no
  })

  it("fan-out and depth are bounded at each node, and not added up", async () => {
    const wide = (allowed: number, items: number) =>
      seq("f", { budget: { fanOut: allowed } }).each("a", () => Array.from({ length: items }, (_, n) => n), (b) => b.step("s", () => 1))
        .parallel("p", { x: (b) => b.step("s", () => 1), y: (b) => b.step("s", () => 2) }).returns(({ a }) => a.length)
    const heddle = makeHeddle(memoryStore())
    expect(await out(heddle.run(wide(3, 3), undefined))).toBe(3)
    expect(await out(heddle.run(wide(3, 4), undefined))).toMatchObject({ _tag: "LimitExceeded", path: "a", limit: "fanOut", used: 4, allowed: 3 })
    expect((await out(heddle.run(wide(1, 1), undefined))).message).toBe(
      "'p' spends more than the budget of run '" + (await go(heddle.list())).at(0)!.id + "' allows: 2 of 1 forks of one node. Raise the budget, or spend less",
    )
    // what did not happen is not used up
    const caught = seq("f").protect(
      "p",
      (b) => b.protect("q", (c) => c.each("a", () => [1, 2, 3], (d) => d.step("s", () => 1)), { fallback: () => "too wide" }).step("after", () => 1),
      { budget: { fanOut: 2 } },
    )
    expect(await out(heddle.run(caught, undefined))).toEqual({ p: { q: "too wide", after: 1 } })

    const leaf = seq("leaf").step("s", () => 1)
    const middle = seq("middle").each("e", () => [1], (b) => b.step(leaf))
    const top = (depth: number) => seq("top", { budget: { depth } }).step(middle).step("again", nest(middle, () => undefined))
    expect(await out(heddle.run(top(2), undefined))).toHaveProperty("again")
    expect(await out(heddle.run(top(1), undefined))).toMatchObject({ _tag: "LimitExceeded", path: "middle/e[0]/leaf", limit: "depth", used: 2, allowed: 1 })
    const run = (depth: number) => seq("top", { budget: { depth } }).step("kid", nest(middle, () => undefined, { as: "run" }))
    expect(await out(heddle.run(run(2), undefined))).toHaveProperty("kid")
    expect(await out(heddle.run(run(1), undefined))).toMatchObject({ _tag: "LimitExceeded", path: "e[0]/leaf", limit: "depth", used: 2, allowed: 1 })
  })

  it("depth counts from whoever bounds it", async () => {
    const leaf = seq("leaf").step("s", () => 1)
    const own = (depth: number) => seq("own", { budget: { depth } }).step(leaf)
    const around = (depth: number) => seq("around").step("outer", nest(seq("middle").step(own(depth)), () => undefined))
    const heddle = makeHeddle(memoryStore())
    for (const flow of [own(1), around(1)]) expect(await out(heddle.run(flow as never, undefined))).not.toHaveProperty("_tag")
    const two = seq("two", { budget: { depth: 1 } }).step(seq("in").step(leaf))
    expect(await out(heddle.run(seq("around").step(two), undefined))).toMatchObject({ _tag: "LimitExceeded", path: "two/in/leaf", of: "'two'", used: 2 })
  })

  it("what a run of its own says of its depth and width counts where it is a step, wherever it was driven", async () => {
    const budgets = (allowed: object, depth = 1) =>
      new Budgets("r", allowed, { outer: [], deadline: undefined, recorded: {}, now: Date.now, tell: () => undefined, depth: () => depth })
    const deep = budgets({ depth: 3 })
    deep.adopt("kid", "k")
    expect(deep.settle("kid", { "": { depth: 2, fanOut: 9 } })).toBeUndefined()
    deep.adopt("kid", "k")
    expect(deep.settle("kid", { "": { depth: 3 } })).toMatchObject({ limit: "depth", used: 4 })
    const wide = budgets({ fanOut: 3 })
    wide.adopt("kid", "k")
    expect(wide.of("kid")!.count("fanOut", 2).exceeded).toBeUndefined()
    expect(wide.of("kid")!.count("fanOut", 4).exceeded).toMatchObject({ used: 4, allowed: 3 })
    // counted here already
    expect(wide.settle("kid", { "": { fanOut: 4 } })).toBeUndefined()
  })

  it("a thousand forks go on at once at most; the rest queue", async () => {
    let [now, most] = [0, 0]
    const flow = seq("f").each("all", () => Array.from({ length: 1500 }, (_, i) => i), (b) =>
      b.step("s", () => {
        most = Math.max(most, ++now)
        return Effect.as(Effect.andThen(Effect.sleep(5), Effect.sync(() => now--)), 1)
      }), { concurrency: "unbounded" })
    await go(makeHeddle(memoryStore()).run(flow, undefined))
    expect(most).toBe(1000)
  })
})

describe("what a reading found", () => {
  const charged = (tokens: number) => (_scope: unknown, { charge }: { readonly charge: (s: { tokens: number }) => void }) => (charge({ tokens }), 1)

  it("many that do nothing but hold a permit for a moment neither break each other nor lose their turn", async () => {
    const limit = permits("p", 1, { priority: ({ input }: { input: number }) => input % 3 })
    const heddle = makeHeddle(memoryStore())
    const slow = seq<number>("slow").step("s", () => Effect.as(Effect.sleep(20), 1), { limits: [limit] })
    const quick = seq<number>("quick").step("s", () => 1, { limits: [limit] }).each("e", () => [1, 2, 3], (b) => b.step("z", () => 1, { limits: [limit] }))
    const runs = [go(heddle.run(slow, 0)), ...Array.from({ length: 1500 }, (_, i) => go(heddle.run(quick, i)))]
    expect(await Promise.race([Promise.all(runs).then((all) => all.length), sleep(20_000, "hung")])).toBe(1501)
    expect(poolOf(limit).running).toBe(0)
  }, 30_000)

  it("the same limit twice is one", async () => {
    const limit = permits("p", 1)
    expect(await go(makeHeddle(memoryStore()).run(seq("f").step("a", () => 1, { limits: [limit, limit] }), undefined))).toEqual({ a: 1 })
  })

  it("nothing begins any more where a budget is used up", async () => {
    let spent = 0
    const spends = (_s: unknown, { charge }: { readonly charge: (s: { tokens: number }) => void }) => {
      spent += 50
      charge({ tokens: 50 })
    }
    const engine = makeHeddle(memoryStore(), { budget: { tokens: 100 } })
    for (let i = 0; i < 10; i++) await out(engine.run(seq("one").step("s", spends), undefined))
    expect(spent).toBe(150)
    spent = 0
    const guarded = seq("k", { budget: { tokens: 100 } }).loop(
      { times: 20 },
      (b) => b.protect("p", (c) => c.step("s", spends), { budget: { tokens: 60 }, catch: { LimitExceeded: () => 0 } }),
    )
    await out(makeHeddle(memoryStore()).run(guarded, undefined))
    expect(spent).toBe(150)
  })

  it("a pass in which a run goes on is counted once; a refused step that runs at most once has not begun", async () => {
    const heddle = makeHeddle(memoryStore())
    const waits = seq("f", { budget: { iterations: 3 } }).loop("l", { times: 3 }, (b) => b.step("a", () => 1).wait("w"))
    await out(heddle.run(waits, undefined, { id: "r", onSuspend: "return" }))
    for (let i = 0; i < 3; i++) {
      await go(heddle.signal(waits, "r", "w", undefined))
      await out(heddle.resume(waits, "r", { onSuspend: "return" }))
    }
    expect(await status(heddle, "r")).toBe("completed")
    const once = (steps: number) => seq("o", { budget: { steps } }).step("a", () => 1).step("b", () => 2, { delivery: "atMostOnce" })
    expect(await out(heddle.run(once(1), undefined, { id: "o" }))).toMatchObject({ _tag: "LimitExceeded" })
    expect(await out(heddle.resume(once(9), "o"))).toEqual({ a: 1, b: 2 })
  })

  it("what a child spends counts where it is a step, wherever it was driven", async () => {
    const kid = seq("kid").step("a", charged(30)).wait("w").step("b", charged(30))
    const dad = (tokens: number) => seq("dad", { budget: { tokens } }).step("k", nest(kid, () => undefined, { as: "run" }))
    for (const how of ["here", "elsewhere"]) {
      const store = memoryStore()
      await out(makeHeddle(store).run(dad(50), undefined, { id: "r", onSuspend: "return" }))
      const heddle = makeHeddle(store)
      const [child] = await go(heddle.list({ parent: "r" }))
      await go(heddle.signal(kid, child!.id, "w", undefined))
      if (how === "elsewhere") await out(makeHeddle(store).resume(kid, child!.id))
      expect(await out(heddle.resume(dad(50), "r")), how).toMatchObject({ _tag: "LimitExceeded", of: "run 'r'", used: 60 })
    }
    const looped = seq("dad").loop(
      "l",
      { times: 5, budget: { tokens: 50 } },
      (b) => b.step("k", nest(seq("k30").step("s", charged(30)), () => undefined, { as: "run" })),
    )
    expect(await out(makeHeddle(memoryStore()).run(looped, undefined))).toMatchObject({ _tag: "LimitExceeded", of: "'l'", used: 60 })
  })

  it("a child that says nothing has spent nothing; a part that is over begins anew in another try; a step may charge often", async () => {
    const budgets = new Budgets("r", { tokens: 5 }, { outer: [], deadline: undefined, recorded: {}, now: Date.now, tell: () => undefined, depth: () => 0 })
    budgets.adopt("old", "k")
    expect(budgets.settle("old", {})).toBeUndefined()
    let fails = true
    const inner = seq("i").protect("q", (b) => b.step("s", charged(30)).wait("w"), { budget: { tokens: 50 } }).step("x", () => {
      if (!fails) return Effect.succeed(1)
      fails = false
      return no()
    })
    const flow = seq("f").step("n", nest(inner, () => undefined), { retry: { times: 1, backoff: 1 } })
    const heddle = makeHeddle(memoryStore())
    await out(heddle.run(flow, undefined, { id: "r", onSuspend: "return" }))
    for (const id of ["1", "2"]) await go(heddle.signal(flow, "r", "w", undefined, { id }))
    expect(await out(heddle.resume(flow, "r"))).toMatchObject({ n: { x: 1 } })
    const told: Array<number> = []
    const hooks = [hook("limit.warned", ({ percent }) => void told.push(percent))]
    const often = seq("o", { budget: { cost: 10 } }).step("a", (_s, { charge }) => {
      charge({ cost: 6 })
      charge({ cost: 3 })
    })
    await testFlow(often, undefined, { hooks })
    expect(told).toEqual([50, 75, 90])
  })

  it("what was too much has failed, whatever the step makes of it", async () => {
    const heddle = makeHeddle(memoryStore())
    const swallows = seq("f", { budget: { tokens: 5 } }).step("a", (_s, { charge }) => {
      try {
        charge({ tokens: 50 })
      } catch {
        return "never mind"
      }
      return "fine"
    })
    const renames = seq("f", { budget: { tokens: 5 } }).step("a", (_s, { charge }) => Effect.tryPromise(async () => charge({ tokens: 50 })))
    for (const flow of [swallows, renames]) expect(await out(heddle.run(flow as never, undefined as never))).toMatchObject({ _tag: "LimitExceeded" })
  })

  it("what is spent is found however far back it was said, and told as it is kept", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f", { budget: { tokens: 50 } }).step("a", charged(30)).step("b", charged(30))
    const told: Array<string> = []
    heddle.listen(({ kind, data }) => void (kind === "step.completed" && told.push(data!)))
    await out(heddle.run(flow, undefined, { id: "r" }))
    expect(told).toEqual([(await go(heddle.events("r")))[1]!.data])
    for (let i = 0; i < 40; i++) {
      await go(heddle.rewind(flow, "r", "b"))
      await go(heddle.pause("r"))
    }
    expect(await out(heddle.resume(flow, "r"))).toMatchObject({ _tag: "LimitExceeded" })
    expect((await go(heddle.events("r"))).at(-1)!.data).toContain("\"tokens\":60")
  })

  it("a time of a nested flow is refused; one of a run is told to hooks", async () => {
    const inner = seq("i", { budget: { time: 20 } }).step("a", () => 1)
    expect(check(seq("f").step("n", nest(inner, () => undefined)).ir).map(({ rule }) => rule)).toEqual(["budget"])
    const told: Array<string> = []
    const tested = await testFlow(seq("f", { budget: { time: 20 } }).step("a", () => Effect.sleep(50)), undefined, {
      hooks: [hook("limit.exceeded", ({ limit, allowed }) => void told.push(`${limit} ${allowed}`))],
    })
    expect([tested.result.ok, told]).toEqual([false, ["time 20"]])
  })

  it("a rate gives back only the last place, and outlives a clock that is set back", async () => {
    const limit = rate("r", { limit: 20, per: 1000, burst: 1 })
    const times: Array<number> = []
    const use = within([{ limit, key: "", priority: 0 }], Effect.sync(() => times.push(Date.now())), () => undefined)
    const fibers = Array.from({ length: 4 }, () => Effect.runFork(use))
    fibers[1]!.interruptUnsafe()
    fibers.push(Effect.runFork(use))
    await Promise.all(fibers.map((fiber) => new Promise<void>((resolve) => fiber.addObserver(() => resolve()))))
    const gaps = times.slice(1).map((at, i) => at - times[i]!)
    expect(Math.min(...gaps)).toBeGreaterThan(30)
    const now = Date.now()
    const clock = vi.spyOn(Date, "now").mockReturnValue(now - 3_600_000)
    const early = Effect.runPromise(use)
    clock.mockRestore()
    expect(await Promise.race([early.then(() => "soon"), sleep(2000, "hung")])).toBe("soon")
  })
})

describe("steps that are defined once", () => {
  it("bring their retry, timeout, limits, hooks and description to wherever they are used; what is said there goes before", async () => {
    let tries = 0
    const asked: Array<string> = []
    const desk = permits("desk", 1, { key: ({ user }: { user: string }) => user })
    const fetch = step("fetch", ({ user }: { user: string }) => (++tries < 3 ? no() : Effect.succeed(`for ${user}`)), {
      retry: { times: 2, backoff: 1 },
      timeout: "1 minute",
      limits: [desk],
      hooks: [hook("step.after", ({ path }) => void asked.push(path))],
      description: "asks the shop",
    })
    const flow = seq<{ user: string }>("f").protect("p", (b) => b.step(fetch), { catch: { No: () => "no", StepTimedOut: () => "late" } }).step(fetch)
    const [, node] = flow.ir.body.nodes
    expect(node).toMatchObject({ description: "asks the shop", timeout: "1 minute", limits: [{ name: "desk" }], retry: { times: 2 } })
    expect(await go(makeHeddle(memoryStore()).run(flow, { user: "Ada" }))).toMatchObject({ fetch: "for Ada" })
    expect([tries, asked]).toEqual([4, ["p/fetch", "fetch"]])
    const named = seq("g").step("user", () => "Bo").step("other", fetch, { timeout: 5, limits: [permits("more", 1)], description: "again" })
    expect(named.ir.body.nodes[1]).toMatchObject({ description: "again", timeout: 5, limits: [{ name: "desk" }, { name: "more" }], retry: { times: 2 } })
    expect(fetch({ user: "Bo" })).toBeDefined()
  })
})

describe("debounce", () => {
  const flow = seq<number>("mail").step("sent", ({ input }) => input)
  const send = (heddle: ReturnType<typeof makeHeddle>, n: number, more: object = {}) => go(heddle.start(flow, n, { correlation: "ada", debounce: 60, ...more }))

  it("the last one counts, for each correlation, and begins when no other has come", async () => {
    const heddle = makeHeddle(memoryStore())
    for (const n of [1, 2, 3]) await send(heddle, n)
    await send(heddle, 9, { correlation: "grace" })
    const statuses = async () => (await go(heddle.list())).map(({ input, status: is }) => `${input} ${is}`).sort()
    expect(await statuses()).toEqual(["1 cancelled", "2 cancelled", "3 pending", "9 pending"])
    const [first] = await go(heddle.list({ status: "cancelled" }))
    expect((await go(heddle.events(first!.id))).at(-1)!.data).toMatch(/debounced: run '.*' takes its place/)
    await go(Effect.scoped(Effect.gen(function*() {
      yield* heddle.worker([flow])
      yield* Effect.sleep(20)
      expect((yield* heddle.list({ status: "completed" })).length).toBe(0)
      while ((yield* heddle.list({ status: "completed" })).length < 2) yield* Effect.sleep(10)
    })))
    // one that has begun is left alone
    await send(heddle, 4)
    expect(await statuses()).toEqual(["1 cancelled", "2 cancelled", "3 completed", "4 pending", "9 completed"])
  })

  it("the last one stays, also of those that come in one moment or by clocks that differ", async () => {
    const at = vi.spyOn(Date, "now")
    for (const step of [0, -2000]) {
      for (let i = 0; i < 10; i++) {
        const heddle = makeHeddle(memoryStore())
        at.mockReturnValue(1_800_000_000_000)
        await send(heddle, 1, { debounce: "1 hour" })
        at.mockReturnValue(1_800_000_000_000 + step)
        await send(heddle, 2, { debounce: "1 hour" })
        expect((await go(heddle.list({ status: "pending" }))).map(({ input }) => input)).toEqual(["2"])
      }
    }
    at.mockRestore()
    const failing_ = makeHeddle(failing(memoryStore(), "runs.list"))
    expect(await out(failing_.start(flow, 1, { correlation: "ada", debounce: 60 }))).toMatchObject({ _tag: "StoreFailed" })
  })

  it("one that began while others were looked for goes on", async () => {
    const store = memoryStore()
    const { runs } = store
    const waits = seq<number>("waits").wait("go")
    const begin = makeHeddle(store).resume(waits, "first", { onSuspend: "return" })
    const list: typeof runs.list = (query) => Effect.tap(runs.list(query), () => Effect.ignore(begin))
    const late = { ...store, runs: { ...runs, list } }
    const both = { correlation: "ada", debounce: 60 }
    await go(makeHeddle(store).start(waits, 1, { ...both, id: "first" }))
    await go(makeHeddle(late).start(waits, 2, { ...both, id: "second" }))
    expect([(await go(store.runs.get("first")))!.status, (await go(store.runs.get("second")))!.status]).toEqual(["suspended", "pending"])
  })

  it("of many at once exactly one stays", async () => {
    await go(Effect.scoped(Effect.gen(function*() {
      const heddle = makeHeddle(yield* openSqlite(file()))
      yield* Effect.forEach(Array.from({ length: 20 }, (_, n) => n), (n) => heddle.start(flow, n, { correlation: "ada", debounce: "1 hour" }), {
        concurrency: "unbounded",
      })
      expect(yield* heddle.list({ status: "pending" })).toHaveLength(1)
      expect(yield* heddle.list({ status: "cancelled" })).toHaveLength(19)
    })))
  })

  it("it needs a correlation, and says when the run begins", async () => {
    const heddle = makeHeddle(memoryStore())
    expect((await out(heddle.start(flow, 1, { debounce: 10 }))).message).toContain("debounce: it needs a correlation")
    expect((await out(heddle.start(flow, 1, { debounce: Number.POSITIVE_INFINITY, correlation: "x" }))).message).toContain("it would never end")
    expect((await out(heddle.start(flow, 1, { debounce: 10, correlation: "x", at: new Date() }))).message).toContain("leave `at` out")
  })
})
