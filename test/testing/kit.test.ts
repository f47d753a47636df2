import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import * as fc from "fast-check"
import { err } from "neverthrow"
import { nest, seq, transaction } from "heddle"
import {
  chaotic,
  crashEverywhere,
  differences,
  faulty,
  inputs,
  jumpingClock,
  matchers,
  mocked,
  mortalStore,
  recordFixture,
  replayFixture,
  testFlow,
  UnknownPath,
} from "heddle/testing"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { memoryStore } from "../../src/store/memory/store.ts"

class Db extends Context.Service<Db, { readonly n: number }>()("kit/Db") {}
const child = seq<{ readonly n: number }>("child").step("c", ({ input }) => input.n)
const flow = seq("f", { input: z.object({ n: z.number() }) }).step("a", ({ input }) => input.n).step("inner", nest(child, ({ a }) => ({ n: a })))
  .wait("go", { schema: z.string() }).step("own", nest(child, () => ({ n: 1 }), { as: "run" })).step("tx", transaction(() => 1)).returns((
    { tx, go },
  ) => [tx, go])

it("mocks replace steps by path; a path that is not there is an error that names those that are", async () => {
  expect(() => mocked(flow, { nothing: 1 })).toThrow(UnknownPath)
  expect(() => faulty(flow, [{ path: "x" }])).toThrow("flow 'f' has no step 'x'; its steps: a, inner, inner/c, own, tx")
  const tested = await testFlow(flow, { n: 1 }, { mocks: { tx: () => 5, "inner/c": () => 9 }, signals: [{ name: "go", payload: "x" }], clock: new Date(0) })
  expect(tested.result).toEqual({ ok: true, value: [5, "x"] })
  expect(tested.calls.map(({ path }) => path)).toEqual(["a", "inner/c", "tx"])
  const memory = await testFlow(flow, { n: 1 }, { signals: [{ name: "go", payload: "x", id: "s" }], clock: "real" })
  expect(memory.result).toMatchObject({ ok: false, error: { _tag: "TransactionUnsupported" } })
  await expect(testFlow(flow, { n: "x" as never })).rejects.toMatchObject({ _tag: "InputInvalid" })
  const waits = await testFlow(flow, { n: 1 })
  expect(waits.result).toMatchObject({ ok: false, error: { _tag: "RunSuspended" } })
  const goesOn = await testFlow(mocked(flow, { tx: 1 }), { n: 1 }, { store: waits.store, signals: [{ name: "go", payload: "y" }] })
  expect(goesOn.result).toEqual({ ok: true, value: [1, "y"] })
  const served = seq("s").step("n", () => Effect.map(Db.use((db) => Effect.succeed(db.n)), (n) => n))
  expect((await testFlow(served, undefined, { layer: Layer.succeed(Db, { n: 3 }) })).result).toEqual({ ok: true, value: { n: 3 } })
  expect((await testFlow(chaotic(seq("c").step("a", () => 1).step("t", transaction(() => 1)), 1, { rate: 1, fail: { _tag: "Chaos" } }), undefined)).result.ok)
    .toBe(false)
  expect((await testFlow(chaotic(seq("c").step("a", () => 1), 3, { rate: 1 }), undefined)).calls.length).toBe(1)
  expect((await testFlow(faulty(seq("c").step("a", () => 1), [{ path: "a", delay: "1 day" }]), undefined)).result.ok).toBe(true)
})

it("crashes are found to do harm where they do", async () => {
  let n = 0
  const bad = seq("bad").step("a", () => ++n).step("b", ({ a }) => a)
  const report = await crashEverywhere(bad, undefined)
  expect(report.wrong.length).toBeGreaterThan(0)
  const forgetful = () => {
    const store = memoryStore()
    return { ...store, events: { ...store.events, under: () => Effect.succeed([]) } }
  }
  const again = await crashEverywhere(seq("g").step("a", () => 1).step("b", () => 2), undefined, { store: forgetful })
  expect(again.repeated.length).toBeGreaterThan(0)
  expect(mortalStore(forgetful(), 0, "lost", () => Effect.void).writes()).toBe(0)
  const fails = await crashEverywhere(seq("e").step("a", () => err({ _tag: "No" } as const)), undefined, { mocks: { a: () => err({ _tag: "Other" }) } })
  expect(fails).toMatchObject({ wrong: [], repeated: [] })
  const dies = await crashEverywhere(seq("d").step("a", () => Db.use((db) => Effect.succeed(db.n))) as never, undefined as never)
  expect(dies.points).toBeGreaterThan(0)
  const served = await crashEverywhere(seq("s").step("a", () => Db.use((db) => Effect.succeed(db.n))), undefined, {
    layer: Layer.succeed(Db, { n: 1 }),
    signals: [],
  })
  expect(served).toMatchObject({ wrong: [], repeated: [] })
})

it("transactions are watched on a store that has them", async () => {
  await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const store = yield* openSqlite(join(mkdtempSync(join(tmpdir(), "heddle-kit-")), "h.db"))
    const tested = yield* Effect.promise(() => testFlow(seq("t").step("x", transaction(() => 1)), undefined, { store }))
    expect(tested.calls.map(({ path }) => path)).toEqual(["x"])
  })))
})

it("a recorded run becomes a regression test", async () => {
  const heddle = makeHeddle(memoryStore())
  let tries = 0
  const recorded = seq("rec", { input: z.object({ n: z.number() }) })
    .step("flaky", () => (++tries < 2 ? err({ _tag: "Down" } as const) : Effect.succeed(new Map([["k", 1]]))), { retry: { times: 2, backoff: 1 } })
    .loop("l", { times: 2 }, (b) => b.step("s", ({ index }) => index)).step("n", nest(child, ({ input }) => input)).wait("go", { schema: z.number() })
    .protect("p", (b) => b.step("x", () => err({ _tag: "No" } as const)), { catch: { No: () => "caught" } }).returns(({ p, go }) => [p, go])
  await Effect.runPromise(heddle.start(recorded, { n: 1 }, { id: "r" }))
  await Effect.runPromise(heddle.signal(recorded, "r", "go", 7))
  await Effect.runPromise(heddle.resume(recorded, "r"))
  const fixture = JSON.parse(JSON.stringify(await recordFixture(heddle, "r")))
  tries = 0
  expect(await replayFixture(recorded, fixture)).toEqual([])
  const changed = seq("rec", { input: z.object({ n: z.number() }) }).step("flaky", () => 1).step("more", () => 2).wait("go", { schema: z.number() })
  const found = await replayFixture(changed, fixture)
  expect(found).toContain("step 'more' has no record")
  expect(found).toContain("step 'l[0]/s' did not run")
  expect(found.some((one) => one.startsWith("events["))).toBe(true)
})

describe("inputs", () => {
  const every = seq("e", {
    input: z.object({
      s: z.string().min(2).max(5),
      re: z.string().regex(/^[a-c]{3}$/),
      id: z.uuid(),
      mail: z.email(),
      url: z.url(),
      at: z.iso.datetime(),
      i: z.int().gt(3).lt(9),
      f: z.number().gt(0).lt(1),
      m: z.number().min(1).max(2),
      b: z.boolean(),
      n: z.null(),
      l: z.literal("x"),
      e: z.enum(["p", "q"]),
      u: z.union([z.string(), z.number()]),
      a: z.array(z.number()).min(1).max(3),
      free: z.array(z.any()),
      t: z.tuple([z.string(), z.number()]),
      r: z.record(z.string(), z.number()),
      o: z.object({ maybe: z.string().optional() }),
      any: z.any(),
    }),
  })
  it("are made from a schema, whatever it has, and fit it", async () => {
    await fc.assert(
      fc.asyncProperty(inputs<typeof every, fc.Arbitrary<any>>(every, fc), async (input) => {
        expect(every.ir.input!["~standard"].validate(input)).not.toHaveProperty("issues")
      }),
      { numRuns: 20 },
    )
  })
  it("need a schema that can be described", () => {
    expect(() => inputs(seq("none"), fc)).toThrow("flow 'none' has no input schema")
    const foreign = { "~standard": { version: 1, vendor: "x", validate: (value: unknown) => ({ value }) } } as const
    expect(() => inputs(seq("foreign", { input: foreign as never }), fc)).toThrow("can be described as JSON Schema")
    const late = z.object({ n: z.number() }).refine(async () => true)
    expect(() =>
      fc.sample(
        inputs<any, fc.Arbitrary<any>>(
          seq("late", { input: { "~standard": { ...late["~standard"], validate: async (value: unknown) => ({ value }) } } as never }),
          {
            ...fc,
            record: () => fc.constant({}),
          } as never,
        ).map((x) => x),
        { numRuns: 1, ...({ maxSkipsPerRun: 1 } as object) },
      )
    ).toBeDefined()
    expect(fc.sample(inputs<any, fc.Arbitrary<any>>(seq("d", { input: described({ type: "object", additionalProperties: true }) }), fc), 2)).toHaveLength(2)
    expect(
      fc.sample(
        inputs<any, fc.Arbitrary<any>>(seq("d", { input: described({ oneOf: [{ type: "array" }, { type: "strange" }, { type: "integer" }] }) }), fc),
        5,
      ),
    ).toHaveLength(5)
  })
  const described = (schema: object) =>
    ({ "~standard": { version: 1, vendor: "x", validate: (value: unknown) => ({ value }), jsonSchema: { input: () => schema } } }) as never
})

it("matchers say what they wanted and what they found", async () => {
  const tested = await testFlow(seq("m").step("a", () => 1).step("b", () => err({ _tag: "No" } as const)), undefined)
  const said = (verdict: { readonly pass: boolean; readonly message: () => string }) => [verdict.pass, verdict.message()]
  expect(said(matchers.toHaveCompleted(tested, "b"))).toEqual([false, "expected 'b' to have completed, found a"])
  expect(said(matchers.toHaveCompleted({ events: [] }, "b"))[1]).toContain("found nothing")
  expect(said(matchers.toHaveCompleted(tested, "a"))).toEqual([true, "expected not 'a' to have completed"])
  expect(said(matchers.toHaveCalled(tested, "a"))[0]).toBe(true)
  expect(said(matchers.toHaveCalled({ events: [] }, "a", 2))).toEqual([false, "expected 'a' to have been called 2 times, found 0 calls"])
  expect(said(matchers.toHaveEmitted(tested, "step.failed"))[0]).toBe(true)
  expect(said(matchers.toHaveEmitted(tested, "step.failed", 2))).toEqual([false, "expected 2 events step.failed, found 1"])
  expect(said(matchers.toHaveOrder(tested, ["step.failed b", "step.completed a"]))[1]).toContain("no 'step.completed a' where it should be")
  expect(said(matchers.toBeCorrelated({ events: tested.events.slice(1) }))[1]).toContain("found 2 after 0")
  expect(said(matchers.toBeCorrelated({ events: [{ ...tested.events[0]!, parent: "ghost", name: "x", seq: 1 }] }))[0]).toBe(true)
  expect(said(matchers.toHaveFailedWith(tested, "No"))[0]).toBe(true)
  expect(said(matchers.toHaveFailedWith({ events: [] }, "No"))[1]).toContain("found no failure")
  expect(said(matchers.toHaveFailedWith({ events: [], result: { ok: false, error: "plain" } }, "No"))[1]).toContain("found plain")
  expect(said(matchers.toHaveState({ events: [] }, { a: 1 }))[1]).toContain("a: 1 → undefined")
})

it("differences of any values are told by their paths", () => {
  expect(
    differences({ a: [1, { b: 2 }], m: new Map([["k", 1]]), s: new Set([1]), d: new Date(0) }, {
      a: [1, { b: 3 }],
      m: new Map([["k", 2]]),
      s: new Set([2]),
      d: new Date(1),
    }),
  ).toEqual([
    "a[1].b: 2 → 3",
    "m[0][1]: 1 → 2",
    "s[0]: 1 → 2",
    "d: \"1970-01-01T00:00:00.000Z\" → \"1970-01-01T00:00:00.001Z\"",
  ])
  expect(differences(1n, "x".repeat(100))).toEqual([`(value): 1n → "${"x".repeat(78)}…`])
  expect(differences({ x: new Date(5) }, { x: new Date(5) })).toEqual([])
  expect(differences(null, {})).toEqual(["(value): null → {}"])
  expect(differences([[1]], [[2]])).toEqual(["[0][0]: 1 → 2"])
})

it("the jumping clock tells every kind of time", async () => {
  const clock = jumpingClock(5)
  expect([clock.currentTimeMillisUnsafe(), clock.currentTimeNanosUnsafe(), clock.monotonicTimeNanosUnsafe()]).toEqual([5, 5_000_000n, 5_000_000n])
  expect(await Effect.runPromise(Effect.all([clock.currentTimeMillis, clock.currentTimeNanos, clock.monotonicTimeNanos]))).toEqual([5, 5_000_000n, 5_000_000n])
})
