/** Events as they are told: to whoever follows a run, to whoever listens here, with what ties them to others. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Fiber, Stream } from "effect"
import { decide, type EventDataOf, eventSchema, hook, nest, type Notice, openHeddle, type RunEvent, seq, serverSentEvent, state, tool } from "heddle"
import { agent, scripted } from "heddle/agents"
import { testFlow } from "heddle/testing"
import { expect, it, vi } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { misfit } from "../../src/model/event-data.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { flowOf, targets } from "../crash/patterns.ts"
import { failure, file, go, no, out } from "../support.ts"

const flow = seq("order").step("a", () => 1).wait("go").step("b", () => 2)
const collect = <A>(stream: Stream.Stream<A, unknown>) => go(Stream.runCollect(stream))
const told = (notices: ReadonlyArray<Notice>) => notices.map(({ seq: n, kind, path }) => `${n} ${kind} ${path}`.trim())
const whole = ["1 run.started", "2 step.completed a", "3 wait.started go", "4 run.suspended", "5 run.resumed", "6 wait.completed go", "7 step.completed b"]

it("a run is followed from any number on to its end, without gaps, by however many", async () => {
  const heddle = makeHeddle(memoryStore())
  const early = collect(Stream.orDie(Stream.unwrap(Effect.as(Effect.sleep(30), heddle.follow("r")))))
  await out(heddle.run(flow, undefined, { id: "r", onSuspend: "return" }))
  await sleep(60)
  const later = collect(heddle.follow("r", { after: 4 }))
  const some = collect(heddle.follow("r", { kinds: ["step.*", "*.started"] }))
  await go(heddle.signal(flow, "r", "go", undefined))
  await go(heddle.resume(flow, "r"))
  expect(told(await early)).toEqual([...whole, "8 run.completed"])
  expect(told(await later)).toEqual([...whole.slice(4), "8 run.completed"])
  expect(told(await some)).toEqual(["1 run.started", "2 step.completed a", "3 wait.started go", "7 step.completed b"])
  expect(told(await collect(heddle.follow("r", { after: 7, live: false })))).toEqual(["8 run.completed"])
  expect((await out(Stream.runDrain(heddle.follow("nobody"))))._tag).toBe("RunNotFound")
})

it("what another process writes is seen, and a long past comes in parts", async () => {
  const path = file()
  const long = seq("long").loop("l", { times: 700 }, (b) => b.step("s", () => 1)).wait("go")
  await go(Effect.scoped(Effect.gen(function*() {
    const here = makeHeddle(yield* openSqlite(path))
    // another file's name for the same file: nothing of this process is shared but the file
    const store = yield* openSqlite(path)
    const elsewhere = makeHeddle({ ...store, name: `${path}-elsewhere` })
    yield* Effect.flip(elsewhere.run(long, undefined, { id: "r", onSuspend: "return" }) as Effect.Effect<unknown, unknown>)
    const following = yield* Effect.forkChild(Stream.runCollect(here.follow("r")))
    yield* Effect.sleep(50)
    yield* elsewhere.signal(long, "r", "go", undefined)
    yield* elsewhere.resume(long, "r")
    const seen = yield* Fiber.join(following)
    expect(seen.map(({ seq: n }) => n)).toEqual(Array.from({ length: seen.length }, (_, i) => i + 1))
    expect([seen.length > 1400, seen.at(-1)!.kind]).toEqual([true, "run.completed"])
  })))
})

it("children's events come with their parent's, each run's in order", async () => {
  const heddle = makeHeddle(memoryStore())
  const leaf = seq("leaf").step("l", () => 1)
  const child = seq("kid").step("k", nest(leaf, () => undefined, { as: "run" }))
  const parent = seq("dad").each("all", () => [1, 2], (b) => b.step("c", nest(child, () => undefined, { as: "run" })))
  await go(heddle.run(parent, undefined, { id: "p", correlation: "request-7", session: "ada" }))
  const events = await collect(heddle.follow("p", { children: true }))
  const runs = Map.groupBy(events, ({ run }) => run)
  expect([...runs.keys()].map((id) => id.split("-")[0]!)).toEqual(expect.arrayContaining(["p", "kid", "leaf"]))
  expect(runs.size).toBe(5)
  for (const own of runs.values()) expect(own.map(({ seq: n }) => n)).toEqual(Array.from(own, (_, i) => i + 1))
  expect(new Set(events.map(({ correlation }) => correlation))).toEqual(new Set(["request-7"]))
  const started = events.filter(({ kind, flow: name }) => kind === "run.started" && name === "kid")
  expect(started.map(({ parent: by, cause }) => [by, cause])).toEqual([["p", "p"], ["p", "p"]])
  expect((await go(heddle.list({ correlation: "request-7" }))).length).toBe(5)
  await go(heddle.rerun(parent, "p"))
  await go(heddle.start(leaf, undefined, { session: "ada" }))
  expect([(await go(heddle.list({ session: "ada" }))).length, new Set(events.map(({ session }) => session))]).toEqual([11, new Set(["ada"])])
  expect(await out(heddle.run(parent, undefined, { correlation: "not one" }))).toMatchObject({ _tag: "InputInvalid", issues: [{ path: "correlation" }] })
})

it("forks, other tries and runs started by hooks belong to the same", async () => {
  const heddle = makeHeddle(memoryStore())
  const audit = seq("audit").step("x", () => 1)
  const audited = seq("f", { hooks: [hook("run.after", () => decide.fork(audit, undefined))] }).step("a", () => 1).step("b", () => 1)
  await go(heddle.run(audited, undefined, { id: "r" }))
  await go(heddle.fork(audited, "r", "b", { as: "forked" }))
  await go(heddle.rerun(audited, "r", { id: "again" }))
  const runs = await go(heddle.list({ correlation: "r" }))
  expect(runs.map(({ flow: name, origin }) => `${name} ${origin ?? ""}`.trim()).toSorted()).toEqual(["audit again", "audit r", "f", "f r", "f r"])
})

it("what led to an event: the signal, what was undone", async () => {
  const heddle = makeHeddle(memoryStore())
  const saga = seq("s").step("a", () => 1, { compensate: () => undefined }).wait("go").step("b", no)
  await out(heddle.run(saga, undefined, { id: "r", onSuspend: "return" }))
  await go(heddle.signal(saga, "r", "go", undefined, { id: "mail-1" }))
  await out(heddle.resume(saga, "r"))
  const causes = (await collect(heddle.follow("r"))).filter(({ cause }) => cause !== undefined).map(({ kind, cause }) => `${kind} ${cause}`)
  expect(causes).toEqual(["wait.completed signal:mail-1", "compensation.completed r/2"])
})

it("tools, turns and agents are told of by their names, changes of State and what is undone too", async () => {
  const counter = state("n", { scope: "run", initial: 0 })
  const add = tool("add", { description: "Adds.", input: z.object({ n: z.number() }) }, ({ n }) => n + 1)
  const fails = tool("fails", { description: "Fails.", input: z.object({ n: z.number() }) }, () => no())
  const asks = agent("asks", { input: z.object({ n: z.number() }), tools: [add], model: scripted([{ calls: [{ name: "add", args: { n: 1 } }] }, "done"]) })
  const flow = seq("told", { input: z.object({ n: z.number() }) })
    .step(asks)
    .step("count", (_, step) => step.state.increment(counter), { compensate: () => undefined })
    .parallel("both", { a: (b) => b.step("x", () => 1), b: (b) => b.step("y", () => 1) })
    .step(fails)
  const heddle = makeHeddle(memoryStore())
  const heard: Array<string> = []
  heddle.listen(({ kind, path, data }) => {
    if (/^(tool|turn|agent|state|compensation)\.|^parallel\.started/.test(kind)) heard.push(`${kind} ${path} ${data ?? ""}`)
  })
  await failure(heddle.run(flow, { n: 1 }, { id: "r" }))
  expect(heard).toEqual([
    "agent.started asks {\"name\":\"asks\"}",
    "turn.started asks/turns[0]/turn {\"name\":\"asks\"}",
    "turn.completed asks/turns[0]/turn {\"name\":\"asks\",\"usage\":{\"input\":2,\"output\":0,\"estimated\":true}}",
    "tool.started asks/turns[0]/calls[0]/done/add/run/call {\"name\":\"add\"}",
    "tool.completed asks/turns[0]/calls[0]/done/add/run/call {\"name\":\"add\"}",
    "turn.started asks/turns[1]/turn {\"name\":\"asks\"}",
    "turn.completed asks/turns[1]/turn {\"name\":\"asks\",\"usage\":{\"input\":2,\"output\":1,\"estimated\":true}}",
    "agent.completed asks {\"name\":\"asks\"}",
    "state.changed count {\"changed\":[{\"scope\":\"run:r\",\"name\":\"n\"}]}",
    "parallel.started both {\"count\":2}",
    "tool.started fails {\"name\":\"fails\"}",
    "tool.failed fails {\"name\":\"fails\"}",
    "compensation.started count ",
    "compensation.completed count {\"of\":20,\"spent\":{\"\":{\"tokens\":5}},\"state\":[{\"scope\":\"run:r\",\"name\":\"n\",\"before\":[\"1\",1,null,1],\"revision\":0}]}",
  ])
})

it("a slow reader misses the oldest, is told how many, and no run waits for it", async () => {
  const heddle = makeHeddle(memoryStore())
  const many = seq("m").loop("l", { times: 100 }, (b) => b.step("s", () => 1))
  const seen: Array<string> = []
  const reading = Effect.runFork(Stream.runForEach(
    heddle.subscribe({ flow: "m", kinds: ["loop.iterated", "run.completed"], buffer: 10 }),
    ({ kind, missed }) => Effect.andThen(Effect.sleep(seen.length === 0 ? 50 : 0), Effect.sync(() => seen.push(`${kind} ${missed}`))),
  ))
  const other = Effect.runFork(Stream.runCollect(Stream.take(heddle.subscribe({ run: "r", correlation: "r", kinds: ["step.started"] }), 1)))
  const none = Effect.runFork(Stream.runCollect(heddle.subscribe({ session: "nobody's" })))
  await sleep(10)
  await go(heddle.run(many, undefined, { id: "r" }))
  await go(heddle.run(flow.step("c", () => 1), undefined, { id: "x", onSuspend: "return" }).pipe(Effect.ignore))
  await sleep(150)
  reading.interruptUnsafe()
  none.interruptUnsafe()
  const missed = seen.reduce((sum, line) => sum + Number(line.split(" ")[1]), 0)
  const kept = (await go(heddle.events("r"))).filter(({ kind }) => kind === "loop.iterated" || kind === "run.completed")
  expect([seen.length + missed, kept.length > 90]).toEqual([kept.length, true])
  expect([seen.length < 20, seen.at(-1)]).toEqual([true, "run.completed 0"])
  expect((await go(Fiber.join(other)))[0]).toMatchObject({ id: undefined, seq: undefined, kind: "step.started", run: "r" })
})

it("a subscription hears what happens from the call on, before it is read", async () => {
  await using client = (await openHeddle())._unsafeUnwrap()
  const heard = client.subscribe({ kinds: ["run.*"] })
  await client.run(seq("f").step("a", () => 1), undefined, { id: "r" })
  await client.run(seq("f").step("a", () => 1), undefined, { id: "s" })
  const kinds: Array<string> = []
  for await (const { run: id, kind } of heard) {
    kinds.push(`${id} ${kind}`)
    if (kinds.length === 4) break
  }
  expect(kinds).toEqual(["r run.started", "r run.completed", "s run.started", "s run.completed"])
  // one that nobody reads disturbs nobody; one that was read is forgotten
  client.subscribe()
  for (let i = 0; i < 50; i++) {
    const one = client.subscribe({ kinds: ["run.completed"] })
    await client.run(seq("f").step("a", () => 1), undefined)
    for await (const _ of one) break
  }
  const after = vi.fn()
  client.listen(after)
  await client.run(seq("f").step("a", () => 1), undefined)
  expect(after).toHaveBeenCalled()
})

it("a client gives them as async iterables; a notice becomes a server-sent event", async () => {
  await using client = (await openHeddle())._unsafeUnwrap()
  const live = (async () => {
    for await (const notice of client.subscribe({ kinds: ["*.completed"] })) return notice
    throw new Error("it never ends by itself")
  })()
  await sleep(10)
  await client.run(seq("f").step("a", () => "x\n\ny"), undefined, { id: "r" })
  expect(await live).toMatchObject({ kind: "step.completed", missed: 0 })
  const seen: Array<Notice> = []
  for await (const notice of client.follow("r")) seen.push(notice)
  expect(told(seen)).toEqual(["1 run.started", "2 step.completed a", "3 run.completed"])
  const lines = serverSentEvent(seen[1]!).split("\n")
  expect([lines[0], lines[1], lines.length]).toEqual(["id: r/2", "event: step.completed", 5])
  expect(serverSentEvent({ ...seen[1]!, id: undefined })).toMatch(/^event: /)
})

it("a run that a worker begins has begun: its first event says so, and hooks are asked", async () => {
  let asked = 0
  const heddle = makeHeddle(memoryStore(), { hooks: [hook("run.before", () => void asked++)] })
  const plain = seq("w").step("a", () => 1)
  await go(heddle.start(plain, undefined, { id: "r", correlation: "c" }))
  await go(heddle.pause("r"))
  await go(heddle.resume(plain, "r"))
  await go(heddle.resume(plain, "r"))
  expect(told(await collect(heddle.follow("r")))).toEqual(["1 run.paused", "2 run.started", "3 step.completed a", "4 run.completed"])
  expect(asked).toBe(1)
})

it("every event of every pattern, whole, failed, cancelled or gone back, says what its kind says", async () => {
  const seen = new Set<string>()
  const check = (events: ReadonlyArray<RunEvent>) => {
    for (const { kind, data, seq: n } of events) {
      seen.add(kind)
      expect([n, kind, misfit(kind, JSON.parse(data))]).toEqual([n, kind, undefined])
    }
  }
  for (const target of targets()) {
    const { flow: one, signals } = flowOf(target)
    const { store } = await testFlow(one, undefined, { signals })
    for (const record of await go(store.runs.list({ limit: 100 }))) check(await go(store.events.since(record, 0)))
  }
  const heddle = makeHeddle(memoryStore())
  const saga = seq("s", { budget: { steps: 9 } }).step("a", () => 1, { compensate: no, delivery: "atMostOnce" }).wait("go", {
    schema: z.number(),
    timeout: "1 day",
  })
    .parallel("p", { x: (b) => b.step("x", no) }, { failure: "waitAll" })
  await out(heddle.run(saga, undefined, { id: "r", onSuspend: "return" }))
  await go(heddle.pause("r"))
  await out(heddle.resume(saga, "r", { onSuspend: "return" }))
  await go(heddle.fork(saga, "r", "a", { as: "f" }))
  await go(heddle.rewind(saga, "r", "a"))
  await out(heddle.resume(saga, "r", { onSuspend: "return" }))
  await go(heddle.signal(saga, "r", "go", 1))
  await out(heddle.resume(saga, "r"))
  await go(heddle.cancel("f"))
  for (const id of ["r", "f"]) check(await go(heddle.events(id)))
  expect([...seen].toSorted()).toEqual(
    expect.arrayContaining(["compensation.failed", "fork.failed", "run.cancelled", "run.forked", "run.rewound", "wait.completed"]),
  )
})

it("schemas and types of what events say", () => {
  expect(eventSchema("wait.refused")).toMatchObject({ title: "wait.refused", required: ["received", "reason"], additionalProperties: false })
  expect(Object.keys(eventSchema("step.failed")["properties"] as object)).toEqual(["error", "attempts", "spent"])
  const data: EventDataOf<"when.decided"> = { chosen: "yes" }
  // @ts-expect-error a decision says what was chosen
  const lacking: EventDataOf<"when.decided"> = {}
  // @ts-expect-error and nothing of another kind
  const other: EventDataOf<"when.decided"> = { chosen: "yes", count: 1 }
  expect([misfit("when.decided", data), misfit("when.decided", lacking), misfit("when.decided", other)]).toEqual([undefined, "chosen", "count"])
})

it("a client that closes ends what is read from it; two on one file let their process end", async () => {
  const path = file()
  const [a, b] = [(await openHeddle({ store: path }))._unsafeUnwrap(), (await openHeddle({ store: path }))._unsafeUnwrap()]
  await a.start(flow, undefined, { id: "r" })
  const read = async (stream: AsyncIterable<Notice>) => {
    for await (const _ of stream) void _
  }
  const refused = { _tag: "StoreFailed", reason: expect.stringContaining("closed") }
  const reading = [read(a.follow("r")), read(b.follow("r")), read(a.subscribe())].map((one) => expect(one).rejects.toMatchObject(refused))
  await sleep(50)
  await a.close()
  await b.close()
  await Promise.all(reading)
  await expect(read(a.subscribe())).rejects.toMatchObject(refused)
  await sleep(300)
  // nothing is left that would keep the process alive
  expect(process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length).toBeLessThan(3)
})

it("a follower of a run that was deleted does not go on with another one of its id", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const short = seq("f").step("a", () => 1)
  await go(heddle.start(short, undefined, { id: "r" }))
  const following = out(Stream.runDrain(heddle.follow("r")))
  await sleep(20)
  await go(store.runs.remove(["r"]))
  await sleep(5)
  await go(heddle.run(short, undefined, { id: "r" }))
  expect(await following).toMatchObject({ _tag: "RunNotFound", run: "r" })
})

it("a fork is told, an imported run keeps what it belongs to, and a listener that fails later harms nobody", async () => {
  const heddle = makeHeddle(memoryStore())
  const kinds: Array<string> = []
  const complained = vi.spyOn(console, "error").mockReturnValue(undefined)
  heddle.listen(({ kind }) => void kinds.push(kind))
  // oxlint-disable-next-line typescript/no-misused-promises -- it compiles, so somebody will
  heddle.listen(async () => {
    throw new Error("later")
  })
  await go(heddle.run(seq("f").step("a", () => 1), undefined, { id: "r", correlation: "c" }))
  await go(heddle.fork(seq("f").step("a", () => 1), "r", "a", { as: "g" }))
  await sleep(5)
  expect([kinds.at(-1), complained.mock.calls.length > 0]).toEqual(["run.forked", true])
  complained.mockRestore()
  const other = makeHeddle(memoryStore())
  const bundle = await go(heddle.export("r"))
  await go(other.import(bundle))
  expect((await go(other.list({ correlation: "c" }))).map(({ id }) => id)).toEqual(["r"])
})
