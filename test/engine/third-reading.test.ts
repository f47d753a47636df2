/** What a fresh reading of state, sessions and artifacts found, each reproduced first. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect } from "effect"
import { nest, openHeddle, seq, state } from "heddle"
import { crashEverywhere } from "heddle/testing"
import { describe, expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { digest } from "../../src/engine/untrusted.ts"
import { inline } from "../../src/store/spilled.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failing, failure, file, go, no, out, status } from "../support.ts"

const total = state<number, "total">("total", { scope: "global", initial: 0 })
const word = state<string, "word">("word", { scope: "global", initial: "none" })
const list = state<ReadonlyArray<string>, "list">("list", { scope: "global", initial: [] })
const own = state<number, "own">("own", { scope: "run", initial: 0 })
const waiting = { id: "r", onSuspend: "return" } as const

describe("taking state back", () => {
  it("works however many steps have changed a key", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").protect("p", (b) => b.step("a", (_, s) => s.state.set(word, "A")).step("b", (_, s) => s.state.set(word, "B")).step("c", no), {
      catch: { No: () => "caught" },
    })
    await go(heddle.run(flow, undefined))
    const loop = seq("g").protect("p", (b) => b.loop("l", { times: 3 }, (l) => l.step("a", (_, s) => s.state.update(list, (x) => [...x, "x"]))).step("c", no), {
      catch: { No: () => "caught" },
    })
    await go(heddle.run(loop, undefined))
    const rewound = seq("h").step("a", (_, s) => s.state.set(word, "A")).step("b", (_, s) => s.state.set(word, "B")).step("c", () => 1)
    await go(heddle.run(rewound, undefined, { id: "h" }))
    await go(heddle.rewind(rewound, "h", "a"))
    expect([await go(heddle.state().get(word)), await go(heddle.state().get(list))]).toEqual(["none", []])
    expect((await crashEverywhere(loop, undefined)).wrong).toEqual([])
  })

  it("is no compensation: migrations, cancels and rewinds are not held up by it", async () => {
    const heddle = makeHeddle(memoryStore())
    const v1 = seq("f", { version: 1 }).step("a", (_, s) => s.state.increment(total)).wait("go").step("z", () => 1)
    await out(heddle.run(v1, undefined, waiting))
    const v2 = seq("f", { version: 2, migrations: { 1: (s: any) => s } }).step("a", (_, s) => s.state.increment(total)).wait("go").step("z", () => 1).step(
      "y",
      () => 2,
    )
    await go((heddle as any).signal(v2, "r", "go", undefined))
    expect(await go(heddle.resume(v2 as any, "r"))).toMatchObject({ y: 2 })
    const cancelled = seq("c").step("a", (_, s) => s.state.set(word, "kept")).wait("go")
    await out(heddle.run(cancelled, undefined, { id: "c", onSuspend: "return" }))
    expect([await go(heddle.cancel("c")), await go(heddle.state().get(word))]).toEqual(["cancelled", "kept"])
    const caught = seq("k").protect("p", (b) => b.step("a", (_, s) => s.state.set(word, "A")).step("c", no), { catch: { No: () => "caught" } }).step(
      "later",
      () => 1,
    )
    await go(heddle.run(caught, undefined, { id: "k" }))
    expect(await go(heddle.rewind(caught, "k", "later"))).toMatchObject({ again: ["later"] })
    const kept = seq("n").protect("p", (b) => b.step("a", (_, s) => s.state.set(word, "A")).step("b", () => 1, { compensate: () => undefined }).step("c", no), {
      catch: { No: () => "caught" },
      rollback: false,
    })
    await go(heddle.run(kept, undefined))
    expect(await go(heddle.state().get(word))).toBe("A")
    const half = seq("half").step("a", (_, s) => s.state.set(word, "half")).step("b", no).step("c", () => 1, { compensate: () => undefined })
    await out(heddle.run(half, undefined, { id: "half" }))
    expect([await status(heddle, "half"), await go(heddle.state().get(word))]).toEqual(["failed", "half"])
  })

  it("reaches into children, and leaves those alone that changed nothing", async () => {
    const heddle = makeHeddle(memoryStore())
    const kid = seq("kid").step("a", (_, s) => s.state.set(word, "kid"))
    const quiet = seq("quiet").step("a", () => 1)
    const flow = seq("f").protect(
      "p",
      (b) => b.step("child", nest(kid, () => undefined, { as: "run" })).step("still", nest(quiet, () => undefined, { as: "run" })).step("c", no),
      { catch: { No: () => "caught" } },
    )
    await go(heddle.run(seq("first").step("a", (_, s) => s.state.set(word, "before")), undefined))
    await go(heddle.run(flow, undefined))
    const [child, still] = [(await go(heddle.list({ flow: "kid" })))[0]!, (await go(heddle.list({ flow: "quiet" })))[0]!]
    expect([await go(heddle.state().get(word)), child.status, still.status]).toEqual(["before", "cancelled", "completed"])
  })

  it("a rewind takes back what a step with a compensation changed, and does so with the rewind or not at all", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const flow = seq("f").step("a", (_, s) => s.state.increment(total), { compensate: () => undefined }).step("b", () => 1)
    await go(heddle.run(flow, undefined, { id: "r" }))
    await out(makeHeddle(failing(store, "events.commit")).rewind(flow, "r", "a"))
    expect(await go(heddle.state().get(total))).toBe(1)
    await go(heddle.rewind(flow, "r", "a"))
    expect(await go(heddle.state().get(total))).toBe(0)
    expect(await go(heddle.resume(flow, "r"))).toMatchObject({ a: 1 })
  })

  it("a fork has its own run's values, and takes them back itself, also as the fork of a fork", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").step("a", (_, s) => s.state.increment(own)).step("g", (_, s) => s.state.increment(total)).step("b", (_, s) => s.state.increment(own))
      .step("c", (_, s) => s.state.get(own))
    await go(heddle.run(flow, undefined, { id: "r" }))
    await go(heddle.fork(flow, "r", "c", { as: "one" }))
    await go(heddle.fork(flow, "one", "b", { as: "two" }))
    await go(heddle.rewind(flow, "one", "a"))
    expect(await go(Effect.forEach(["r", "one", "two"], (run) => heddle.state({ run }).get(own)))).toEqual([2, 0, 1])
    expect(await go(heddle.state().get(total))).toBe(1)
    expect(await go(heddle.resume(flow, "two"))).toMatchObject({ b: 2, c: 2 })
  })

  it("a nested flow that is tried again begins with what was there", async () => {
    const heddle = makeHeddle(memoryStore())
    let tries = 0
    const inner = seq("inner").step("count", (_, s) => s.state.increment(total)).step("fails", async () => {
      if (++tries < 3) throw new Error("again")
    })
    const flow = seq("f").step("n", nest(inner, () => undefined), { retry: { times: 5, backoff: 1 } })
    await go(heddle.run(flow, undefined))
    expect(await go(heddle.state().get(total))).toBe(1)
  })

  it("a compensation that meets another writer runs again, and is recorded either way", async () => {
    const heddle = makeHeddle(memoryStore())
    let calls = 0
    const flow = (forEver: boolean) =>
      seq("f").step("other", () => 1, { compensate: () => void (calls += 100) }).step("a", () => 1, {
        compensate: async (_, __, step) => {
          const now = await step.state.get(total)
          if (++calls === 1 || forEver) await go(heddle.state().increment(total, 10))
          await step.state.set(total, now + 1)
        },
      }).step("b", no)
    await out(heddle.run(flow(false), undefined, { id: "r" }))
    expect([await status(heddle, "r"), await go(heddle.state().get(total)), calls]).toEqual(["compensated", 11, 102])
    calls = 0
    expect(await failure(heddle.run(flow(true), undefined, { id: "never" }))).toMatchObject({
      _tag: "CompensationFailed",
      failures: [{ path: "a", error: { _tag: "StateConflict" } }],
    })
    expect([calls, (await go(heddle.events("never"))).filter(({ kind }) => kind.startsWith("compensation")).map(({ kind, name }) => `${kind} ${name}`)])
      .toEqual([110, ["compensation.failed a", "compensation.completed other"]])
    const thrown = seq("t").step("a", () => 1, {
      compensate: async (_, __, step) => {
        await step.state.update(total, (n) => {
          if (n > 1000) throw new Error("too many")
          return n
        })
        await go(heddle.state().set(total, 2000))
      },
    }).step("b", no)
    expect(await failure(heddle.run(thrown, undefined))).toMatchObject({ _tag: "CompensationFailed", failures: [{ error: { message: "too many" } }] })
  })
})

describe("sessions", () => {
  it("archives are seen by no run", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.sessions.create({ id: "s1", context: { token: "secret" } }))
    await go(heddle.sessions.complete("s1"))
    const archive = await go(heddle.sessions.archive("s1"))
    const spy = seq("spy").step("a", async (_, { artifacts }) => {
      const read = await artifacts.text("sessions/s1.json").catch(() => "nothing")
      const there = await artifacts.text("sessions/s1.json", { session: archive.session }).catch(() => "nothing")
      return [read, there, await artifacts.put("sessions/s1.json", "forged", { session: archive.session }).then(() => "forged", () => "refused")]
    })
    expect(await go(heddle.run(spy, undefined, { session: "s2" }))).toEqual({ a: ["nothing", "nothing", "refused"] })
  })

  it("a suspended session is ended with its paused runs, and a parent with what is inside it", async () => {
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f").wait("go").step("c", () => 1)
    await go(heddle.sessions.create({ id: "p" }))
    await go(heddle.sessions.create({ id: "in", parent: "p" }))
    await out(heddle.run(flow, undefined, { id: "r", session: "in", onSuspend: "return" }))
    expect((await failure(heddle.sessions.complete("p"))).message).toContain("1 of its runs have not ended ('r')")
    await go(heddle.sessions.suspend("p"))
    expect(await status(heddle, "r")).toBe("paused")
    expect((await failure(heddle.sessions.complete("p"))).message).toContain("('r')")
    await go(heddle.sessions.resume("p"))
    expect(await status(heddle, "r")).toBe("pending")
    await go(heddle.sessions.suspend("p"))
    await go(heddle.sessions.complete("p", { cancel: true }))
    expect(await status(heddle, "r")).toBe("cancelled")
  })

  it("children that were paused with their parents go on with them", async () => {
    const heddle = (await openHeddle())._unsafeUnwrap()
    const kid = seq("kid").wait("go").step("k", () => 1)
    const flow = seq("dad").step("child", nest(kid, () => undefined, { as: "run" }))
    await heddle.run(flow, undefined, { id: "dad", session: "s", onSuspend: "return" })
    const child = (await heddle.list({ flow: "kid" }))._unsafeUnwrap()[0]!.id
    await heddle.sessions.suspend("s")
    await heddle.sessions.resume("s")
    const worker = (await heddle.worker([flow], { poll: 10 }))._unsafeUnwrap()
    await heddle.signal(kid, child, "go", undefined)
    for (let i = 0; i < 200 && (await heddle.get("dad"))._unsafeUnwrap().status !== "completed"; i++) await sleep(10)
    expect((await heddle.get("dad"))._unsafeUnwrap().status).toBe("completed")
    await worker.stop()
    await heddle.close()
  })

  it("what comes in is whole: values of runs, children, descriptions; or not at all", async () => {
    const from = makeHeddle(memoryStore())
    const kid = seq("kid").step("k", () => 1)
    const flow = seq("f").step("a", async (_, s) => {
      await s.artifacts.put("x", "y", { about: { when: new Date(5) } })
      return s.state.set(own, 7)
    }).step("child", nest(kid, () => undefined, { as: "run" })).wait("go").step("b", (_, s) => s.state.get(own))
    await go(from.sessions.create({ id: "s", policy: { steps: 50 } }))
    await out(from.run(flow, undefined, { ...waiting, session: "s" }))
    const text = await go(from.sessions.export("s"))
    const store = memoryStore()
    const to = makeHeddle(store)
    await go(to.sessions.import(text))
    expect((await go(to.artifacts.get("x", { session: "s" }))).about).toEqual({ when: new Date(5) })
    expect(await go(to.sessions.usage("s"))).toEqual(await go(from.sessions.usage("s")))
    await go(to.sessions.resume("s"))
    await go(to.signal(flow, "r", "go", undefined))
    expect(await go(to.resume(flow, "r"))).toMatchObject({ b: 7 })
    expect(await failure(to.sessions.import(text, "copy"))).toMatchObject({ _tag: "RunConflict" })
    expect(await failure(to.sessions.get("copy"))).toMatchObject({ _tag: "SessionNotFound" })
    const fresh = memoryStore()
    expect(await failure(makeHeddle(failing(fresh, "artifacts.put")).sessions.import(text))).toMatchObject({ _tag: "StoreFailed" })
    expect([await go(fresh.sessions.list({})), await go(fresh.runs.list({}))]).toEqual([[], []])
    expect(await go(makeHeddle(fresh).sessions.import(text))).toMatchObject({ status: "suspended" })
  })

  it("an archiving that was cut short is finished, or read again", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    await go(heddle.run(seq("f").step("a", (_, s) => s.state.set(own, 1)), undefined, { id: "r", session: "s" }))
    await go(heddle.sessions.complete("s"))
    await out(makeHeddle(failing(store, "runs.remove")).sessions.archive("s"))
    expect(await go(heddle.sessions.get("s"))).toMatchObject({ status: "archived" })
    const archive = await go(heddle.sessions.archive("s"))
    expect(await go(heddle.sessions.runs("s"))).toEqual([])
    await go(heddle.sessions.import(await go(heddle.artifacts.text(archive.name, { session: archive.session }))))
    expect((await go(heddle.sessions.runs("s"))).map(({ id }) => id)).toEqual(["r"])
  })

  it("budgets count siblings, not forks twice, outlive a prune and follow the policy", async () => {
    const heddle = makeHeddle(memoryStore())
    const three = seq("three").step("a", () => sleep(1)).step("b", () => sleep(1)).step("c", () => 1)
    await go(heddle.sessions.create({ id: "p", policy: { steps: 4 } }))
    for (const id of ["x", "y", "z"]) await go(heddle.sessions.create({ id, parent: "p" }))
    const exits = await go(Effect.forEach(["x", "y", "z"], (session) => Effect.exit(heddle.run(three, undefined, { session })), { concurrency: "unbounded" }))
    expect(exits.filter(({ _tag }) => _tag === "Success").length).toBeLessThan(2)

    await go(heddle.sessions.create({ id: "f", policy: { steps: 100, runs: 4 } }))
    await go(heddle.run(three, undefined, { id: "r", session: "f" }))
    await go(heddle.fork(three, "r", "c", { as: "fork" }))
    expect(await go(heddle.sessions.usage("f"))).toMatchObject({ steps: 3, runs: 2 })
    await go(heddle.resume(three, "fork"))
    expect(await go(heddle.sessions.usage("f"))).toMatchObject({ steps: 4, runs: 2 })
    await go(heddle.prune())
    expect(await go(heddle.sessions.usage("f"))).toMatchObject({ steps: 4, runs: 2 })
    await go(heddle.run(three, undefined, { session: "f" }))
    await go(heddle.run(three, undefined, { session: "f" }))
    expect((await failure(heddle.run(three, undefined, { session: "f" }))).message).toContain("it has started 4 runs")
    await go(heddle.prune())
    expect((await failure(heddle.run(three, undefined, { session: "f" }))).message).toContain("it has started 4 runs")

    await go(heddle.sessions.create({ id: "d", policy: { steps: 100 } }))
    const slow = Effect.runPromise(Effect.exit(heddle.run(seq("slow").step("s", () => sleep(60)), undefined, { session: "d" }) as Effect.Effect<unknown>))
    await sleep(10)
    await go(heddle.sessions.change("d", { policy: { steps: 2 } }))
    expect(await failure(heddle.run(three, undefined, { session: "d" }))).toMatchObject({ _tag: "LimitExceeded", allowed: 2 })
    await slow
  })

  it("a session in which something goes on is not idle; policies are checked; one bad session stops nobody", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const { sessions } = heddle
    await go(sessions.create({ id: "busy", policy: { idle: "20 millis" } }))
    const run = Effect.runPromise(heddle.run(seq("slow").step("s", () => sleep(80)), undefined, { session: "busy" }) as Effect.Effect<unknown>)
    await sleep(50)
    expect(await go(sessions.retire())).toEqual({ ended: [], retired: [], failed: [] })
    await run
    for (const policy of [{ idle: "garbage" }, { steps: -1 }, { rate: { limit: 0, per: "1 second" } }, { rate: 5 }, { duration: 0 }, { tokans: 5 }]) {
      expect((await failure(sessions.create({ policy: policy as never }))).message).toContain("its policy")
      expect((await failure(sessions.change("busy", { policy: policy as never }))).message).toContain("its policy")
    }
    expect(await go(sessions.create({ policy: { steps: undefined, rate: { limit: 1, per: "1 second" }, idle: 5 } as never }))).toMatchObject({
      status: "active",
    })
    for (const id of ["bad", "good"]) {
      await go(heddle.artifacts.put("a", id, { session: id }))
      await go(sessions.create({ id }))
      await go(sessions.complete(id))
    }
    const damaged = makeHeddle({
      ...store,
      blobs: {
        ...store.blobs,
        read: (hash, n) => Effect.map(store.blobs.read(hash, n), (bytes) => (Buffer.from(bytes!).toString() === "bad" ? undefined : bytes)),
      },
    })
    expect(await go(damaged.sessions.retire({ olderThan: 0 }))).toMatchObject({
      retired: ["good"],
      failed: [{ session: "bad", reason: expect.stringContaining("lacks chunk 0") }],
    })
    await go(store.runs.adopt({ ...(await go(heddle.list()))[0]!, id: "loose", session: "nobody" }, { events: [], signals: [] }))
    expect((await go(heddle.prune())).map(({ id }) => id)).toContain("loose")
    expect(await go(sessions.usage("nobody"))).toEqual({ runs: 0, artifacts: 0, artifactBytes: 0 })
  })

  it("a document that is changed in its policy is not believed", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.sessions.create({ id: "s" }))
    const { format, sha256: _, ...content } = JSON.parse(await go(heddle.sessions.export("s")))
    content.session.policy = "{\"idle\":\"garbage\"}"
    expect(await failure(heddle.sessions.import(JSON.stringify({ format, sha256: digest(content), ...content }), "x"))).toMatchObject({ at: "session.policy" })
  })
})

describe("content", () => {
  it("that is used again is as new: nobody takes it for forgotten", async () => {
    await go(Effect.scoped(Effect.gen(function*() {
      for (const store of [memoryStore(), yield* openSqlite(file())]) {
        const heddle = makeHeddle(store)
        const large = "x".repeat(inline + 1)
        const flow = seq("f").step("a", () => large)
        yield* heddle.run(flow, undefined, { id: "first" })
        yield* Effect.sleep(20)
        const used = Date.now()
        yield* heddle.run(flow, undefined, { id: "second", durability: "exit" })
        yield* store.runs.remove(["first", "second"])
        yield* heddle.artifacts.put("a", large)
        yield* heddle.artifacts.remove("a")
        expect([yield* store.blobs.sweep(used), (yield* store.blobs.sweep(Date.now() + 1000)) > 0]).toEqual([0, true])
        yield* store.blobs.renew("nothing")
      }
    })))
  })

  it("of a step that also changes State is kept beside the journal too", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const flow = seq("f").step("a", async (_, s) => {
      await s.state.increment(total)
      return "x".repeat(inline + 1)
    }, { compensate: () => undefined }).wait("go").step("b", no)
    await out(heddle.run(flow, undefined, waiting))
    const raw = await go(store.events.at(await go(heddle.get("r")), 2))
    expect(raw!.data).toMatch(/^\{"blob":"[0-9a-f]{64}","state":\[/)
    await go(heddle.signal(flow, "r", "go", undefined))
    await out(heddle.resume(flow, "r"))
    expect([await status(heddle, "r"), await go(heddle.state().get(total))]).toEqual(["compensated", 0])
  })

  it("a step that runs again keeps nothing twice and needs no more room", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.sessions.create({ id: "s", policy: { artifactBytes: 100 } }))
    let tries = 0
    const flow = seq("f").step("a", async (_, { artifacts }) => {
      await artifacts.put("big", "x".repeat(60))
      await artifacts.put("two", "A")
      await artifacts.put("two", "B")
      if (++tries < 3) throw new Error("again")
    }, { retry: { times: 5, backoff: 1 } })
    await go(heddle.run(flow, undefined, { session: "s" }))
    expect((await go(heddle.artifacts.list({ session: "s", newest: false }))).map(({ name, version }) => `${name}@${version}`)).toEqual([
      "two@2",
      "two@1",
      "big@1",
    ])
    const sqlite = (await openHeddle({ store: file() }))._unsafeUnwrap()
    tries = 0
    await sqlite.run(flow, undefined, { session: "s" })
    expect((await sqlite.artifacts.list({ session: "s", newest: false }))._unsafeUnwrap().length).toBe(3)
    await sqlite.close()
  })

  it("members that are over do not stand in the way of those that are not", async () => {
    const members = state<number, "m">("m", { scope: "global" })
    await go(Effect.scoped(Effect.gen(function*() {
      for (const store of [memoryStore(), yield* openSqlite(file())]) {
        const at = makeHeddle(store).state()
        for (const name of ["a", "b", "c"]) yield* at.set(members.at(name), 1, { ttl: 1 })
        yield* at.set(members.at("d"), 4)
        yield* Effect.sleep(5)
        expect(yield* at.list(members, { limit: 3 })).toEqual([{ member: "d", value: 4 }])
      }
    })))
  })
})
