/** State: what outlives a run, kept together with the step that changed it or not at all. */
import { Effect, Fiber, Stream } from "effect"
import { decide, Heddle, hook, merge, nest, openHeddle, run, seq, State, state, transaction } from "heddle"
import { crashEverywhere, jumpingClock, testFlow } from "heddle/testing"
import { Clock } from "effect"
import { expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { inline } from "../../src/store/spilled.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failing, failure, file, go, no, out } from "../support.ts"

const turns = state("turns", { scope: "session", initial: 0 })
const total = state("total", { scope: "global", initial: 0 })
const seen = state("seen", { scope: "flow", schema: z.array(z.string()) })
const orders = state<{ readonly n: number }>("orders", { scope: "global" })
const once = { id: "r", onSuspend: "return" } as const

it("a step reads and changes values of every scope; functions and Effects alike", async () => {
  const heddle = makeHeddle(memoryStore())
  const keys = {
    global: state("k", { scope: "global", initial: "" }),
    flow: state("k", { scope: "flow", initial: "" }),
    run: state("k", { scope: "run", initial: "" }),
    session: state("k", { scope: "session", initial: "" }),
    custom: state("k", { scope: "custom", of: "team-1", initial: "" }),
    tool: state("k", { scope: "tool", of: "search", initial: "" }),
  }
  const flow = seq("f").step("set", async (_, step) => {
    for (const [scope, key] of Object.entries(keys)) await step.state.set(key, `of ${scope}`)
    return Promise.all(Object.values(keys).map((key) => step.state.get(key)))
  }).step("read", function*() {
    const found: Array<string> = []
    for (const key of Object.values(keys)) found.push(yield* State.get(key))
    yield* State.set(orders.at("1"), { n: 1 })
    yield* State.update(orders.at("2"), (order) => ({ n: (order?.n ?? 0) + 1 }))
    yield* State.delete(keys.tool)
    const swapped = yield* State.compareAndSet(keys.custom, "of custom", "swapped")
    const kept = yield* State.compareAndSet(keys.custom, "of custom", "again")
    return { found, swapped, kept, sum: yield* State.increment(total, 5), members: yield* State.list(orders) }
  })
  const output = await go(heddle.run(flow, undefined, { id: "r", session: "s" }))
  const all = Object.keys(keys).map((scope) => `of ${scope}`)
  expect(output).toEqual({
    set: all,
    read: { found: all, swapped: true, kept: false, sum: 5, members: [{ member: "1", value: { n: 1 } }, { member: "2", value: { n: 1 } }] },
  })
  const here = heddle.state({ session: "s", flow: "f", run: "r" })
  expect(await go(Effect.forEach(Object.values(keys), (key) => here.get(key)))).toEqual([...all.slice(0, 4), "swapped", ""])
  expect(await go(heddle.state().get(total))).toBe(5)
  expect(await go(heddle.state({ session: "other" }).get(keys.session))).toBe("")
})

it("changes are kept with the step's record: one that fails has changed nothing, one that crashed changes once", async () => {
  const heddle = makeHeddle(memoryStore())
  let attempts = 0
  const flaky = seq("f").step("a", async (_, step) => {
    await step.state.increment(total)
    await step.state.set(orders.at("x"), { n: ++attempts })
    if (attempts < 3) throw new Error("again")
    return step.state.get(total)
  }, { retry: { times: 5, backoff: 1 } })
  expect(await go(heddle.run(flaky, undefined, once))).toEqual({ a: 1 })
  expect([await go(heddle.state().get(total)), await go(heddle.state().get(orders.at("x")))]).toEqual([1, { n: 3 }])

  const counting = seq("counts").loop({ times: 3 }, (b) => b.step("n", (_, step) => step.state.increment(total)))
    .parallel({ a: (b) => b.step("x", (_, step) => step.state.increment(total)), c: (b) => b.step("y", () => State.increment(total, 10)) })
    .step("sum", (_, step) => step.state.get(total))
  const report = await crashEverywhere(counting, undefined)
  expect([report.wrong, report.repeated, report.points > 20]).toEqual([[], [], true])
})

it("nothing is lost between runs that write at once", async () => {
  const path = file()
  await go(Effect.scoped(Effect.gen(function*() {
    const heddle = makeHeddle(yield* openSqlite(path))
    const add = seq("add").step("one", (_, step) => step.state.increment(total))
      .step("two", (_, step) => step.state.update(seen, (list = []) => [...list, step.run]))
    const careful = seq("careful").step("read then write", async (_, step) => {
      const now = await step.state.get(total)
      await new Promise((done) => setTimeout(done, 1))
      await step.state.set(total, now + 1)
    })
    yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => i), () => heddle.run(add, undefined), { concurrency: "unbounded" })
    expect([yield* heddle.state().get(total), (yield* heddle.state({ flow: "add" }).get(seen))?.length]).toEqual([20, 20])
    yield* Effect.forEach(Array.from({ length: 4 }, (_, i) => i), () => heddle.run(careful, undefined), { concurrency: "unbounded" })
    expect(yield* heddle.state().get(total)).toBe(24)
  })))
})

it("a step that cannot begin again, or always meets others, fails with StateConflict and says so", async () => {
  for (const [delivery, calls] of [["atMostOnce", 1], [undefined, 10]] as const) {
    const heddle = makeHeddle(memoryStore())
    let called = 0
    const flow = seq("f").step("s", async (_, step) => {
      called++
      const now = await step.state.get(total)
      await go(heddle.state().set(total, now + 100))
      await step.state.set(total, now + 1)
    }, delivery === undefined ? {} : { delivery })
    const error = await failure(heddle.run(flow, undefined, once))
    expect([error._tag, called, error.message]).toEqual(["StateConflict", calls, expect.stringContaining("update or increment")])
    expect((await go(heddle.events("r"))).map(({ kind }) => kind)).toContain("step.failed")
    expect(await go(heddle.state().get(total))).toBe(calls * 100)
  }
}, 30_000)

it("a key with a merge policy combines what others wrote meanwhile", async () => {
  const heddle = makeHeddle(memoryStore())
  const tags = state<ReadonlyArray<string>, "tags">("tags", { scope: "global", initial: [], merge: merge.union })
  const flow = seq("f").step("s", async (_, step) => {
    const now = await step.state.get(tags)
    await go(heddle.state().set(tags, ["theirs"]))
    await step.state.set(tags, [...now, "mine"])
  })
  await go(heddle.run(flow, undefined))
  expect(await go(heddle.state().get(tags))).toEqual(["theirs", "mine"])
  await go(heddle.run(
    seq("g").step("s", async (_, step) => {
      await step.state.get(tags)
      await go(heddle.state().delete(tags))
      await step.state.set(tags, ["only"])
    }),
    undefined,
  ))
  expect(await go(heddle.state().get(tags))).toEqual(["only"])
})

it("what was changed inside a protect is as before when its error is caught, unless others have changed it since", async () => {
  const heddle = makeHeddle(memoryStore())
  const fresh = state("fresh", { scope: "global", initial: "none" })
  const gone = state("gone", { scope: "global", initial: "none" })
  const theirs = state("theirs", { scope: "global", initial: "none" })
  const flow = (rollback: boolean) =>
    seq("f").protect("p", (b) =>
      b.step("a", async (_, step) => {
        await step.state.increment(total, 5)
        await step.state.set(fresh, "mine")
        await step.state.delete(gone)
        await step.state.set(theirs, "mine")
        await step.state.set(orders.at("counted"), { n: 1 })
      }).step("b", async () => {
        // somebody else, meanwhile
        await go(heddle.state().increment(total, 100))
        await go(heddle.state().set(theirs, "theirs"))
        await go(heddle.state().delete(orders.at("counted")))
      }).step("c", no), { catch: { No: () => "caught" }, rollback })
  await go(heddle.state().set(gone, "there"))
  const read = () => go(Effect.forEach([total, fresh, gone, theirs, orders.at("counted")], (key) => heddle.state().get(key as typeof fresh)))
  expect(await go(heddle.run(flow(true), undefined, { id: "r" }))).toEqual({ p: "caught" })
  expect(await read()).toEqual([100, "none", "there", "theirs", undefined])
  expect((await go(heddle.events("r"))).filter(({ kind }) => kind === "compensation.completed").length).toBe(1)
  expect(await go(heddle.run(flow(false), undefined, { id: "kept" }))).toEqual({ p: "caught" })
  expect(await read()).toEqual([205, "mine", "none", "theirs", undefined])
})

it("a run that is undone has changed nothing, after a crash in the middle too; its compensations may change state", async () => {
  const log = state<ReadonlyArray<string>, "log">("log", { scope: "global", initial: [] })
  const saga = seq("saga").step("a", async (_, step) => {
    await step.state.set(log, ["a"])
    return step.state.increment(total, 3)
  }, { compensate: (_, __, step) => step.state.update(log, (lines) => [...lines, "undone"]) })
    .step("plain", (_, step) => step.state.increment(total, 4))
    .step("fail", no)
  const heddle = makeHeddle(memoryStore())
  await out(heddle.run(saga, undefined, once))
  expect([(await go(heddle.get("r"))).status, await go(heddle.state().get(total)), await go(heddle.state().get(log))]).toEqual(["compensated", 0, [
    "a",
    "undone",
  ]])
  expect((await crashEverywhere(saga, undefined)).wrong).toEqual([])
  const counting = seq("n").step("a", async (_, step) => void await step.state.increment(total, 3), { compensate: () => undefined }).step("b", no)
  const text = state<any, "total">("total", { scope: "global" })
  const broken = makeHeddle(memoryStore(), { hooks: [hook("run.error", () => go(broken.state().set(text, "text")), { watches: true })] })
  await out(broken.run(counting, undefined, once))
  expect(await go(broken.state().get(text))).toBe("text")
})

it("values end, and are read, checked and migrated as their key says", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const { state: at } = heddle
  const old = state<string, "name">("name", { scope: "global", initial: "" })
  const next = state("name", {
    scope: "global",
    schema: z.object({ first: z.string(), last: z.string() }),
    version: 3,
    migrations: {
      1: { up: (name: string) => name.split(" "), down: (names: ReadonlyArray<string>) => names.join(" ") },
      2: {
        up: ([first = "", last = ""]: ReadonlyArray<string>) => ({ first, last }),
        down: ({ first, last }: { first: string; last: string }) => [first, last],
      },
    },
  })
  await go(at().set(old, "Ada Lovelace"))
  expect(await go(at().get(next))).toEqual({ first: "Ada", last: "Lovelace" })
  await go(at().update(next, (name) => ({ ...name!, last: "King" })))
  expect(await go(at().get(next))).toEqual({ first: "Ada", last: "King" })
  const back = state<string, "name">("name", {
    scope: "global",
    migrations: { 1: { up: String, down: (names: ReadonlyArray<string>) => names.join(" ") }, 2: { up: String, down: Object.values } },
  })
  expect(await go(at().get(back))).toBe("Ada King")
  const reason = async (effect: Effect.Effect<unknown, any>) => (await failure(effect)).message
  expect(await reason(at().get(old))).toContain("give the migration a down")
  expect(await reason(at().get(state("name", { scope: "global", version: 5 })))).toContain("no migration from there to 4")
  expect(await reason(at().set(next, { first: 1 } as never))).toContain("does not fit its schema")
  expect(await reason(at().set(orders, { n: (() => 1) as never }))).toContain("the value's n is a function, which cannot be kept")
  expect(await reason(at().set(orders, (() => 1) as never))).toContain("the value is a function")
  expect(await reason(at().set(old, "x".repeat(2 ** 20)))).toContain("keep it as an artifact")
  const later = state("later", { scope: "global", schema: z.string().refine(async () => true) })
  expect(await reason(at().set(later, "x"))).toContain("does not answer at once")
  const odd = state("odd", {
    scope: "global",
    schema: {
      "~standard": {
        version: 1,
        vendor: "x",
        validate: () => {
          throw new Error("broken schema")
        },
      },
    } as never,
  })
  await expect(go(at().set(odd, 1))).rejects.toThrow("broken schema")
  for (const name of ["", "../x", "a//b", "é", "x".repeat(300)]) {
    expect(await reason(at().get(state(name, { scope: "global", initial: 1 })))).toContain("1 to 256 characters")
  }

  const clock = jumpingClock(1_000_000)
  const short = state("short", { scope: "global", initial: "none", ttl: "1 minute" })
  const aged = await go(Effect.provideService(
    Effect.gen(function*() {
      yield* at().set(short, "x")
      yield* at().set(short, "y", { ttl: "1 hour" })
      yield* at().set(orders.at("short"), { n: 1 }, { ttl: "1 hour" })
      yield* Effect.sleep("30 minutes")
      const halfway = yield* at().get(short)
      yield* Effect.sleep("31 minutes")
      return [halfway, yield* at().get(short), yield* at().list(orders)]
    }),
    Clock.Clock,
    clock,
  ))
  expect(aged).toEqual(["y", "none", []])
  const tries = state("tries", { scope: "global", initial: 0 })
  const kept = await go(Effect.provideService(
    Effect.gen(function*() {
      yield* at().set(tries, 1, { ttl: "1 hour" })
      yield* Effect.sleep("30 minutes")
      yield* at().increment(tries)
      yield* at().update(tries, (n) => n + 1)
      yield* at().compareAndSet(tries, 3, 4)
      const now = yield* at().get(tries)
      yield* Effect.sleep("31 minutes")
      const later = yield* at().get(tries)
      yield* at().increment(tries)
      yield* Effect.sleep("10 days")
      const stays = yield* at().get(tries)
      yield* at().set(tries, 9, { ttl: "1 hour" })
      yield* at().set(tries, 9)
      yield* Effect.sleep("10 days")
      return [now, later, stays, yield* at().get(tries)]
    }),
    Clock.Clock,
    clock,
  ))
  // what is changed stays as long as it was to stay; what is written anew stays as long as that says
  expect(kept).toEqual([4, 0, 1, 9])
  expect([await go(at().expire), await go(at().expire)]).toEqual([2, 0])
})

it("who may not, may not: scopes that mean nothing here, flows that are not named", async () => {
  const heddle = makeHeddle(memoryStore())
  const secret = state("secret", { scope: "global", initial: "x", readers: ["trusted"], writers: ["trusted"] })
  const read = (name: string) => seq(name).step("s", (_, step) => step.state.get(secret))
  expect(await go(heddle.run(read("trusted"), undefined))).toEqual({ s: "x" })
  expect((await failure(heddle.run(read("stranger"), undefined))).message).toContain("flow 'stranger' is not among its readers: trusted")
  expect((await failure(Stream.runCollect(heddle.state({ flow: "stranger" }).watch(secret)))).message).toContain("not among its readers")
  expect((await failure(heddle.run(seq("writer").step("s", () => State.set(secret, "y")), undefined))).message).toContain("not among its writers")
  for (
    const [key, words] of [
      [turns, "start the run with { session }"],
      [state("s", { scope: "session", of: "another", initial: 1 }), "of is for agent, tool and custom"],
      [state("u", { scope: "user", initial: 1 }), "session of a user"],
      [state("a", { scope: "agent", initial: 1 }), "scope 'agent' needs a name"],
      [state("c", { scope: "custom", initial: 1 }), "scope 'custom' needs a name"],
    ] as const
  ) {
    const error = await failure(heddle.run(seq("f").step("s", (_, step) => step.state.get(key)), undefined))
    expect([error._tag, error.message]).toEqual(["StateRefused", expect.stringContaining(words)])
  }
  const late = seq("late").step("s", (_, step) => {
    setTimeout(() => step.state.set(total, 1).catch((error: Error) => complaints.push(error.message)), 5)
    return step.state.get(total)
  }).step("t", () => new Promise((done) => setTimeout(() => done(1), 20)))
  const complaints: Array<string> = []
  await go(heddle.run(late, undefined))
  expect(complaints).toEqual([expect.stringContaining("the step has ended")])
})

it("several changes inside one step add up, and are seen by it", async () => {
  const heddle = makeHeddle(memoryStore())
  await go(heddle.state().set(orders.at("old"), { n: 1 }))
  const flow = seq("f").step("s", async (_, { state: own }) => {
    await own.increment(total)
    await own.increment(total, 2)
    await own.update(total, (n) => n * 10)
    await own.increment(total)
    await own.increment(state<number, "none">("none", { scope: "global" }), 2)
    await own.set(orders.at("new"), { n: 2 })
    await own.delete(orders.at("old"))
    await own.set(orders.at("brief"), { n: 3 })
    await own.delete(orders.at("brief"))
    const empty = await own.get(orders.at("brief"))
    const revived = await own.update(orders.at("brief"), (order) => ({ n: order?.n ?? -1 }))
    await own.delete(orders.at("brief"))
    return {
      empty,
      revived,
      all: await own.list(orders),
      one: await own.list(orders, { limit: 1 }),
      was: await own.compareAndSet(orders.at("none"), undefined, { n: 4 }),
      not: await own.compareAndSet(orders.at("brief"), { n: 1 }, { n: 2 }),
    }
  })
  expect(await go(heddle.run(flow, undefined, once))).toMatchObject({
    s: { empty: undefined, revived: { n: -1 }, all: [{ member: "new" }], one: [{ member: "new" }], was: true, not: false },
  })
  expect([await go(heddle.state().get(total)), (await go(heddle.state().list(orders))).map(({ member }) => member)]).toEqual([31, ["new", "none"]])
})

it("a nested flow, a child and a hook's replacement keep what their steps changed", async () => {
  const heddle = makeHeddle(memoryStore())
  const inner = seq("inner").step("n", (_, step) => step.state.increment(total))
  const flow = seq("outer", { hooks: [hook("step.after", ({ path }) => (path === "own" ? decide.replace(7) : undefined))] })
    .step(inner).step("child", nest(inner, () => undefined, { as: "run" })).step("own", (_, step) => step.state.increment(total))
  expect(await go(heddle.run(flow, undefined))).toEqual({ inner: { n: 1 }, child: { n: 2 }, own: 7 })
  expect(await go(heddle.state().get(total))).toBe(3)
})

it("a step's own function that throws when it is written fails the step; a transaction has no state", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("f").step("s", async (_, step) => {
    await step.state.update(total, (n) => {
      if (n > 0) throw new Error("too many")
      return n + 1
    })
    await go(heddle.state().set(total, 5))
  })
  expect(await failure(heddle.run(flow, undefined, once))).toMatchObject({ _tag: "StepThrew", path: "s", cause: { message: "too many" } })
  const typed = seq("t").step("s", async (_, step) => {
    await step.state.update(state("total", { scope: "global", initial: 0, schema: z.number().max(5) }), (n) => n + 0)
    await go(heddle.state().set(total, 9))
  })
  expect(await failure(heddle.run(typed, undefined))).toMatchObject({ _tag: "StateRefused" })
  const limited = state("limited", { scope: "global", initial: 0, schema: z.number().max(5) })
  expect(
    await failure(
      heddle.state().transaction((own) =>
        Effect.gen(function*() {
          yield* own.increment(limited, 5)
          yield* heddle.state().set(limited, 3)
        })
      ),
    ),
  ).toMatchObject({ _tag: "StateRefused" })
  await expect(go(
    heddle.state().transaction((own) =>
      Effect.gen(function*() {
        yield* own.update(total, (n) => {
          if (n === 1) throw new Error("one")
          return n
        })
        yield* heddle.state().set(total, 1)
      })
    ),
  )).rejects.toThrow("one")
  const sql = await run(seq("sql").step("s", transaction((_, __, step) => void step.state)), undefined, { store: file() })
  expect(sql._unsafeUnwrapErr()).toMatchObject({ _tag: "StateRefused", message: expect.stringContaining("use another step for state and artifacts") })
})

it("a store that fails keeps nothing of the step", async () => {
  const store = memoryStore()
  const flow = seq("f").step("s", (_, step) => step.state.increment(total))
  const broken = makeHeddle(failing(store, "events.commit"))
  expect(await failure(broken.run(flow, undefined, once))).toMatchObject({ _tag: "StoreFailed", reason: "locked" })
  expect(await go(broken.state().get(total))).toBe(0)
  expect(await go(broken.resume(flow, "r"))).toEqual({ s: 1 })
  expect(await failure(makeHeddle(failing(store, "states.commit")).state().set(total, 1))).toMatchObject({ _tag: "StoreFailed" })
})

it("from outside: several changes at once, watched from anywhere, copied and brought back", async () => {
  const path = file()
  const heddle = (await openHeddle({ store: path }))._unsafeUnwrap()
  const elsewhere = (await openHeddle({ store: path }))._unsafeUnwrap()
  const ada = heddle.state({ user: "ada" })
  const credit = state("credit", { scope: "user", initial: 10 })
  const spent = state("spent", { scope: "user", initial: 0 })
  let tries = 0
  const moved = await ada.transaction(async (own) => {
    const left = await own.get(credit)
    if (++tries === 1) (await elsewhere.state({ user: "ada" }).set(credit, 8))._unsafeUnwrap()
    await own.set(credit, left - 5)
    return own.increment(spent, 5)
  })
  expect([moved._unsafeUnwrap(), tries, (await ada.get(credit))._unsafeUnwrap(), (await ada.get(spent))._unsafeUnwrap()]).toEqual([5, 2, 3, 5])
  const never = await ada.transaction(async (own) => {
    await elsewhere.state({ user: "ada" }).increment(credit)
    const left = await own.get(credit)
    await elsewhere.state({ user: "ada" }).increment(credit)
    await own.set(credit, left)
  })
  expect(never._unsafeUnwrapErr()).toMatchObject({ _tag: "StateConflict" })

  const values: Array<number> = []
  const watching = (async () => {
    for await (const value of ada.watch(spent)) if (values.push(value) === 4) break
  })()
  const until = async (n: number) => {
    while (values.length < n) await new Promise((done) => setTimeout(done, 5))
  }
  await until(1)
  await ada.set(spent, 6)
  await ada.set(spent, 6)
  await until(2)
  await new Promise((done) => setTimeout(done, 30))
  await elsewhere.state({ user: "ada" }).update(spent, (n) => n + 1)
  await until(3)
  await ada.delete(spent)
  await watching
  expect(values).toEqual([5, 6, 7, 0])

  await ada.set(spent, 1)
  const copy = (await ada.snapshot("user"))._unsafeUnwrap()
  expect(copy.entries.map(({ name }) => name)).toEqual(["credit", "spent"])
  await ada.set(spent, 2)
  await ada.set(state("extra", { scope: "user", initial: 0 }), 1)
  await ada.delete(credit)
  ;(await ada.restore(copy))._unsafeUnwrap()
  expect((await ada.snapshot("user"))._unsafeUnwrap()).toEqual(copy)
  expect((await ada.list(orders))._unsafeUnwrap()).toEqual([])
  expect((await ada.compareAndSet(spent, 1, 9))._unsafeUnwrap()).toBe(true)
  await heddle.close()
  await elsewhere.close()
})

it("the past of a run can be thinned out, and it can still be undone; what comes from elsewhere changes nothing here", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("f").loop("l", { times: 2 }, (b) => b.step("n", (_, step) => step.state.increment(total), { compensate: () => undefined })).wait("go").step(
    "fail",
    no,
  )
  await out(heddle.run(flow, undefined, once))
  await go(heddle.compact("r"))
  const bundle = await go(heddle.export("r"))
  expect(bundle).toContain("\\\"state\\\"")
  const imported = await go(heddle.import(bundle, "copy"))
  expect((await go(heddle.events(imported.id))).some(({ data }) => data.includes("\"state\""))).toBe(false)
  await go(heddle.signal(flow, "r", "go", undefined))
  await out(heddle.resume(flow, "r"))
  expect([(await go(heddle.get("r"))).status, await go(heddle.state().get(total))]).toEqual(["compensated", 0])
})

it("large values are kept as content beside the journal, and read back whole", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const large = "é".repeat(inline)
  const flow = seq("f").step("a", () => large).loop("l", { times: 2, collect: "all" }, (b) => b.step("b", ({ a }) => `${a}!`)).wait("go").step(
    "c",
    ({ a, l }) => a.length + l.length,
  )
  await out(heddle.run(flow, undefined, once))
  const [event] = await go(store.events.since(await go(heddle.get("r")), 1, 1))
  expect(event!.data).toMatch(/^\{"blob":"[0-9a-f]{64}"\}$/)
  expect((await go(heddle.events("r", 1)))[0]!.data.length).toBeGreaterThan(inline)
  const again = makeHeddle(memoryStore())
  await go(again.import(await go(heddle.export("r"))))
  for (const one of [heddle, again]) {
    await go(one.signal(flow, "r", "go", undefined))
    expect(await go(one.resume(flow, "r"))).toMatchObject({ c: inline + 2 })
  }
  await go(heddle.fork(flow, "r", "c", { as: "fork" }))
  expect(await go(heddle.resume(flow, "fork"))).toMatchObject({ c: inline + 2 })
  const lost = makeHeddle({ ...store, blobs: { ...store.blobs, get: () => Effect.succeed(undefined) } })
  expect(await failure(lost.events("r"))).toMatchObject({ _tag: "StoreFailed", reason: expect.stringContaining("is missing") })
  const text = seq("same").step("x", () => large).step("y", () => large)
  await go(heddle.run(text, undefined))
})

it("a value that is watched and gone is undefined", async () => {
  const heddle = makeHeddle(memoryStore())
  const seenOrders = Effect.runFork(Stream.runCollect(Stream.take(heddle.state().watch(orders.at("w")), 2)))
  await new Promise((done) => setTimeout(done, 10))
  await go(heddle.state().set(orders.at("w"), { n: 1 }))
  expect(await go(Fiber.join(seenOrders))).toEqual([undefined, { n: 1 }])
})

it("tests see state on the virtual clock", async () => {
  const brief = state("brief", { scope: "run", initial: "none", ttl: "1 hour" })
  const flow = seq("f").step("a", (_, step) => step.state.set(brief, "x")).wait("w", { for: "2 hours" }).step("b", (_, step) => step.state.get(brief))
  expect((await testFlow(flow, undefined)).result).toMatchObject({ ok: true, value: { b: "none" } })
})

it("Heddle gives state to programs of Effects", async () => {
  const program = Heddle.use((heddle) => Effect.andThen(heddle.state().increment(total), Stream.runHead(heddle.state().watch(total))))
  expect(await go(Effect.provide(program, Heddle.layerMemory))).toMatchObject({ value: 1 })
})

it("members come in pages, with what a step has just changed", async () => {
  const heddle = makeHeddle(memoryStore())
  const orders = state<number>("orders", { scope: "global" })
  for (const n of [1, 2, 3, 4, 5]) await go(heddle.state().set(orders.at(`o${n}`), n))
  const names = (members: ReadonlyArray<{ readonly member: string }>) => members.map(({ member }) => member)
  expect(names(await go(heddle.state().list(orders, { limit: 2 })))).toEqual(["o1", "o2"])
  expect(names(await go(heddle.state().list(orders, { limit: 2, after: "o2" })))).toEqual(["o3", "o4"])
  expect(names(await go(heddle.state().list(orders, { after: "o5" })))).toEqual([])
  const flow = seq("f").step("s", async (_, { state: kept }) => {
    await kept.set(orders.at("o2"), 20)
    await kept.set(orders.at("o35"), 35)
    return names(await kept.list(orders, { after: "o3", limit: 2 }))
  })
  expect(await go(heddle.run(flow, undefined))).toEqual({ s: ["o35", "o4"] })
  const deletes = seq("g").step("s", async (_, { state: kept }) => {
    await kept.delete(orders.at("o1"))
    return names(await kept.list(orders, { limit: 2 }))
  })
  expect(await go(heddle.run(deletes, undefined))).toEqual({ s: ["o2", "o3"] })
})
