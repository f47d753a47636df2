/** Bugs that were found by reading, each with what it broke. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect } from "effect"
import { err } from "neverthrow"
import { type Heddle, nest, run, seq, transaction } from "heddle"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import type { Store } from "../../src/store/store.ts"
import { failure, file, go, no, status } from "../support.ts"

const onFile = <A>(use: (heddle: Heddle["Service"], store: Store["Service"]) => Promise<A>): Promise<A> =>
  go(Effect.scoped(Effect.flatMap(openSqlite(file()), (store) => Effect.promise(() => use(makeHeddle(store), store)))))

describe.each(["async", "exit"] as const)("durability %s", (durability) => {
  it("what is not written yet is seen by whoever undoes, suspends or commits", () =>
    onFile(async (heddle) => {
      const log: Array<string> = []
      const undo = (name: string) => ({ compensate: () => void log.push(name) })
      const saga = seq("saga").step("a", () => 1, undo("a"))
        .protect("p", (b) => b.step("b", () => 1, undo("b")).step("x", no), { fallback: () => 0 }).step("y", no)
      await failure(heddle.run(saga, undefined, { id: "s", durability }))
      expect([log, await status(heddle, "s")]).toEqual([["b", "a"], "compensated"])
      const waits = seq("w").step("a", () => 1).step("b", async () => 2).wait("go")
      expect(await failure(heddle.run(waits, undefined, { id: "w", durability, onSuspend: "return" }))).toMatchObject({ _tag: "RunSuspended" })
      expect((await go(heddle.events("w"))).map(({ seq: n }) => n)).toEqual([1, 2, 3, 4, 5])
    }))

  it("a step that runs at most once, and a transaction, are durable before anything follows", () =>
    onFile(async (heddle) => {
      let [times, hang] = [0, true]
      const once = seq("once").step("a", () => 1).step("once", () => (times++, Effect.never), { delivery: "atMostOnce" })
      const first = Effect.runFork(heddle.run(once, undefined, { id: "o", durability }))
      await sleep(30)
      first.interruptUnsafe()
      await sleep(10)
      expect(await failure(heddle.resume(once, "o"))).toMatchObject({ _tag: "StepUncertain" })
      expect(times).toBe(1)
      const tx = seq("tx").step("a", () => 1).step(
        "t",
        transaction((sql) => {
          sql.run("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
          sql.run("INSERT INTO t VALUES (1)")
          return sql.all("SELECT count(*) AS n FROM t")[0]!["n"] as number
        }),
      ).step("b", () => (hang ? Effect.never : 1))
      const second = Effect.runFork(heddle.run(tx, undefined, { id: "t", durability }))
      await sleep(30)
      second.interruptUnsafe()
      await sleep(10)
      hang = false
      expect(await go(heddle.resume(tx, "t"))).toMatchObject({ t: 1 })
    }))
})

it("an output with a key 'undo' is no compensation", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("f").step("plan", () => ({ undo: { a: 1 } })).wait("go")
  await failure(heddle.run(flow, undefined, { id: "r", onSuspend: "return" }))
  expect(await go(heddle.cancel("r", { flow }))).toBe("cancelled")
})

it("a join that is decided ends, though a sibling waits", async () => {
  const heddle = makeHeddle(memoryStore())
  const slow = (b: any) => b.step("s", () => sleep(5).then(() => 1))
  const fails = seq("ff").parallel("p", { w: (b) => b.wait("go"), f: (b) => slow(b).step("x", no) })
  expect(await failure(heddle.run(fails, undefined, { onSuspend: "return" }) as Effect.Effect<unknown, unknown>)).toMatchObject({ _tag: "No" })
  const first = seq("first").parallel("p", { w: (b) => b.wait("go"), f: slow }, { failure: "first" })
  expect(await go(heddle.run(first, undefined, { onSuspend: "return" }) as Effect.Effect<unknown, unknown>)).toMatchObject({ p: { fork: "f" } })
})

it("nobody goes on with a run before its interrupted steps have finalized", async () => {
  const heddle = makeHeddle(memoryStore())
  const log: Array<string> = []
  let n = 0
  const flow = seq("fin").step("s", () => {
    const i = ++n
    log.push(`start${i}`)
    return i > 1 ? Effect.succeed(5) : Effect.onInterrupt(Effect.never, () => Effect.andThen(Effect.sleep(30), Effect.sync(() => log.push("end1"))))
  })
  const first = Effect.runFork(heddle.run(flow, undefined, { id: "r" }))
  const second = heddle.run(flow, undefined, { id: "r" })
  await sleep(10)
  const waiting = go(second)
  first.interruptUnsafe()
  expect(await waiting).toEqual({ s: 5 })
  expect(log).toEqual(["start1", "end1", "start2"])
})

it("a run that is paused while its interrupted step finalizes is paused, and nobody goes on with it between", async () => {
  const heddle = makeHeddle(memoryStore())
  let n = 0
  const flow = seq("fin").step("s", () => (n++, Effect.onInterrupt(Effect.never, () => Effect.sleep(30))))
  const first = Effect.runFork(heddle.run(flow, undefined, { id: "r" }))
  await sleep(10)
  const second = failure(heddle.run(flow, undefined, { id: "r" }))
  first.interruptUnsafe()
  await go(heddle.pause("r", { reason: "wait" }))
  expect(await second).toMatchObject({ _tag: "RunPaused" })
  expect([await status(heddle, "r"), n]).toEqual(["paused", 1])
})

it("every attempt of a nested flow is undone, also those that were given up", async () => {
  const store = memoryStore()
  const undone: Array<unknown> = []
  let n = 0
  const inner = seq("i").step("a", () => ++n, { compensate: (output) => void undone.push(output) }).step("b", () => (n === 1 ? no() : Effect.succeed(1)))
    .wait("go").step("z", () => err({ _tag: "Z" } as const))
  const flow = seq("o").step("i", nest(inner, () => undefined), { retry: { times: 1, backoff: 1, while: (error) => error._tag === "No" } })
  await failure(makeHeddle(store).run(flow, undefined, { id: "r", onSuspend: "return" }))
  const heddle = makeHeddle(store)
  await go(heddle.signal(inner, "r", "go", undefined))
  await failure(heddle.resume(flow, "r"))
  expect(undone).toEqual([2, 1])
})

it("what a compensation could not be given is refused before anything is done", async () => {
  class Money {
    readonly n = 1
  }
  let done = 0
  const codec = { encode: (list: ReadonlyArray<Money>) => list.length, decode: (length: number) => Array.from({ length }, () => new Money()) }
  const flow = seq("o").step("ms", () => [new Money()], { codec }).each(
    "e",
    ({ ms }) => ms,
    (b) => b.step("charge", () => ++done, { compensate: () => undefined }),
  )
  expect((await run(flow))._unsafeUnwrapErr()).toMatchObject({ _tag: "NotStorable", path: "e[0]/charge" })
  expect(done).toBe(0)
})

it("migrations keep what has to be undone, see what is really under way, and write through codecs", async () => {
  class Money {
    readonly n: number
    constructor(n: number) {
      this.n = n
    }
  }
  const codec = { encode: ({ n }: Money) => n, decode: (n: number) => new Money(n) }
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const v1 = seq("c").step("a", () => 1, { compensate: () => undefined }).wait("go")
  await failure(heddle.run(v1, undefined, { id: "c", onSuspend: "return" }))
  const v2 = seq("c", { version: 2, migrations: { 1: (state: any) => state } }).step("a", () => 1).wait("go")
  expect((await failure(heddle.resume(v2, "c"))).reason).toContain("'a' has done something that version 2 does not say how to undo")
  const skip = (version: number, inside: string) =>
    seq("l", { version, migrations: { 1: (state: any) => state } }).step("a", () => 1).when(() => false).step("skip", () => 1)
      .loop("lp", { times: 2 }, (b: any) => b.step(inside, () => 1).wait("go"))
  await failure(heddle.run(skip(1, "x") as any, undefined, { id: "l", onSuspend: "return" }))
  expect((await failure(heddle.resume(skip(2, "y") as never, "l"))).reason).toContain("'lp' is under way and has changed")
  const m1 = seq("m").step("m", () => 5).wait("go")
  await failure(heddle.run(m1, undefined, { id: "m", onSuspend: "return" }))
  const m2 = seq("m", { version: 2, migrations: { 1: (state: any) => ({ ...state, m: new Money(state.m.n + 1) }) } }).step("m", () => new Money(0), { codec })
    .wait("go")
    .returns(({ m }) => m.n)
  await go(heddle.signal(m2, "m", "go", undefined))
  expect(await go(heddle.resume(m2, "m"))).toBe(6)
})

it("going back is possible where nothing that is kept was undone, with a fresh time limit and a clean record", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store, { poisoned: 1 })
  let broken = true
  const flow = seq("f").step("a", () => 1, { compensate: () => undefined }).step("b", () => (broken ? no() : Effect.succeed(2)))
  await failure(heddle.run(flow, undefined, { id: "r" }))
  broken = false
  expect((await failure(heddle.fork(flow, "r", "b", { as: "k" }))).reason).toBe("'a' was undone and would be kept: go back to it, or further")
  await go(heddle.fork(flow, "r", "a", { as: "k" }))
  expect(await go(heddle.resume(flow, "k"))).toEqual({ a: 1, b: 2 })
  const limited = seq("p").protect("p", (b) => b.step("a", () => 1).step("b", () => 2), { timeout: 40 })
  await go(heddle.run(limited, undefined, { id: "p" }))
  await sleep(50)
  await go(heddle.rewind(limited, "p", "p/b"))
  expect(await go(heddle.resume(limited, "p"))).toEqual({ p: { a: 1, b: 2 } })
  const all = seq("w").parallel("p", { a: (b) => b.protect("q", (c) => c.step("s", () => 1, { compensate: () => undefined }).step("x", no), {}) }, {
    failure: "waitAll",
  })
  await failure(heddle.run(all, undefined, { id: "w" }))
  expect(await status(heddle, "w")).toBe("compensated")
  // a quarantined run that was sent back counts anew
  const poison = seq("q").step("a", () => 1).wait("go")
  await failure(heddle.run(poison, undefined, { id: "q", onSuspend: "return" }))
  const suspended = await go(store.runs.get("q"))
  await go(store.runs.claim(suspended, { owner: "dead:1:x", lease: Date.now() - 1, status: "running" }))
  expect(await failure(heddle.run(poison, undefined, { id: "q" }))).toMatchObject({ _tag: "RunQuarantined" })
  await go(heddle.rewind(poison, "q", "a"))
  expect(await failure(heddle.run(poison, undefined, { id: "q", onSuspend: "return" }))).toMatchObject({ _tag: "RunSuspended" })
})

it("a child run is another one after a rewind or a retry; one that its parent gives up is cancelled", async () => {
  const heddle = makeHeddle(memoryStore())
  let [n, worked, failed] = [1, 0, false]
  const child = seq("child", { input: z.object({ n: z.number() }) }).step("w", ({ input }) => (worked++, input.n * 10)).returns(({ w }) => w)
  const parent = seq("par").step("a", () => n).step("c", nest(child, ({ a }) => ({ n: a }), { as: "run" }))
  await go(heddle.run(parent, undefined, { id: "p" }))
  await go(heddle.rewind(parent, "p", "c"))
  expect(await go(heddle.resume(parent, "p"))).toEqual({ a: 1, c: 10 })
  expect(worked).toBe(2)
  n = 2
  await go(heddle.rewind(parent, "p", "a"))
  expect(await go(heddle.resume(parent, "p"))).toEqual({ a: 2, c: 20 })
  const inner = seq("inner").step("a", () => ++n).step("c", nest(child, ({ a }) => ({ n: a }), { as: "run" })).step(
    "x",
    () => (failed ? Effect.succeed(1) : ((failed = true), no())),
  )
  const retried = seq("retried").step("i", nest(inner, () => undefined), { retry: { times: 1, backoff: 1 } })
  expect(await go(heddle.run(retried, undefined))).toMatchObject({ i: { c: 40 } })

  let effects = 0
  const slow = seq("slow").step("s", () => Effect.as(Effect.sleep(60), ++effects)).step("t", () => ++effects)
  const gives = seq("gives").protect("p", (b) => b.step("c", nest(slow, () => undefined, { as: "run" })), { timeout: 20, fallback: () => "gave up" })
  expect(await go(heddle.run(gives, undefined, { id: "g" }))).toEqual({ p: "gave up" })
  expect((await go(heddle.list({ parent: "g" }))).map((one) => one.status)).toEqual(["cancelled"])
  expect(effects).toBe(1)
})

it("a paused child suspends its parent, a failed one is not tried again by the way, a cancelled one is undone", async () => {
  const heddle = makeHeddle(memoryStore())
  let tries = 0
  const log: Array<string> = []
  const child = seq("child").step("a", () => 1, { compensate: () => void log.push("undone") }).wait("go").step("x", () => (tries++, no()))
  const parent = seq("par").step("c", nest(child, () => undefined, { as: "run" }))
  await failure(heddle.run(parent, undefined, { id: "p", onSuspend: "return" }))
  const [leaf] = await go(heddle.list({ parent: "p" }))
  await go(heddle.pause(leaf!.id))
  expect(await failure(heddle.run(parent, undefined, { id: "p", onSuspend: "return" }))).toMatchObject({ _tag: "RunSuspended" })
  await go(heddle.signal(child, leaf!.id, "go", undefined))
  await failure(heddle.resume(child, leaf!.id))
  await failure(heddle.run(parent, undefined, { id: "p" }))
  expect([tries, log]).toEqual([1, ["undone"]])
  await failure(heddle.run(parent, undefined, { id: "q", onSuspend: "return" }))
  expect(await go(heddle.cancel("q", { flow: parent }))).toBe("cancelled")
  expect(log).toEqual(["undone", "undone"])
})

it("a child that moves while its parent is being suspended wakes it; a time limit around a waiting flow is durable", async () => {
  const store = memoryStore()
  const child = seq("kid").wait("go", { schema: z.number() }).returns(({ go: n }) => n)
  const parent = seq("dad").step("c", nest(child, () => undefined, { as: "run" })).returns(({ c }) => c)
  const late: Store["Service"] = {
    ...store,
    events: {
      ...store.events,
      append: (record, event, ...rest) =>
        event.kind === "run.suspended" && record.flow === "dad" ?
          Effect.andThen(
            Effect.promise(async () => {
              const [kid] = await go(store.runs.list({ parent: "d" }))
              if (kid!.status === "suspended") await go(store.signals.send(kid!.id, { id: "s", name: "go", data: "7" }, Date.now()))
            }),
            store.events.append(record, event, ...rest),
          ) :
          store.events.append(record, event, ...rest),
    },
  }
  expect(await go(makeHeddle(late).run(parent, undefined, { id: "d" }))).toBe(7)
  const limited = seq("outer").step("n", nest(seq("inner").wait("go"), () => undefined), { timeout: 1300 })
  const suspended = await failure(makeHeddle(store).run(limited, undefined, { id: "l", onSuspend: "return" }))
  expect(suspended.until).toBeGreaterThan(Date.now())
  expect(await failure(makeHeddle(store).resume(limited, "l"))).toMatchObject({ _tag: "StepTimedOut", path: "n" })
})

it("two waits for one signal may want different things", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("y").wait("one", { signal: "s", schema: z.number() }).wait("two", { signal: "s", schema: z.string() })
  await failure(heddle.run(flow, undefined, { id: "y", onSuspend: "return" }))
  await go(heddle.signal(flow, "y", "s", 1))
  await go(heddle.signal(flow, "y", "s", "x"))
  expect(await failure(heddle.signal(flow, "y", "s", true as never))).toMatchObject({ _tag: "SignalRefused" })
  expect(await go(heddle.resume(flow, "y"))).toEqual({ one: 1, two: "x" })
})

it("compaction keeps what is undone, what may be tried again, and what a rewind has brought back", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  let [undone, tries, broken] = [0, 0, true]
  const saga = seq("f").protect("p", (b) => b.step("charge", () => 1, { compensate: () => void undone++ }).step("x", no), { fallback: () => 0 }).wait("go")
    .step("z", no)
  await failure(heddle.run(saga, undefined, { id: "s", onSuspend: "return" }))
  await go(heddle.compact("s"))
  await go(heddle.signal(saga, "s", "go", undefined))
  await failure(heddle.resume(saga, "s"))
  expect(undone).toBe(1)
  const forks = seq("e").each("e", () => [0, 1], (b) => b.step("s", () => ++tries).step("y", ({ item }) => (item === 1 && broken ? no() : Effect.succeed(1))), {
    failure: "waitAll",
  })
  await failure(heddle.run(forks, undefined, { id: "e" }))
  await go(heddle.compact("e"))
  broken = false
  await go(heddle.retry(forks, "e"))
  expect(tries).toBe(2)
  const log: Array<string> = []
  const loop = seq("l").loop(
    "l",
    { times: 4 },
    (b) => b.step("x", ({ index }) => void log.push(`x${index}`)).wait("go", { signal: "go" }).step("y", ({ index }) => void log.push(`y${index}`)),
  )
  const signal = (n: number) => go(heddle.signal(loop, "l", "go", undefined, { id: `g${n}` }))
  await failure(heddle.run(loop, undefined, { id: "l", onSuspend: "return" }))
  for (const n of [1, 2, 3, 4]) await signal(n)
  await go(heddle.resume(loop, "l"))
  await go(heddle.rewind(loop, "l", "l[1]/y"))
  log.splice(0)
  await failure(heddle.resume(loop, "l", { onSuspend: "return" }))
  await go(heddle.compact("l"))
  await signal(5)
  await signal(6)
  await go(heddle.resume(loop, "l"))
  expect(log).toEqual(["y1", "x2", "y2", "x3", "y3"])
  const driven = Effect.runFork(heddle.run(seq("d").step("s", () => Effect.never), undefined, { id: "d" }))
  await sleep(5)
  expect(await failure(heddle.compact("d"))).toMatchObject({ _tag: "CommandRefused", command: "compact" })
  driven.interruptUnsafe()
})
