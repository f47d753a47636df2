/** Hooks about what steps hold and use: tools, turns of models, agents, State, artifacts; and about sessions. */
import { Effect } from "effect"
import { decide, type Hook, hook, type HookPoint, nest, openHeddle, run, seq, State, state, step, tool } from "heddle"
import { agent, scripted } from "heddle/agents"
import { testFlow } from "heddle/testing"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { StoreFailed } from "../../src/model/error.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { file, go, no } from "../support.ts"

const beside = seq<number>("beside").step("got", ({ input }) => input)
const double = tool("double", { description: "Doubles.", input: z.object({ n: z.number() }) }, ({ n }) => n * 2)
const fails = tool("fails", { description: "Fails.", input: z.object({ n: z.number() }) }, () => no())
/** Says what it is asked and what its tool has said. */
const echo = (more: { readonly hooks?: ReadonlyArray<Hook>; readonly with?: typeof double | typeof fails } = {}) =>
  agent("echo", {
    input: z.object({ n: z.number() }),
    tools: [more.with ?? double],
    prompt: ({ n }) => `n is ${n}`,
    ...(more.hooks === undefined ? {} : { hooks: more.hooks }),
    model: scripted(({ messages, tools }) => {
      const last = messages.at(-1)!
      return last.role === "tool" ?
        `${messages.find(({ role }) => role === "user")!.text}: ${last.text}` :
        { calls: [{ name: tools[0]!.name, args: { n: 2 } }] }
    }),
  })
const kept = state("kept", { schema: z.number(), scope: "flow", initial: 0 })
const keeps = () =>
  seq("keeps").step("s", async (_, { state: own }) => {
    await own.set(kept, 1)
    return own.get(kept)
  })
const makes = () => seq("makes").step("s", async (_, { artifacts }) => artifacts.put("a.txt", "content", { tags: ["own"] }))

const flows = {
  tool: { works: () => seq("f").step("n", nest(double, () => ({ n: 4 }))), fails: () => seq("f").step("n", nest(fails, () => ({ n: 4 }))) },
  agent: {
    works: () => seq("f").step("n", nest(echo(), () => ({ n: 4 }))),
    fails: () => seq("f").step("n", nest(agent("echo", { input: z.object({ n: z.number() }), model: scripted([]) }), () => ({ n: 4 }))),
  },
  turn: {
    works: () => seq("f").step("n", nest(echo(), () => ({ n: 4 }))),
    fails: () => seq("f").step("n", nest(agent("echo", { input: z.object({ n: z.number() }), model: scripted([]) }), () => ({ n: 4 }))),
  },
  state: { works: keeps, fails: keeps },
  artifact: { works: makes, fails: makes },
} as const
const with_ = (flow: any, ...hooks: ReadonlyArray<Hook>) => testFlow(flow, undefined as never, { hooks })
const value = async (flow: any, ...hooks: ReadonlyArray<Hook>): Promise<any> => {
  const { result } = await with_(flow, ...hooks)
  return result.ok ? result.value : result.error
}

describe.each(["tool", "agent"] as const)("%s", (kind) => {
  const at = (when: string, answer: (told: any) => any) => hook(`${kind}.${when}` as HookPoint, answer as never)
  it("is told its name, what it is given, what it gives, how it fails", async () => {
    const told: Array<unknown> = []
    const tell = (when: string) =>
      at(when, ({ name, input, output, error, path }) => {
        told.push([when, path, name, input, output ?? error?._tag])
      })
    const name = kind === "tool" ? "double" : "echo"
    await value(flows[kind].works(), tell("before"), tell("after"), tell("error"))
    if (kind === "tool") expect(told).toEqual([["before", "n", name, { n: 4 }, undefined], ["after", "n", name, { n: 4 }, 8]])
    else expect(told).toEqual([["before", "n", name, { n: 4 }, undefined], ["after", "n", name, { n: 4 }, "n is 4: 4"]])
    told.length = 0
    await value(flows[kind].fails(), tell("before"), tell("after"), tell("error"))
    expect(told.map((one: any) => [one[0], one[4]])).toEqual([["before", undefined], ["error", kind === "tool" ? "No" : "ModelFailed"]])
  })
  it("before: modify, replace; after: replace; error: replace", async () => {
    expect(await value(flows[kind].works(), at("before", () => decide.modify({ n: 10 })))).toEqual({ n: kind === "tool" ? 20 : "n is 10: 4" })
    expect(await value(flows[kind].works(), at("before", () => decide.modify({ n: "x" })))).toMatchObject({ _tag: "InputInvalid", path: "n" })
    expect(await value(flows[kind].works(), at("before", () => decide.replace("instead")))).toEqual({ n: "instead" })
    expect(await value(flows[kind].works(), at("after", ({ output }) => decide.replace(`${output}!`)))).toEqual({ n: kind === "tool" ? "8!" : "n is 4: 4!" })
    expect(await value(flows[kind].fails(), at("error", () => decide.replace("instead")), at("after", ({ output }) => decide.replace([output])))).toEqual({
      n: ["instead"],
    })
  })
  it.each(["before", "after", "error"] as const)("%s: cancel", async (when) => {
    expect(await value(flows[kind][when === "error" ? "fails" : "works"](), at(when, () => decide.cancel("no")))).toMatchObject({ _tag: "RunCancelled" })
  })
  it.each(["after", "error"] as const)("%s: fork", async (when) => {
    const heddle = makeHeddle(memoryStore(), { hooks: [at(when, () => decide.fork(beside, 7))] })
    await go(Effect.exit(heddle.run(flows[kind][when === "error" ? "fails" : "works"]() as never, undefined as never, { id: "r" })))
    expect(await go(heddle.list({ flow: "beside" }))).toMatchObject([{ origin: "r", input: "7" }])
  })
})

describe("tools", () => {
  it("called by a model, with the hooks of its agent, of the tool and of the engine", async () => {
    const own = tool("own", {
      description: "Own.",
      input: z.object({ n: z.number() }),
      hooks: [hook("tool.after", ({ output }) => decide.replace(Number(output) + 1))],
    }, ({ n }) => n)
    const asks = echo({ with: own as never, hooks: [hook("tool.before", ({ input }) => decide.modify({ n: (input as { n: number }).n * 10 }))] })
    expect((await run(asks, { n: 1 }))._unsafeUnwrap()).toBe("n is 1: 21")
    expect((await run(seq("f").step("a", nest(own, () => ({ n: 1 }))), undefined))._unsafeUnwrap()).toEqual({ a: 2 })
    // a step that is no tool is none
    const plain = step("plain", ({ n }: { n: number }) => n)
    expect(await value(seq("f").step("a", nest(plain, () => ({ n: 1 }))), hook("tool.before", () => decide.replace(9)))).toEqual({ a: 1 })
  })
  it("its hooks are not asked about a store that fails", async () => {
    const broken = tool(
      "broken",
      { description: "Its store fails.", input: z.object({}) },
      () => Effect.fail(new StoreFailed({ store: "s", operation: "o", reason: "r", cause: undefined })),
    )
    expect(await value(seq("f").step("a", nest(broken, () => ({}))), hook("tool.error", () => decide.replace(1)))).toMatchObject({ _tag: "StoreFailed" })
  })
})

describe("agents and turns", () => {
  it("an agent that is the run is asked about too, and a resumed one goes on", async () => {
    const told: Array<unknown> = []
    const hooks = [
      hook("agent.before", ({ path, name, input }) => {
        told.push([path, name, input])
        return decide.modify({ n: 5 })
      }),
      hook("agent.after", ({ output }) => decide.replace(`${output}.`)),
    ]
    expect((await run(echo(), { n: 1 }, { hooks }))._unsafeUnwrap()).toBe("n is 5: 4.")
    expect(told).toEqual([["", "echo", { n: 1 }]])
    expect((await run(echo(), { n: 1 }, { hooks: [hook("agent.before", () => decide.modify({ n: "x" }))] }))._unsafeUnwrapErr()).toMatchObject({
      _tag: "InputInvalid",
    })
  })
  it("turns: what is asked and what is answered", async () => {
    const before = hook("turn.before", ({ name, input }) => {
      const { messages } = input as { messages: ReadonlyArray<{ role: string; text: string }> }
      return name === "echo" ?
        decide.modify({ messages: messages.map((one) => one.role === "user" ? { ...one, text: `${one.text}, please` } : one) }) :
        undefined
    })
    expect(await value(flows.turn.works(), before)).toEqual({ n: "n is 4, please: 4" })
    const usage = { input: 1, output: 1 }
    const answer = { text: "canned", calls: [], reason: "stop", usage }
    expect(await value(flows.turn.works(), hook("turn.before", () => decide.replace(answer)))).toEqual({ n: "canned" })
    expect(await value(flows.turn.works(), hook("turn.after", ({ output }) => decide.replace({ ...(output as object), calls: [], text: "cut" })))).toEqual({
      n: "cut",
    })
    expect(await value(flows.turn.fails(), hook("turn.error", () => decide.replace(answer)))).toEqual({ n: "canned" })
    for (const point of ["turn.before", "turn.after", "turn.error"] as const) {
      expect(await value(flows.turn[point === "turn.error" ? "fails" : "works"](), hook(point, () => decide.cancel("no")))).toMatchObject({
        _tag: "RunCancelled",
      })
    }
    for (const point of ["turn.after", "turn.error"] as const) {
      const heddle = makeHeddle(memoryStore(), { hooks: [hook(point, () => decide.fork(beside, 7))] })
      await go(Effect.exit(heddle.run(flows.turn[point === "turn.error" ? "fails" : "works"]() as never, undefined as never, { id: "r" })))
      expect((await go(heddle.list({ flow: "beside" }))).length).toBeGreaterThan(0)
    }
  })
})

describe("State", () => {
  const at = (answer: (told: any) => any) => hook("state.before", answer)
  const seen = async (flow: any, ...hooks: ReadonlyArray<Hook>) => {
    const heddle = makeHeddle(memoryStore(), { hooks })
    const output = await go(Effect.match(heddle.run(flow, undefined as never), { onSuccess: (all: any) => all, onFailure: (error) => error }))
    return [output.s ?? output, await go(heddle.state({ flow: "keeps" }).get(kept))]
  }
  it("replace, skip, cancel, for every kind of change", async () => {
    expect(await seen(keeps(), at(() => decide.replace(7)))).toEqual([7, 7])
    expect(await seen(keeps(), at(() => decide.skip("no")))).toEqual([0, 0])
    expect(await seen(keeps(), at(() => undefined))).toEqual([1, 1])
    expect((await seen(keeps(), at(() => decide.cancel("no"))))[0]).toMatchObject({ _tag: "RunCancelled" })
    const told: Array<unknown> = []
    const all = seq("keeps").step("s", async (_, { state: own }) => {
      const said: Array<unknown> = []
      await own.set(kept, 1)
      said.push(await own.increment(kept, 2), await own.update(kept, (n) => n * 10), await own.compareAndSet(kept, 30, 31), await own.compareAndSet(kept, 5, 6))
      await own.delete(kept)
      said.push(await own.get(kept))
      return said
    })
    const tell = at(({ key, of, value: next, path }) => {
      told.push([path, key, of, next])
    })
    expect(await seen(all, tell)).toEqual([[3, 30, true, false, 0], 0])
    expect(told).toEqual([1, 3, 30, 31, undefined].map((next) => ["s", "kept", "flow", next]))
    // what was there before the change that is left out stays; what is added to another value is no sum any more
    expect(await seen(all, at(({ value: next }) => next === 30 || next === undefined ? decide.skip("no") : undefined))).toEqual([[3, 3, false, false, 3], 3])
    expect(await seen(all, at(({ value: next }) => next === 3 ? decide.replace(100) : undefined))).toEqual([[100, 1000, false, false, 0], 0])
  })
  it("what takes its place must fit, and steps that are Effects are asked about too", async () => {
    expect((await seen(keeps(), at(() => decide.replace("x"))))[0]).toMatchObject({ _tag: "StateRefused" })
    const effect = seq("keeps").step("s", () => Effect.andThen(State.set(kept, 1), State.get(kept)))
    expect(await seen(effect, at(() => decide.replace(5)))).toEqual([5, 5])
    const own = seq("keeps").step("s", async (_, { state: mine }) => mine.update(kept, () => 1), { hooks: [at(() => decide.replace(8))] }).step(
      "t",
      async (_, { state: mine }) => mine.get(kept),
    )
    expect(await seen(own)).toEqual([8, 8])
  })
})

describe("artifacts", () => {
  it("before: modify, cancel; after: cancel, fork", async () => {
    const tell: Array<unknown> = []
    const told = hook("artifact.before", ({ input }) => {
      tell.push(input)
    })
    expect((await value(makes(), told)).s).toMatchObject({ name: "a.txt", mime: "text/plain", tags: ["own"] })
    expect(tell).toEqual([{ name: "a.txt", mime: "text/plain", type: "artifact", tags: ["own"], about: {} }])
    const changed = hook("artifact.before", ({ input }) => decide.modify({ name: `checked/${(input as { name: string }).name}`, tags: ["hooked"] }))
    expect((await value(makes(), changed)).s).toMatchObject({ name: "checked/a.txt", mime: "text/plain", tags: ["hooked"] })
    expect(await value(makes(), hook("artifact.before", () => decide.modify({ name: "../x" })))).toMatchObject({ _tag: "ArtifactRefused" })
    expect(await value(makes(), hook("artifact.before", () => decide.cancel("no")))).toMatchObject({ _tag: "RunCancelled" })
    expect(await value(makes(), hook("artifact.after", ({ artifact }) => decide.cancel(`no ${artifact.name}`)))).toMatchObject({ reason: "no a.txt" })
    const heddle = makeHeddle(memoryStore(), { hooks: [hook("artifact.after", ({ artifact }) => decide.fork(beside, artifact.size))] })
    await go(heddle.run(makes(), undefined))
    expect(await go(heddle.list({ flow: "beside" }))).toMatchObject([{ input: "7" }])
  })
})

describe("what a fresh reading has found", () => {
  const keep = (changes: (own: any) => Promise<unknown>, ...hooks: ReadonlyArray<Hook>) => {
    const heddle = makeHeddle(memoryStore(), { hooks })
    const flow = seq("keeps").step("s", async (_, { state: own }) => changes(own))
    return go(Effect.flatMap(Effect.exit(heddle.run(flow, undefined)), () => heddle.state({ flow: "keeps" }).get(kept)))
  }
  it("a guard of State that fails keeps the change out, whatever the step makes of it", async () => {
    const swallow = (own: any) => own.set(kept, 666).catch(() => "swallowed")
    expect(await keep(swallow, hook("state.before", () => Promise.reject(new Error("down")), { onFailure: "fail" }))).toBe(0)
    expect(await keep(swallow, hook("state.before", () => decide.replace("x")))).toBe(0)
  })
  it("changes at once are asked about one after the other; a change that is left out is told so", async () => {
    const first = hook("state.before", async ({ value: next }) => next === 1 ? decide.skip("no") : undefined)
    expect(await keep((own) => Promise.all([own.increment(kept, 1), own.increment(kept, 10)]), first)).toBe(10)
    const said: Array<unknown> = []
    const bare = state("bare", { schema: z.number(), scope: "flow" })
    const flow = seq("f").step("s", async (_, { state: own }) => {
      said.push(await own.compareAndSet(kept, 0, 5), await own.increment(bare, 3))
      await own.set(kept, 8)
      await own.delete(kept)
      said.push(await own.update(kept, () => 9))
    })
    const left = hook("state.before", ({ value: next }) => next === 8 || next === undefined ? undefined : decide.skip("no"))
    await go(makeHeddle(memoryStore(), { hooks: [left] }).run(flow, undefined))
    expect(said).toEqual([false, 0, 0])
  })

  it("a fork for each artifact and each attempt, and none twice", async () => {
    const beside = seq<string>("beside").step("got", ({ input }) => input)
    const heddle = makeHeddle(memoryStore(), {
      hooks: [
        hook("artifact.after", ({ artifact }) => decide.fork(beside, artifact.name)),
        hook("tool.error", ({ error }) => decide.fork(beside, String(error))),
      ],
    })
    const two = seq("two").step("s", async (_, { artifacts }) => {
      await artifacts.put("a", "1")
      await artifacts.put("b", "2")
    })
    expect(await go(Effect.exit(heddle.run(two, undefined)))).toMatchObject({ _tag: "Success" })
    let tries = 0
    const flaky = tool("flaky", { description: "Fails.", input: z.object({}), retry: { times: 2, backoff: 1 } }, async (): Promise<number> => {
      throw new Error(`no ${++tries}`)
    })
    expect(await go(Effect.flip(heddle.run(seq("f").step("s", nest(flaky, () => ({}))), undefined)))).toMatchObject({ _tag: "StepThrew" })
    expect((await go(heddle.list({ flow: "beside" }))).map(({ input }) => input)).toHaveLength(5)
    // asked again with another input: the one that was started is it
    let asked = 0
    const again = makeHeddle(memoryStore(), {
      hooks: [hook("step.after", () => decide.fork(beside, `${++asked}`)), hook("step.after", () => decide.retry({ times: 1 }), { priority: 1 })],
    })
    await go(again.run(seq("f").step("s", () => 1), undefined))
    expect((await go(again.list({ flow: "beside" }))).map(({ input }) => input)).toEqual(["\"1\""])
  })

  it("hooks of an agent are asked about it where it is a step, a tool, a run", async () => {
    const told: Array<string> = []
    const asks = echo({ hooks: [hook("agent.before", ({ path }) => void told.push(path))] })
    await run(seq("f").step("n", nest(asks, () => ({ n: 1 }))))
    const outer = agent("outer", {
      input: z.object({}),
      tools: [asks],
      model: scripted(({ messages }) => messages.at(-1)?.role === "tool" ? "done" : { calls: [{ name: "echo", args: { n: 1 } }] }),
    })
    expect((await run(outer, {}))._unsafeUnwrap()).toBe("done")
    await run(seq("f").step(nest(asks, { as: "run" }) as never), { n: 1 } as never)
    expect(told).toEqual(["n", "turns[0]/calls[0]/done/echo/run/call", ""])
    const lost = seq("f").step("n", nest(asks, () => ({ n: 1 }), { as: "run" }), { hooks: [hook("agent.before", () => undefined)] })
    expect((await run(lost))._unsafeUnwrapErr()).toMatchObject({ _tag: "FlowInvalid" })
  })

  it("an agent that has begun is not asked about again when it goes on elsewhere", async () => {
    const pay = tool("pay", { description: "Pays.", input: z.object({}), approval: true }, () => "paid")
    const clerk = agent("clerk", {
      input: z.object({}),
      tools: [pay],
      model: scripted(({ messages }) => messages.at(-1)?.role === "tool" ? messages.at(-1)!.text : { calls: [{ name: "pay", args: {} }] }),
    })
    for (const flow of [clerk, seq("f").step("clerk", nest(clerk, () => ({}))).returns(({ clerk: said }) => said)] as ReadonlyArray<any>) {
      const store = memoryStore()
      await go(Effect.exit(makeHeddle(store).run(flow, {} as never, { id: "r", onSuspend: "return" })))
      const other = makeHeddle(store, { hooks: [hook("agent.before", () => decide.replace("instead"))] })
      const ask = (await go(other.events("r"))).findLast(({ kind, name }) => kind === "step.completed" && name === "ask")!
      await go(other.signal(flow, "r", "approval" as never, { hash: JSON.parse(ask.data).output.hash, approved: true } as never))
      expect(await go(other.resume(flow, "r"))).toBe("paid")
    }
  })

  it("what was done with another input is undone with it, also by another process", async () => {
    const undone: Array<unknown> = []
    const input = z.object({ account: z.string() })
    const undo = (_output: string, given: { account: string }) => void undone.push(given)
    const charge = tool("charge", { description: "Charges.", input, effects: "money", compensate: undo }, ({ account }: { account: string }) => account)
    const flow = seq("f").step("c", nest(charge, () => ({ account: "A" }))).step("no", no)
    await run(flow, undefined, { hooks: [hook("tool.before", () => decide.modify({ account: "B" }))] })
    await run(flow, undefined)
    expect(undone).toEqual([{ account: "B" }, { account: "A" }])
  })

  it("what a hook puts in the place of something fits it", async () => {
    const strict = tool("strict", { description: "A number.", input: z.object({}), output: z.number() }, () => 1)
    const strictly = seq("f").step("s", nest(strict, () => ({})))
    for (const point of ["tool.before", "tool.after"] as const) {
      expect(await value(strictly, hook(point, () => decide.replace("text")))).toMatchObject({ _tag: "OutputInvalid", path: "s" })
    }
    expect(await value(flows.turn.works(), hook("turn.before", () => decide.modify("garbage")))).toMatchObject({ _tag: "InputInvalid" })
    expect(await value(flows.turn.works(), hook("turn.after", () => decide.replace({ calls: 3 })))).toMatchObject({ _tag: "OutputInvalid" })
    expect(await value(flows.turn.works(), hook("turn.before", () => decide.replace({ text: "short" })))).toEqual({ n: "short" })
    expect(await value(makes(), hook("artifact.before", () => decide.modify({ tags: "x" })))).toMatchObject({ _tag: "ArtifactRefused" })
    expect(await value(makes(), hook("artifact.before", () => decide.modify({ name: 7 })))).toMatchObject({ _tag: "ArtifactRefused" })
  })

  it("a session that may not change has lost nothing", async () => {
    await using heddle = (await openHeddle({
      hooks: [
        hook("session.before", ({ from, to, session }) => from !== undefined || to !== "active" || session === "evil" ? decide.cancel("no") : undefined),
      ],
    }))._unsafeUnwrap()
    const { sessions } = heddle
    await sessions.create({ id: "s" })
    const waits = seq("w").wait("go")
    await heddle.run(waits, undefined, { id: "r", session: "s", onSuspend: "return" })
    const text = (await sessions.export("s"))._unsafeUnwrap()
    for (const refused of [sessions.fail("s", "x"), sessions.complete("s", { cancel: true }), sessions.suspend("s"), sessions.import(text, "evil")]) {
      expect((await refused)._unsafeUnwrapErr()).toMatchObject({ _tag: "SessionRefused", reason: "a hook says: no" })
    }
    expect((await heddle.get("r"))._unsafeUnwrap().status).toBe("suspended")
    // what cannot be anyhow is not asked about
    expect((await sessions.resume("s"))._unsafeUnwrapErr()).toMatchObject({ reason: expect.stringContaining("it is active") })
    await using other = (await openHeddle({ store: file() }))._unsafeUnwrap()
    await other.sessions.create({ id: "t" })
    await other.sessions.complete("t")
    other.hook(hook("session.before", () => decide.cancel("no")))
    expect((await other.sessions.archive("t"))._unsafeUnwrapErr()).toMatchObject({ reason: "a hook says: no" })
    expect((await other.artifacts.list({ session: "!archive" }))._unsafeUnwrap()).toEqual([])
  })
})

it("sessions: a change of status is refused", async () => {
  const told: Array<unknown> = []
  await using heddle = (await openHeddle({
    store: file(),
    hooks: [hook("session.before", ({ session, from, to, reason }) => {
      told.push([session, from, to, reason])
      return to === "completed" ? decide.cancel("not before Monday") : undefined
    })],
  }))._unsafeUnwrap()
  const { sessions } = heddle
  expect((await sessions.create({ id: "s" })).isOk()).toBe(true)
  expect((await sessions.suspend("s", "lunch")).isOk()).toBe(true)
  expect((await sessions.resume("s")).isOk()).toBe(true)
  expect((await sessions.complete("s"))._unsafeUnwrapErr()).toMatchObject({
    _tag: "SessionRefused",
    asked: "become completed",
    reason: "a hook says: not before Monday",
  })
  expect((await sessions.get("s"))._unsafeUnwrap().status).toBe("active")
  expect(told).toEqual([["s", undefined, "active", undefined], ["s", "active", "suspended", "lunch"], ["s", "suspended", "active", undefined], [
    "s",
    "active",
    "completed",
    undefined,
  ]])
  // hooks of one session, and one that fails
  const remove = heddle.hook(hook("session.before", () => Promise.reject(new Error("unreachable")), { onFailure: "fail" }), { session: "t" })
  expect((await sessions.create({ id: "t" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "SessionRefused", reason: expect.stringContaining("unreachable") })
  expect((await sessions.create({ id: "u" })).isOk()).toBe(true)
  remove()
  expect((await sessions.create({ id: "t" })).isOk()).toBe(true)
})
