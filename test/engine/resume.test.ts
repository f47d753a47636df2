import { Deferred, Effect, Fiber } from "effect"
import { err, ok } from "neverthrow"
import { type AnyFlow, atLeast, merge, nest, seq, step } from "heddle"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { eventPath } from "../../src/model/event.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import type { Store } from "../../src/store/store.ts"
import { logged } from "../crash/logged.ts"

/** A store whose n-th append never returns: the process is as good as dead before it (`lost`) or right after it (`written`). */
function dying(store: Store["Service"], at: number, fate: "lost" | "written"): { readonly store: Store["Service"]; readonly dead: Deferred.Deferred<void> } {
  const dead = Deferred.makeUnsafe<void>()
  let appends = 0
  const append: Store["Service"]["events"]["append"] = (...args) => {
    if (++appends < at) return store.events.append(...args)
    if (appends > at) return Effect.never
    const die = Effect.andThen(Deferred.succeed(dead, undefined), Effect.never)
    return fate === "lost" ? die : Effect.andThen(store.events.append(...args), die)
  }
  return { store: { ...store, events: { ...store.events, append } }, dead }
}

const child = seq("child", { input: z.object({ n: z.number() }) }).step("m", ({ input }) => input.n + 1).loop(
  "inner",
  { times: 2 },
  (b) => b.step("x", ({ index }) => index),
).returns(({ m }) => m)
const declined = { _tag: "Declined" as const, at: new Date(0) }
/** Every pattern, each also inside another. */
const flows = {
  steps: seq("steps").step("a", () => new Map([["k", 1n]])).step("b", async ({ a }) => a.get("k")).step("c", () => Effect.succeed(undefined)).step(
    step("d", ({ b }: { b: bigint | undefined }) => b),
  ),
  when: seq("when").step("n", () => 1).when(({ n }) => n > 0).step("yes", () => 1).when(({ n }) => n > 1).step("no", () => 1).when(({ n }) => n > 1).update(
    "n",
    () => 9,
  )
    .when("choice", ({ n }) => n === 1, (b) => b.step("x", () => 1).update("n", () => 2), (b) => b.step("y", () => 2))
    .when("none", () => false, (b) => b.step("z", () => 1)),
  match: seq("match").step("shape", () => ({ kind: "sq", a: 2 }) as { kind: "sq"; a: number } | { kind: "ci"; r: number })
    .match("area", ({ shape }) => shape, {
      sq: (b) => b.step("x", ({ matched }) => matched.a ** 2).step("y", ({ matched }) => matched.a),
      ci: (b) => b.step("x", ({ matched }) => matched.r),
    })
    .match("literal", () => "p" as "p" | "q", {
      p: (b) => b.step("x", ({ matched }) => matched).step("y", ({ matched }) => `${matched}!`),
      q: (b) => b.step("x", () => ""),
    }),
  loops: seq("loops").step("n", () => 0)
    .loop("until", { until: ({ n }) => n >= 3, max: 9 }, (b) => b.update("n", ({ n }) => n + 1).step("s", ({ n }) => n * 10))
    .loop("while", { while: ({ n }) => n < 5, max: 9, collect: "none" }, (b) => b.update("n", ({ n }) => n + 1))
    .loop(
      "over",
      { over: () => ["a", "b", "c"], collect: "all" },
      (b) => b.step("s", ({ item, index }) => item + index).continue(({ index }) => index === 1).step("t", ({ s }) => s.length),
    )
    .loop("first", { times: 3, collect: { first: 2 } }, (b) => b.step("s", ({ index }) => index).returns(({ s }) => s))
    .loop("last", { times: ({ n }) => n - 2, collect: { last: 2 } }, (b) => b.step("s", ({ index }) => index))
    .loop("broken", { times: 5, collect: "last" }, (b) => b.step("s", ({ index }) => index).break(({ index }) => index === 2).returns(({ s }) => s))
    .loop("skip", { times: 3 }, (b) => b.step("s", ({ index }) => index).continue(({ index }) => index > 0))
    .loop("nothing", { times: 3, collect: "all" }, (b) => b.step("s", () => 1).returns(() => undefined))
    .loop("never", { while: () => false, max: 2 }, (b) => b.step("s", () => 1)),
  nestedLoops: seq("nestedLoops").step("n", () => 0)
    .loop(
      "a",
      { times: 2, collect: "all" },
      (b) => b.loop("b", { times: 2, collect: "all" }, (c) => c.update("n", ({ n }) => n + 1).step("s", ({ n }) => n)).step("after", ({ n }) => n),
    ),
  each: seq("each").step("sum", () => 0)
    .each("list", () => [1, 2, 3], (b) => b.step("s", ({ item }) => item * 2).when(({ s }) => s > 2).step("t", ({ index }) => index), { concurrency: 1 })
    .each("unordered", () => [3, 4], (b) => b.step("s", ({ item }) => item).returns(({ s }) => s), { ordered: false, concurrency: 1 })
    .each("some", () => [1, 2, 3], (b) => b.step("s", ({ item }) => (item === 2 ? err("no") : ok(item))), { failure: atLeast(2), concurrency: 1 })
    .each(() => [1, 2], (b) => b.update("sum", ({ item, sum }) => sum + item), { concurrency: 1 }).merge({ sum: merge.sum }),
  parallel: seq("parallel").step("n", () => 0)
    .parallel("p", {
      a: (b) => b.step("s", () => 1).update("n", () => 5),
      b: (b) => b.loop("l", { times: 2 }, (c) => c.step("s", ({ index }) => index)).update("n", () => 6),
      c: (b) => b.step("s", () => err(declined)),
    }, { optional: ["c"] }).merge({ n: merge.sum })
    .parallel({ a: (b) => b.update("n", ({ n }) => n + 1) })
    .parallel("race", { a: (b) => b.step("s", () => Effect.never), b: (b) => b.step("s", () => 1).update("n", () => 100) }, { failure: "first" })
    .parallel("wait", { a: (b) => b.step("s", () => 1), b: (b) => b.step("s", () => 2) }, { failure: "waitAll", concurrency: 1 }),
  protect: seq("protect").step("n", () => 0)
    .protect("caught", (b) => b.update("n", () => 9).step("s", () => err(declined)), { catch: { Declined: (e) => e.at.getTime() } })
    .protect("fine", (b) => b.update("n", () => 7).step("s", () => ok(1)).returns(({ s }) => s), { catch: {} })
    .loop(
      "in",
      { times: 2 },
      (b) => b.protect("p", (c) => c.step("s", ({ index }) => (index === 1 ? err(declined) : ok(index))), { catch: { Declined: () => "caught" } }),
    ),
  nested: seq("nested").step("n", () => 1).step(child).step("again", nest(child, ({ child }) => ({ n: child }))).step(
    "codec",
    () => new URL("https://a.example/x"),
    { codec: { encode: (u) => u.href, decode: (s: string) => new URL(s) } },
  ).step("after", ({ codec }) => codec.host),
} as const

describe.each(Object.entries(flows))("crash at every append: %s", (_name, flow) => {
  const undisturbed = async () => {
    const store = memoryStore()
    const output = await Effect.runPromise(makeHeddle(store).run(flow as never, undefined as never, { id: "r" }) as Effect.Effect<unknown>)
    return { output, appends: await Effect.runPromise(Effect.flatMap(store.runs.get("r"), (run) => store.events.head(run))) }
  }

  it.each(["lost", "written"] as const)("%s: the same output, no recorded step again", async (fate) => {
    const { output, appends } = await undisturbed()
    expect(appends).toBeGreaterThan(3)
    for (let at = 2; at <= appends; at++) {
      const kept = memoryStore()
      const { store, dead } = dying(kept, at, fate)
      await Effect.runPromise(Effect.gen(function*() {
        const fiber = yield* Effect.forkDetach(makeHeddle(store).run(flow as never, undefined as never, { id: "r" }) as Effect.Effect<unknown>)
        yield* Effect.raceFirst(Deferred.await(dead), Fiber.await(fiber))
        yield* Fiber.interrupt(fiber)
      }))
      const run = await Effect.runPromise(kept.runs.get("r"))
      const recorded = new Set((await Effect.runPromise(kept.events.since(run, 0))).filter(({ kind }) => kind === "step.completed").map(eventPath))
      const again: Array<string> = []
      const watched = logged(flow as AnyFlow, (path) => again.push(path))
      const resumed = await Effect.runPromise(makeHeddle(kept).run(watched as never, undefined as never, { id: "r" }) as Effect.Effect<unknown>)
      expect(resumed, `append ${at} ${fate}`).toEqual(output)
      expect(again.filter((path) => recorded.has(path)), `append ${at} ${fate}`).toEqual([])
      // and once more, from the end: the recorded output
      expect(await Effect.runPromise(makeHeddle(kept).run(watched as never, undefined as never, { id: "r" }) as Effect.Effect<unknown>)).toEqual(output)
    }
  })
})

it("a resumed loop of 10,000 passes reads its frontier, not its past", async () => {
  const kept = memoryStore()
  const flow = seq("long").step("n", () => 0).loop("l", { times: 10_000 }, (b) => b.update("n", ({ n }) => n + 1)).returns(({ n }) => n)
  const { store, dead } = dying(kept, 2 + 2 * 9_999, "lost")
  await Effect.runPromise(Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(makeHeddle(store).run(flow, undefined, { id: "r" }))
    yield* Deferred.await(dead)
    yield* Fiber.interrupt(fiber)
  }))
  let read = 0
  const counting = <A extends Effect.Effect<any, any>>(effect: A): A =>
    Effect.map(effect, (found: unknown) => {
      read += Array.isArray(found) ? found.length : 1
      return found
    }) as unknown as A
  const { under, last, at } = kept.events
  const watched = {
    ...kept,
    events: {
      ...kept.events,
      under: (...args: Parameters<typeof under>) => counting(under(...args)),
      last: (...args: Parameters<typeof last>) => counting(last(...args)),
      at: (...args: Parameters<typeof at>) => counting(at(...args)),
    },
  }
  expect(await Effect.runPromise(makeHeddle(watched).run(flow, undefined, { id: "r" }))).toBe(10_000)
  expect(read).toBeLessThan(10)
})

it("items that changed since the run began are a typed error", async () => {
  for (
    const make of [
      (items: ReadonlyArray<number>): any => seq("i").each("l", () => items, (b) => b.step("s", ({ item }) => item)),
      (items: ReadonlyArray<number>) => seq("i").loop("l", { over: () => items }, (b) => b.step("s", ({ item }) => item)),
      (items: ReadonlyArray<number>) => seq("i").loop("l", { times: () => items.length }, (b) => b.step("s", ({ index }) => index)),
    ]
  ) {
    const kept = memoryStore()
    const { store, dead } = dying(kept, 4, "lost")
    await Effect.runPromise(Effect.gen(function*() {
      const fiber = yield* Effect.forkDetach(makeHeddle(store).run(make([1, 2, 3]), undefined, { id: "r" }) as Effect.Effect<unknown>)
      yield* Deferred.await(dead)
      yield* Fiber.interrupt(fiber)
    }))
    const error = await Effect.runPromise(Effect.flip(makeHeddle(kept).run(make([1, 2]), undefined, { id: "r" }) as Effect.Effect<unknown, Error>))
    expect(error).toMatchObject({ _tag: "ItemsChanged", path: "l", recorded: 3, found: 2 })
    expect((error as Error).message).toContain("Read the items in a step")
  }
})
