/** Chunks of one stream that are on their way at once. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Fiber, Stream } from "effect"
import fc from "fast-check"
import { decide, hook, seq, state, transaction } from "heddle"
import { live } from "heddle/streams"
import { describe, expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import type { Store } from "../../src/store/store.ts"
import { failing, failure, file, go, no, out } from "../support.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
/** Runs a flow, and once more where its process died. Flows of any type: those here are made from random sizes, which no one type describes. */
const survived = async (store: Store["Service"], flow: any, dies: number | null, operation: string): Promise<any> => {
  let writes = 0
  const heddle = makeHeddle(failing(store, operation, { times: () => ++writes === dies }))
  const first = await out(heddle.run(flow, undefined as never, { id: "r" }))
  if (first?._tag !== "StoreFailed") return first
  return out(Effect.catchTag(heddle.resume(flow, "r") as any, "RunNotFound", () => heddle.run(flow, undefined as never, { id: "r" })))
}

describe("work for the items of several chunks", () => {
  it("goes on while an item of an earlier chunk is not done, and their order stays", async () => {
    const begun = Promise.withResolvers<void>()
    let [now, most, ahead] = [0, 0, 0]
    const flow = seq("f").stream("s", () => numbers(40), (s) =>
      s.map("w", async (n) => {
        most = Math.max(most, ++now)
        ahead = Math.max(ahead, n)
        if (n === 6) begun.resolve()
        // with one chunk of three after the other it would never come so far
        if (n === 0) await begun.promise
        await sleep(1)
        now--
        return n
      }, { concurrency: 3 }).collect(), { checkpoint: { items: 3 } })
    expect(await go(makeHeddle(memoryStore()).run(flow, undefined))).toEqual({ s: numbers(40) })
    expect([most, ahead]).toEqual([3, 39])
  })

  it("is no more than the buffer holds", async () => {
    let begun = 0
    const flow = seq("f").stream(
      "s",
      () => numbers(100),
      (s) => s.map("first", (n) => (begun++, n), { concurrency: 8 }).map("stuck", (n) => (n === 0 ? Effect.never : n), { concurrency: 8 }),
      { buffer: 10, checkpoint: { items: 50 } },
    )
    const heddle = makeHeddle(memoryStore())
    const fiber = Effect.runFork(heddle.run(flow, undefined, { id: "r" }) as Effect.Effect<unknown>)
    await sleep(60)
    expect(begun).toBeGreaterThan(5)
    expect(begun).toBeLessThanOrEqual(10)
    await go(heddle.cancel("r"))
    await go(Fiber.await(fiber))
  })

  it("gives what it does one after the other, each item under one key, wherever the run dies", async () => {
    const given = fc.record({
      count: fc.integer({ min: 0, max: 60 }),
      concurrency: fc.integer({ min: 1, max: 4 }),
      buffer: fc.integer({ min: 1, max: 20 }),
      every: fc.integer({ min: 1, max: 12 }),
      size: fc.integer({ min: 1, max: 4 }),
      dies: fc.option(fc.integer({ min: 2, max: 30 })),
      sink: fc.constantFrom("collect" as const, "emit" as const),
      isLive: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(given, async ({ count, concurrency, buffer, every, size, dies, sink, isLive }) => {
        const keys = new Map<number, Set<string>>()
        const source = isLive ? () => ({ ...live(async function*() {}), source: "seekable", open: chunks }) : () => numbers(count)
        async function* chunks({ from }: { from: unknown }) {
          for (let n = Number(from ?? 0); n < count; n++) yield { items: [n], next: n + 1 }
        }
        const flow = (seq("f") as any).stream("s", source, (s: any) => {
          const pipe = s
            .map("one", (n: number, _: unknown, { key }: { key: string }) => {
              keys.set(n, (keys.get(n) ?? new Set()).add(key))
              return Effect.as(Effect.sleep((n * 7) % 4), n)
            }, { concurrency })
            .scan({ sum: 0, n: 0 }, ({ sum }: { sum: number }, n: number) => ({ sum: sum + n, n })).batch(size)
            .map("two", (all: ReadonlyArray<unknown>) => Effect.as(Effect.sleep(all.length % 3), all), { concurrency: 2 })
            .flatMap((all: ReadonlyArray<unknown>) => all)
          return sink === "collect" ? pipe.collect() : pipe.emit()
        }, { buffer, checkpoint: { items: every } })
        const store = memoryStore()
        const ended = await survived(store, flow, dies, "events.append")
        let sum = 0
        const expected = numbers(count).map((n) => ({ sum: sum += n, n }))
        if (sink === "collect") expect(ended).toEqual({ s: expected })
        else {
          const items = await go(Stream.runCollect(makeHeddle(store).items("r", { live: false })))
          expect(items.map(({ item }) => item)).toEqual(expected)
        }
        expect([...keys.values()].every((all) => all.size === 1)).toBe(true)
      }),
      { seed, numRuns: 150 },
    )
  }, 120_000)

  it("changes State, and leaves items out, exactly once, wherever the run dies", async () => {
    const total = state<number>("total", { scope: "global", initial: 0 })
    const given = fc.record({ every: fc.integer({ min: 1, max: 9 }), from: fc.integer({ min: 0, max: 25 }), dies: fc.option(fc.integer({ min: 1, max: 20 })) })
    await fc.assert(
      fc.asyncProperty(given, async ({ every, from, dies }) => {
        const flow = (seq("f") as any).stream(
          "s",
          () => numbers(30),
          (s: any) =>
            s.map("adds", (n: number, _: unknown, { state: kept }: any) =>
              Effect.gen(function*() {
                yield* Effect.sleep((n * 5) % 3)
                // only some way into the stream
                if (n >= from) yield* Effect.promise(() => kept.increment(total))
                return n
              }), { concurrency: 4 }).map("odd", (n: number) => (n % 7 === 3 ? no() : n), { concurrency: 2, failure: "reject" }).collect(),
          { checkpoint: { items: every } },
        )
        for (const operation of ["events.append", "events.commit"]) {
          const store = memoryStore()
          const { s } = await survived(store, flow, dies, operation)
          const heddle = makeHeddle(store)
          const rejected = await go(Stream.runCollect(heddle.rejected("r", { live: false })))
          expect([s, rejected.map(({ item }) => Number(item)).toSorted((a, b) => a - b), await go(heddle.state({}).get(total))]).toEqual([
            numbers(30).filter((n) => n % 7 !== 3),
            [3, 10, 17, 24],
            30 - from,
          ])
        }
      }),
      { seed, numRuns: 60 },
    )
  }, 120_000)

  it("is written exactly once in a transaction, wherever the run dies", async () => {
    for (let dies = 1; dies < 12; dies++) {
      const rows = await go(Effect.scoped(Effect.gen(function*() {
        const store = yield* openSqlite(file())
        const flow = seq("f").stream(
          "s",
          () => numbers(25),
          (s) =>
            s.map("w", (n) => Effect.as(Effect.sleep(n % 3), n), { concurrency: 4 }).transaction((sql, items) => {
              sql.run("CREATE TABLE IF NOT EXISTS rows (n)")
              for (const n of items) sql.run("INSERT INTO rows VALUES (?)", n)
            }),
          { checkpoint: { items: 4 } },
        ).step("read", transaction((sql) => sql.all("SELECT n FROM rows")))
        return (yield* Effect.promise(() => survived(store, flow, dies, "events.transact"))) as { readonly read: ReadonlyArray<{ readonly n: number }> }
      })))
      expect([dies, rows.read.map(({ n }) => n)]).toEqual([dies, numbers(25)])
    }
  }, 60_000)

  it("remembers what each stage did, in parts and in time too", async () => {
    const parts = (seq("f") as any).stream(
      "s",
      () => numbers(30),
      (s: any) =>
        s.map("w", (n: number) => Effect.as(Effect.sleep(n % 3), n), { concurrency: 3 }).partition((n: number) => (n % 2 === 0 ? "even" : "odd"), {
          even: (p: any) => p.map("half", (n: number, _: unknown, { key }: { key: string }) => [n, key.slice(key.indexOf("/"))]),
          odd: (p: any) => p.batch(2).flatMap((all: ReadonlyArray<number>) => all.map((n) => [n])),
        }).collect(),
      { checkpoint: { items: 3 } },
    ).returns(({ s }: any) => s.toSorted(([a]: [number], [b]: [number]) => a - b))
    for (let dies = 1; dies < 12; dies++) {
      expect([dies, await survived(memoryStore(), parts, dies, "events.append")]).toEqual([
        dies,
        numbers(30).map((n) => (n % 2 === 0 ? [n, `/s/half[${n / 2}]`] : [n])),
      ])
    }
    let [at, most] = [0, 0]
    const timed = seq("g").stream("s", () =>
      live(async function*() {
        for (let n = 0; n < 20; n++) {
          yield n
          await sleep(2)
        }
      }), (s) =>
      s.batch(100, { within: 5 }).map("slow", async (all) => {
        most = Math.max(most, ++at)
        await sleep(20)
        at--
        return all.length
      }, { concurrency: 3 }).fold(0, (sum, n) => sum + n))
    expect(await go(makeHeddle(memoryStore()).run(timed, undefined))).toEqual({ s: 20 })
    expect(most).toBeGreaterThan(1)
  })

  it("fails at once where a later chunk fails, and ends what is on its way", async () => {
    let ended = 0
    const never = Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended++))
    const flow = seq("f").stream(
      "s",
      () =>
        live(async function*(signal) {
          yield* [0, 1, 2, 3]
          await new Promise((resolve) => signal.addEventListener("abort", resolve))
        }),
      (s) => s.map("w", (n) => (n === 3 ? Effect.delay(Effect.fail({ _tag: "Broken" } as const), 20) : never), { concurrency: 4 }),
      { checkpoint: { items: 1 } },
    )
    expect(await failure(makeHeddle(memoryStore()).run(flow, undefined))).toMatchObject({ _tag: "Broken" })
    expect(ended).toBe(3)
  })

  it("is interrupted with the run, drained, and seen by hooks", async () => {
    const heddle = makeHeddle(memoryStore(), { hooks: [hook("stream.checkpoint", ({ items }) => (items >= 20 ? decide.cancel("enough") : undefined))] })
    const source = () =>
      live(async function*(signal) {
        for (let n = 0; !signal.aborted; n++) {
          yield n
          await sleep(1)
        }
      }, { onResume: "reopen" })
    const flow = seq("f").stream("s", source, (s) => s.each("w", () => Effect.sleep(3), { concurrency: 4 }), { checkpoint: { items: 4 } })
    expect(await failure(heddle.run(flow, undefined))).toMatchObject({ _tag: "RunCancelled", reason: "enough" })
    const drained = seq("g").stream("s", source, (s) => s.each("w", () => Effect.sleep(3), { concurrency: 4 }).collect(), { checkpoint: { time: 5 } })
    const plain = makeHeddle(memoryStore())
    const fiber = Effect.runFork(plain.run(drained, undefined, { id: "d" }) as Effect.Effect<{ readonly s: ReadonlyArray<number> }>)
    await sleep(50)
    await go(plain.drain("d"))
    const { s } = await go(Fiber.join(fiber))
    expect(s).toEqual(numbers(s.length))
    expect(s.length).toBeGreaterThan(3)
    // it was recorded by time
    expect((await go(plain.events("d"))).some(({ kind }) => kind === "stream.checkpointed")).toBe(true)
  })

  it("waits for time between its stages, and flows are runs of their own", async () => {
    const timed = seq("f").stream(
      "s",
      () =>
        live(async function*() {
          for (let n = 0; n < 12; n++) {
            yield n
            await sleep(3)
          }
        }),
      (s) => s.map("a", (n) => n, { concurrency: 2 }).batch(100, { within: 10 }).map("b", (all) => all.length, { concurrency: 2 }).fold(0, (sum, n) => sum + n),
    )
    expect(await go(makeHeddle(memoryStore()).run(timed, undefined))).toEqual({ s: 12 })
    const child = seq<number>("child").wait({ for: 5 }).step("twice", ({ input }) => input * 2).returns(({ twice }) => twice)
    const runs = seq("g").stream("s", () => numbers(9), (s) => s.map(child, { concurrency: 3 }).collect(), { checkpoint: { items: 2 } })
    expect(await go(makeHeddle(memoryStore()).run(runs, undefined))).toEqual({ s: numbers(9).map((n) => n * 2) })
  })
})
