/** Streams: stages, sinks, what happens to items that fail, and going on after a crash. */
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { Readable } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { Clock, Effect, Stream } from "effect"
import fc from "fast-check"
import { check, decide, type Hook, hook, type HookPoint, merge, nest, openHeddle, permits, run, seq, type Sink, state, step, tool } from "heddle"
import { agent, scripted } from "heddle/agents"
import { csv, eventsOf, lines, linesTo, live, merged, ndjson, poll } from "heddle/streams"
import { crashEverywhere, testFlow } from "heddle/testing"
import { err } from "neverthrow"
import { describe, expect, it } from "vitest"
import { encode } from "../../dsl/ir/encode.ts"
import { z } from "zod"
import { hookDecisions } from "../../dsl/ir/hook.ts"
import { Buffered, ended, late } from "../../src/compile/stream/reader.ts"
import { jumpingClock } from "../../src/testing/clock.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { trace } from "../../src/engine/trace.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { StoreFailed } from "../../src/model/error.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { pictureOf } from "../../src/docgen/diagram/layout.ts"
import { mermaid } from "../../src/docgen/mermaid.ts"
import { unicode } from "../../src/docgen/unicode.ts"
import { failure, file, go, no, out, status } from "../support.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
/** What a pipe makes of items, a few at a time. */
const piped = async (items: ReadonlyArray<any>, pipe: (s: any) => any, options: object = {}): Promise<any> =>
  (await run((seq("f") as any).stream("s", () => items, pipe, { buffer: 3, ...options }))).match(({ s }: any) => s, (error: any) => error)

describe("stages", () => {
  it("plain ones, in any order", async () => {
    expect(await piped(numbers(10), (s) => s.map((n: number) => n * 2).filter((n: number) => n % 3 === 0).flatMap((n: number) => [n, -n]).collect())).toEqual([
      0,
      -0,
      6,
      -6,
      12,
      -12,
      18,
      -18,
    ])
    const seen: Array<number> = []
    expect(await piped(numbers(5), (s) => s.tap((n: number) => seen.push(n)).drop(2).take(2).collect())).toEqual([2, 3])
    // nothing more is read than is wanted
    expect(seen).toEqual([0, 1, 2, 3, 4])
    expect(await piped(numbers(100), (s) => s.tap((n: number) => seen.push(n)).takeWhile((n: number) => n < 4).collect())).toEqual([0, 1, 2, 3])
    expect(seen.length).toBeLessThan(12)
    expect(await piped(numbers(6), (s) => s.scan(0, (sum: number, n: number) => sum + n).collect())).toEqual([0, 1, 3, 6, 10, 15])
    expect(await piped([1, 2, 1, 3, 2, 1, { a: 1 }, { a: 1 }], (s) => s.dedupe().collect())).toEqual([1, 2, 3, { a: 1 }])
    expect(await piped([1, 2, 1, 3, 1], (s) => s.dedupe({ most: 1 }).collect())).toEqual([1, 2, 1, 3, 1])
    expect(await piped(["aa", "b", "cc"], (s) => s.dedupe({ key: (w: string) => w.length }).collect())).toEqual(["aa", "b"])
    expect(await piped(numbers(7), (s) => s.batch(3).collect())).toEqual([[0, 1, 2], [3, 4, 5], [6]])
    expect(await piped(numbers(0), (s) => s.batch(3).debounce(1).window({ session: 1 }).collect())).toEqual([])
    expect(await piped(numbers(4), (s) => s)).toBe(4)
  })

  it("functions that give promises, Results and Effects are waited for", async () => {
    expect(await piped(numbers(4), (s) => s.map((n: number) => n === 1 ? Promise.resolve("p") : n === 2 ? Effect.succeed("e") : n).collect())).toEqual([
      0,
      "p",
      "e",
      3,
    ])
    expect(await piped(numbers(4), (s) => s.filter(async (n: number) => n > 1).flatMap((n: number) => Effect.succeed([n, n])).collect())).toEqual([2, 2, 3, 3])
    expect(await piped(numbers(4), (s) => s.map((n: number) => n === 2 ? err({ _tag: "Two" }) : n).collect())).toMatchObject({ _tag: "Two" })
  })

  it.each(["map", "filter", "flatMap", "tap", "takeWhile"])("one that throws fails at its place: %s", async (stage) => {
    const throws = () => {
      throw new Error("broken")
    }
    expect(await piped([1], (s) => s[stage]("it", throws).collect())).toMatchObject({ _tag: "StepThrew", path: stage === "map" ? "s/it[0]" : "s/it" })
  })

  it("the others say where they threw too", async () => {
    const throws = () => {
      throw new Error("broken")
    }
    const path = async (pipe: (s: any) => any) => (await piped([1], pipe)).path
    expect(await path((s) => s.scan(0, throws))).toBe("s/scan#1")
    expect(await path((s) => s.dedupe({ key: throws }))).toBe("s/dedupe#1")
    expect(await path((s) => s.window({ time: 10, at: throws }))).toBe("s/window#1")
    expect(await path((s) => s.window({ session: 10, at: throws }))).toBe("s/window#1")
    expect(await path((s) => s.groupBy(throws, (g: any) => g))).toBe("s/group#1")
    expect(await path((s) => s.fold(0, throws))).toBe("s")
    expect(await path((s) => s.partition(() => "none", { some: (p: any) => p }))).toBe("s/partition#1")
  })

  it("groups and parts have stages of their own", async () => {
    const words = ["a", "bb", "c", "dd", "e"]
    expect(await piped(words, (s) => s.groupBy((w: string) => String(w.length), (g: any) => g.batch(2)).collect())).toEqual([["a", "c"], ["bb", "dd"], ["e"]])
    expect(
      await piped(words, (s) =>
        s.partition((w: string) => w.length === 1 ? "one" : "two", {
          one: (p: any) => p.map(() => 1),
          two: (p: any) => p.map("w", async (w: string) => w, { concurrency: 2 }),
        }).collect()),
    ).toEqual([1, "bb", 1, "dd", 1].sort((a, b) => typeof a === typeof b ? 0 : 0) && expect.arrayContaining([1, "bb", "dd"]))
    expect(await piped(words, (s) => s.groupBy((w: string) => w, (g: any) => g, { most: 3 }).collect())).toMatchObject({
      _tag: "StreamOverflowed",
      what: "keys",
      most: 3,
    })
    const typed = seq("t").stream(
      "s",
      () => ["a", "bb"],
      (s) => s.partition((w) => w.length === 1 ? "one" : "two", { one: (p) => p.map(() => 1), two: (p) => p.map((w) => w) }).collect(),
    )
    const value: ReadonlyArray<number | string> = (await run(typed))._unsafeUnwrap().s
    expect(value).toEqual([1, "bb"])
  })

  it("windows by number", async () => {
    expect(await piped(numbers(7), (s) => s.window({ count: 3 }).collect())).toEqual([[0, 1, 2], [3, 4, 5], [6]])
    expect(await piped(numbers(6), (s) => s.window({ count: 3, every: 2 }).collect())).toEqual([[0, 1, 2], [2, 3, 4], [4, 5]])
    expect(await piped(numbers(5), (s) => s.window({ count: 3, every: 2 }).collect())).toEqual([[0, 1, 2], [2, 3, 4]])
    expect(await piped(numbers(9), (s) => s.window({ count: 2, every: 4 }).collect())).toEqual([[0, 1], [4, 5], [8]])
  })

  it("windows by the time that items tell", async () => {
    const at = (n: number) => n
    expect(await piped([1, 5, 12, 13, 31], (s) => s.window({ time: 10, at }).collect())).toEqual([[1, 5], [12, 13], [31]])
    expect(await piped([1, 5, 12, 17], (s) => s.window({ time: 10, every: 5, at }).collect())).toEqual([[1], [1, 5], [5, 12], [12, 17], [17]])
    // one that comes late is dropped, or waited for
    expect(await piped([1, 12, 3, 22], (s) => s.window({ time: 10, at }).collect())).toEqual([[1], [12], [22]])
    expect(await piped([1, 12, 3, 22], (s) => s.window({ time: 10, late: 5, at }).collect())).toEqual([[1, 3], [12], [22]])
    expect(await piped([1, 2, 9, 8, 30], (s) => s.window({ session: 5, at }).collect())).toEqual([[1, 2], [9, 8], [30]])
  })

  it("what waits for time, in virtual time", async () => {
    const ticks = async (gaps: ReadonlyArray<number>, pipe: (s: any) => any) => {
      const clock = jumpingClock(0)
      const inTime = <A>(effect: Effect.Effect<A, any>) => Effect.provideService(effect, Clock.Clock, clock)
      const ticking = live((async function*() {
        for (const [i, gap] of gaps.entries()) {
          await Effect.runPromise(inTime(Effect.sleep(gap)))
          yield i
        }
      })())
      // its stages vary: what is inferred from them is not what is tested here
      const flow = (seq("t") as any).stream("s", () => ticking, (s: any) => pipe(s).collect())
      const { s } = await go(inTime(makeHeddle(memoryStore()).run(flow, undefined) as any)) as any
      return [s, clock.currentTimeMillisUnsafe()] as const
    }
    const hour = 3_600_000
    const gaps = [0, hour, hour, 120 * hour, hour]
    expect((await ticks(gaps, (s) => s.batch(10, { within: 50 * hour })))[0]).toEqual([[0, 1, 2], [3, 4]])
    expect((await ticks(gaps, (s) => s.batch(10, { within: 50 * hour }).batch(10, { within: 300 * hour })))[0]).toEqual([[[0, 1, 2], [3, 4]]])
    expect((await ticks(gaps, (s) => s.batch(2, { within: 50 * hour })))[0]).toEqual([[0, 1], [2], [3, 4]])
    expect((await ticks(gaps, (s) => s.debounce(40 * hour)))[0]).toEqual([2, 4])
    expect((await ticks(gaps, (s) => s.window({ session: 40 * hour })))[0]).toEqual([[0, 1, 2], [3, 4]])
    expect((await ticks(gaps, (s) => s.groupBy(() => "all", (g: any) => g.window({ time: 60 * hour }))))[0]).toEqual([[0, 1, 2], [3, 4]])
    // hours 0, 1, 2, 122, 123: windows of two hours, one beginning every hour
    expect((await ticks(gaps, (s) => s.window({ time: 2 * hour, every: hour })))[0]).toEqual([[0], [0, 1], [1, 2], [2], [3], [3, 4], [4]])
    expect(await ticks([0, 0, 0, 0], (s) => s.throttle({ limit: 2, per: hour }))).toEqual([[0, 1, 2, 3], hour])
  })
})

describe("sinks", () => {
  it("fold, collect within bounds, count", async () => {
    expect(await piped(numbers(5), (s) => s.fold({ sum: 0 }, ({ sum }: any, n: number) => ({ sum: sum + n })))).toEqual({ sum: 10 })
    expect(await piped(numbers(5), (s) => s.collect({ most: 4 }))).toMatchObject({ _tag: "StreamOverflowed", what: "items", most: 4 })
    expect((await piped(numbers(5), (s) => s.collect({ most: 4 }))).message).toContain("has more than 4 items")
  })

  it("a sink of one's own is opened, written to, and closed, or given up", async () => {
    const told: Array<unknown> = []
    const sink = (fails = false): Sink<number, string> => ({
      name: "own",
      open: async (saved, { run: id, path, scope, signal }) => {
        told.push(["open", saved, id, path, (scope as { a: number }).a, signal.aborted])
        return {
          write: async (items) => {
            if (fails) throw new Error("full")
            told.push(["write", ...items])
          },
          save: () => told.length,
          close: () => "closed",
          abandon: () => told.push(["abandon"]),
        }
      },
    })
    const flow = (fails?: boolean) => seq("f").step("a", () => 1).stream("s", () => [1, 2], (s) => s.to(sink(fails)), { buffer: 1 })
    expect((await run(flow(), undefined, { id: "r" }))._unsafeUnwrap().s).toBe("closed")
    expect(told).toEqual([["open", undefined, "r", "s", 1, false], ["write", 1], ["write", 2]])
    told.length = 0
    expect((await run(flow(true)))._unsafeUnwrapErr()).toMatchObject({ _tag: "StepThrew", path: "s" })
    expect(told.at(-1)).toEqual(["abandon"])
    const bare: Sink<number, number> = { name: "bare", open: () => ({ write: () => Promise.reject(new Error("full")), save: () => 0, close: () => 0 }) }
    expect((await run(seq("f").stream("s", () => [1], (s) => s.to(bare))))._unsafeUnwrapErr()).toMatchObject({ path: "s" })
  })

  it("a transaction has the items of each checkpoint with its record, once", async () => {
    await go(Effect.scoped(Effect.gen(function*() {
      const heddle = makeHeddle(yield* openSqlite(file()))
      const flow = seq<{ fails: number }>("f").stream("s", () => numbers(10), (s) =>
        s.transaction((sql, items, { input }) => {
          sql.run("CREATE TABLE IF NOT EXISTS own (n INTEGER)")
          for (const n of items) {
            if (n === input.fails) throw new Error("no")
            sql.run("INSERT INTO own VALUES (?)", n)
          }
        }), { buffer: 2, checkpoint: { items: 4 } })
      expect(yield* heddle.run(flow, { fails: -1 }, { id: "r" })).toEqual({ s: 10 })
      expect((yield* heddle.events("r")).map(({ kind }) => kind)).toEqual([
        "run.started",
        "stream.checkpointed",
        "stream.completed",
        "run.completed",
      ])
      expect(yield* Effect.flip(heddle.run(flow, { fails: 5 }))).toMatchObject({ _tag: "StepThrew", path: "s" })
      const none = seq("none").stream("s", () => numbers(4), (s) => s.filter(() => false).transaction(() => undefined), { checkpoint: { items: 1 }, buffer: 1 })
      expect(yield* heddle.run(none, undefined)).toEqual({ s: 0 })
    })))
    const memory = seq("f").stream("s", () => [1], (s) => s.transaction(() => undefined))
    expect(await failure(makeHeddle(memoryStore()).run(memory, undefined))).toMatchObject({ _tag: "TransactionUnsupported" })
  })

  it("lines of a file are there once, whatever was written before", async () => {
    const path = file()
    expect(await piped(["a", { b: 1 }, 3], (s) => s.to(linesTo(path)))).toBe(12)
    expect(readFileSync(path, "utf8")).toBe("a\n{\"b\":1}\n3\n")
    expect(await piped(["a", "b"], (s) => s.map((x: string) => x === "b" ? err({ _tag: "B" }) : x).to(linesTo(path)))).toMatchObject({ _tag: "B" })
  })
})

describe("work", () => {
  it("steps, tools, agents and flows are given the item", async () => {
    const half = step("half", (n: number) => n / 2)
    const double = tool("double", { description: "Doubles.", input: z.object({ n: z.number() }) }, ({ n }) => n * 2)
    const greet = agent("greet", { input: z.object({ n: z.number() }), prompt: ({ n }) => `n${n}`, model: scripted(({ messages }) => messages.at(-1)!.text) })
    const inner = seq<number>("inner").step("a", ({ input }) => input + 1).returns(({ a }) => a)
    const flow = seq("f")
      .stream("halves", () => [2, 4], (s) => s.map(half).map(inner, { concurrency: 2 }).collect())
      .stream("said", () => [1, 2], (s) => s.map((n) => ({ n })).each(double).map(greet).collect())
    const heddle = makeHeddle(memoryStore())
    expect(await go(heddle.run(flow, undefined, { id: "r" }))).toEqual({ halves: [2, 3], said: ["n1", "n2"] })
    // a flow is a run of its own for each item
    expect((await go(heddle.list({ parent: "r" }))).map(({ flow: name }) => name).sort()).toEqual(["greet", "greet", "inner", "inner"])
    expect(await piped([{ n: "x" }], (s) => s.map(double).collect())).toMatchObject({ _tag: "InputInvalid", path: "s/double[0]" })
  })

  it("in order or as they are done, several at once, with a key of its own for each item", async () => {
    let [now, most] = [0, 0]
    const keys: Array<string> = []
    const work = async (n: number, _scope: unknown, { key }: { key: string }) => {
      most = Math.max(most, ++now)
      keys.push(key)
      await sleep(n === 0 ? 30 : 1)
      now--
      return n
    }
    expect(await piped(numbers(6), (s) => s.map("w", work, { concurrency: 2 }).collect(), { buffer: 6 })).toEqual([0, 1, 2, 3, 4, 5])
    expect(most).toBe(2)
    expect(new Set(keys).size).toBe(6)
    expect(keys[0]).toMatch(/\/s\/w\[0\]$/)
    expect(await piped(numbers(4), (s) => s.map("w", work, { concurrency: 4, ordered: false }).collect(), { buffer: 8 })).toEqual([1, 2, 3, 0])
  })

  it("is tried again, bounded, limited", async () => {
    let tries = 0
    const flaky = async () => {
      if (++tries % 2 === 1) throw new Error("again")
      return "ok"
    }
    expect(await piped([1, 2], (s) => s.map("w", flaky, { retry: { times: 1, backoff: 1 } }).collect())).toEqual(["ok", "ok"])
    expect(await piped([1], (s) => s.map("w", () => sleep(1000), { timeout: 5 }).collect())).toMatchObject({ _tag: "StepTimedOut", path: "s/w[0]" })
    const one = permits("one", 1)
    expect(await piped(numbers(3), (s) => s.map("w", (n: number) => n, { limits: [one], concurrency: 3 }).collect())).toEqual([0, 1, 2])
    const flow = seq("f", { budget: { steps: 2 } }).stream("s", () => numbers(5), (s) => s.each("w", () => 1))
    expect((await run(flow))._unsafeUnwrapErr()).toMatchObject({ _tag: "LimitExceeded", limit: "steps" })
  })

  it("an item that fails fails the stream, is left out, or is left out and recorded", async () => {
    const odd = (n: number) => n % 2 === 1 ? no() : Effect.succeed(n)
    expect(await piped(numbers(4), (s) => s.map("w", odd, {}).collect())).toMatchObject({ _tag: "No" })
    expect(await piped(numbers(4), (s) => s.map("w", odd, { failure: "skip" }).collect())).toEqual([0, 2])
    const heddle = makeHeddle(memoryStore())
    const rejects = (most?: number) =>
      seq("f").stream("s", () => numbers(4), (s) => s.map("w", odd, { failure: "reject" }).collect(), {
        ...(most === undefined ? {} : { rejects: most }),
        buffer: 2,
      })
    expect(await go(heddle.run(rejects(), undefined, { id: "r" }))).toEqual({ s: [0, 2] })
    const saved = JSON.parse((await go(heddle.events("r"))).findLast(({ kind }) => kind === "stream.checkpointed")!.data).saved
    expect(saved).toMatchObject({ rejected: 2, rejects: [{ stage: "w", at: "s/w[1]", item: 1, error: { _tag: "No" } }, { at: "s/w[3]" }] })
    expect(await out(heddle.run(rejects(1), undefined))).toMatchObject({ _tag: "StreamOverflowed", what: "rejected items", most: 1 })
  })

  it("a store that fails is no failure of an item; a source that cannot be closed is left", async () => {
    const broken = new StoreFailed({ store: "s", operation: "o", reason: "r", cause: undefined })
    expect(await piped([1], (s) => s.map("w", () => Effect.fail(broken), { failure: "skip" }))).toMatchObject({ _tag: "StoreFailed" })
    const stuck = () =>
      live((async function*() {
        try {
          yield 1
          yield 2
        } finally {
          // oxlint-disable-next-line no-unsafe-finally -- that is what is tested
          throw new Error("stuck")
        }
      })())
    expect((await run(seq("f").stream("s", stuck, (s) => s.take(1).collect())))._unsafeUnwrap().s).toEqual([1])
  })

  it("what it changes of State is written with the checkpoint", async () => {
    const total = state("total", { schema: z.number(), scope: "flow", initial: 0 })
    const sums = (more: object = {}) =>
      seq("sums").stream("s", () => numbers(5), (s) => s.each("add", async (n, _scope, { state: own }) => own.increment(total, n)), { buffer: 2, ...more })
    await go(Effect.scoped(Effect.gen(function*() {
      for (const store of [memoryStore(), yield* openSqlite(file())]) {
        const heddle = makeHeddle(store)
        expect(yield* heddle.run(sums({ checkpoint: { items: 2 } }), undefined, { id: "r" })).toEqual({ s: 5 })
        expect(yield* heddle.state({ flow: "sums" }).get(total)).toBe(10)
        expect((yield* heddle.events("r")).filter(({ data }) => data.includes("\"state\":"))).toHaveLength(3)
      }
      const both = seq("f").stream(
        "s",
        () => [1],
        (s) => s.each("add", async (n, _scope, { state: own }) => own.increment(total, n)).transaction(() => undefined),
      )
      expect(yield* Effect.flip(makeHeddle(yield* openSqlite(file())).run(both, undefined))).toMatchObject({ _tag: "StateRefused" })
    })))
    const wrong = seq("f").stream("s", () => [1], (s) => s.each("set", async (_n, _scope, { state: own }) => own.update(total, () => "x" as never)))
    expect((await run(wrong))._unsafeUnwrapErr()).toMatchObject({ _tag: "StateRefused" })
    const artifacts = seq("f").stream("s", () => ["a"], (s) =>
      s.each("keep", async (name, _scope, { artifacts: own, progress }) => {
        progress(1)
        return own.put(name, "x")
      }))
    expect((await run(artifacts))._unsafeUnwrap()).toEqual({ s: 1 })
  })

  it("what changes State meanwhile is a conflict where the value depends on it", async () => {
    const own = state("own", { schema: z.number(), scope: "flow", initial: 0 })
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const flow = seq("g").stream("s", () => [1], (s) =>
      s.each("set", async (n, _scope, { state: mine }) => {
        await mine.set(own, (await mine.get(own)) + n)
        await go(heddle.state({ flow: "g" }).set(own, 100))
      }))
    expect(await out(heddle.run(flow, undefined))).toMatchObject({ _tag: "StateConflict" })
    const throwing = state("throwing", { schema: z.number(), scope: "flow", initial: 0 })
    let calls = 0
    const late = seq("h").stream("s", () => [1], (s) =>
      s.each("set", async (_n, _scope, { state: mine }) =>
        mine.update(throwing, (was) => {
          if (++calls > 1) throw new Error("the second time")
          return was + 1
        })))
    expect(await out(heddle.run(late, undefined))).toMatchObject({ _tag: "StepThrew", path: "s" })
  })
})

describe("hooks", () => {
  const flow = () =>
    seq("f").stream("s", () => [1, 2, 3, 4], (s) => s.map("w", (n) => n === 3 ? no() : Effect.succeed(n), { failure: "fail" }).collect(), {
      buffer: 2,
      checkpoint: { items: 2 },
    })
  const value = async (...hooks: ReadonlyArray<Hook>) => {
    const { result } = await testFlow(flow(), undefined, { hooks })
    return result.ok ? result.value.s : result.error
  }
  const rescued = hook("stream.rejected", ({ item, stage }) => decide.replace(`${stage}${String(item)}`))
  it("around it, at each chunk, at an item that fails, at a checkpoint", async () => {
    expect(await value(rescued)).toEqual([1, 2, "w3", 4])
    expect(await value(hook("stream.rejected", () => decide.skip("no")))).toEqual([1, 2, 4])
    expect(await value(hook("stream.chunk", ({ items, index }) => index === 0 ? decide.replace(items.map((n) => Number(n) * 10)) : decide.skip("no")))).toEqual(
      [10, 20],
    )
    expect(await value(hook("stream.before", () => decide.replace("instead")))).toBe("instead")
    expect(await value(hook("stream.error", () => decide.replace("caught")))).toBe("caught")
    expect(await value(rescued, hook("stream.after", ({ output }) => decide.replace([output])))).toEqual([[1, 2, "w3", 4]])
    for (const point of ["stream.before", "stream.chunk", "stream.checkpoint", "stream.rejected", "stream.error"] as const) {
      expect(await value(hook(point, () => decide.cancel("no"))), point).toMatchObject({ _tag: "RunCancelled" })
    }
    const told: Array<number> = []
    await value(rescued, hook("stream.checkpoint", ({ items }) => void told.push(items)))
    expect(told).toEqual([2, 4])
    const beside = seq<number>("beside").step("got", ({ input }) => input)
    const heddle = makeHeddle(memoryStore(), { hooks: [rescued, hook("stream.checkpoint", ({ items }) => decide.fork(beside, items))] })
    await go(heddle.run(flow(), undefined))
    expect((await go(heddle.list({ flow: "beside" }))).map(({ input }) => input).sort()).toEqual(["2", "4"])
    // at the steps inside too
    expect(await value(rescued, hook("step.after", ({ output }) => output === 4 ? decide.replace(40) : undefined))).toEqual([1, 2, "w3", 40])
  })

  it("what a point does not allow is no decision", async () => {
    const points = (Object.keys(hookDecisions) as ReadonlyArray<HookPoint>).filter((point) => point.startsWith("stream.") && point !== "stream.pressed")
    expect(points).toHaveLength(6)
    for (const point of points) {
      const bad = hook(point, (() => ({ does: "redirect" })) as never, { onFailure: "fail" })
      const tested = await testFlow(flow(), undefined, { hooks: point === "stream.after" ? [rescued, bad] : [bad] })
      expect(tested.hooks.map(({ reason }) => reason), point).toContain(`'redirect' cannot be decided here, only: ${hookDecisions[point].join(", ")}`)
    }
  })

  it("when the buffer is full, and has room again", async () => {
    const told: Array<string> = []
    const notices: Array<string> = []
    const heddle = makeHeddle(memoryStore(), { hooks: [hook("stream.pressed", ({ on }) => void told.push(String(on)))] })
    heddle.listen(({ kind, data }) => void (kind === "stream.pressed" && notices.push(String(data))))
    const pressed = seq("f").stream("s", () => live(numbers(20)), (s) => s.each("w", () => sleep(2)), { buffer: 3 })
    expect(await go(heddle.run(pressed, undefined))).toEqual({ s: 20 })
    expect(told).toContain("true")
    expect(notices[0]).toBe("{\"on\":true,\"buffered\":3}")
    const cancels = makeHeddle(memoryStore(), { hooks: [hook("stream.pressed", () => decide.cancel("too slow"))] })
    expect(await out(cancels.run(pressed, undefined))).toMatchObject({ _tag: "RunCancelled", reason: "too slow" })
  })
})

describe("going on", () => {
  it("a resumed run is there again, at every point at which it can be killed", async () => {
    const flow = seq<{ n: number }>("f").step("base", () => 10)
      .stream(
        "s",
        ({ input }) => numbers(input.n),
        (s) =>
          s.map((n, { base }) => n + base).scan(0, (sum, n) => sum + n).dedupe().window({ count: 2 }).map("w", async (pair) => pair.length, { concurrency: 2 })
            .groupBy(String, (g) => g.batch(2)).drop(1).take(4).collect(),
        { buffer: 2, checkpoint: { items: 2 } },
      )
      .step("after", ({ s }) => s.length)
    const report = await crashEverywhere(flow, { n: 9 }, { kills: 1 })
    expect(report.points).toBeGreaterThan(8)
    expect([report.wrong, report.repeated]).toEqual([[], []])
    const paced = seq("p").stream(
      "s",
      () => numbers(5),
      (s) => s.throttle({ limit: 1000, per: 1 }).partition(() => "a" as const, { a: (p) => p.throttle({ limit: 1000, per: 1 }) }).collect(),
      { buffer: 1, checkpoint: { items: 1 } },
    )
    expect((await crashEverywhere(paced, undefined)).wrong).toEqual([])
    const timed = seq("t").stream(
      "s",
      () => [1, 2, 12, 31],
      (s) =>
        s.window({ time: 10, at: (n) => n }).flatMap((w) => w).window({ session: 5, at: (n) => n }).debounce("1 hour").partition(() => "a", {
          a: (p) => p.throttle({ limit: 100, per: 1 }).batch(2, { within: 1 }),
        })
          .fold(0, (sum, b) => sum + b.length),
      { buffer: 1, checkpoint: { items: 1 } },
    )
    const second = await crashEverywhere(timed, undefined, { kills: 1 })
    expect([second.wrong, second.repeated]).toEqual([[], []])
  })

  it("each item at least once with the same key; a transaction, State and a file have each once", async () => {
    const total = state("total", { schema: z.number(), scope: "flow", initial: 0 })
    const path = file()
    const seen = new Map<string, Set<number>>()
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const db = file()
      let left = seed * 3
      const flow = seq("f").stream("s", () => numbers(40), (s) =>
        s.each("w", async (n, _scope, { key, state: own }) => {
          await own.increment(total, n)
          const at = seen.get(key.slice(key.indexOf("/"))) ?? new Set()
          seen.set(key.slice(key.indexOf("/")), at.add(n))
          if (--left === 0) throw new Error("the process dies")
        }).to(linesTo(path)), { buffer: 3, checkpoint: { items: 5 } })
      await go(Effect.scoped(Effect.gen(function*() {
        const heddle = makeHeddle(yield* openSqlite(db))
        yield* Effect.exit(heddle.run(flow, undefined, { id: "r" }))
        expect(yield* heddle.resume(flow, "r")).toEqual({ s: 110 })
        expect(yield* heddle.state({ flow: "f" }).get(total)).toBe(780)
      })))
      expect(readFileSync(path, "utf8")).toBe(numbers(40).map((n) => `${n}\n`).join(""))
    }
    expect([...seen.values()].every((one) => one.size === 1)).toBe(true)
  })

  it("a live source is lost with its process, or opened again", async () => {
    const store = memoryStore()
    let fails = true
    const flow = (onResume: "fail" | "reopen") =>
      seq("f").stream("s", () => live(() => [1, 2, 3], { name: "ticks", onResume }), (s) =>
        s.map((n) => {
          if (n === 3 && fails) throw new Error("broken")
          return n
        }).collect(), { checkpoint: { items: 1 }, buffer: 1 })
    for (const [onResume, id] of [["fail", "a"], ["reopen", "b"]] as const) {
      fails = true
      expect(await out(makeHeddle(store).run(flow(onResume), undefined, { id }))).toMatchObject({ _tag: "StepThrew" })
      fails = false
      const resumed = await out(makeHeddle(store).resume(flow(onResume), id))
      if (onResume === "reopen") expect(resumed).toEqual({ s: [1, 2, 1, 2, 3] })
      else {
        expect(resumed).toMatchObject({ _tag: "StreamLost", source: "ticks" })
        expect(resumed.message).toContain("is gone with the process")
      }
    }
  })

  it("cancelled, paused, timed out: at once, and the source is closed", async () => {
    let closed = 0
    const endless = () =>
      live(
        (async function*() {
          try {
            for (let n = 0;; n++) {
              await sleep(1)
              yield n
            }
          } finally {
            closed++
          }
        })(),
        { onResume: "reopen" },
      )
    const flow = seq("f").stream("s", endless, (s) => s)
    const heddle = makeHeddle(memoryStore())
    const going = out(heddle.run(flow, undefined, { id: "r" }))
    await sleep(30)
    await go(heddle.pause("r"))
    expect(await going).toMatchObject({ _tag: "RunPaused" })
    const again = out(heddle.resume(flow, "r"))
    await sleep(30)
    await go(heddle.cancel("r"))
    expect(await again).toMatchObject({ _tag: "RunCancelled" })
    expect(closed).toBe(2)
    const bounded = seq("f").protect("p", (b) => b.stream("s", endless, (s) => s), { timeout: 20, fallback: () => "over" })
    expect((await run(bounded))._unsafeUnwrap()).toEqual({ p: "over" })
    expect(closed).toBe(3)
  })

  const silent: Readonly<Record<string, () => any>> = {
    "a generator": () =>
      live(async function*() {
        yield 1
        await new Promise(() => undefined)
      }),
    "a stream of Node": () =>
      live(Readable.from((async function*() {
        yield 1
        await new Promise(() => undefined)
      })())),
    "a stream of the web": () => live(new ReadableStream({ start: (controller) => controller.enqueue(1) })),
    "a stream of Effect": () => live(Stream.concat(Stream.make(1), Stream.never)),
    "an empty poll": () => poll(async (from: number | undefined) => (await sleep(1), { items: from === undefined ? [1] : [], cursor: 1 }), { every: "1 hour" }),
    "a slow poll": () =>
      poll(async (from: number | undefined) => (from === undefined ? { items: [1], cursor: 1 } : (await sleep(30), { items: [], cursor: 1 })), {
        every: "1 hour",
      }),
    "several": () => merged({ a: poll((from: number | undefined) => ({ items: from === undefined ? [1] : [], cursor: 1 }), { every: "1 hour" }) }),
  }
  it.each(Object.keys(silent))("%s that is silent is left at once: paused, cancelled, timed out, drained", async (kind) => {
    for (const overflow of ["suspend", "spill"] as const) {
      const heddle = makeHeddle(memoryStore())
      const flow = seq("f").stream("s", silent[kind]!, (s) => s.collect(), { overflow })
      for (const [id, end] of [["p", heddle.pause("p")], ["c", heddle.cancel("c")], ["d", heddle.drain("d")]] as const) {
        const going = out(heddle.run(flow, undefined, { id }))
        await sleep(20)
        await go(end as Effect.Effect<unknown>)
        const done = await going
        if (id === "d") expect(done).toEqual({ s: [1] })
        else expect(done).toMatchObject({ _tag: id === "p" ? "RunPaused" : "RunCancelled" })
      }
      const bounded = seq("f").protect("p", (b) => b.stream("s", silent[kind]!, (s) => s, { overflow }), { timeout: 20, fallback: () => "over" })
      expect(await go(heddle.run(bounded, undefined))).toEqual({ p: "over" })
    }
  })

  it("what a stage or a sink begins with is its own, in each run and for each key", async () => {
    const add = (list: Array<number>, n: number) => (list.push(n), list)
    const folds = seq("f").stream("s", () => numbers(2), (s) => s.fold([], add as never))
    for (let i = 0; i < 2; i++) expect((await run(folds))._unsafeUnwrap().s).toEqual([0, 1])
    const scans = seq("f").stream(
      "s",
      () => numbers(4),
      (s) => s.groupBy((n) => String(n % 2), (g) => g.scan([] as Array<number>, add)).collect(),
    )
    // one list, given as often as it has grown
    expect((await run(scans))._unsafeUnwrap().s).toEqual([[0, 2], [0, 2], [1, 3], [1, 3]])
  })

  it("what cannot be recorded is begun with as it is; a source that cannot be closed is left all the same", async () => {
    const calls = new Map([["add", (sum: number, n: number) => sum + n]])
    const flow = seq("f").stream("s", () => numbers(3), (s) => s.scan(calls as never, (given: never) => given).take(1).map(() => 1).collect())
    expect((await run(flow))._unsafeUnwrap().s).toEqual([1])
    const stuck: any = {
      source: "seekable",
      name: "stuck",
      onResume: "fail",
      open: () => ({
        [Symbol.iterator]: () => ({
          next: () => ({ done: false, value: { items: [1], next: 1 } }),
          return: () => {
            throw new Error("cannot be closed")
          },
        }),
      }),
    }
    expect((await run(seq("f").stream("s", () => stuck, (s) => s.take(1).collect())))._unsafeUnwrap().s).toEqual([1])
  })

  it("what takeWhile has ended stays ended, within a chunk, a group and over a checkpoint", async () => {
    const ends = seq("f").stream("s", () => [1, 9, 2], (s) => s.batch(2).flatMap((pair) => pair).takeWhile((n) => n < 5).collect())
    expect((await run(ends))._unsafeUnwrap().s).toEqual([1])
    const grouped = seq("f").stream("s", () => [1, 9, 2, 3], (s) => s.groupBy(() => "x", (g) => g.takeWhile((n) => n < 5)).collect(), { buffer: 1 })
    expect((await run(grouped))._unsafeUnwrap().s).toEqual([1])
    const crashed = seq("f").stream("s", () => [1, 9, 2, 3], (s) => s.groupBy(() => "x", (g) => g.takeWhile((n) => n < 5)).collect(), {
      checkpoint: { items: 1 },
    })
    expect(await crashEverywhere(crashed, undefined)).toMatchObject({ wrong: [] })
  })

  it("a generator as a stage's function is a program, as in a step; of flatMap it is its items", async () => {
    const flow = seq("f").stream("s", () => [1, 2], (s) =>
      s.map(function*(n) {
        return (yield* Effect.succeed(n)) * 10
      }).flatMap(function*(n) {
        yield n
        yield n + 1
      }).collect())
    expect((await run(flow))._unsafeUnwrap().s).toEqual([10, 11, 20, 21])
  })

  it("a file takes no item that is no line", async () => {
    const flow = seq("f").stream("s", () => [1, undefined], (s) => s.to(linesTo(file())))
    expect((await run(flow))._unsafeUnwrapErr().message).toContain("an item is undefined, which is no line")
  })

  it("a throttled item goes on when its own time has come, not with its chunk", async () => {
    const at: Array<number> = []
    const flow = seq("f").stream(
      "s",
      () => numbers(6),
      (s) => s.throttle({ limit: 2, per: "1 minute" }).map("call", () => Effect.map(Clock.currentTimeMillis, (now) => void at.push(now))),
    )
    await go(Effect.provideService(makeHeddle(memoryStore()).run(flow, undefined), Clock.Clock, jumpingClock(0)))
    expect(at).toEqual([0, 0, 30_000, 60_000, 90_000, 120_000])
  })

  it("a line that is too long is not read, however short it is", async () => {
    const path = file()
    writeFileSync(path, `short\n${"x".repeat(50)}\nshort\n`)
    const flow = (longest: number) => seq("f").stream("s", () => lines(path, { longest }), (s) => s.collect())
    expect((await run(flow(50)))._unsafeUnwrap().s).toHaveLength(3)
    expect((await run(flow(49)))._unsafeUnwrapErr().message).toContain("a line has more than 49 bytes")
  })

  it("a source is told when nobody reads any more", async () => {
    let told = false
    const source = () =>
      live(async function*(signal) {
        yield 1
        await once(signal, "abort")
        told = true
      })
    const flow = seq("f").protect("p", (b) => b.stream("s", source, (s) => s), { timeout: 20, fallback: () => "over" })
    expect([(await run(flow))._unsafeUnwrap(), told]).toEqual([{ p: "over" }, true])
  })

  it("items that come one by one are worked on together; a checkpoint comes within its number of items", async () => {
    let [now, most] = [0, 0]
    const busy = async (n: number) => {
      most = Math.max(most, ++now)
      await sleep(2)
      now--
      return n
    }
    const flow = seq("f").stream("s", () => live(Stream.range(1, 40)), (s) => s.map("work", busy, { concurrency: 8 }))
    expect([(await run(flow))._unsafeUnwrap(), most]).toEqual([{ s: 40 }, 8])
    now = most = 0
    const pushed = seq("f").stream("s", () =>
      live((async function*() {
        for (let n = 0; n < 40; n++) yield n
      })()), (s) => s.map("work", busy, { concurrency: 8 }))
    expect([(await run(pushed))._unsafeUnwrap(), most > 4]).toEqual([{ s: 40 }, true])
    const heddle = makeHeddle(memoryStore())
    const counts: Array<number> = []
    heddle.listen(({ kind, data }) => kind === "stream.checkpointed" && counts.push(JSON.parse(data!).count))
    await go(heddle.run(seq("f").stream("s", () => numbers(50), (s) => s.map((n) => n), { buffer: 256, checkpoint: { items: 10 } }), undefined))
    expect(counts).toEqual([10, 20, 30, 40, 50])
  })

  it("a stream that is tried again begins anew; a rewound run does what it had done again", async () => {
    let tries = 0
    const flow = seq("f").protect("p", (b) =>
      b.stream("s", () => numbers(4), (s) =>
        s.map((n) => {
          if (n === 3 && ++tries < 2) throw new Error("again")
          return n
        }).collect(), { buffer: 1, checkpoint: { items: 1 } }), { fallback: () => "no" }).step("after", () => 1)
    const heddle = makeHeddle(memoryStore())
    expect(await go(heddle.run(flow, undefined, { id: "r" }))).toEqual({ p: "no", after: 1 })
    await go(heddle.rewind(flow, "r", "p"))
    expect(await go(heddle.resume(flow, "r"))).toEqual({ p: { s: [0, 1, 2, 3] }, after: 1 })
    const events = await go(heddle.events("r"))
    const s = trace(events)[0]!.children.find(({ name }) => name === "s")!
    expect(s).toMatchObject({ kind: "stream", status: "completed", note: "4 items" })
  })

  it("what cannot be recorded is refused at its place", async () => {
    expect(await piped([1], (s) => s.scan(0, () => () => 1).each("w", () => 1), { checkpoint: { items: 1 }, buffer: 1 })).toMatchObject({
      _tag: "NotStorable",
      path: "s",
    })
  })

  it("it tells how it flows", async () => {
    const heddle = makeHeddle(memoryStore())
    const notices: Array<any> = []
    heddle.listen(({ kind, data, path }) => void (kind === "stream.flowed" && notices.push({ path, ...JSON.parse(data!) })))
    await go(heddle.run(seq("f").stream("s", () => numbers(10), (s) => s, { buffer: 5, checkpoint: { items: 5 } }), undefined))
    expect(notices).toMatchObject([{ path: "s", items: 5, buffered: 0, dropped: 0, rejected: 0 }, { items: 10 }])
    expect(notices[0].perSecond).toBeGreaterThan(0)
  })

  it("a slow source is recorded in time", async () => {
    const heddle = makeHeddle(memoryStore())
    const slow = seq("f").stream(
      "s",
      () =>
        live((async function*() {
          yield 1
          await sleep(60)
          yield 2
        })()),
      (s) => s.collect(),
      { checkpoint: { time: 20 } },
    )
    const told: Array<unknown> = []
    heddle.listen(({ kind, data }) => void (kind === "stream.checkpointed" && told.push(JSON.parse(data!).count)))
    expect(await go(heddle.run(slow, undefined, { id: "r" }))).toEqual({ s: [1, 2] })
    expect(told[0]).toBe(1)
  })
})

describe("sources", () => {
  it("lines of any length, from any place, whatever their ends", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    const path = file()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ maxLength: 40 }).map((text) => text.replaceAll(/[\r\n]/g, "")), { maxLength: 30 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 7 }),
        async (texts, ends, size) => {
          const wanted = ends || texts.at(-1) !== "" ? texts : texts.slice(0, -1)
          writeFileSync(path, texts.join("\r\n") + (ends && texts.length > 0 ? "\n" : ""))
          const opening = { size, signal: new AbortController().signal }
          const places: Array<unknown> = [undefined]
          const all: Array<string> = []
          for await (const { items, next } of lines(path).open({ ...opening, from: undefined })) {
            all.push(...items)
            places.push(next)
          }
          expect(all).toEqual(wanted)
          for (const [i, from] of places.entries()) {
            const rest: Array<string> = []
            for await (const { items } of lines(path).open({ ...opening, from })) rest.push(...items)
            expect(rest).toEqual(wanted.slice(i * size))
          }
        },
      ),
      { seed, numRuns: 60 },
    ).catch((error) => {
      throw new Error(`SEED=${seed}`, { cause: error })
    })
    writeFileSync(path, `${"x".repeat(600_000)}\n${"y".repeat(300_000)}`)
    expect(await piped([path], (s) => s.collect())).toEqual([path])
    expect((await run(seq("f").stream("s", () => lines(path), (s) => s.map((line) => line.length).collect())))._unsafeUnwrap().s).toEqual([600_000, 300_000])
    expect((await run(seq("f").stream("s", () => lines(path, { longest: 1000 }), (s) => s)))._unsafeUnwrapErr()).toMatchObject({ _tag: "StepThrew", path: "s" })
    expect((await run(seq("f").stream("s", () => lines("/nonexistent"), (s) => s)))._unsafeUnwrapErr()).toMatchObject({
      _tag: "StepThrew",
      cause: { code: "ENOENT" },
    })
  })

  it("JSON and CSV, record by record, also after a crash", async () => {
    const [rows, table] = [file(), file()]
    writeFileSync(rows, "{\"n\":1}\n\n{\"n\":2}\n{\"n\":3}")
    const json = seq("f").stream("s", () => ndjson<{ n: number }>(rows), (s) => s.map(({ n }) => n).collect(), { buffer: 1, checkpoint: { items: 1 } })
    expect((await run(json))._unsafeUnwrap().s).toEqual([1, 2, 3])
    expect((await crashEverywhere(json, undefined)).wrong).toEqual([])
    writeFileSync(rows, "{\"n\":1}\nno\n")
    expect((await run(json))._unsafeUnwrapErr()).toMatchObject({ cause: { message: `${rows}: 'no' is not JSON` } })
    writeFileSync(table, "name,said\nAda,\"one, \"\"two\"\"\nthree\"\r\nGrace,x\n\nLin")
    const records = seq("f").stream("s", () => csv(table), (s) => s.collect(), { buffer: 1, checkpoint: { items: 1 } })
    const wanted = [{ name: "Ada", said: "one, \"two\"\nthree" }, { name: "Grace", said: "x" }, { name: "Lin", said: "" }]
    expect((await run(records))._unsafeUnwrap().s).toEqual(wanted)
    expect((await crashEverywhere(records, undefined)).wrong).toEqual([])
    writeFileSync(table, "a;b\n1;2")
    expect((await run(seq("f").stream("s", () => csv(table, { separator: ";" }), (s) => s.collect())))._unsafeUnwrap().s).toEqual([{ a: "1", b: "2" }])
    writeFileSync(table, "")
    expect((await run(records))._unsafeUnwrap().s).toEqual([])
  })

  it("pages that are asked for, until there are no more", async () => {
    const asked: Array<number | undefined> = []
    const pages = (signal?: AbortSignal) =>
      poll((from: number | undefined) => {
        void signal
        asked.push(from)
        const at = from ?? 0
        return at === 2 && asked.filter((one) => one === 2).length < 2 ? { items: [], cursor: 2 } : { items: at < 4 ? [at] : [], cursor: at + 1, done: at >= 4 }
      }, { every: 5 })
    expect((await run(seq("f").stream("s", () => pages(), (s) => s.collect())))._unsafeUnwrap().s).toEqual([0, 1, 2, 3])
    expect(asked).toEqual([undefined, 1, 2, 2, 3, 4])
    const endless = seq("f").stream("s", () => poll(async () => ({ items: [], cursor: 0 }), { every: "1 hour", name: "idle" }), (s) => s)
    const heddle = makeHeddle(memoryStore())
    const going = out(heddle.run(endless, undefined, { id: "r" }))
    await sleep(20)
    await go(heddle.cancel("r"))
    expect(await going).toMatchObject({ _tag: "RunCancelled" })
  })

  it("whatever is pushed: iterables, streams of the web, of Node and of Effect", async () => {
    const web = () => new ReadableStream<number>({ start: (controller) => [1, 2].forEach((n) => controller.enqueue(n)) ?? controller.close() })
    for (
      const source of [() => live([1, 2]), () => live(web), () => live(Stream.make(1, 2)), () =>
        live((async function*() {
          yield* [1, 2]
        })())]
    ) {
      expect((await run(seq("f").stream("s", source as () => ReturnType<typeof live<number>>, (s) => s.collect())))._unsafeUnwrap().s).toEqual([1, 2])
    }
    const failing = seq("f").stream("s", () => live(Stream.fail({ _tag: "Down" } as const)), (s) => s)
    expect((await run(failing))._unsafeUnwrapErr()).toEqual({ _tag: "Down" })
    const caught = seq("f").protect("p", (b) => b.stream("s", () => live(Stream.fail({ _tag: "Down" } as const)), (s) => s), { catch: { Down: () => "down" } })
    expect((await run(caught))._unsafeUnwrap().p).toBe("down")
    const dies = seq("f").stream("s", () => live(Stream.die(new Error("bad"))), (s) => s)
    expect((await run(dies))._unsafeUnwrapErr()).toMatchObject({ _tag: "StepThrew" })
  })

  it("events of another run, and several sources at once", async () => {
    await using heddle = (await openHeddle())._unsafeUnwrap()
    await heddle.run(seq("other").step("a", () => 1).step("b", () => 2), undefined, { id: "other" })
    const watch = seq("watch").stream("s", () => eventsOf(heddle, "other", { kinds: ["step.completed"] }), (s) => s.map(({ path }) => path).collect())
    expect((await heddle.run(watch, undefined))._unsafeUnwrap().s).toEqual(["a", "b"])
    const all = seq("watch").stream("s", () => eventsOf(heddle, "other"), (s) => s.map(({ kind }) => kind).collect())
    expect((await heddle.run(all, undefined))._unsafeUnwrap().s).toHaveLength(4)

    const pages = (...items: ReadonlyArray<string>) =>
      poll((from: number | undefined) => ({ items: items.slice(from ?? 0, (from ?? 0) + 1), cursor: (from ?? 0) + 1, done: (from ?? 0) >= items.length }), {
        every: 1,
      })
    const path = file()
    writeFileSync(path, "x\ny\n")
    const plain = { ...lines(path), open: () => [{ items: ["p"], next: 1 }] }
    const both = seq("f").stream("s", () => merged({ a: pages("a1", "a2"), b: lines(path), c: plain }), (s) => s.collect(), {
      buffer: 1,
      checkpoint: { items: 1 },
    })
    expect([...(await run(both))._unsafeUnwrap().s].sort()).toEqual(["a1", "a2", "p", "x", "y"])
    const part = seq("f").stream("s", () => merged({ a: pages("a1", "a2"), b: lines(path) }), (s) => s.take(1).collect())
    expect((await run(part))._unsafeUnwrap().s).toHaveLength(1)
    const gone = seq("f").stream("s", () => merged({ a: pages("a1"), b: lines("/nonexistent") }), (s) => s)
    expect((await run(gone))._unsafeUnwrapErr()).toMatchObject({ cause: { code: "ENOENT" } })
  })

  it("whatever is no source is refused; one that cannot be opened fails", async () => {
    expect((await run(seq("f").stream("s", (() => new Map()) as never, (s) => s)))._unsafeUnwrapErr()).toMatchObject({ _tag: "StepThrew", path: "s" })
    const broken = {
      ...lines("x"),
      open: () => {
        throw new Error("closed")
      },
    }
    expect((await run(seq("f").stream("s", () => broken, (s) => s)))._unsafeUnwrapErr()).toMatchObject({ _tag: "ConditionThrew", path: "s" })
    const throwing = {
      ...lines("x"),
      *open() {
        yield { items: ["a"], next: 1 }
        throw new Error("closed")
      },
    }
    expect((await run(seq("f").stream("s", () => throwing, (s) => s)))._unsafeUnwrapErr()).toMatchObject({ _tag: "StepThrew", path: "s" })
    const many = {
      ...lines("x"),
      *open() {
        yield { items: ["a"], next: 1 }
        yield { items: ["b"], next: 2 }
      },
    }
    expect((await run(seq("f").stream("s", () => many, (s) => s.take(1).collect())))._unsafeUnwrap().s).toEqual(["a"])
  })
})

describe("the buffer", () => {
  /** Reads all that comes, a little at a time. */
  const read = async (
    overflow: "suspend" | "dropOldest" | "dropNewest",
    chunks: ReadonlyArray<number>,
    most: number,
    pause = 0,
    bytes = Number.POSITIVE_INFINITY,
  ) => {
    let given = 0
    let ahead = 0
    let taken = 0
    const source = (async function*() {
      for (const size of chunks) {
        ahead = Math.max(ahead, given - taken)
        yield { items: Array.from({ length: size }, () => given++), next: given }
      }
    })()
    const reader = new Buffered(source, { buffer: most, bytes, overflow, size: 1 }, Date.now, () => undefined)
    const all: Array<number> = []
    if (pause > 0) await sleep(pause)
    while (true) {
      const got = await Effect.runPromise(reader.next(Number.POSITIVE_INFINITY))
      if (got === ended || got === late) break
      taken += got.items.length
      all.push(...got.items as ReadonlyArray<number>)
      await sleep(0)
    }
    await reader.close()
    return { all, ahead, dropped: reader.dropped, given }
  }

  it("no schedule loses, repeats or reorders an item, or reads further ahead than it may", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom("suspend", "dropOldest", "dropNewest"),
        async (chunks, most, overflow) => {
          const { all, ahead, dropped, given } = await read(overflow, chunks, most)
          expect(all).toEqual([...all].sort((a, b) => a - b))
          expect(new Set(all).size).toBe(all.length)
          expect(all.length + dropped).toBe(given)
          if (overflow === "suspend") {
            expect(dropped).toBe(0)
            expect(ahead).toBeLessThanOrEqual(most + Math.max(0, ...chunks))
          }
        },
      ),
      { seed, numRuns: 40 },
    ).catch((error) => {
      throw new Error(`SEED=${seed}`, { cause: error })
    })
  })

  it("drops the oldest or the newest while nobody reads", async () => {
    expect((await read("dropOldest", [2, 2, 2, 2], 3, 20)).all).toEqual([5, 6, 7])
    expect((await read("dropNewest", [2, 2, 2, 2], 3, 20)).all).toEqual([0, 1, 2])
    expect((await read("suspend", [2, 2, 2, 2], 3, 20)).all).toEqual(numbers(8))
    const flow = seq("f").stream("s", () => live(numbers(50)), (s) => s.each("w", () => sleep(2)).collect(), { buffer: 4, overflow: "dropOldest" })
    const all = (await run(flow))._unsafeUnwrap().s
    expect(all.length).toBeLessThan(50)
    expect(all.at(-1)).toBe(49)
  })

  it("how far it is behind is how long the oldest item has waited", async () => {
    let now = 1000
    const source = (async function*() {
      yield { items: [1], next: 1 }
      yield { items: [2], next: 2 }
    })()
    const reader = new Buffered(source, { buffer: 1, bytes: Number.POSITIVE_INFINITY, overflow: "suspend", size: 1 }, () => now, () => undefined)
    const empty = reader.lag
    await sleep(5)
    now += 250
    const waiting = reader.lag
    await Effect.runPromise(reader.next(Number.POSITIVE_INFINITY))
    await sleep(5)
    expect([empty, waiting, reader.lag]).toEqual([0, 250, 0])
    await reader.close()
  })

  it("a reader that waits no longer is told so", async () => {
    const never = new Buffered(
      (async function*() {
        await sleep(50)
        yield { items: [1], next: 1 }
      })(),
      { buffer: 1, bytes: Number.POSITIVE_INFINITY, overflow: "suspend", size: 1 },
      Date.now,
      () => undefined,
    )
    expect(await Effect.runPromise(never.next(Date.now() + 5))).toBe(late)
    expect(await Effect.runPromise(never.next(Number.POSITIVE_INFINITY))).toMatchObject({ items: [1] })
    await never.close()
  })
})

it("a stream that cannot work is found before it runs", () => {
  const wrong = seq("f").stream(
    "s",
    () => [1],
    (s) =>
      s.batch(0, { within: "soon" as never }).take(-1).dedupe({ most: 0 }).throttle({ limit: 0, per: "x" as never }).debounce("y" as never).window({ count: 0 })
        .window({ time: "z" as never }).window({ session: "q" as never }).groupBy(String, (g) => g.drop(0), { most: 1 }).partition(() => "a" as const, {
          a: (p) => p.take(0),
        })
        .map("w", () => 1, { concurrency: 0 }).each("own", () => 1, { delivery: "atMostOnce" } as never),
    { buffer: 0, bytes: 1.5, rejects: 0, overflow: "burst" as never, checkpoint: { items: 0, time: "w" as never }, stray: 1 } as never,
  )
  const problems = check(wrong.ir).map(({ message }) => message)
  for (
    const part of [
      "buffer is 0",
      "bytes is 1.5",
      "rejects is 0",
      "checkpoint.items is 0",
      "checkpoint.time: \"w\"",
      "overflow is burst",
      "batch 'batch#1': size is 0",
      "batch 'batch#1': within",
      "take 'take#1': count is -1",
      "dedupe 'dedupe#1': most is 0",
      "throttle 'throttle#1': limit is 0",
      "throttle 'throttle#1': per",
      "debounce 'debounce#1': quiet",
      "window 'window#1': count is 0",
      "window 'window#2': time",
      "window 'window#3': session",
      "drop 'drop#1': count is 0",
      "take 'take#1': count is 0",
      "work 'w': concurrency is 0",
      "the work of a stage is done at least once",
      "'stray' is no option of .stream",
    ]
  ) {
    expect(problems.some((one) => one.includes(part)), part).toBe(true)
  }
  const undone = step("undone", (n: number) => n, { effects: "x", compensate: () => undefined })
  expect(check(seq("f").stream("s", () => [1], (s) => s.map(undone)).ir).map(({ message }) => message).join()).toContain("is not undone")
})

it("bytes are no measure for what is dropped", () => {
  const flow = seq("f").stream("s", () => [1], (s) => s, { bytes: 10, overflow: "dropOldest" })
  expect(check(flow.ir)).toMatchObject([{ path: "s", rule: "bytes", message: expect.stringContaining("leave out bytes") }])
  expect(check(seq("f").stream("s", () => [1], (s) => s, { bytes: 10, overflow: "spill" }).ir)).toEqual([])
})

it("it is drawn with its stages, compared and rewritten", async () => {
  const flow = seq("f").stream(
    "rows",
    () => [1],
    (s) =>
      s.map((n) => n).window({ count: 2 }).groupBy(String, (g) => g.batch(2)).partition(() => "a" as const, { a: (p) => p.take(1) }).each("save", () => 1)
        .collect(),
  )
  expect(unicode(encode(flow.ir)).join("\n")).toContain("rows  ")
  expect(unicode(encode(flow.ir)).join("\n")).toContain("map → window → groupBy(batch) → partition(a: take) → save → collect")
  // what has stages inside is a frame around them
  const { shapes } = pictureOf(encode(flow.ir))
  expect(shapes.flatMap((shape) => (shape.kind === "frame" ? shape.words.map(({ text }) => text) : []))).toEqual(["≋ rows", "groupBy", "partition"])
  expect(unicode(encode(flow.ir)).join("\n")).toContain("● save")
  expect(mermaid(encode(flow.ir))).toContain("save")
  const { calls } = await testFlow(flow, undefined)
  expect(calls.map(({ path }) => path)).toEqual(["rows/save[0]"])
  const none = seq("f").stream(() => [1], (s) => s.map((n) => n))
  expect((await run(none))._unsafeUnwrap()).toEqual({})
  expect(unicode(encode(none.ir)).join("\n")).toContain("stream#1")
  void merge
  void nest
  void status
})
