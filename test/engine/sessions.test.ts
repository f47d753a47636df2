/** Sessions: what several runs share, from its beginning to its end. */
import { setTimeout as sleep } from "node:timers/promises"
import { Clock, Effect, Stream } from "effect"
import { CurrentStep, hook, nest, openHeddle, seq, state } from "heddle"
import { live } from "heddle/streams"
import { crashEverywhere, jumpingClock, replayRun, replaySession, testFlow } from "heddle/testing"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { digest } from "../../src/engine/untrusted.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failing, failure, file, go, newRun, no, out } from "../support.ts"

const Context = z.object({ tier: z.string(), locale: z.string().default("en") })

it("a flow reads its session's context everywhere, as it was when the run began", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  await go(heddle.sessions.create({ id: "s", context: { tier: "gold" } }))
  const waiting = seq("w", { session: Context }).step("a", ({ session }) => session.tier).wait("go")
    .step("b", ({ session }) => session.tier).step("nested", nest(seq("inner", { session: Context }).step("x", ({ session }) => session.tier), () => undefined))
    .step("child", nest(seq("kid", { session: Context }).step("x", ({ session }) => session.tier), () => undefined, { as: "run" }))
    .step("undoable", () => 1, { compensate: (_, { session }) => void seen.push(session.tier) }).step("c", no)
  const seen: Array<string> = []
  await out(heddle.run(waiting, undefined, { id: "r", session: "s", onSuspend: "return" }))
  await go(heddle.sessions.change("s", { context: { tier: "silver" } }))
  await go(heddle.signal(waiting, "r", "go", undefined))
  await out(makeHeddle(store).resume(waiting, "r"))
  expect(seen).toEqual(["gold"])
  const outputs = (await go(heddle.events("r"))).filter(({ kind }) => kind === "step.completed").map((
    { parent, name, data },
  ) => [`${parent}/${name}`, JSON.parse(data).output])
  expect(outputs.slice(0, 3)).toEqual([["/a", "gold"], ["/b", "gold"], ["nested/x", "gold"]])
  const child = (await go(heddle.list({ flow: "kid" })))[0]!
  expect(await go(heddle.output(child.id))).toEqual({ x: "silver" })
})

it("conditions, cases, loops and items see it; without a session, or with another context, the run is refused", async () => {
  const flow = seq("f", { session: Context }).when(({ session }) => session.tier === "gold").step("gift", () => "cake")
    .match("route", ({ session }) => session.tier as "gold" | "tin", {
      gold: (b) => b.step("a", ({ session }) => session.locale),
      tin: (b) => b.step("b", () => "x"),
    })
    .loop("more", { times: 2, collect: "all" }, (b) => b.step("l", ({ session, index }) => `${session.tier}${index}`))
    .each("all", () => [1, 2], (b) => b.step("e", ({ session, item }) => `${session.tier}${item}`))
    .parallel("p", { x: (b) => b.step("f", ({ session }) => session.tier) })
  const { result } = await testFlow(flow, undefined, { session: { tier: "gold" } })
  expect(result).toMatchObject({
    ok: true,
    value: { gift: "cake", route: { a: "en" }, more: [{ l: "gold0" }, { l: "gold1" }], all: [{ e: "gold1" }, { e: "gold2" }], p: { x: { f: "gold" } } },
  })
  const heddle = makeHeddle(memoryStore())
  // @ts-expect-error -- the compiler says it too
  expect((await failure(heddle.run(flow, undefined))).message).toContain("session: the flow reads its session's context: start it with { session }")
  await go(heddle.sessions.create({ id: "s", context: { tier: 5 } }))
  expect((await failure(heddle.run(flow, undefined, { session: "s" }))).message).toContain("session.tier")
})

it("it goes the way it may, and no other", async () => {
  const heddle = makeHeddle(memoryStore())
  const { sessions } = heddle
  const seen: Array<string> = []
  heddle.listen(({ kind, session }) => void (kind.startsWith("session.") && seen.push(`${kind} ${session}`)))
  const made = await go(sessions.create({ id: "s", name: "n", user: "ada", tags: ["x"], context: { a: 1 }, policy: { tokens: 5 } }))
  expect(made).toMatchObject({ id: "s", status: "active", name: "n", user: "ada", tags: ["x"], context: { a: 1 }, policy: { tokens: 5 }, endedAt: undefined })
  expect(await failure(sessions.resume("s"))).toMatchObject({
    _tag: "SessionRefused",
    message: expect.stringContaining("it is active, and can only become suspended or completed or failed"),
  })
  expect(await go(sessions.suspend("s", "lunch"))).toMatchObject({ status: "suspended", reason: "lunch" })
  expect(await go(sessions.resume("s"))).toMatchObject({ status: "active", reason: undefined })
  expect(await go(sessions.change("s", ({ name, tags }) => ({ name: `${name}!`, tags: [...tags, "y"], policy: { steps: 1 }, user: "bob" })))).toMatchObject({
    name: "n!",
    tags: ["x", "y"],
    policy: { steps: 1 },
    user: "bob",
  })
  expect(await go(sessions.complete("s"))).toMatchObject({ status: "completed", endedAt: expect.any(Number) })
  for (
    const refused of [
      sessions.suspend("s"),
      sessions.fail("s", "x"),
      sessions.change("s", {}),
      sessions.create({ id: "s" }),
      sessions.create({ id: "no spaces" }),
    ]
  ) {
    expect(await failure(refused)).toMatchObject({ _tag: "SessionRefused" })
  }
  expect(await go(sessions.archive("s"))).toMatchObject({ name: "sessions/s.json", type: "session" })
  expect((await failure(sessions.complete("s"))).message).toContain("it is archived, and stays so")
  expect(await failure(sessions.create({ id: "t", parent: "nobody" }))).toMatchObject({ _tag: "SessionNotFound" })
  expect(await failure(sessions.create({ id: "t", context: { f: () => 1 } }))).toMatchObject({ _tag: "NotStorable" })
  expect(await failure(sessions.get("nobody"))).toMatchObject({ _tag: "SessionNotFound" })
  await go(sessions.create())
  expect((await go(sessions.list())).length).toBe(2)
  expect((await go(sessions.list({ status: "archived" }))).map(({ id }) => id)).toEqual(["s"])
  expect(seen.slice(0, 5)).toEqual(["session.active s", "session.suspended s", "session.active s", "session.completed s", "session.archived s"])
})

it("no session is inside itself", async () => {
  const heddle = makeHeddle(memoryStore())
  await go(heddle.sessions.create({ id: "a" }))
  await go(heddle.sessions.create({ id: "b", parent: "a" }))
  await go(heddle.sessions.complete("a"))
  await go(heddle.sessions.retire({ olderThan: 0, remove: true }))
  expect((await failure(heddle.sessions.create({ id: "a", parent: "b" }))).message).toContain("it would be inside itself")
  expect(await go(heddle.run(seq("f").step("a", () => 1), undefined, { session: "b" }))).toEqual({ a: 1 })
  // what somebody else has written to the store
  const store = memoryStore()
  const given = { name: undefined, user: undefined, context: "{}", policy: "{}", tags: [] }
  for (const [id, parent] of [["x", "y"], ["y", "x"]] as const) await go(store.sessions.create({ ...given, id, parent }))
  expect(await go(makeHeddle(store).run(seq("f").step("a", () => 1), undefined, { session: "x" }))).toEqual({ a: 1 })
})

it("changes of several at once are all made; somebody who always loses is told", async () => {
  const heddle = makeHeddle(memoryStore())
  await go(heddle.sessions.create({ id: "s", context: 0 }))
  await go(Effect.forEach([1, 2, 3], () => heddle.sessions.change("s", ({ context }) => ({ context: Number(context) + 1 })), { concurrency: "unbounded" }))
  expect(await go(heddle.sessions.get("s"))).toMatchObject({ context: 3 })
  const store = memoryStore()
  const { SessionConflict } = await import("heddle")
  const losing = makeHeddle(failing(store, "sessions.save", { times: 50, error: new SessionConflict({ session: "s" }) }))
  await go(losing.sessions.create({ id: "s" }))
  expect(await failure(losing.sessions.suspend("s"))).toMatchObject({ _tag: "SessionConflict" })
})

it("suspending stops its runs, resuming lets them go on, in any process; ending waits for them or cancels them", async () => {
  const path = file()
  const heddle = (await openHeddle({ store: path }))._unsafeUnwrap()
  const elsewhere = (await openHeddle({ store: path }))._unsafeUnwrap()
  await heddle.sessions.create({ id: "s" })
  let begun = 0
  const slow = seq("slow").step("a", () => 1).step("b", () => (++begun === 1 ? new Promise<string>(() => undefined) : "b"))
  const waits = seq("waits").wait("go").step("c", () => "c")
  const running = heddle.run(slow, undefined, { id: "running", session: "s" })
  await heddle.run(waits, undefined, { id: "waiting", session: "s", onSuspend: "return" })
  await heddle.start(seq("apart").wait("go"), undefined, { id: "apart", session: "s" })
  await heddle.pause("apart")
  await sleep(20)
  await elsewhere.sessions.suspend("s")
  expect((await running)._unsafeUnwrapErr()).toMatchObject({ _tag: "RunPaused" })
  expect((await heddle.sessions.runs("s"))._unsafeUnwrap().map(({ id, status }) => `${id} ${status}`)).toEqual([
    "apart paused",
    "waiting paused",
    "running paused",
  ])
  const refused = { _tag: "SessionRefused", message: expect.stringContaining("it is suspended: resume it first") }
  expect((await heddle.run(slow, undefined, { session: "s" }))._unsafeUnwrapErr()).toMatchObject(refused)
  expect((await heddle.resume(slow, "running"))._unsafeUnwrapErr()).toMatchObject(refused)
  const worker = (await heddle.worker([slow, waits], { poll: 20 }))._unsafeUnwrap()
  await sleep(60)
  expect((await heddle.get("running"))._unsafeUnwrap().status).toBe("paused")
  await elsewhere.sessions.resume("s")
  while ((await heddle.get("running"))._unsafeUnwrap().status !== "completed") await sleep(10)
  const open = (await heddle.sessions.complete("s"))._unsafeUnwrapErr()
  expect([open._tag, open.message]).toEqual(["SessionRefused", expect.stringContaining("2 of its runs have not ended ('waiting', 'apart')")])
  await worker.stop()
  expect((await heddle.sessions.complete("s", { cancel: true }))._unsafeUnwrap().status).toBe("completed")
  expect([(await heddle.get("waiting"))._unsafeUnwrap().status, (await heddle.get("apart"))._unsafeUnwrap().status]).toEqual(["cancelled", "cancelled"])
  await heddle.close()
  await elsewhere.close()
})

it("a run that somebody else goes on with meanwhile is left to them", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  await go(heddle.sessions.create({ id: "s" }))
  await out(heddle.run(seq("w").wait("go"), undefined, { id: "r", session: "s", onSuspend: "return" }))
  await go(heddle.sessions.suspend("s"))
  const { RunTakenOver } = await import("heddle")
  const racing = makeHeddle(failing(store, "runs.claim", { error: new RunTakenOver({ run: "r" }) }))
  expect(await go(racing.sessions.resume("s"))).toMatchObject({ status: "active" })
  expect((await go(heddle.get("r"))).status).toBe("paused")
})

describe("policies", () => {
  const spend = seq("spend").step("s", (_, step) => step.charge({ tokens: 40, cost: 1 }))

  it("what runs spend counts for their session and the one around it, over processes and restarts", async () => {
    const path = file()
    const open = async () => (await openHeddle({ store: path }))._unsafeUnwrap()
    const one = await open()
    await one.sessions.create({ id: "outer", policy: { tokens: 150 } })
    await one.sessions.create({ id: "s", parent: "outer", policy: { tokens: 100, steps: 50 } })
    await one.run(spend, undefined, { session: "s" })
    await one.run(seq("p").step("child", nest(spend, () => undefined, { as: "run" })), undefined, { session: "s" })
    await one.close()
    const two = await open()
    const exceeded = (await two.run(spend, undefined, { id: "third", session: "s" }))._unsafeUnwrapErr()
    expect(exceeded).toMatchObject({ _tag: "LimitExceeded", path: "s", limit: "tokens", of: "session 's'", used: 120, allowed: 100 })
    expect((await two.sessions.usage("s"))._unsafeUnwrap()).toMatchObject({ tokens: 120, runs: 3, artifacts: 0 })
    await two.sessions.create({ id: "sibling", parent: "outer" })
    expect((await two.run(spend, undefined, { session: "sibling" }))._unsafeUnwrapErr()).toMatchObject({ of: "session 'outer'", used: 160, allowed: 150 })
    expect((await two.sessions.usage("outer"))._unsafeUnwrap()).toMatchObject({ tokens: 160, runs: 0 })
    expect((await two.sessions.errors("s"))._unsafeUnwrap()).toMatchObject([{ run: "third", flow: "spend", path: "s", tag: "LimitExceeded" }])
    await two.close()
  })

  it("a session whose parent is gone goes on; one that has ended does not; what is said of it says what to do", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    await go(heddle.sessions.create({ id: "outer" }))
    await go(heddle.sessions.create({ id: "s", parent: "outer" }))
    await go(store.sessions.remove(["outer"]))
    expect(await go(heddle.run(spend, undefined, { session: "s" }))).toMatchObject({})
    await go(heddle.sessions.complete("s"))
    expect((await failure(heddle.run(spend, undefined, { session: "s" }))).message).toContain("does not allow to run anything: it is completed")
    const { SessionConflict, SessionNotFound, ArtifactNotFound } = await import("heddle")
    expect([new SessionConflict({ session: "s" }).message, new SessionNotFound({ session: "s" }).message, new ArtifactNotFound({ artifact: "a" }).message])
      .toEqual([
        expect.stringContaining("Read it again"),
        expect.stringContaining("sessions.create"),
        expect.stringContaining("artifacts.list"),
      ])
  })

  it("runs that go on together count together", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.sessions.create({ id: "s", policy: { tokens: 100 } }))
    const slowly = seq("slowly").step("s", async (_, step) => {
      await sleep(5)
      step.charge({ tokens: 40 })
    })
    const ended = await go(Effect.forEach([1, 2, 3], () => Effect.exit(heddle.run(slowly, undefined, { session: "s" })), { concurrency: "unbounded" }))
    expect(ended.filter(({ _tag }) => _tag === "Success").length).toBe(2)
  })

  it("so many runs, so fast, so long, so idle", async () => {
    const heddle = makeHeddle(memoryStore())
    const { sessions } = heddle
    const plain = seq("plain").step("a", () => 1)
    await go(sessions.create({ id: "two", policy: { runs: 2 } }))
    await go(heddle.run(plain, undefined, { id: "first", session: "two" }))
    await go(heddle.run(seq("p").step("c", nest(plain, () => undefined, { as: "run" })), undefined, { session: "two" }))
    expect((await failure(heddle.run(plain, undefined, { session: "two" }))).message).toContain("it has started 2 runs")
    expect(await go(heddle.run(plain, undefined, { id: "first", session: "two" }))).toEqual({ a: 1 })
    expect((await failure(heddle.start(plain, undefined, { session: "two" }))).message).toContain("it has started 2 runs")
    await go(sessions.create({ id: "fast", policy: { rate: { limit: 1, per: "50 millis" } } }))
    await go(heddle.run(plain, undefined, { session: "fast" }))
    expect((await failure(heddle.run(plain, undefined, { session: "fast" }))).message).toContain("try again later")
    await sleep(60)
    await go(heddle.run(plain, undefined, { session: "fast" }))
    await go(sessions.create({ id: "short", policy: { duration: "30 millis" } }))
    await go(sessions.create({ id: "idle", policy: { idle: "30 millis" } }))
    await go(sessions.create({ id: "inner", parent: "short", policy: { duration: "1 hour" } }))
    const late = await failure(heddle.run(seq("long").step("s", () => sleep(2000)), undefined, { id: "long", session: "inner" }))
    expect(late).toMatchObject({ _tag: "LimitExceeded", path: "", limit: "time", of: "session 'short'", allowed: 30 })
    for (const [id, words] of [["short", "it lasted longer than the 30 ms"], ["idle", "and it may be idle for 30"]] as const) {
      expect((await failure(heddle.run(plain, undefined, { session: id }))).message).toContain(words)
    }
    expect(await failure(heddle.resume(seq("long").step("s", () => 1), "long"))).toMatchObject({ _tag: "SessionRefused", session: "short" })
    expect(await go(sessions.retire())).toEqual({ ended: ["idle", "short"], retired: [], failed: [] })
    expect(await go(sessions.get("short"))).toMatchObject({ status: "failed", reason: expect.stringContaining("lasted longer") })
  })

  it("a run's own time counts too, whichever is over first", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.sessions.create({ id: "s", policy: { duration: "1 hour" } }))
    const timed = seq("timed", { budget: { time: 10 } }).step("s", () => sleep(2000))
    expect(await failure(heddle.run(timed, undefined, { id: "r", session: "s" }))).toMatchObject({ limit: "time", of: "run 'r'" })
  })
})

it("runs of a session are found with its user's state, and its own hooks are asked in its runs only", async () => {
  const heddle = makeHeddle(memoryStore())
  const credit = state("credit", { scope: "user", initial: 1 })
  const flow = seq("f").step("a", (_, step) => step.state.increment(credit))
  await go(heddle.sessions.create({ id: "s", user: "ada" }))
  await go(heddle.sessions.create({ id: "nobodys" }))
  const asked: Array<string> = []
  const forget = heddle.hook(hook("step.before", ({ run }) => void asked.push(`own ${run}`)), { session: "s" })
  const forgetToo = heddle.hook(hook("step.after", ({ run }) => void asked.push(`second ${run}`)), { session: "s" })
  const everywhere = heddle.hook(hook("step.before", ({ run }) => void asked.push(`all ${run}`)))
  await go(heddle.run(flow, undefined, { id: "1", session: "s" }))
  await go(heddle.run(flow, undefined, { id: "2", session: "s" }))
  expect((await failure(heddle.run(flow, undefined, { id: "3", session: "nobodys" }))).message).toContain("session 'nobodys' belongs to no user")
  forget()
  forgetToo()
  everywhere()
  await go(heddle.run(flow, undefined, { id: "4", session: "s" }))
  expect(asked).toEqual(["all 1", "own 1", "second 1", "all 2", "own 2", "second 2", "all 3"])
  expect(await go(heddle.state({ session: "s" }).get(credit))).toBe(4)
  expect(await go(heddle.state({ user: "ada" }).get(credit))).toBe(4)
})

it("what went wrong in it is told, with where", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  await go(store.runs.adopt(newRun({ id: "odd", status: "failed", session: "s" }), { events: [], signals: [] }))
  const bad = seq("bad").step("a", () => 1).loop({ times: 2 }, (b) => b.step("x", no))
  const undone = seq("undone").step("a", () => 1, { compensate: () => undefined }).step("b", no)
  const budget = seq("budget", { budget: { time: 1 } }).step("a", () => sleep(1000))
  const caught = seq("caught").protect("p", (b) => b.step("x", no), { fallback: () => 1 }).when("w", () => {
    throw new Error("no")
  }, (b) => b)
  const lost = seq("lost").stream("s", () => live(Stream.fail({ _tag: "Down" } as const)), (s) => s)
  for (const flow of [bad, undone, budget, seq("fine").step("a", () => 1), caught, lost] as ReadonlyArray<any>) {
    await out(heddle.run(flow, undefined, { id: flow.ir.name, session: "s" }))
  }
  const errors = await go(heddle.sessions.errors("s"))
  expect(errors.map(({ run, path, tag }) => [run, path, tag])).toEqual([
    ["lost", "", "Down"],
    ["caught", "w", "ConditionThrew"],
    ["budget", "", "LimitExceeded"],
    ["undone", "b", "No"],
    ["bad", "loop#1[0]/x", "No"],
  ])
})

it("crash kit: a session's run is killed at every write and does nothing twice", async () => {
  const turns = state("turns", { scope: "session", initial: 0 })
  const flow = seq("f", { session: Context }).step("a", async (_, step) => (await step.artifacts.put("x", "y"), step.state.increment(turns))).step(
    "b",
    ({ session, a }) => `${session.tier}${a}`,
  )
  expect(await crashEverywhere(flow, undefined, { session: { tier: "gold" }, kills: 2 })).toMatchObject({ wrong: [], repeated: [] })
})

describe("put away and brought back", () => {
  const turns = state("turns", { scope: "session", initial: 0 })
  const flow = seq("f").step("a", async (_, step) => {
    await step.artifacts.put("notes.md", "# hello", { tags: ["t"], about: { n: 1 } })
    return step.state.increment(turns)
  })

  it("with runs, state and artifacts, on another machine", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.sessions.create({ id: "s", user: "ada", context: { a: new Date(0) }, tags: ["x"] }))
    await go(heddle.run(flow, undefined, { id: "r", session: "s" }))
    const text = await go(heddle.sessions.export("s"))
    const there = makeHeddle(memoryStore())
    expect(await go(there.sessions.import(text))).toMatchObject({ id: "s", status: "suspended", user: "ada", context: { a: new Date(0) }, tags: ["x"] })
    expect(await go(there.state({ session: "s" }).get(turns))).toBe(1)
    expect(await go(there.artifacts.text("notes.md", { session: "s" }))).toBe("# hello")
    expect((await go(there.sessions.runs("s"))).map(({ id, status }) => `${id} ${status}`)).toEqual(["r completed"])
    expect(await failure(there.sessions.import(text))).toMatchObject({ _tag: "SessionRefused" })
    expect(await failure(there.sessions.import(text, "not one"))).toMatchObject({ _tag: "BundleInvalid" })
    expect(await failure(there.sessions.import(text, "copy"))).toMatchObject({ _tag: "RunConflict" })
    await go(there.sessions.resume("s"))
    expect(await go(there.run(flow, undefined, { session: "s" }))).toEqual({ a: 2 })
  })

  it("with what artifacts were made from, by whom, who may see them, and what was spent by runs that are gone", async () => {
    const store = memoryStore()
    const heddle = makeHeddle(store)
    const makes = seq("makes").step("a", async (_, { artifacts, charge }) => {
      charge({ tokens: 7 })
      await artifacts.put("draft", "one")
      const draft = await artifacts.put("draft", "two")
      await artifacts.put("page", "<p>two</p>", { from: [draft, { id: "other/x@1" }] })
    })
    await go(heddle.sessions.create({ id: "s", policy: { tokens: 100 } }))
    await go(heddle.run(makes, undefined, { id: "m", session: "s" }))
    await go(heddle.artifacts.remove("draft", { session: "s", version: 1 }))
    await go(heddle.artifacts.grant("page", { to: "other", may: "read" }, { session: "s" }))
    await go(heddle.artifacts.grant("page", { to: "*", may: "read", until: 9e12 }, { session: "s" }))
    await go(heddle.prune({ olderThan: 0 }))
    const text = await go(heddle.sessions.export("s"))
    for (const as of ["s", "copy"]) {
      const there = makeHeddle(memoryStore())
      await go(there.sessions.import(text, as))
      const page = await go(there.artifacts.get("page", { session: as }))
      expect(page).toMatchObject({ version: 1, by: "m/a", from: [`${as}/draft@2`, "other/x@1"] })
      expect((await go(there.artifacts.lineage("page", { session: as }))).map(({ id }) => id)).toEqual([`${as}/draft@2`])
      const [record] = await go(there.artifacts.list({ session: as, name: "page" }))
      expect(record).toMatchObject({ version: 1 })
      expect(await go(there.sessions.usage(as))).toMatchObject({ tokens: 7, runs: 1 })
    }
  })

  it("archived, and read again", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.run(flow, undefined, { id: "r", session: "s" }))
    expect(await failure(heddle.sessions.archive("s"))).toMatchObject({ message: expect.stringContaining("it must have ended") })
    await go(heddle.sessions.fail("s", "enough"))
    const artifact = await go(heddle.sessions.archive("s"))
    expect([
      (await go(heddle.sessions.runs("s"))).length,
      await go(heddle.state({ session: "s" }).get(turns)),
      (await go(heddle.artifacts.list({ session: "s" }))).length,
    ]).toEqual([0, 0, 0])
    const text = await go(heddle.artifacts.text(artifact.name, { session: artifact.session }))
    expect(await go(heddle.sessions.import(text))).toMatchObject({ id: "s", status: "failed", reason: "enough", endedAt: expect.any(Number) })
    expect(await go(heddle.artifacts.text("notes.md", { session: "s" }))).toBe("# hello")
  })

  it("old ones by themselves, or deleted", async () => {
    const heddle = makeHeddle(memoryStore())
    for (const id of ["a", "b", "open"]) await go(heddle.run(flow, undefined, { id, session: id }))
    for (const id of ["a", "b"]) await go(heddle.sessions.complete(id))
    expect(await go(heddle.sessions.retire())).toEqual({ ended: [], retired: [], failed: [] })
    const clock = jumpingClock(Date.now() + 31 * 24 * 3_600_000)
    expect(await go(Effect.provideService(heddle.sessions.retire(), Clock.Clock, clock))).toEqual({ ended: [], retired: ["b", "a"], failed: [] })
    expect(await go(heddle.sessions.get("a"))).toMatchObject({ status: "archived" })
    await go(heddle.sessions.complete("open"))
    expect(await go(heddle.sessions.retire({ olderThan: 0, remove: true }))).toEqual({ ended: [], retired: ["open"], failed: [] })
    expect(await failure(heddle.sessions.get("open"))).toMatchObject({ _tag: "SessionNotFound" })
  })

  it("what somebody else may have written is not believed, and too much is not written", async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.run(flow, undefined, { id: "r", session: "s" }))
    const text = await go(heddle.sessions.export("s"))
    const signed = (change: (content: any) => void) => {
      const { format, sha256: _, ...content } = JSON.parse(text)
      change(content)
      return JSON.stringify({ format, sha256: digest(content), ...content })
    }
    const there = makeHeddle(memoryStore())
    const at = async (change: (content: any) => void) => (await failure(there.sessions.import(signed(change), "x"))).at
    expect(await at((c) => (c.session.status = "archived"))).toBe("session.status")
    expect(await at((c) => (c.session.policy = "[]"))).toBe("session.policy")
    expect(await at((c) => (c.session.context = "{\"__proto__\":1}"))).toBe("session.context")
    expect(await at((c) => (c.session.tags = [1]))).toBe("session.tags[0]")
    expect(await at((c) => (c.session.user = 1))).toBe("session.user")
    expect(await at((c) => (c.session.endedAt = "x"))).toBe("session.endedAt")
    expect(await at((c) => (c.state[0].value = "{"))).toBe("state[0].value")
    expect(await at((c) => (c.state[0].until = "x"))).toBe("state[0].until")
    expect(await at((c) => (c.artifacts[0].about = "[1]"))).toBe("artifacts[0].about")
    expect(await at((c) => (c.artifacts[0].version = 0))).toBe("artifacts[0].version")
    expect(await at((c) => (c.artifacts[0].grants = [{ to: "*", may: "own" }]))).toBe("artifacts[0].grants[0].may")
    expect(await at((c) => (c.session.carried = "{\"spent\":{\"tokens\":-1}}"))).toBe("session.carried.spent.tokens")
    expect(await at((c) => (c.session.carried = "{\"runs\":-1}"))).toBe("session.carried.runs")
    expect(await at((c) => (c.runs[0].id = "no id"))).toBe("runs[0].id")
    expect(await at((c) => (c.runs[0].parent = "no id"))).toBe("runs[0].parent")
    expect(await at((c) => (c.session.policy = "{\"idle\":\"garbage\"}"))).toBe("session.policy")
    expect((await failure(there.sessions.import(text.replace("heddle-session/1", "x")))).at).toBe("format")
    expect(await failure(there.sessions.import(signed((c) => (c.artifacts[0].name = "../x")), "x"))).toMatchObject({ _tag: "ArtifactRefused" })
    const store = memoryStore()
    const large = makeHeddle({ ...store, artifacts: { ...store.artifacts, usage: () => Effect.succeed({ count: 1, bytes: 2 ** 30 }) } })
    await go(large.sessions.create({ id: "s" }))
    expect((await failure(large.sessions.export("s"))).message).toContain("remove some first")
  })
})

describe("replay", () => {
  const calls: Array<string> = []
  const Kind = z.object({ tier: z.string() })
  const flow = seq("triage", { session: Kind, input: z.object({ text: z.string() }) })
    .step("kind", ({ input }) => (calls.push("kind"), input.text.length > 5 ? "long" : "short"))
    .match("route", ({ kind }) => kind as "long" | "short", {
      long: (b) => b.loop("l", { times: 2, collect: "all" }, (c) => c.step("cut", ({ index }) => (calls.push("cut"), index))),
      short: (b) => b.step("keep", () => (calls.push("keep"), "kept")),
    })
    .wait("go", { schema: z.object({ by: z.string() }) })
    .step("end", ({ go: { by }, session }) => (calls.push("end"), `${by} ${session.tier}`))
  const recorded = async () => {
    const heddle = makeHeddle(memoryStore())
    await go(heddle.sessions.create({ id: "s", context: { tier: "gold" } }))
    for (const [id, text] of [["one", "a long text"], ["two", "tiny"]] as const) {
      await out(heddle.run(flow, { text }, { id, session: "s", onSuspend: "return" }))
      await go(heddle.signal(flow, id, "go", { by: "ada" }))
      await go(heddle.resume(flow, id))
    }
    calls.length = 0
    return heddle
  }

  it("exact: nothing works, and everything is as it was", async () => {
    const replays = await replaySession(await recorded(), "s", [flow])
    expect(replays.map(({ run, differences, result }) => [run, differences, result.ok])).toEqual([["one", [], true], ["two", [], true]])
    expect([calls, replays[0]!.steps.map(({ path, from }) => `${path} ${from}`)]).toEqual([[], [
      "kind record",
      "route/long/l[0]/cut record",
      "route/long/l[1]/cut record",
      "end record",
    ]])
    await expect(replaySession(await recorded(), "s", [])).rejects.toThrow("flow 'triage', which was not given")
  })

  it("modified: another output, input or step, and what that changes", async () => {
    const heddle = await recorded()
    const changed = await replayRun(heddle, flow, "one", { replace: { kind: "short" }, run: ["keep", "route/short/keep"] })
    expect(changed.result).toMatchObject({ ok: true, value: { route: { keep: "kept" } } })
    expect([calls, changed.differences.some((one) => one.includes("did not run")), changed.differences.some((one) => one.startsWith("output.route"))]).toEqual([
      ["keep"],
      true,
      true,
    ])
    const other = await replayRun(heddle, flow, "two", { input: { text: "another text" }, run: ["kind"], replace: { "route/long/l[0]/cut": 7 } })
    expect(other.result).toMatchObject({ ok: false, error: { _tag: "Unrecorded" } })
    expect(other.differences).toContain("step 'route/long/l[1]/cut' has no record")
  })

  it("simulated: what is not recorded is made up", async () => {
    const simulated = await replayRun(await recorded(), flow, "one", { replace: { kind: "short" }, unrecorded: ({ path }) => `made up for ${path}` })
    expect(simulated.result).toMatchObject({ ok: true, value: { route: { keep: "made up for route/short/keep" } } })
    expect(simulated.steps).toContainEqual({ path: "route/short/keep", from: "simulation" })
  })

  it("a step at a time, with what can be read there", async () => {
    const heddle = await recorded()
    const stops: Array<string> = []
    const stepped = await replayRun(heddle, flow, "one", {
      breakpoints: ["route/long/l/cut", "end"],
      at: async ({ path, scope, recorded: was }) => {
        stops.push(`${path} ${JSON.stringify(was)} ${Object.keys(scope).length > 1}`)
        return path === "end" ? { output: "mine" } : undefined
      },
    })
    expect(stops).toEqual(["route/long/l[0]/cut {\"output\":0} true", "route/long/l[1]/cut {\"output\":1} true", "end {\"output\":\"ada gold\"} true"])
    expect(stepped.differences).toEqual([expect.stringContaining("output.end")])
    const failed = seq("failed").step("a", () => 1).step("b", () => {
      throw new Error("broken")
    })
    await out(heddle.run(failed, undefined, { id: "f" }))
    const paths: Array<string> = []
    const again = await replayRun(heddle, failed, "f", { breakpoints: "errors", at: async ({ path }) => void paths.push(path) })
    expect([paths, again.differences, again.result]).toMatchObject([["b"], [], { ok: false, error: { _tag: "StepThrew" } }])
    const mended = await replayRun(heddle, failed, "f", { breakpoints: "errors", at: async () => ({ output: 2 }) })
    expect(mended.result).toEqual({ ok: true, value: { a: 1, b: 2 } })
  })
})

it("going back takes changes of state back, and a fork begins with what was there", async () => {
  const heddle = makeHeddle(memoryStore())
  const own = state<number, "own">("own", { scope: "run", initial: 0 })
  const extra = state<number, "extra">("extra", { scope: "run", initial: 0 })
  const all = state<number, "all">("all", { scope: "global", initial: 0 })
  const flow = seq("f").step("a", async (_, step) => (await step.state.increment(all), step.state.set(own, 1)))
    .step("b", async (_, step) => {
      await step.state.increment(all)
      await step.state.set(extra, 1)
      return step.state.update(own, (n) => n * 10 + 2)
    })
    .step("kept", (_, step) => step.state.increment(all), { compensate: () => undefined })
    .step("c", (_, step) => step.state.get(own))
  expect(await go(heddle.run(flow, undefined, { id: "r" }))).toMatchObject({ b: 12, c: 12 })
  await go(heddle.fork(flow, "r", "b", { as: "fork" }))
  const at = (run: string) => go(Effect.forEach([own, extra], (key) => heddle.state({ run }).get(key)))
  expect([await at("fork"), await at("r")]).toEqual([[1, 0], [12, 1]])
  expect(await go(heddle.resume(flow, "fork"))).toMatchObject({ b: 12, c: 12 })
  expect(await go(heddle.state().get(all))).toBe(5)
  await go(heddle.rewind(flow, "r", "b"))
  expect([await at("r"), await go(heddle.state().get(all))]).toEqual([[1, 0], 3])
  expect(await go(heddle.resume(flow, "r"))).toMatchObject({ b: 12, c: 12 })
  expect(await go(heddle.state().get(all))).toBe(5)
  const plain = seq("plain").step("a", () => 1)
  await go(heddle.run(plain, undefined, { id: "p" }))
  await go(heddle.fork(plain, "p", "a"))
})

it("a step knows no session that it does not belong to", async () => {
  const heddle = makeHeddle(memoryStore())
  expect(await go(heddle.run(seq("f").step("a", () => Effect.map(CurrentStep, ({ run }) => run)), undefined, { id: "r", session: "s" }))).toEqual({ a: "r" })
  const later = (await openHeddle({ store: file() }))._unsafeUnwrap()
  expect((await later.sessions.list())._unsafeUnwrap()).toEqual([])
  await later.close()
})
