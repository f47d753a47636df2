/** Several sources that come together on the way. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect } from "effect"
import fc from "fast-check"
import { check, type FailureOf, seq } from "heddle"
import { live, poll } from "heddle/streams"
import { describe, expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failing, failure, go, out } from "../support.ts"

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, n) => from + n)
/** A source that never ends, and hears when nobody reads any more. */
const ticking = async function*(signal: AbortSignal) {
  for (let n = 0; !signal.aborted; n++) {
    yield n
    await sleep(1)
  }
}
const pages = (items: ReadonlyArray<number>) =>
  poll((from: number | undefined) => ({ items: items.slice(from ?? 0, (from ?? 0) + 2), cursor: (from ?? 0) + 2, done: (from ?? 0) + 2 >= items.length }))

describe("merge", () => {
  it("lets items of another source join from where it stands, with their types", async () => {
    const flow = seq<{ word: string }>("f").stream(
      "s",
      () => [1, 2],
      (s) => s.map((n) => ({ n })).merge(({ input }) => [input.word]).merge(() => [true]).map((item) => (typeof item === "object" ? item.n : item)).collect(),
    )
    const { s } = await go(makeHeddle(memoryStore()).run(flow, { word: "a" }))
    const typed: ReadonlyArray<number | string | boolean> = s
    expect(typed.map(String).toSorted()).toEqual(["1", "2", "a", "true"])
    // @ts-expect-error there are texts among them
    const wrong: ReadonlyArray<number> = s
    expect(wrong).toBe(s)
  })

  it("each source keeps its order and its place, wherever the run dies", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    const given = fc.record({
      sizes: fc.tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 })),
      buffer: fc.integer({ min: 1, max: 9 }),
      every: fc.integer({ min: 1, max: 9 }),
      overflow: fc.constantFrom("suspend" as const, "spill" as const),
      dies: fc.option(fc.integer({ min: 2, max: 30 })),
    })
    await fc.assert(
      fc.asyncProperty(given, async ({ sizes: [a, b, c], buffer, every, overflow, dies }) => {
        const flow = seq("f").stream(
          "s",
          () => numbers(a),
          (s) =>
            s.map((n) => n + 1000).merge(() => pages(numbers(b, 100))).map("work", (n) => Effect.as(Effect.sleep(n % 2), n), { concurrency: 2 })
              .merge(() => live(numbers(c, 200), { onResume: "reopen" })).map((n) => n * 10).collect(),
          { buffer, overflow, checkpoint: { items: every } },
        )
        let writes = 0
        const heddle = makeHeddle(failing(memoryStore(), "events.append", { times: () => ++writes === dies }))
        let ended = await out(heddle.run(flow, undefined, { id: "r" }))
        const died = ended?._tag === "StoreFailed"
        if (died) ended = await out(Effect.catchTag(heddle.resume(flow, "r"), "RunNotFound", () => heddle.run(flow, undefined, { id: "r" })))
        const got = (ended.s as ReadonlyArray<number>).map((n) => n / 10)
        const of = (from: number) => got.filter((n) => Math.floor(n / 100) === from)
        expect([got.filter((n) => n >= 1000), of(1)]).toEqual([numbers(a, 1000), numbers(b, 100)])
        // what is live begins again where it cannot go on
        if (!died) expect(of(2)).toEqual(numbers(c, 200))
        else expect(of(2)).toEqual(expect.arrayContaining(numbers(c, 200)))
      }),
      { seed, numRuns: 100 },
    )
  }, 60_000)

  it("ends with all its sources, or where nothing comes of those that are left", async () => {
    const heddle = makeHeddle(memoryStore())
    const before = seq("f").stream("s", () => live(ticking, { onResume: "reopen" }), (s) => s.take(3).merge(() => [10, 11]).collect())
    expect((await go(heddle.run(before, undefined))).s.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 10, 11])
    const behind = seq("f").stream(
      "s",
      () => live(ticking, { onResume: "reopen" }),
      (s) => s.merge(() => live(ticking, { onResume: "reopen" })).take(5).collect(),
    )
    expect((await go(heddle.run(behind, undefined))).s).toHaveLength(5)
    const never = (signal: AbortSignal) =>
      live(async function*() {
        yield* [1, 2]
        await new Promise((resolve) => signal.addEventListener("abort", resolve))
      })
    const stuck = new AbortController()
    const silent = seq("f").stream("s", () => never(stuck.signal), (s) => s.take(2).merge(() => pages([10, 11, 12])).collect())
    expect((await go(heddle.run(silent, undefined))).s.toSorted((a, b) => a - b)).toEqual([1, 2, 10, 11, 12])
    stuck.abort()
  })

  it("drops what there is no room for, of whatever source, and hears that one has ended", async () => {
    const heddle = makeHeddle(memoryStore())
    for (const overflow of ["dropOldest", "dropNewest"] as const) {
      const flow = seq("f").stream(
        "s",
        () => live(ticking, { onResume: "reopen" }),
        (s) => s.takeWhile((n) => n < 5).merge(() => live(numbers(50, 100))).each("slow", () => sleep(3)).collect(),
        { buffer: 2, overflow, checkpoint: { items: 2 } },
      )
      const { s } = await go(heddle.run(flow, undefined))
      expect([overflow, s.length > 0, s.length < 55]).toEqual([overflow, true, true])
    }
  })

  it("fails where a source cannot go on, or is none", async () => {
    const heddle = makeHeddle(memoryStore())
    const lost = seq("f").stream("s", () => [1], (s) => s.merge(() => live([2])).collect())
    const may: Extract<FailureOf<typeof lost>, { readonly _tag: "StreamLost" }>["source"] = "live"
    expect(await out(heddle.run(lost, undefined))).toEqual({ s: expect.arrayContaining([1, may === "live" ? 2 : 0]) })
    // @ts-expect-error several sources are read ahead, and this one is to be kept
    const kept = seq("f").stream("s", () => [1], (s) => s.merge(() => live([2], { onResume: "keep" })).collect())
    expect(await failure(heddle.run(kept, undefined))).toMatchObject({
      _tag: "StepThrew",
      message: expect.stringContaining("are read ahead, and 'live' is to be kept"),
    })
    // @ts-expect-error a Map is no source
    const none = seq("f").stream("s", () => [1], (s) => s.merge(() => new Map()).collect())
    expect(await failure(heddle.run(none, undefined))).toMatchObject({ _tag: "StepThrew", message: expect.stringContaining(".merge was given is no source") })
  })

  it("stands in the stream itself", () => {
    const grouped = seq("f").stream("s", () => [1, 2], (s) => s.groupBy(String, (g) => g.merge(() => [3])).collect())
    const parted = seq("f").stream("s", () => [1, 2], (s) => s.partition(() => "a", { a: (p) => p.map(String).merge(() => [3]) }).collect())
    for (const { ir } of [grouped, parted]) {
      expect(check(ir)).toEqual([
        expect.objectContaining({ level: "error", path: "s", message: expect.stringContaining("merge 'merge#1' stands in a group or a part") }),
      ])
    }
  })
})
