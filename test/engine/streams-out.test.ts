/** What leaves a stream while it goes on, and how it is told to end: emitted items, drain, what waits in a file. */
import { execFile } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { nest, openHeddle, run, seq, serverSentEvent, state } from "heddle"
import { linesTo, live, poll } from "heddle/streams"
import { crashEverywhere } from "heddle/testing"
import { err } from "neverthrow"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { spilled } from "../../src/compile/stream/spill.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { tagOf } from "../../src/model/error.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { file, go, out } from "../support.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)
/** The command line, in a process of its own. */
const cli = async (...args: ReadonlyArray<string>) => {
  const main = `const { main } = await import("./src/cli/main.ts"); await main(["node", "heddle", ...${JSON.stringify(args)}])`
  return (await promisify(execFile)(process.execPath, ["--conditions=source", "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", main]))
    .stdout
}

/** Of somebody who reads on. */
const open = new AbortController().signal

describe("emitted items", () => {
  const flow = seq("f").stream("s", () => numbers(10), (s) => s.filter((n) => n !== 4).map((n) => ({ n, at: new Date(n) })).emit(), { buffer: 3 })

  it("are read as they come or from an index on, and are there once whatever crashes", async () => {
    await crashEverywhere(flow, undefined)
    const db = file()
    await using heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
    const waiting = seq("w").step("wait", () => sleep(20)).step("f", nest(flow, () => undefined))
    const going = heddle.run(waiting, undefined, { id: "r" })
    const all: Array<unknown> = []
    for await (const { run: of, path, index, item } of heddle.items("r")) all.push([of, path, index, item])
    expect((await going)._unsafeUnwrap()).toEqual({ wait: undefined, f: { s: 9 } })
    const items = [0, 1, 2, 3, 5, 6, 7, 8, 9].map((n, index) => ["r", "f/s", index, { n, at: new Date(n) }])
    expect(all).toEqual(items)
    const from: Array<number> = []
    for await (const { index } of heddle.items("r", { from: 6, path: "f/s", live: false })) from.push(index)
    expect(from).toEqual([6, 7, 8])
    for await (const it of heddle.items("r", { path: "elsewhere" })) expect(it).toBeUndefined()
    for await (const last of heddle.items("r", { from: 8 })) {
      expect(serverSentEvent(last)).toBe(
        "id: 8\nevent: item\ndata: {\"run\":\"r\",\"path\":\"f/s\",\"index\":8,\"item\":{\"n\":9,\"at\":\"1970-01-01T00:00:00.009Z\"}}\n\n",
      )
    }
    expect((await cli("items", "r", "--store", db, "--from", "7")).trim().split("\n").map((line) => JSON.parse(line))).toEqual([
      { run: "r", path: "f/s", index: 7, item: { n: 8, at: { $: "date", v: "1970-01-01T00:00:00.008Z" } } },
      { run: "r", path: "f/s", index: 8, item: { n: 9, at: { $: "date", v: "1970-01-01T00:00:00.009Z" } } },
    ])
  })

  it("those that were left out are read with why, and are there once whatever crashes", async () => {
    const picky = seq("picky").stream(
      "s",
      () => numbers(6),
      (s) =>
        s.map("halve", (n) => (n % 2 === 1 ? err({ _tag: "Odd", n } as const) : n / 2), { failure: "reject" }).each("keep", (n) => {
          if (n === 2) throw new Error("too big")
        }, { failure: "reject" }),
      { checkpoint: { items: 2 } },
    )
    expect(await crashEverywhere(picky, undefined)).toMatchObject({ wrong: [] })
    await using heddle = (await openHeddle())._unsafeUnwrap()
    expect((await heddle.run(picky, undefined, { id: "r" }))._unsafeUnwrap()).toEqual({ s: 2 })
    const all = []
    for await (const { run, path, stage, at, item, error } of heddle.rejected("r")) all.push([run, path, stage, at, item, tagOf(error)])
    expect(all.sort(([, , , a], [, , , b]) => String(a).localeCompare(String(b)))).toEqual([
      ["r", "s", "halve", "s/halve[1]", 1, "Odd"],
      ["r", "s", "halve", "s/halve[3]", 3, "Odd"],
      ["r", "s", "halve", "s/halve[5]", 5, "Odd"],
      ["r", "s", "keep", "s/keep[2]", 2, "StepThrew"],
    ])
    for await (const none of heddle.rejected("r", { path: "elsewhere", live: false })) expect(none).toBeUndefined()
    for await (const none of heddle.items("r", { live: false })) expect(none).toBeUndefined()
  })

  it("are seen while the run goes on", async () => {
    const heddle = makeHeddle(memoryStore())
    const seen: Array<unknown> = []
    const slow = seq("f").stream(
      "s",
      () =>
        live((async function*() {
          for (let n = 0; n < 3; n++) {
            yield n
            // the next one comes once this one was read
            while (!seen.includes(n)) await sleep(1)
          }
        })()),
      (s) => s.emit(),
    )
    const reading = go(Effect.delay(Stream.runForEach(heddle.items("r"), ({ item }) => Effect.sync(() => seen.push(item))), 20))
    expect(await go(heddle.run(slow, undefined, { id: "r" }))).toEqual({ s: 3 })
    await reading
    expect(seen).toEqual([0, 1, 2])
  })
})

describe("drain", () => {
  const endless = () =>
    live((async function*() {
      for (let n = 0;; n++) {
        await sleep(2)
        yield n
      }
    })())

  it("what was read goes through, nothing more is read, the run goes on", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").stream("s", endless, (s) => s.batch(1000).collect()).step("after", ({ s }) => s.flat().length).step(
      "f2",
      nest(
        seq("inner").stream("t", () => numbers(10), (s) => s.collect()),
        () => undefined,
      ),
    )
    const going = go(heddle.run(flow, undefined, { id: "r" }))
    await sleep(40)
    await go(heddle.drain("r"))
    const { s, after, f2 } = await going
    expect(after).toBeGreaterThan(0)
    expect(s).toEqual([numbers(after)])
    expect(f2).toEqual({ t: [] })
    expect(await out(heddle.drain("r"))).toMatchObject({ _tag: "CommandRefused", message: expect.stringContaining("it has ended") })
    expect(await out(heddle.drain("nobody"))).toMatchObject({ _tag: "RunNotFound" })
  })

  it("a source that is silent is left at once, in another process too, and in the runs that are its steps", async () => {
    const db = file()
    await using heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
    const silent = seq("silent").stream("s", () => poll(async () => ({ items: [], cursor: 0 }), { every: "10 minutes" }), (s) => s.collect())
    const flow = seq("f").step("own", nest(silent, () => undefined, { as: "run" }))
    const going = heddle.run(flow, undefined, { id: "r" })
    await sleep(100)
    await cli("drain", "r", "--store", db)
    expect((await going)._unsafeUnwrap()).toEqual({ own: { s: [] } })
    const here = heddle.run(flow, undefined, { id: "here" })
    await sleep(50)
    expect((await heddle.drain("here"))._unsafeUnwrap()).toBeUndefined()
    expect((await here)._unsafeUnwrap()).toEqual({ own: { s: [] } })
  })
  it("is told while the run is paused, and while too much is", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").stream("s", () => live(endlessly(), { onResume: "reopen" }), (s) => s)
    const going = out(heddle.run(flow, undefined, { id: "r" }))
    await sleep(20)
    await go(heddle.pause("r"))
    await going
    expect((await go(heddle.drain("r")), await out(heddle.resume(flow, "r")))).toMatchObject({ s: expect.any(Number) })
    const store = memoryStore()
    const full = { ...store, signals: { ...store.signals, send: () => Effect.succeed("full" as const) } }
    const waits = seq("w").wait("go", { until: new Date(Date.now() + 3_600_000) })
    const other = makeHeddle(full)
    await go(other.start(waits, undefined, { id: "w" }))
    expect(await out(other.drain("w"))).toMatchObject({ reason: expect.stringContaining("10,000") })
  })
  async function* endlessly() {
    for (let n = 0;; n++) {
      await sleep(2)
      yield n
    }
  }
})

describe("what waits", () => {
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("heddle-stream-"))

  it("in a file: nothing is dropped, the source is not held up, nothing is left behind", async () => {
    let given = 0
    const fast = () =>
      live((async function*() {
        for (; given < 500; given++) {
          await sleep(0)
          yield { n: given, at: new Date(given) }
        }
      })())
    let first: number | undefined
    const flow = seq("f").stream("s", fast, (s) =>
      s.each("w", async ({ n }) => {
        if (n !== 0) return
        await sleep(1500)
        first = given
      }).collect(), { buffer: 4, overflow: "spill" })
    const { s } = (await run(flow))._unsafeUnwrap()
    expect(first).toBe(500)
    expect(s).toEqual(numbers(500).map((n) => ({ n, at: new Date(n) })))
    expect(folders()).toEqual([])
  })

  it("no schedule loses, repeats or reorders what goes through a file", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    const schedule = fc.array(fc.record({ size: fc.integer({ min: 0, max: 4 }), pause: fc.integer({ min: 0, max: 2 }) }), { maxLength: 25 })
    await fc.assert(
      fc.asyncProperty(schedule, fc.integer({ min: 1, max: 5 }), fc.array(fc.integer({ min: 0, max: 3 })), async (chunks, room, pauses) => {
        let count = 0
        const source = (async function*() {
          for (const { size, pause } of chunks) {
            await sleep(pause)
            yield { items: Array.from({ length: size }, () => count++), next: count }
          }
        })()
        const got: Array<unknown> = []
        let turn = 0
        for await (const { items, next } of spilled(source, { buffer: room, bytes: Infinity }, "s", open).chunks) {
          got.push(...items)
          expect(next).toBe(got.length)
          await sleep(pauses[turn++ % Math.max(1, pauses.length)] ?? 0)
        }
        expect(got).toEqual(numbers(count))
      }),
      { seed, numRuns: 40 },
    ).catch((error) => {
      throw new Error(`SEED=${seed}`, { cause: error })
    })
    expect(folders()).toEqual([])
  })

  it("a source that fails fails the stream behind what came before; a file that is full too", async () => {
    const failing = (async function*() {
      yield { items: [1], next: 1 }
      yield { items: [2], next: 2 }
      throw new Error("torn")
    })()
    const got: Array<unknown> = []
    const reading = async (chunks: AsyncIterable<any>) => {
      for await (const { items } of chunks) {
        got.push(...items)
        await sleep(1)
      }
    }
    await expect(reading(spilled(failing, { buffer: 1, bytes: Infinity }, "s", open).chunks)).rejects.toThrow("torn")
    expect(got).toEqual([1, 2])
    const much = async function*() {
      for (let n = 0; n < 100; n++) yield { items: ["x".repeat(100)], next: n }
    }
    await expect(reading(spilled(much(), { buffer: 1, bytes: Infinity }, "s", open, 1000).chunks)).rejects.toMatchObject({
      _tag: "StreamOverflowed",
      message: expect.stringContaining("1000 bytes in the file"),
    })
    for await (const { items } of spilled(much(), { buffer: 1, bytes: Infinity }, "s", open).chunks) {
      expect(items).toHaveLength(1)
      break
    }
    expect(folders()).toEqual([])
  })

  it("what has been read makes room: a file is written from its beginning again", async () => {
    const [given, more] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const source = async function*() {
      // one is taken, one waits in memory, three in the file
      for (let n = 0; n < 5; n++) yield { items: ["x".repeat(100)], next: n }
      given.resolve()
      await more.promise
      for (let n = 5; n < 9; n++) yield { items: ["x".repeat(100)], next: n }
    }
    const reading = spilled(source(), { buffer: 1, bytes: Infinity }, "s", open, 500).chunks[Symbol.asyncIterator]()
    const next = async () => (await reading.next()).value?.next
    expect(await next()).toBe(0)
    await given.promise
    expect([await next(), await next(), await next(), await next()]).toEqual([1, 2, 3, 4])
    more.resolve()
    await sleep(50)
    expect([await next(), await next(), await next(), await next(), await next()]).toEqual([5, 6, 7, 8, undefined])
  })

  it("a file that is full is the stream's own error", async () => {
    const { StreamOverflowed } = await import("../../src/model/stream-error.ts")
    const full = () =>
      live((async function*() {
        yield 1
        throw new StreamOverflowed({ path: "s", what: "bytes", most: 1 })
      })())
    expect(await run(seq("f").stream("s", full, (s) => s)).then((result) => result._unsafeUnwrapErr())).toMatchObject({ _tag: "StreamOverflowed" })
  })

  it("no more bytes than are allowed, and one chunk", async () => {
    let given = 0
    let most = 0
    let taken = 0
    const wide = () =>
      live((async function*() {
        for (; given < 40; given++) {
          await sleep(0)
          most = Math.max(most, given - taken)
          yield "x".repeat(1000)
        }
      })())
    const flow = seq("f").stream("s", wide, (s) =>
      s.each("w", async () => {
        taken++
        await sleep(3)
      }), { bytes: 3000 })
    expect((await run(flow))._unsafeUnwrap()).toEqual({ s: 40 })
    // three wait, one is worked on, one more was read
    expect(most).toBeLessThanOrEqual(5)
    expect(given).toBe(40)
  })
})

it("the newest checkpoint is enough; those that say more stay", async () => {
  const heddle = makeHeddle(memoryStore())
  const kept = async (id: string) =>
    (await go(heddle.events(id))).filter(({ kind }) => kind === "stream.checkpointed").map(({ data }) => JSON.parse(data).count)
  const told: Array<number> = []
  heddle.listen(({ kind, data }) => void (kind === "stream.checkpointed" && told.push(JSON.parse(data!).count)))
  const plain = seq("f").stream("s", () => numbers(10), (s) => s, { buffer: 2, checkpoint: { items: 2 } })
  await go(heddle.run(plain, undefined, { id: "plain" }))
  expect([told, await kept("plain")]).toEqual([[2, 4, 6, 8, 10], [10]])
  const total = state("total", { schema: z.number(), scope: "flow", initial: 0 })
  const busy = seq("g").stream("s", () => numbers(10), (s) =>
    s.each("w", async (n, _scope, step) => {
      if (n === 1) throw new Error("no")
      if (n === 5) await step.state.increment(total)
    }, { failure: "reject" }), { buffer: 2, checkpoint: { items: 2 } })
  await go(heddle.run(busy, undefined, { id: "busy" }))
  expect(await kept("busy")).toEqual([2, 6, 10])
  // of a list each says what came to it: all of them together are as long as the list, however often it is recorded
  const list = seq("h").stream("s", () => numbers(10), (s) => s.collect(), { buffer: 2, checkpoint: { items: 2 } })
  await go(heddle.run(list, undefined, { id: "list" }))
  expect(await kept("list")).toEqual([2, 4, 6, 8, 10])
  const parts = (await go(heddle.events("list"))).flatMap(({ kind, data }) => (kind === "stream.checkpointed" ? [JSON.parse(data).saved.part] : []))
  expect(parts).toEqual([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]])
})

it("stages and sinks read the session, and what they do counts there", async () => {
  const Context = z.object({ tenant: z.string() })
  await using heddle = (await openHeddle())._unsafeUnwrap()
  const noted = state("noted", { schema: z.number(), scope: "session", initial: 0 })
  const flow = seq("f", { session: Context }).stream("s", ({ session }) => [session.tenant, "b"], (s) =>
    s.map((one, { session }) => `${one}@${session.tenant}`)
      .each("note", async (_one, { session }, step) => step.state.increment(noted, session.tenant.length))
      .groupBy((_one, { session }) => session.tenant, (group) => group.scan("", (all, one, { session }) => `${all}${one}/${session.tenant} `))
      .fold(0, (sum, one, { session }) => sum + one.length + session.tenant.length))
  await heddle.sessions.create({ id: "one", context: { tenant: "acme" } })
  expect((await heddle.run(flow, undefined, { session: "one" }))._unsafeUnwrap()).toEqual({
    s: "acme@acme/acme ".length * 2 + "b@acme/acme ".length + 8,
  })
  expect((await heddle.state({ session: "one" }).get(noted))._unsafeUnwrap()).toBe(8)
})

describe("every strategy, concurrency and policy", () => {
  it("loses, repeats and reorders nothing, whatever fails and wherever it is killed", async () => {
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000)
    const plan = fc.record({
      count: fc.integer({ min: 0, max: 40 }),
      bad: fc.uniqueArray(fc.integer({ min: 0, max: 39 }), { maxLength: 6 }),
      buffer: fc.integer({ min: 1, max: 8 }),
      items: fc.integer({ min: 1, max: 12 }),
      overflow: fc.constantFrom("suspend", "spill", "dropOldest", "dropNewest"),
      concurrency: fc.constantFrom(1, 2, 5),
      ordered: fc.boolean(),
      failure: fc.constantFrom("fail", "skip", "reject"),
      dies: fc.integer({ min: 1, max: 60 }),
      seekable: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(plan, async ({ count, bad, buffer, items, overflow, concurrency, ordered, failure, dies, seekable }) => {
        const db = file()
        const path = `${db}.out`
        const isBad = new Set(bad)
        const all = numbers(count)
        // a live source is gone with its process: only seekable ones are interrupted
        let left = seekable ? dies : Number.POSITIVE_INFINITY
        let interrupt = () => undefined as unknown
        const source = () =>
          seekable ? all : live((async function*() {
            for (const n of all) {
              if (n % 3 === 0) await sleep(0)
              yield n
            }
          })())
        // its options vary: what is inferred from them is not what is tested here
        const flow = (seq("f") as any).stream("s", source, (s: any) =>
          s.map("w", async (n: number, _scope: unknown, _step: unknown) => {
            if (--left === 0) {
              interrupt()
              await sleep(10_000)
            }
            if (isBad.has(n)) throw new Error("bad")
            return n
          }, { concurrency, ordered, failure }).to(linesTo(path)), { buffer, overflow, checkpoint: { items } })
        const outcome = await go(Effect.scoped(Effect.gen(function*() {
          const heddle = makeHeddle(yield* openSqlite(db))
          let paused: Promise<unknown> | undefined
          interrupt = () => (paused = out(heddle.pause("r")))
          const first = yield* Effect.result(heddle.run(flow, undefined, { id: "r" }) as Effect.Effect<unknown, { readonly _tag: string }>)
          const isPaused = first._tag === "Failure" && first.failure._tag === "RunPaused"
          yield* Effect.promise(async () => paused)
          return isPaused ? yield* Effect.result(heddle.resume(flow, "r") as Effect.Effect<unknown, any>) : first
        })))
        const written = readFileSync(path, "utf8").split("\n").filter((line) => line !== "").map(Number)
        const good = all.filter((n) => !isBad.has(n))
        const drops = overflow.startsWith("drop") && !seekable
        expect(new Set(written).size).toBe(written.length)
        if (ordered) expect(written).toEqual(written.toSorted((a, b) => a - b))
        expect(good).toEqual(expect.arrayContaining(written))
        if (drops) return
        const fails = failure === "fail" && good.length < count
        expect(outcome).toMatchObject({ _tag: fails ? "Failure" : "Success" })
        if (!fails) expect(written.toSorted((a, b) => a - b)).toEqual(good)
      }),
      { seed, numRuns: 80 },
    ).catch((error) => {
      throw new Error(`SEED=${seed}`, { cause: error })
    })
  })
})
