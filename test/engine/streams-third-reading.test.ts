/** What another reading of streams found: each was wrong once. */
import { appendFileSync, writeFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Fiber } from "effect"
import { openHeddle, seq } from "heddle"
import { csv, lines, live, ndjson, poll, toArtifact } from "heddle/streams"
import { describe, expect, it } from "vitest"
import { check } from "../../dsl/ir/check.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { crashEverywhere } from "../../src/testing/crash.ts"
import { failure, file, go } from "../support.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
/** Flows of any type: what is looked at is what comes of them. */
const run = (flow: any) => go(makeHeddle(memoryStore()).run(flow, undefined as never)) as Promise<any>
/** What comes of a run that stands still in its first process, in a second. */
const again = async (flow: any, stuck: () => void) => {
  const heddle = makeHeddle(memoryStore())
  const first = Effect.runFork(heddle.run(flow, undefined as never, { id: "r" }) as Effect.Effect<unknown>)
  await sleep(150)
  await go(Fiber.interrupt(first))
  stuck()
  return go(heddle.resume(flow, "r") as Effect.Effect<any>)
}

describe("what is done again after a crash", () => {
  it("a flow of an item has that item's result, whatever stands at its place", async () => {
    let first = true
    const child = seq<string>("child").step("v", ({ input }) => (first && input === "c" ? Effect.never : `done ${input}`)).returns(({ v }) => v)
    const flow = seq("f").stream("s", () => ["a", "b", "c"], (s) =>
      s.map("call", (x) => {
        if (first && x === "a") throw new Error("503")
        return x
      }, { failure: "skip" }).map(child).collect())
    expect(await again(flow, () => (first = false))).toEqual({ s: ["done a", "done b", "done c"] })
  })

  it("keys in a group are those of its items, however they come together", async () => {
    let first = true
    const all = ["x0", "a1", "b1", "a2"]
    const keys = new Map<string, Set<string>>()
    const source = poll(async (at: number = 0) => {
      if (!first) await sleep(20)
      return { items: all.slice(at, at + 1), cursor: at + 1, done: at + 1 >= all.length }
    })
    const flow = seq("f").stream(
      "s",
      () => source,
      (s) =>
        s.tap((x) => (first && x === "x0" ? sleep(30) : undefined)).groupBy((x) => x[0]!, (g) =>
          g.map("w", (x, _scope, { key }) => {
            keys.set(x, (keys.get(x) ?? new Set()).add(key))
            return first && x === "b1" ? Effect.never : x
          })).collect(),
    )
    expect((await again(flow, () => (first = false))).s.toSorted()).toEqual(all.toSorted())
    expect([...keys].map(([x, known]) => [x, [...known]]).toSorted()).toEqual([
      ["a1", ["r/s/w[1][0]"]],
      ["a2", ["r/s/w[1][1]"]],
      ["b1", ["r/s/w[2][0]"]],
      ["x0", ["r/s/w[0][0]"]],
    ])
  })

  it("an artifact of what was there before, and one of a fork", async () => {
    const flow = seq("f").loop(
      "l",
      { times: 2 },
      (b) =>
        b.stream("s", () => [0, 1, 2], (s) => s.map((x) => String(x).repeat(150_000)).to(toArtifact("a")), { checkpoint: { items: 1 } }).returns(({ s }) =>
          s.hash
        ),
    )
    expect((await crashEverywhere(flow, undefined, { kills: 1 })).wrong).toEqual([])
    let fails = true
    const heddle = makeHeddle(memoryStore())
    const rows = seq("g").stream("s", () => numbers(6), (s) =>
      s.map((x) => "x".repeat(200_000) + x).map("w", (x) => {
        if (fails && x.endsWith("4")) throw new Error("no")
        return x
      }).to(toArtifact("rows")), { checkpoint: { items: 1 } }).step("b", ({ s }) => s.size)
    await failure(heddle.run(rows, undefined, { id: "r", session: "one" }))
    await go(heddle.fork(rows, "r", "b", { as: "k" }))
    fails = false
    const whole = 6 * 200_002
    expect(await go(heddle.resume(rows, "k"))).toMatchObject({ b: whole })
    expect(await go(heddle.resume(rows, "r", { retry: true } as never))).toMatchObject({ b: whole })
  })

  it("a sum that is undefined is a sum", async () => {
    let first = true
    const flow = seq("f").stream(
      "s",
      () => numbers(5),
      (s) =>
        s.each("w", (x) => (first && x === 3 ? Effect.never : undefined)).fold(
          "first" as string | undefined,
          (sum, x) => x < 3 ? undefined : sum === undefined ? "ok" : `${sum} again`,
        ),
      { checkpoint: { items: 1 } },
    )
    expect(await again(flow, () => (first = false))).toEqual({ s: "ok again" })
  })

  it("a last line without an end, where the file grows meanwhile", async () => {
    const ends: Array<[string, ReadonlyArray<string>]> = [["\n4\n", ["1", "2", "3", "4"]], ["\r\n4\r\n", ["1", "2", "3", "4"]], ["", ["1", "2", "3"]]]
    for (const [more, expected] of ends) {
      let first = true
      const path = file()
      writeFileSync(path, "1\n2\n3")
      const whole = seq("f").stream("s", () => lines(path), (s) =>
        s.merge(() =>
          live(async function*(signal) {
            if (first) await new Promise((resolve) => signal.addEventListener("abort", resolve))
          }, { onResume: "reopen" })
        ).collect(), { checkpoint: { items: 1 } })
      expect(
        await again(whole, () => {
          first = false
          appendFileSync(path, more)
        }),
      ).toEqual({ s: expected })
    }
  })
})

it("a source that answers at once leaves the process its time", async () => {
  const endless = poll((at: number = 0) => ({ items: [at], cursor: at + 1, done: false }))
  const flow = seq("f").protect("p", (b) => b.stream("s", () => endless, (s) => s.map((x) => x)), { timeout: 100, catch: { ProtectTimedOut: () => "in time" } })
  expect(await run(flow)).toEqual({ p: "in time" })
})

it("a transaction that waits is refused, by the compiler and where it runs", async () => {
  await using heddle = (await openHeddle({ store: file() }))._unsafeUnwrap()
  const late = async (_sql: unknown, items: ReadonlyArray<number>) => {
    await sleep(1)
    throw new Error(`cannot write ${items.length}`)
  }
  // @ts-expect-error a transaction cannot wait
  const flow = seq("f").stream("s", () => numbers(3), (s) => s.transaction(late))
  expect((await heddle.run(flow, undefined, { id: "r" }))._unsafeUnwrapErr().message).toContain("a transaction cannot wait")
  expect((await heddle.events("r"))._unsafeUnwrap().some(({ kind }) => kind === "stream.checkpointed")).toBe(false)
})

describe("stages", () => {
  // stages of any kind, over items of any type: what comes of them is looked at
  const of = (stages: (s: any) => any, items: ReadonlyArray<unknown>) => run((seq("f") as any).stream("s", () => items, stages)).then(({ s }) => s)

  it("a stream shorter than its first window has one", async () => {
    expect(await of((s) => s.window({ count: 5, every: 1 }).collect(), [1, 2, 3])).toEqual([[1, 2, 3]])
    expect(await of((s) => s.window({ count: 4, every: 1 }).collect(), [1])).toEqual([[1]])
    expect(await of((s) => s.window({ count: 3, every: 1 }).collect(), [1, 2, 3])).toEqual([[1, 2, 3]])
    expect(await of((s) => s.window({ count: 3, every: 2 }).collect(), [1, 2, 3, 4])).toEqual([[1, 2, 3], [3, 4]])
  })

  it("a window of no length is refused", () => {
    const flow = seq("f").stream("s", () => numbers(3), (s) => s.window({ time: 0 }).window({ time: 5, every: 0, late: 0 }).window({ time: "soon" as never }))
    expect(check(flow.ir).map(({ message }) => message)).toEqual([
      "window 'window#1': time is 0: a window of no length has nothing in it",
      "window 'window#1': every is 0: a window of no length has nothing in it",
      "window 'window#2': every is 0: a window of no length has nothing in it",
      expect.stringContaining("is not a duration"),
      expect.stringContaining("is not a duration"),
    ])
  })

  it("debounce gives what came far apart, though what stands before it is slow", async () => {
    const source = live(async function*() {
      for (const n of [1, 2, 3]) yield (await sleep(40), n)
    })
    const flow = seq("f").stream("s", () => source, (s) => s.map(async (n) => (await sleep(80), n)).debounce(20).collect())
    expect(await run(flow)).toEqual({ s: [1, 2, 3] })
  })

  it("what flatMap's list throws is the stage's", async () => {
    for (
      const list of [
        function*(n: number) {
          yield n
          throw new Error("boom")
        },
        () => undefined as never,
        async () => 5 as never,
      ]
    ) {
      // some are no list at all, which no type lets pass
      const flow = (seq("f") as any).stream("s", () => [1], (s: any) => s.flatMap(list))
      expect(await failure(makeHeddle(memoryStore()).run(flow, undefined as never))).toMatchObject({ _tag: "StepThrew", path: "s/flatMap#1" })
    }
  })

  it("a throttle in a group is one for each item", async () => {
    const came: Array<number> = []
    const began = performance.now()
    await of((s) => s.groupBy(() => "a", (g: any) => g.throttle({ limit: 1, per: 30 })).tap(() => void came.push(performance.now() - began)), numbers(4))
    expect(came.at(-1)! - came[0]!).toBeGreaterThan(60)
  })

  it("a CSV file may begin with empty lines", async () => {
    const path = file()
    writeFileSync(path, "\n\na,b\n1,2\n")
    expect(await run(seq("f").stream("s", () => csv(path), (s) => s.collect()))).toEqual({ s: [{ a: "1", b: "2" }] })
    writeFileSync(path, "\n\n")
    expect(await run(seq("f").stream("s", () => csv(path), (s) => s.collect()))).toEqual({ s: [] })
    writeFileSync(path, "1\n2")
    expect(await run(seq("f").stream("s", () => ndjson(path), (s) => s.collect()))).toEqual({ s: [1, 2] })
  })
})
