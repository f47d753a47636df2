/** What a reading of streams found: each was wrong once. */
import { writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Fiber, Stream } from "effect"
import { err } from "neverthrow"
import { type FailureOf, hook, seq, step } from "heddle"
import { lines, live, merged, ndjson, poll } from "heddle/streams"
import { describe, expect, it, vi } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failing, failure, file, go, out } from "../support.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
/** Gives these, then nothing until nobody reads any more. */
const thenSilent = <Item>(items: ReadonlyArray<Item>) =>
  live(async function*(signal) {
    yield* items
    await new Promise((resolve) => signal.addEventListener("abort", resolve))
  }, { onResume: "reopen" })
/** Flows of any type: what is looked at is what comes of them. */
const run = (flow: any, options: object = {}) => go(makeHeddle(memoryStore()).run(flow, undefined as never, options)) as Promise<any>

describe("several sources", () => {
  it("one that fails while there is no room fails the run, and not the process", async () => {
    const broken = live(async function*() {
      yield 1
      throw new Error("boom")
    }, { onResume: "reopen" })
    const flow = seq("f").stream("s", () => broken, (s) => s.merge(() => [2, 3, 4]).each("slow", () => sleep(20)).collect(), {
      buffer: 1,
      checkpoint: { items: 1 },
    })
    expect(await failure(makeHeddle(memoryStore()).run(flow, undefined))).toMatchObject({ _tag: "StepThrew", message: expect.stringContaining("boom") })
  })

  it("stages in front of a merge give what they hold when nothing more can come to them", async () => {
    const held = seq("f").stream("s", () => [1, 2, 3], (s) => s.batch(10).merge(() => thenSilent(["a"])).take(2).collect())
    expect((await run(held)).s).toEqual(expect.arrayContaining([[1, 2, 3], "a"]))
    const over = seq("f").stream("s", () => thenSilent([1, 2, 3]), (s) => s.take(3).window({ count: 5 }).merge(() => thenSilent(["a"])).take(2).collect())
    expect((await run(over)).s).toEqual(expect.arrayContaining([[1, 2, 3], "a"]))
  })

  it("are closed where one of them cannot be opened, and where nobody reads any more", async () => {
    const closed: Array<string> = []
    const opens = (name: string, broken = false) => ({
      ...lines(name),
      open: () => {
        if (broken) throw new Error("closed")
        return (async function*() {
          try {
            for (let n = 0;; n++) {
              yield { items: [name], next: n }
              await sleep(1)
            }
          } finally {
            closed.push(name)
          }
        })()
      },
    })
    expect(await failure(makeHeddle(memoryStore()).run(seq("f").stream("s", () => merged({ a: opens("a"), b: opens("b", true) }), (s) => s), undefined)))
      .toMatchObject({ _tag: "StepThrew" })
    expect(closed).toEqual(["a"])
    const deaf = {
      ...lines("deaf"),
      open: () =>
        (async function*() {
          yield { items: ["deaf"], next: 0 }
          await new Promise(() => undefined)
        })(),
    }
    const heddle = makeHeddle(memoryStore())
    const fiber = Effect.runFork(
      heddle.run(seq("f").stream("s", () => opens("c"), (s) => s.take(1).merge(() => deaf)), undefined, { id: "r" }) as Effect.Effect<unknown>,
    )
    await sleep(40)
    expect(closed).toEqual(["a", "c"])
    await go(heddle.cancel("r"))
    await go(Fiber.await(fiber))
  })
})

describe("the end", () => {
  it("of a poll that has said so is recorded", async () => {
    for (let dies = 1; dies < 14; dies++) {
      const pages = () => poll((from: number | undefined) => ({ items: [from ?? 0], cursor: (from ?? 0) + 1, done: from === 3 || (from ?? 0) > 12 }))
      for (const source of [pages, () => merged({ a: pages() })]) {
        const flow = seq("f").stream("s", source, (s) => s.collect(), { checkpoint: { items: 1 } })
        let writes = 0
        const heddle = makeHeddle(failing(memoryStore(), "events.append", { times: () => ++writes === dies }))
        let ended = await out(heddle.run(flow, undefined, { id: "r" }))
        if (ended?._tag === "StoreFailed") {
          ended = await out(Effect.catchTag(heddle.resume(flow, "r"), "RunNotFound", () => heddle.run(flow, undefined, { id: "r" })))
        }
        expect([dies, ended]).toEqual([dies, { s: [0, 1, 2, 3] }])
      }
    }
  })

  it("is there at once where a resumed stream has had enough already", async () => {
    for (let dies = 2; dies < 7; dies++) {
      let opened = 0
      const source = () => (opened++ === 0 ? live([1, 2, 3, 4], { onResume: "reopen" }) : thenSilent<number>([]))
      const flow = seq("f").stream("s", source, (s) => s.take(3).emit(), { checkpoint: { items: 3 } })
      let writes = 0
      const heddle = makeHeddle(failing(memoryStore(), "events.append", { times: () => ++writes === dies }))
      const ended = await out(heddle.run(flow, undefined, { id: "r" }))
      const seen = await go(Stream.runCollect(heddle.items("r", { live: false })))
      if (ended?._tag === "StoreFailed" && seen.length === 3) expect(await out(heddle.resume(flow, "r"))).toEqual({ s: 3 })
    }
  })

  it("comes in time where a source does not tidy up", async () => {
    const stuck = live(async function*() {
      try {
        for (let n = 0;; n++) yield n
      } finally {
        await new Promise(() => undefined)
      }
    })
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").stream("s", () => stuck, (s) => s.each("slow", () => sleep(20)), { buffer: 2 })
    const fiber = Effect.runFork(heddle.run(flow, undefined, { id: "r" }) as Effect.Effect<unknown>)
    await sleep(60)
    await go(heddle.cancel("r"))
    expect(await go(Fiber.await(fiber))).toMatchObject({ _tag: "Failure" })
  }, 15_000)
})

describe("time", () => {
  it("what it brings is recorded in time, though nothing comes", async () => {
    await go(Effect.scoped(Effect.gen(function*() {
      const heddle = makeHeddle(yield* openSqlite(file()))
      let written = 0
      const began = Date.now()
      const flow = seq("f").stream("s", () => thenSilent([1, 2, 3]), (s) =>
        s.batch(10, { within: 30 }).transaction((_sql, all) => {
          written = all.length === 0 ? 0 : Date.now() - began
        }), { checkpoint: { time: 20 } })
      const fiber = yield* Effect.forkChild(heddle.run(flow, undefined, { id: "r" }))
      yield* Effect.promise(async () => {
        await vi.waitFor(() => expect(written).toBeGreaterThan(0), 3000)
      })
      expect(written).toBeGreaterThan(25)
      yield* heddle.cancel("r")
      yield* Fiber.await(fiber)
    })))
  })

  it("of an item that has none fails the stream, and names the place", async () => {
    for (const window of [{ time: 10 }, { session: 5 }]) {
      const flow = seq("f").stream("s", () => [1, Number.NaN, 12], (s) => s.window({ ...window, at: (n: number) => n } as never).collect())
      expect(await failure(makeHeddle(memoryStore()).run(flow, undefined))).toMatchObject({
        _tag: "StepThrew",
        path: "s/window#1",
        message: expect.stringContaining("NaN"),
      })
    }
  })

  it("what is emitted is seen as it comes, though a throttle or work is slow, and the source is rested longer than a timer can", async () => {
    const heddle = makeHeddle(memoryStore())
    // two pipes of different types, driven the same way
    for (const slow of [(s: any) => s.throttle({ limit: 1, per: 30 }), (s: any) => s.each("w", () => sleep(30))]) {
      const id = `r${String(slow).length}`
      const fiber = Effect.runFork(
        heddle.run((seq("f") as any).stream("s", () => numbers(8), (s: any) => slow(s).emit()), undefined as never, { id }) as Effect.Effect<unknown>,
      )
      const seen: Array<number> = []
      await go(Stream.runForEach(heddle.items(id), () => Effect.sync(() => seen.push(Date.now()))))
      await go(Fiber.join(fiber))
      expect([seen.length, seen.at(-1)! - seen[0]! > 100]).toEqual([8, true])
    }
    let asked = 0
    const rare = poll(() => (asked++, { items: [], cursor: 1 }), { every: "30 days" })
    const fiber = Effect.runFork(heddle.run(seq("g").stream("s", () => rare, (s) => s), undefined, { id: "rare" }) as Effect.Effect<unknown>)
    await sleep(50)
    await go(heddle.drain("rare"))
    await go(Fiber.join(fiber))
    expect(asked).toBe(1)
  })
})

describe("work", () => {
  it("behind a throttle, for several keys and several sources, is done at once", async () => {
    const most = async (flow: (work: (n: number) => Promise<number>) => any) => {
      let [now, reached] = [0, 0]
      await run(flow(async (n) => {
        reached = Math.max(reached, ++now)
        await sleep(15)
        now--
        return n
      }))
      return reached
    }
    const paced = await most((work) =>
      seq("f").stream("s", () => numbers(30), (s) => s.throttle({ limit: 1000, per: "1 second" }).map("w", work, { concurrency: 5 }))
    )
    const keyed = await most((work) =>
      seq("f").stream("s", () => numbers(30), (s) => s.groupBy((n) => String(n % 10), (g) => g.map("w", work, { concurrency: 5 })))
    )
    const ticks = (from: number) =>
      live(async function*() {
        for (let n = 0; n < 20; n++) {
          yield from + n
          await sleep(1)
        }
      }, { onResume: "reopen" })
    const several = await most((work) => seq("f").stream("s", () => ticks(0), (s) => s.merge(() => ticks(100)).map("w", work, { concurrency: 5 })))
    expect([paced, keyed, several]).toEqual([5, 5, 5])
  })

  it("with a name is a step, however its function is written; defined elsewhere, it can have a name of its own", async () => {
    const traced = (work: (n: number, step: { readonly key: string }) => string) => (...[n, , context]: [number, unknown, { readonly key: string }]) =>
      work(n, context)
    const dbl = step("dbl", (n: number) => n * 2)
    const flow = seq("f").stream("s", () => [1, 2], (s) => s.map(dbl).map("again", dbl).map("key", traced((n, { key }) => `${n} ${key.slice(-1)}`)).collect())
    expect(await run(flow)).toEqual({ s: ["4 ]", "8 ]"] })
  })

  it("of plain functions may be asynchronous and fail, and the flow says so", async () => {
    const flow = seq("f").stream(
      "s",
      () => [1, 2, 3],
      (s) => s.filter(async (n) => n !== 2).flatMap(async (n) => [n, n * 10]).tap((n) => (n === 30 ? err({ _tag: "Broken" } as const) : Effect.void)).collect(),
    )
    const tag: Extract<FailureOf<typeof flow>, { readonly _tag: "Broken" }>["_tag"] = "Broken"
    expect(await failure(makeHeddle(memoryStore()).run(flow, undefined))).toMatchObject({ _tag: tag })
  })
})

it("a drained stream gives on what waits in a file, and bytes bound what waits in memory", async () => {
  const heddle = makeHeddle(memoryStore())
  let given = 0
  const source = () =>
    live(async function*(signal) {
      while (!signal.aborted) {
        yield { n: given++, text: "x".repeat(1000) }
        await sleep(1)
      }
    }, { onResume: "reopen" })
  const flow = seq("f").stream("s", source, (s) => s.map("slow", async ({ n }) => (await sleep(5), n)).collect(), {
    buffer: 100,
    bytes: 3000,
    overflow: "spill",
  })
  const fiber = Effect.runFork(heddle.run(flow, undefined, { id: "r" }) as Effect.Effect<{ readonly s: ReadonlyArray<number> }>)
  await sleep(150)
  await go(heddle.drain("r"))
  const { s } = await go(Fiber.join(fiber))
  expect(s).toEqual(numbers(s.length))
  expect(given - s.length).toBeLessThanOrEqual(1)
})

it("a drain that comes while somebody looks for one is not missed", async () => {
  const store = memoryStore()
  const slow = { ...store, signals: { ...store.signals, waiting: (...args: [any, any]) => Effect.delay(store.signals.waiting(...args), 60) } }
  const heddle = makeHeddle(slow)
  const fiber = Effect.runFork(heddle.run(seq("f").stream("s", () => thenSilent([1]), (s) => s.collect()), undefined, { id: "r" }) as Effect.Effect<unknown>)
  await sleep(30)
  await go(heddle.drain("r"))
  expect(await go(Fiber.join(fiber))).toMatchObject({ s: expect.anything() })
})

it("hooks are not asked about nothing, and a file may begin with a mark", async () => {
  const sizes: Array<number> = []
  const heddle = makeHeddle(memoryStore(), { hooks: [hook("stream.chunk", ({ items }) => void sizes.push(items.length))] })
  await go(heddle.run(seq("f").stream("s", () => [1, 2], (s) => s.merge(() => [3])), undefined))
  expect(sizes.every((size) => size > 0)).toBe(true)
  const path = file()
  writeFileSync(path, "\uFEFF{\"n\":1}\n{\"n\":2}\n")
  expect(await run(seq("g").stream("s", () => ndjson(path), (s) => s.collect()))).toEqual({ s: [{ n: 1 }, { n: 2 }] })
})
