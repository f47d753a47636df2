/** What streams keep: of live sources, in windows, in artifacts. */
import { Effect, Fiber, Stream } from "effect"
import fc from "fast-check"
import { secret, seq, type Sink } from "heddle"
import { live, merged, poll, toArtifact } from "heddle/streams"
import { crashEverywhere } from "heddle/testing"
import { describe, expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failing, failure, go, no, out } from "../support.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
/** Something that pushes numbers, each once, whoever reads; it cannot give one again. */
const pusher = (count: number) => {
  let next = 0
  return {
    given: () => next,
    read: async function*() {
      while (next < count) yield next++
    },
  }
}

describe("a live source that is kept", () => {
  it("loses nothing that was read, wherever the run dies, and gives each item the same key", async () => {
    for (let dies = 1; dies < 60; dies++) {
      const source = pusher(12)
      const keys = new Map<number, Set<string>>()
      const flow = seq("f").stream("s", () => live(source.read, { onResume: "keep" }), (s) =>
        s.map("work", (item, _scope, { key }) => {
          keys.set(item, (keys.get(item) ?? new Set()).add(key))
          return item
        }).collect(), { checkpoint: { items: 3 } })
      let writes = 0
      const heddle = makeHeddle(failing(memoryStore(), "events.append", { times: () => ++writes === dies }))
      const first = await out(heddle.run(flow, undefined, { id: "r" }))
      const died = first?._tag === "StoreFailed"
      const ended = died ? await out(Effect.catchTag(heddle.resume(flow, "r"), "RunNotFound", () => heddle.run(flow, undefined, { id: "r" }))) : first
      // what is read and cannot be recorded is the one thing that is lost: with it the run dies
      const lost = numbers(12).filter((n) => !ended.s.includes(n))
      expect([dies, lost.length <= (died ? 1 : 0), ended.s.length + lost.length, source.given()]).toEqual([dies, true, 12, 12])
      expect([...keys.values()].every((all) => all.size === 1)).toBe(true)
      if (!died) return
    }
    throw new Error("there are more writes than that")
  })

  it("reads nothing ahead, also of what comes in chunks, and goes on with what was read", async () => {
    const store = memoryStore()
    const source = pusher(5)
    let stuck = true
    const flow = seq("f").stream(
      "s",
      () => live(() => Stream.rechunk(Stream.fromAsyncIterable(source.read(), () => "no" as const), 2), { onResume: "keep" }),
      (s) => s.each("w", () => (stuck ? Effect.never : undefined)).collect(),
    )
    const fiber = Effect.runFork(makeHeddle(store).run(flow, undefined, { id: "r" }) as Effect.Effect<unknown>)
    while (source.given() < 2) await go(Effect.sleep(1))
    await go(Effect.sleep(20))
    expect(source.given()).toBeLessThan(4)
    await go(Fiber.interrupt(fiber))
    stuck = false
    expect(await go(makeHeddle(store).resume(flow, "r"))).toMatchObject({ s: expect.arrayContaining([0, 1, 4]) })
  })

  it("keeps a chunk that is larger than what goes through at once, and nothing waits in a file", async () => {
    for (const options of [{ checkpoint: { items: 2 } }, { buffer: 2, overflow: "spill" as const }]) {
      const store = memoryStore()
      const source = pusher(10)
      let stuck = true
      const flow = (seq("f") as any).stream(
        "s",
        () => live(() => Stream.rechunk(Stream.fromAsyncIterable(source.read(), () => "no" as const), 10), { onResume: "keep" }),
        (s: any) => s.each("w", () => (stuck ? Effect.never : undefined)).collect(),
        options,
      )
      const fiber = Effect.runFork(makeHeddle(store).run(flow, undefined as never, { id: "r" }) as Effect.Effect<unknown>)
      while (source.given() < 10) await go(Effect.sleep(1))
      await go(Effect.sleep(20))
      await go(Fiber.interrupt(fiber))
      stuck = false
      expect(await go(makeHeddle(store).resume(flow, "r"))).toEqual({ s: numbers(10) })
    }
  })

  it("is not merged with others, which are read ahead", () => {
    expect(() => merged({ a: live([1], { onResume: "keep", name: "ticks" }) })).toThrow("'ticks' is to be kept")
  })

  it("is drained, cancelled and left while nothing comes", async () => {
    const heddle = makeHeddle(memoryStore())
    const silent = seq("f").stream("s", () =>
      live(async function*() {
        yield 1
        await new Promise(() => {})
      }, { onResume: "keep" }), (s) => s.collect())
    const fiber = Effect.runFork(heddle.run(silent, undefined, { id: "r" }) as Effect.Effect<unknown>)
    await go(Effect.sleep(20))
    await go(heddle.drain("r"))
    expect(await go(Fiber.join(fiber))).toEqual({ s: [1] })
    // all that has gone through is recorded
    expect(JSON.parse((await go(heddle.events("r"))).findLast(({ kind }) => kind === "stream.checkpointed")!.data)).toMatchObject({ count: 1 })
    const other = Effect.runFork(Effect.flip(heddle.run(silent, undefined, { id: "c" }) as Effect.Effect<unknown, unknown>))
    await go(Effect.sleep(20))
    await go(heddle.cancel("c"))
    expect(await go(Fiber.join(other))).toMatchObject({ _tag: "RunCancelled" })
  })
})

describe("merged", () => {
  const page = <Item>(items: ReadonlyArray<Item>) => poll((from: number | undefined) => ({ items: from === undefined ? items : [], cursor: 1, done: true }))
  it("takes sources of different items, live ones too", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").stream(
      "s",
      () => merged({ numbers: page([1, 2]), words: page(["a"]) }),
      (s) => s.map((item: number | string) => String(item)).collect(),
    )
    expect((await go(heddle.run(flow, undefined))).s.toSorted()).toEqual(["1", "2", "a"])
    const mixed = (onResume: "fail" | "reopen") =>
      seq("g").stream("s", () => merged({ numbers: page([1, 2]), pushed: live(["x"], { onResume }) }), (s) => s.collect()).wait("go")
    await failure(heddle.run(mixed("reopen"), undefined, { id: "r", onSuspend: "return" }))
    expect(merged({ a: page([1]) }).source).toBe("seekable")
    expect(merged({ a: page([1]), b: live([2], { onResume: "reopen" }) })).toMatchObject({ source: "live", onResume: "reopen" })
    expect(merged({ a: live([1]), b: live([2], { onResume: "reopen" }) })).toMatchObject({ onResume: "fail" })
    const report = await crashEverywhere(
      seq("h").stream("s", () => merged({ a: page([1, 2]), b: page(["x"]) }), (s) => s.map("w", (item) => item).collect(), { checkpoint: { items: 1 } })
        .returns(({ s }) => s.map(String).toSorted()),
      undefined,
    )
    expect([report.wrong.length, report.points > 5]).toEqual([0, true])
  })
})

describe("windows", () => {
  const at = (n: number) => n
  it("hold no more than they may", async () => {
    const heddle = makeHeddle(memoryStore())
    const time = seq("f").stream("s", () => numbers(10), (s) => s.window({ time: 100, at, most: 4 }).collect())
    expect(await failure(heddle.run(time, undefined))).toMatchObject({ _tag: "StreamOverflowed", what: "items in windows", most: 4 })
    const session = seq("f").stream("s", () => numbers(10), (s) => s.window({ session: 5, at, most: 4 }).collect())
    expect(await failure(heddle.run(session, undefined))).toMatchObject({ _tag: "StreamOverflowed", path: "s/window#1" })
    // those that are closed make room
    const closed = seq("f").stream("s", () => numbers(20), (s) => s.window({ time: 2, at, most: 4 }).collect())
    expect((await go(heddle.run(closed, undefined))).s).toHaveLength(10)
  })
  it("say nothing is late that belongs to none", async () => {
    const heddle = makeHeddle(memoryStore())
    const told: Array<number> = []
    heddle.listen(({ kind, data }) => void (kind === "stream.flowed" && told.push((JSON.parse(data!) as { late: number }).late)))
    const hops = seq("f").stream("s", () => [0, 15, 20, 35, 40], (s) => s.window({ time: 10, every: 20, at }).collect(), { checkpoint: { items: 1 } })
    expect(await go(heddle.run(hops, undefined))).toEqual({ s: [[0], [20], [40]] })
    expect(told.at(-1)).toBe(0)
  })
  it("say how many items came too late, in groups too", async () => {
    const heddle = makeHeddle(memoryStore())
    const told: Array<number> = []
    heddle.listen(({ kind, data }) => void (kind === "stream.flowed" && told.push((JSON.parse(data!) as { late: number }).late)))
    const flow = seq("f").stream(
      "s",
      () => [1, 12, 3, 4, 25],
      (s) => s.groupBy(() => "all", (g) => g.window({ time: 10, at })).collect(),
      { checkpoint: { items: 1 } },
    )
    await go(heddle.run(flow, undefined))
    expect(told.at(-1)).toBe(2)
  })
})

describe("an artifact as a sink", () => {
  it("has each item as a line, wherever the run dies", async () => {
    const flow = seq("f").stream(
      "s",
      () => numbers(12),
      (s) => s.map((n) => ({ n, text: "x".repeat(200_000) })).to(toArtifact("rows.ndjson", { type: "rows" })),
      {
        checkpoint: { items: 2 },
      },
    ).step("read", async ({ s }, { artifacts }) => {
      const lines = (await artifacts.text(s.name)).trimEnd().split("\n")
      return {
        lines: lines.map((line) => (JSON.parse(line) as { n: number }).n),
        left: (await artifacts.list({ newest: false, type: "part" })).length,
        type: s.type,
      }
    }).returns(({ read }) => read)
    const heddle = makeHeddle(memoryStore())
    expect(await go(heddle.run(flow, undefined, { session: "s" }))).toEqual({ lines: numbers(12), left: 0, type: "rows" })
    const { wrong, points } = await crashEverywhere(flow, undefined)
    expect([wrong, points > 20]).toEqual([[], true])
  }, 60_000)
  it("has no secrets, what this try has written, and leaves nothing behind when its run is pruned", async () => {
    const heddle = makeHeddle(memoryStore())
    const key = String(secret("supersecret-4711"))
    expect(key).not.toContain("4711")
    const told = seq("f").stream("s", () => ["the key is supersecret-4711"], (s) => s.to(toArtifact("a.txt")))
    await go(heddle.run(told, undefined))
    expect(await go(heddle.artifacts.text("a.txt"))).toBe("the key is [redacted]\n")
    const fails = seq("f").stream("s", () => numbers(5), (s) =>
      s.map((n) => {
        if (n === 4) throw new Error("no")
        return "x".repeat(300_000)
      }).to(toArtifact("b.txt")), { checkpoint: { items: 1 } })
    await failure(heddle.run(fails, undefined, { id: "r" }))
    expect((await go(heddle.artifacts.list({ type: "part" }))).length).toBeGreaterThan(2)
    await go(heddle.prune({ status: ["failed"] }))
    expect(await go(heddle.artifacts.list({ type: "part" }))).toEqual([])
  })
  it("is missed where its parts have gone and it was removed", async () => {
    const heddle = makeHeddle(memoryStore())
    const asked = (name: "put" | "get" | "list" | "remove" | "bytes" | "read") => (...args: ReadonlyArray<any>) =>
      name === "read" ? Stream.toAsyncIterable((heddle.artifacts as any).read(...args)) : go((heddle.artifacts as any)[name](...args))
    const artifacts = Object.fromEntries((["put", "get", "list", "remove", "bytes", "read"] as const).map((name) => [name, asked(name)])) as any
    const context = { run: "r", path: "s", scope: {}, signal: new AbortController().signal, artifacts }
    const sink = toArtifact("rows")
    const line = "y".repeat(300_000)
    const first = await sink.open(undefined, context)
    await first.write([line])
    const saved = first.save()
    await first.close()
    expect(await go(heddle.artifacts.list({ type: "part" }))).toEqual([])
    await go(heddle.artifacts.remove("rows"))
    await expect(Promise.resolve((await sink.open(saved, context)).close())).rejects.toThrow("was removed before it was recorded")
  })
  it("counts against what the run and its session may have", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f", { budget: { bytes: 5 } }).stream("s", () => ["long enough"], (s) => s.to(toArtifact("a.txt")))
    expect(await failure(heddle.run(flow, undefined))).toMatchObject({ _tag: "LimitExceeded", limit: "bytes" })
    await go(heddle.sessions.create({ id: "s", policy: { artifactBytes: 5 } }))
    const plain = seq("f").stream("s", () => ["long enough"], (s) => s.to(toArtifact("a.txt")))
    expect(await failure(heddle.run(plain, undefined, { session: "s" }))).toMatchObject({
      _tag: "ArtifactRefused",
      message: expect.stringContaining("larger than"),
    })
  })
})

describe("any pipe", () => {
  type Row = ReadonlyArray<any>
  /** A stage, and what it makes of a list. */
  const stages: Readonly<Record<string, { readonly add: (s: any, n: number, tag: string) => any; readonly of: (items: Row, n: number) => Row }>> = {
    map: { add: (s, n) => s.map((x: number) => x * n), of: (all, n) => all.map((x) => x * n) },
    work: {
      add: (s, n, tag) => s.map(`work${tag}`, (x: number) => Effect.as(Effect.sleep(x % 2), x + n), { concurrency: n }),
      of: (all, n) => all.map((x) => x + n),
    },
    each: { add: (s, n, tag) => s.each(`each${tag}`, () => Promise.resolve("gone"), { concurrency: n, ordered: true }), of: (all) => all },
    filter: { add: (s, n) => s.filter((x: number) => x % (n + 1) !== 0), of: (all, n) => all.filter((x) => x % (n + 1) !== 0) },
    flatMap: { add: (s, n) => s.flatMap((x: number) => [x, x + n]), of: (all, n) => all.flatMap((x) => [x, x + n]) },
    skip: {
      add: (s, n, tag) => s.map(`odd${tag}`, (x: number) => (x % (n + 2) === 0 ? no() : x), { failure: "skip", concurrency: n }),
      of: (all, n) => all.filter((x) => x % (n + 2) !== 0),
    },
    scan: {
      add: (s) => s.scan(0, (sum: number, x: number) => (sum + x) % 1000),
      of: (all) => {
        let sum = 0
        return all.map((x) => (sum = (sum + x) % 1000))
      },
    },
    take: { add: (s, n) => s.take(n * 7), of: (all, n) => all.slice(0, n * 7) },
    drop: { add: (s, n) => s.drop(n), of: (all, n) => all.slice(n) },
    batch: { add: (s, n) => s.batch(n).map((all: Row) => all.length), of: (all, n) => chunks(all, n).map(({ length }) => length) },
    window: { add: (s, n) => s.window({ count: n }).flatMap((all: Row) => all), of: (all) => all },
    dedupe: { add: (s) => s.dedupe(), of: (all) => [...new Set(all)] },
    takeWhile: {
      add: (s, n) => s.takeWhile((x: number) => x < n * 60),
      of: (all, n) => {
        const end = all.findIndex((x) => !(x < n * 60))
        return end === -1 ? all : all.slice(0, end)
      },
    },
  }
  const chunks = (all: Row, size: number): ReadonlyArray<Row> => (all.length === 0 ? [] : [all.slice(0, size), ...chunks(all.slice(size), size)])
  const names = Object.keys(stages)

  it("gives what the same does to a list, in order, nothing lost or twice, wherever it dies", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    const given = fc.record({
      count: fc.integer({ min: 0, max: 40 }),
      pipe: fc.array(fc.record({ stage: fc.constantFrom(...names), n: fc.integer({ min: 1, max: 4 }) }), { maxLength: 5 }),
      buffer: fc.integer({ min: 1, max: 9 }),
      every: fc.integer({ min: 1, max: 9 }),
      grouped: fc.boolean(),
      sink: fc.constantFrom("collect", "fold", "emit", "own"),
      dies: fc.option(fc.integer({ min: 2, max: 30 })),
    })
    await fc.assert(
      fc.asyncProperty(given, async ({ count, pipe, buffer, every, grouped, sink, dies }) => {
        const items = numbers(count)
        const add = (s: any, label = ""): any => pipe.reduce((stream, { stage, n }, i) => stages[stage]!.add(stream, n, `${i}${label}`), s)
        const of = (all: Row): Row => pipe.reduce((list, { stage, n }) => stages[stage]!.of(list, n), all)
        // within a key all is in order; keys are in any
        const keyed = grouped && !pipe.some(({ stage }) => stage === "takeWhile" || stage === "take")
        const expected = keyed ? [0, 1].flatMap((key) => of(items.filter((x) => x % 2 === key)).map((x) => [key, x])) : of(items)
        const shape = (
          s: any,
        ) => (keyed ?
          s.partition((x: number) => String(x % 2), {
            0: (g: any) => add(g, "a").map((x: any) => [0, x]),
            1: (g: any) => add(g, "b").map((x: any) => [1, x]),
          }) :
          add(s))
        const kept: { all: Row } = { all: [] }
        const own: Sink<any, Row> = {
          name: "own",
          open: (saved) => {
            kept.all = kept.all.slice(0, (saved as number | undefined) ?? 0)
            return { write: (more) => void (kept.all = [...kept.all, ...more]), save: () => kept.all.length, close: () => kept.all }
          },
        }
        const ends: Readonly<Record<typeof sink, (s: any) => any>> = {
          collect: (s) => s.collect(),
          fold: (s) => s.fold([], (all: Row, x: unknown) => [...all, x]),
          emit: (s) => s.emit(),
          own: (s) => s.to(own),
        }
        const flow = (seq("f") as any).stream("s", () => items, (s: any) => ends[sink](shape(s)), { buffer, checkpoint: { items: every } })
        let writes = 0
        const heddle = makeHeddle(failing(memoryStore(), "events.append", { times: () => ++writes === dies }))
        let ended = await out(heddle.run(flow, undefined as never, { id: "r" }))
        if (ended?._tag === "StoreFailed") {
          ended = await out(Effect.catchTag(heddle.resume(flow, "r") as any, "RunNotFound", () => heddle.run(flow, undefined as never, { id: "r" })))
        }
        const got: Row = sink === "emit" ?
          (await go(Stream.runCollect(heddle.items("r", { live: false })))).map(({ item }) => item) :
          ended.s
        const inOrder = keyed ? [0, 1].flatMap((key) => got.filter(([of]) => of === key)) : got
        expect(inOrder).toEqual(expected)
      }),
      { seed, numRuns: 150 },
    )
  }, 120_000)
})
