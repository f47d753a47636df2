/** Agents: bounded loops of turns and calls, recorded one by one. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Layer, Schema, Stream } from "effect"
import { nest, openHeddle, run, seq, step, tool } from "heddle"
import {
  agent,
  catalog,
  type CatalogQuery,
  classifier,
  consensus,
  delegate,
  fallback,
  handOff,
  jsonSchemaOf,
  Model,
  ModelFailed,
  type ModelPart,
  pipeline,
  scripted,
} from "heddle/agents"
import { crashEverywhere, testFlow } from "heddle/testing"
import { err, ok } from "neverthrow"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failure, go } from "../support.ts"

const Ask = z.object({ text: z.string() })
const add = tool("add", { description: "Adds two numbers.", input: z.object({ a: z.number(), b: z.number() }), level: "safe" }, ({ a, b }) => a + b)
const calling = (name: string, args: unknown) => ({ calls: [{ name, args }] })
const roles = (request: { readonly messages: ReadonlyArray<{ readonly role: string; readonly text: string }> }) =>
  request.messages.map(({ role, text }) => `${role}: ${text}`)

it("answers with text, on the model of the layer or its own", async () => {
  const model = scripted(["Hello Ada.", "Again."])
  const greet = agent("greet", { input: Ask, instructions: "Be kind.", prompt: ({ text }) => `Greet ${text}.` })
  expect((await run(greet, { text: "Ada" }, { layer: Model.layer(model) }))._unsafeUnwrap()).toBe("Hello Ada.")
  expect(roles(model.requests[0]!)).toEqual(["system: Be kind.", "user: Greet Ada."])
  const own = agent("own", { input: Ask, model, instructions: ({ text }) => `About ${text}.` })
  const flow = seq("f", { input: Ask }).step(own)
  expect((await run(flow, { text: "tea" }))._unsafeUnwrap()).toEqual({ own: "Again." })
  expect(roles(model.requests[1]!)).toEqual(["system: About tea.", "user: {\"text\":\"tea\"}"])
  expect([own.agent, greet.agent]).toEqual([{ name: "own", description: undefined, tools: [], model: "scripted" }, {
    name: "greet",
    description: undefined,
    tools: [],
    model: undefined,
  }])
})

it("bounds its time, and how long a call waits for its approval", async () => {
  const slow = tool("slow", { description: "Takes long.", input: z.object({}) }, () => sleep(500))
  const late = agent("late", { input: Ask, model: scripted([calling("slow", {}), "done"]), tools: [slow], limits: { time: 50 } })
  expect((await run(late, { text: "x" }))._unsafeUnwrapErr()).toMatchObject({
    _tag: "AgentFailed",
    kind: "time",
    message: expect.stringContaining("limits.time"),
  })
  const quick = agent("quick", { input: Ask, model: scripted([calling("add", { a: 1, b: 2 }), "3"]), tools: [add], limits: { time: "1 minute" } })
  expect((await run(quick, { text: "x" }))._unsafeUnwrap()).toBe("3")
  const pay = tool("pay", { description: "Pays.", input: z.object({}), approval: true }, () => "paid")
  const model = scripted([calling("pay", {}), "not paid"])
  const clerk = agent("clerk", { input: Ask, model, tools: [pay], limits: { approval: 20 } })
  expect((await run(clerk, { text: "x" }))._unsafeUnwrap()).toBe("not paid")
  expect(roles(model.requests[1]!).at(-1)).toBe("tool: Error: not approved: nobody has answered in time")
})

it("calls tools, one recorded step a call, and hears what they say", async () => {
  const model = scripted([
    { text: "Let me see.", calls: [{ name: "add", args: { a: 1, b: 2 } }, { name: "add", args: { a: 3, b: 4 } }] },
    calling("shout", { text: "ten" }),
    "It is TEN.",
  ])
  const shout = seq("shout", { input: Ask, description: "Makes text loud." }).step("loud", ({ input }) => input.text.toUpperCase()).returns(({ loud }) => loud)
  const sum = agent("sum", { input: Ask, model, tools: [add, shout], prompt: () => [{ role: "user", text: "Count." }] })
  const { result, events } = await testFlow(sum, { text: "x" })
  expect(result).toEqual({ ok: true, value: "It is TEN." })
  const steps = events.filter(({ kind }) => kind === "step.completed").map(({ parent, name }) => `${parent}/${name}`)
  expect(steps).toContain("turns[0]/calls[1]/done/add/run/call")
  expect(steps).toContain("turns[1]/calls[0]/done/shout/run/call")
  expect(model.requests[2]!.messages.filter(({ role }) => role === "tool").map(({ text }) => text)).toEqual(["3", "7", "TEN"])
  expect(model.requests[0]!.tools).toEqual([
    { name: "add", description: "Adds two numbers.", parameters: expect.objectContaining({ type: "object", required: ["a", "b"] }) },
    { name: "shout", description: "Makes text loud.", parameters: expect.objectContaining({ type: "object" }) },
  ])
})

it("a crash repeats no turn that was paid for, and no call that is recorded", async () => {
  let [turns, calls] = [0, 0]
  const counted = tool("count", { description: "Counts.", input: z.object({}) }, () => ++calls)
  const flow = agent("a", {
    input: Ask,
    tools: [counted, add],
    model: scripted(({ messages }) => {
      turns++
      const said = messages.filter(({ role }) => role === "tool").length
      return said < 4 ? { calls: [{ name: "count", args: {} }, { name: "add", args: { a: said, b: 1 } }] } : "done"
    }),
  })
  const report = await crashEverywhere(flow, { text: "x" }, { reset: () => void ([turns, calls] = [0, 0]) })
  // the counter's own outputs differ where a call was lost with its record
  expect(report.repeated).toEqual([])
  expect(report.points).toBeGreaterThan(40)
})

it("what does not fit is told to the model and never run", async () => {
  const ran: Array<unknown> = []
  const strict = tool("strict", { description: "Takes a number.", input: z.object({ n: z.number() }) }, (given) => void ran.push(given))
  const model = scripted([
    {
      calls: [{ name: "rm", args: { path: "/" } }, { name: "strict", args: { n: "x" } }, { name: "strict", args: "{" }, { name: "strict", args: "" }, {
        name: "strict",
        args: `"${"x".repeat(270_000)}"`,
      }],
    },
    { calls: [{ name: "strict", args: "7" }] },
    "I give up.",
  ])
  const { result } = await testFlow(agent("a", { input: Ask, model, tools: [strict] }), { text: "x" })
  expect([result.ok, ran]).toEqual([true, []])
  const told = model.requests[2]!.messages.flatMap((message) => (message.role === "tool" ? [message.text] : []))
  expect(told).toEqual([
    "Error: there is no tool 'rm'; there are: strict",
    expect.stringContaining("Error: the arguments do not fit: n: "),
    "Error: the arguments are not JSON",
    expect.stringContaining("Error: the arguments do not fit: n: "),
    "Error: the arguments are longer than 262,144 characters",
    expect.stringContaining("Error: the arguments do not fit: (all): "),
  ])
})

it("a tool that fails is told to the model, or fails the agent", async () => {
  const broken = tool(
    "broken",
    { description: "Breaks.", input: z.object({ how: z.string() }) },
    ({ how }) => how === "typed" ? err({ _tag: "Broken" as const, why: "x" }) : how === "thrown" ? Promise.reject(new Error("no line")) : ok("y".repeat(50)),
  )
  const model = scripted([calling("broken", { how: "typed" }), calling("broken", { how: "thrown" }), calling("broken", { how: "long" }), "ok"])
  const telling = agent("telling", { input: Ask, model, tools: [broken], limits: { result: 20 } })
  expect((await testFlow(telling, { text: "x" })).result.ok).toBe(true)
  expect(model.requests[3]!.messages.flatMap((message) => (message.role === "tool" ? [message.text] : []))).toEqual([
    "Error: Broken: Broken {\"_tag\":\"Brok … (14 characters left out)",
    expect.stringContaining("Error: StepThrew: "),
    `${"y".repeat(20)} … (30 characters left out)`,
  ])
  const odd = tool("odd", { description: "x", input: z.object({ how: z.string() }) }, ({ how }) => (how === "nothing" ? undefined : Effect.fail("plain")))
  const hearing = scripted([{ calls: [{ name: "odd", args: { how: "nothing" } }, { name: "odd", args: { how: "fail" } }] }, "ok"])
  await testFlow(agent("odd ones", { input: Ask, model: hearing, tools: [odd] }), { text: "x" })
  expect(hearing.requests[1]!.messages.flatMap((message) => (message.role === "tool" ? [message.text] : []))).toEqual(["(nothing)", "Error: failed: plain"])
  const failing = agent("failing", { input: Ask, model: scripted([calling("broken", { how: "typed" })]), tools: [broken], onToolError: "fail" })
  const failed = (await testFlow(failing, { text: "x" })).result
  expect(failed).toMatchObject({ ok: false, error: { _tag: "Broken" } })
  const tags: ReadonlyArray<string> = failed.ok ? [] : [failed.error._tag]
  expect(tags).toEqual(["Broken"])
})

describe("structured answers", () => {
  const Kind = z.object({ kind: z.enum(["bug", "question"]), n: z.number().default(1) })
  const classify = (model: ReturnType<typeof scripted>, repairs?: number) =>
    agent("classify", { input: Ask, output: Kind, model, ...(repairs === undefined ? {} : { limits: { repairs } }) })

  it("are checked, parsed and mended within bounds", async () => {
    const model = scripted(["It is a bug.", { json: { kind: "cat" } }, "```json\n{\"kind\":\"bug\"}\n```"])
    expect((await testFlow(classify(model), { text: "x" })).result).toEqual({ ok: true, value: { kind: "bug", n: 1 } })
    expect(model.requests[1]!.messages.at(-1)!.text).toContain("- the answer: it is not JSON")
    expect(model.requests[2]!.messages.at(-1)!.text).toContain("- kind: ")
    expect(model.requests[0]!.output).toMatchObject({ name: "classify", schema: { type: "object", properties: { kind: { enum: ["bug", "question"] } } } })
    const never = (await testFlow(classify(scripted(() => "no"), 1), { text: "x" })).result
    expect(never).toMatchObject({
      ok: false,
      error: {
        _tag: "AgentFailed",
        kind: "output",
        issues: [{ path: "" }],
        message: expect.stringContaining("does not fit after 1 repairs\n  (the answer): it is not JSON"),
      },
    })
    const odd = (await testFlow(classify(scripted(() => ({ json: { kind: 1 } })), 0), { text: "x" })).result
    expect(odd.ok ? "" : odd.error.message).toContain("\n  kind: ")
  })

  it("a classifier's labels make a match exhaustive", async () => {
    const kind = classifier("kind", { input: Ask, labels: { bug: "something is broken", question: "somebody asks" }, instructions: "You read tickets." })
    const flow = seq("triage", { input: Ask }).step(kind).match("route", ({ kind: chosen }) => chosen, {
      bug: (b) => b.step("fix", () => 1),
      question: (b) => b.step("say", () => 2),
    })
    const model = scripted([{ json: { label: "cat" } }, { json: { label: "question" } }])
    expect((await run(flow, { text: "x" }, { layer: Model.layer(model) }))._unsafeUnwrap()).toEqual({ kind: "question", route: { say: 2 } })
    expect(roles(model.requests[0]!)[0]).toContain("system: You read tickets.\n\nChoose the one label that fits best:\n- bug: something is broken\n")
    const plain = classifier("plain", { input: Ask, labels: { a: "x" }, instructions: ({ text }) => text, model: scripted([{ json: { label: "a" } }]) })
    expect((await testFlow(plain, { text: "x" })).result).toEqual({ ok: true, value: "a" })
    const bare = classifier("bare", { input: Ask, labels: { a: "x" }, model: scripted([{ json: { label: "a" } }]) })
    expect((await testFlow(bare, { text: "x" })).result).toEqual({ ok: true, value: "a" })
    // @ts-expect-error -- 'question' is not handled
    seq("t", { input: Ask }).step(kind).match("route", ({ kind: chosen }) => chosen, { bug: (b) => b.step("fix", () => 1) })
  })

  it("JSON Schemas come from schemas that give one, or are given", async () => {
    expect(jsonSchemaOf(Kind)).toMatchObject({ type: "object" })
    expect(jsonSchemaOf(Schema.toStandardSchemaV1(Schema.Struct({ a: Schema.String })))).toBeUndefined()
    const effect = Schema.toStandardSchemaV1(Schema.Struct({ a: Schema.String }))
    const seen = scripted(["x", "y"])
    const bare = tool("bare", { description: "x", input: effect }, ({ a }) => a)
    const described = tool(
      "described",
      { description: "x", input: effect, parameters: { type: "object", properties: { a: { type: "string" } } } },
      ({ a }) => a,
    )
    await testFlow(
      agent("a", { input: Ask, model: seen, tools: [bare, described], output: effect, outputSchema: { type: "object" }, limits: { repairs: 0 } }),
      { text: "x" },
    )
    expect(seen.requests[0]!.tools.map(({ parameters }) => parameters)).toEqual([{ type: "object" }, { type: "object", properties: { a: { type: "string" } } }])
    expect(seen.requests[0]!.output).toEqual({ name: "a", schema: { type: "object" } })
  })
})

describe("bounds", () => {
  it("turns, calls, length and filter", async () => {
    const endless = scripted(() => calling("add", { a: 1, b: 1 }))
    const kindOf = async (limits: object, model = endless) => {
      const { result } = await testFlow(agent("a", { input: Ask, model, tools: [add], limits }), { text: "x" })
      return result.ok ? result.value : [result.error._tag, (result.error as { kind?: string }).kind]
    }
    expect(await kindOf({ turns: 3 })).toEqual(["AgentFailed", "turns"])
    expect(endless.requests.length).toBe(3)
    expect(await kindOf({ calls: 2 })).toEqual(["AgentFailed", "calls"])
    const many = (n: number) => scripted([{ calls: Array.from({ length: n }, () => ({ name: "count", args: {} })) }, "done"])
    let counted = 0
    const count = tool("count", { description: "Counts.", input: z.object({}) }, () => ++counted)
    const counts = (n: number) => testFlow(agent("a", { input: Ask, model: many(n), tools: [count], limits: { calls: 2 } }), { text: "x" })
    expect([(await counts(2)).result.ok, counted]).toEqual([true, 2])
    expect((await counts(3)).result).toMatchObject({
      ok: false,
      error: { kind: "calls", reason: expect.stringContaining("asked for 3 calls of tools, and may make 2") },
    })
    // none of a turn that asks for too many is made
    expect(counted).toBe(2)
    expect(await kindOf({}, scripted([{ text: "cut", reason: "length" }]))).toEqual(["AgentFailed", "length"])
    expect(await kindOf({}, scripted([{ reason: "filter" }]))).toEqual(["AgentFailed", "filter"])
    expect(await kindOf({ turns: 1 }, scripted(["done"]))).toBe("done")
    expect(await kindOf({})).toEqual(["AgentFailed", "turns"])
  })

  it("tokens and cost of all turns, counted where the agent stands too", async () => {
    const dear = () => scripted(() => ({ calls: [{ name: "add", args: { a: 1, b: 1 } }], usage: { input: 60, output: 40, cost: 0.4 } }))
    const spend = async (limits: object) => (await testFlow(agent("a", { input: Ask, model: dear(), tools: [add], limits }), { text: "x" })).result
    expect(await spend({ tokens: 250 })).toMatchObject({ ok: false, error: { _tag: "LimitExceeded", limit: "tokens", used: 300, allowed: 250 } })
    expect(await spend({ cost: 1 })).toMatchObject({ ok: false, error: { _tag: "LimitExceeded", limit: "cost" } })
    const flow = seq("f", { input: Ask, budget: { tokens: 150 } }).step(agent("a", { input: Ask, model: dear(), tools: [add] }))
    expect((await testFlow(flow, { text: "x" })).result).toMatchObject({ ok: false, error: { _tag: "LimitExceeded", of: "run 'test'" } })
  })
})

it("a model that fails for a moment is asked again, after the time it asks for; one that fails for good is not", async () => {
  const failing = (kind: "rate-limit" | "invalid", retryAfter?: number) => new ModelFailed({ model: "m", kind, reason: "busy", status: 429, retryAfter })
  const model = scripted([{ fail: failing("rate-limit", 5000) }, { fail: failing("rate-limit") }, "hello"])
  const before = Date.now()
  const { result, calls } = await testFlow(agent("a", { input: Ask, model }), { text: "x" }, { clock: new Date(before) })
  expect([result, calls.filter(({ path }) => path.endsWith("turn")).map(({ attempt }) => attempt)]).toEqual([{ ok: true, value: "hello" }, [1, 2, 3]])
  const bad = scripted([{ fail: failing("invalid") }])
  expect((await testFlow(agent("a", { input: Ask, model: bad }), { text: "x" })).result).toMatchObject({
    ok: false,
    error: { _tag: "ModelFailed", message: "model 'm' failed: invalid (status 429): busy. Trying again does not help: mend the request or the settings" },
  })
  const empty = scripted([])
  expect((await testFlow(agent("a", { input: Ask, model: empty }), { text: "x" })).result).toMatchObject({
    ok: false,
    error: { kind: "not-recorded", message: expect.stringContaining("model 'scripted' failed: not-recorded: the script has 0 turns") },
  })
})

it("models stand in for each other, as long as nothing was said", async () => {
  const down = { fail: new ModelFailed({ model: "m", kind: "unavailable", reason: "down" }) } as const
  const [first, second, third] = [scripted(() => down, "first"), scripted(() => down, "second"), scripted(() => "third says", "third")]
  expect((await testFlow(agent("a", { input: Ask, model: fallback([first, second, third]) }), { text: "x" })).result).toEqual({ ok: true, value: "third says" })
  expect(fallback([first, third]).name).toBe("first or third")
  const halfway = {
    name: "halfway",
    turn: () => Stream.concat(Stream.fromIterable<ModelPart>([{ type: "reasoning", text: "hm" }, { type: "text", text: "half" }]), Stream.fail(down.fail)),
  }
  expect((await testFlow(agent("a", { input: Ask, model: fallback([halfway, third]) }), { text: "x" })).result).toMatchObject({
    ok: false,
    error: { kind: "unavailable" },
  })
  const choosy = fallback([first, third], { on: ({ kind }) => kind === "rate-limit" })
  expect((await testFlow(agent("a", { input: Ask, model: choosy }), { text: "x" })).result).toMatchObject({ ok: false, error: { kind: "unavailable" } })
})

describe("people", () => {
  const sent: Array<unknown> = []
  const mail = tool(
    "mail",
    { description: "Sends mail.", input: z.object({ to: z.string() }), level: "privileged", approval: ({ to }) => !to.endsWith("@us") },
    ({ to }) => (sent.push(to), `sent to ${to}`),
  )
  const model = () =>
    scripted(({ messages }) => {
      const last = messages.at(-1)!
      return last.role === "tool" ? `I heard: ${last.text}` : calling("mail", { to: last.text })
    })
  const clerk = (own = model()) => agent("clerk", { input: Ask, model: own, tools: [mail], prompt: ({ text }) => text })

  it("approve exactly the arguments that run; another hash approves nothing; no means no", async () => {
    sent.length = 0
    const heddle = (await openHeddle())._unsafeUnwrap()
    const flow = clerk()
    expect((await heddle.run(flow, { text: "bob@us" }))._unsafeUnwrap()).toBe("I heard: sent to bob@us")
    await heddle.run(flow, { text: "eve@them" }, { id: "r", onSuspend: "return" })
    const askedIn = async (run: string) => JSON.parse((await heddle.events(run))._unsafeUnwrap().find(({ name }) => name === "ask")!.data).output
    const { hash, tool: name, input } = await askedIn("r")
    expect([name, input, sent]).toEqual(["mail", { to: "eve@them" }, ["bob@us"]])
    expect((await heddle.signal(flow, "r", "approval", { hash: "another", approved: true, by: "Mallory" })).isOk()).toBe(true)
    expect((await heddle.resume(flow, "r", { onSuspend: "return" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunSuspended" })
    expect(sent).toEqual(["bob@us"])
    await heddle.signal(flow, "r", "approval", { hash, approved: true, by: "Ada" })
    expect((await heddle.resume(flow, "r"))._unsafeUnwrap()).toBe("I heard: sent to eve@them")
    await heddle.run(flow, { text: "eve@them" }, { id: "no", onSuspend: "return" })
    // what was approved once is no approval of the same again
    await heddle.signal(flow, "no", "approval", { hash, approved: true })
    expect((await heddle.resume(flow, "no", { onSuspend: "return" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunSuspended" })
    await heddle.signal(flow, "no", "approval", { hash: (await askedIn("no")).hash, approved: false, reason: "not her" })
    expect((await heddle.resume(flow, "no"))._unsafeUnwrap()).toBe("I heard: Error: not approved: not her")
    await heddle.run(flow, { text: "eve@them" }, { id: "plain", onSuspend: "return" })
    await heddle.signal(flow, "plain", "approval", { hash: (await askedIn("plain")).hash, approved: false })
    expect((await heddle.resume(flow, "plain"))._unsafeUnwrap()).toBe("I heard: Error: not approved")
    expect((await heddle.signal(flow, "plain", "approval", { yes: 1 } as never))._unsafeUnwrapErr().message).toContain(
      "an approval is { hash: string, approved: boolean",
    )
    expect(sent).toEqual(["bob@us", "eve@them"])
    await heddle.close()
  })

  it("are asked about what the schema makes of the arguments, and shown it", async () => {
    let paid = 0
    const pay = tool(
      "pay",
      { description: "Pays.", input: z.object({ amount: z.number().default(1000) }), approval: ({ amount }) => amount > 100 },
      ({ amount }) => (paid += amount),
    )
    const flow = agent("a", { input: Ask, tools: [pay], model: scripted([calling("pay", {}), "done"]) })
    const heddle = (await openHeddle())._unsafeUnwrap()
    expect((await heddle.run(flow, { text: "x" }, { id: "r", onSuspend: "return" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunSuspended" })
    const asked = (await heddle.events("r"))._unsafeUnwrap().find(({ name }) => name === "ask")!
    expect([JSON.parse(asked.data).output.input, paid]).toEqual([{ amount: 1000 }, 0])
    await heddle.close()
  })

  it("approve calls of one turn in whatever order, each by its own hash", async () => {
    const done: Array<string> = []
    const pay = tool("pay", { description: "Pays.", input: z.object({ to: z.string() }), approval: true }, ({ to }) => (done.push(to), `paid ${to}`))
    const names = ["Ada", "Bo", "Cy"]
    const model = scripted([{ calls: names.map((to) => ({ name: "pay", args: { to } })) }, "all paid"])
    const flow = agent("a", { input: Ask, tools: [pay], model })
    const heddle = (await openHeddle())._unsafeUnwrap()
    await heddle.run(flow, { text: "x" }, { id: "r", onSuspend: "return" })
    const hashes = (await heddle.events("r"))._unsafeUnwrap().filter(({ kind, name }) => kind === "step.completed" && name === "ask")
      .map(({ data }) => JSON.parse(data).output as { readonly hash: string; readonly input: { readonly to: string } })
    for (const who of ["Cy", "Ada"]) {
      const { hash } = hashes.find(({ input }) => input.to === who)!
      await heddle.signal(flow, "r", "approval", { hash, approved: true })
      await heddle.resume(flow, "r", { onSuspend: "return" })
      expect(done.at(-1)).toBe(who)
    }
    expect(done).toEqual(["Cy", "Ada"])
    await heddle.signal(flow, "r", "approval", { hash: hashes.find(({ input }) => input.to === "Bo")!.hash, approved: false })
    expect((await heddle.resume(flow, "r"))._unsafeUnwrap()).toBe("all paid")
    expect(done).toEqual(["Cy", "Ada"])
    await heddle.close()
  })

  it("approve every call of a tool that always asks", async () => {
    const pay = tool("pay", { description: "Pays.", input: z.object({}), level: "privileged", approval: true }, () => "paid")
    const { result, events } = await testFlow(agent("a", { input: Ask, tools: [pay], model: scripted([calling("pay", {})]) }), { text: "x" })
    expect([result.ok, events.some(({ kind, parent }) => kind === "wait.started" && parent.endsWith("done/pay"))]).toEqual([false, true])
  })

  it("privileged tools need that, or an agent that allows them; models take only what can be described", () => {
    const free = tool("free", { description: "x", input: z.object({}), level: "privileged" }, () => 1)
    expect(() => agent("a", { input: Ask, tools: [free] })).toThrow("tool 'free' is privileged: give it an approval")
    expect(agent("a", { input: Ask, tools: [free], allow: "privileged" }).agent.tools).toEqual(["free"])
    expect(() => agent("a", { input: Ask, tools: [step("s", () => 1)] })).toThrow("a tool is made with tool(), agent() or seq() with an input schema")
    expect(() => agent("a", { input: Ask, tools: [seq("s").step("a", () => 1)] })).toThrow("flow 's' has no input schema")
    expect(() => agent("a", { input: Ask, tools: [tool("dated", { description: "Dated.", input: z.object({ d: z.date() }) }, () => 1)] })).toThrow(
      "the input of 'dated' has no JSON Schema",
    )
    expect(() => agent("a", { input: Ask, tools: [free, free], allow: "privileged" })).toThrow("two of its tools are called 'free'")
    expect(() => agent("a", { input: Ask, tools: [tool("__proto__", { description: "x", input: Ask }, () => 1)] })).toThrow("reserved")
    expect(() => agent("a", { input: Ask, tools: [tool("with space", { description: "x", input: Ask }, () => 1)] })).toThrow("A-Z a-z 0-9 _ -")
  })
})

describe("together", () => {
  const says = <const Name extends string>(name: Name, text: string) => agent(name, { input: Ask, model: scripted(() => text), description: `Says ${text}.` })

  it("one hands over to another, or asks it", async () => {
    const expert = agent("expert", { input: Ask, model: scripted(() => "expert answer"), description: "Knows." })
    const desk = agent("desk", { input: Ask, model: scripted([calling("expert", { text: "q" })]), tools: [handOff(expert)] })
    expect((await testFlow(desk, { text: "x" })).result).toEqual({ ok: true, value: "expert answer" })
    const asking = agent("asking", { input: Ask, model: scripted([calling("expert", { text: "q" }), "he says so"]), tools: [expert] })
    const { result, events } = await testFlow(asking, { text: "x" })
    expect([result, events.some(({ parent }) => parent.includes("done/expert/run/call/turns[0]"))]).toEqual([{ ok: true, value: "he says so" }, true])
  })

  it("most agree, or not", async () => {
    const vote = (one: string, two: string, three: string) =>
      consensus("vote", { a: says("a", one), b: says("b", two), c: says("c", three) }, { agree: 2, otherwise: (all) => `none of ${all.length}` })
    expect((await testFlow(vote("x", "y", "x"), { text: "?" })).result).toEqual({ ok: true, value: "x" })
    expect((await testFlow(vote("x", "y", "z"), { text: "?" })).result).toEqual({ ok: true, value: "none of 3" })
    const broken = agent("broken", { input: Ask, model: scripted([]) })
    expect((await testFlow(consensus("vote", { a: says("a", "x"), b: says("b", "x"), broken }, { agree: 2, otherwise: () => "no" }), { text: "?" })).result)
      .toEqual({ ok: true, value: "x" })
    const keyed = consensus("keyed", { a: says("a", "x1"), b: says("b", "x2") }, { agree: 2, key: (said) => said.slice(0, 1), otherwise: () => "no" })
    expect((await testFlow(keyed, { text: "?" })).result).toEqual({ ok: true, value: "x1" })
  })

  it("one chooses, another does; each hears the one before", async () => {
    const kind = classifier("kind", { input: Ask, labels: { bug: "b", bill: "c" }, model: scripted(() => ({ json: { label: "bill" } })) })
    expect((await testFlow(delegate("team", kind, { bug: says("engineer", "fixed"), bill: says("clerk", "paid") }), { text: "?" })).result).toEqual({
      ok: true,
      value: "paid",
    })
    const shout = tool("shout", { description: "x", input: Ask }, ({ text }) => ({ text: text.toUpperCase() }))
    const quote = tool("quote", { description: "x", input: Ask }, ({ text }) => `'${text}'`)
    const line = pipeline("line", [shout, quote])
    expect((await testFlow(line, { text: "hi" })).result).toEqual({ ok: true, value: "'HI'" })
    const three = pipeline("three", [shout, shout, quote])
    expect((await testFlow(seq("f", { input: Ask }).step(three), { text: "ho" })).result).toEqual({ ok: true, value: { three: "'HO'" } })
  })
})

describe("tools in flows", () => {
  it("are steps like others, under their own name or another, with their own input", async () => {
    const flow = seq("f", { input: z.object({ a: z.number(), b: z.number() }) }).step(add)
    expect((await testFlow(flow, { a: 1, b: 2 })).result).toEqual({ ok: true, value: { add: 3 } })
    expect([add({ a: 1, b: 1 }), add.tool.level, add.tool.needs]).toEqual([2, "safe", []])
    const { permits } = await import("heddle")
    const keys: Array<string> = []
    const keyed = tool(
      "keyed",
      { description: "x", input: Ask, limits: [permits("p", 1, { key: ({ text }: { text: string }) => (keys.push(text), text) })] },
      ({ text }) => text,
    )
    const named = seq("g", { input: Ask }).step("n", () => 4).step("more", nest(add, ({ n }) => ({ a: n, b: 1 }))).step(
      "k",
      nest(keyed, ({ more }) => ({ text: String(more) })),
    ).step(keyed)
    expect((await testFlow(named, { text: "own" })).result).toEqual({ ok: true, value: { n: 4, more: 5, k: "5", keyed: "own" } })
    expect(keys).toEqual(["5", "own"])
    const wrong = seq("h").step("more", nest(add, () => ({ a: "x" } as never)))
    expect((await testFlow(wrong, undefined)).result).toMatchObject({ ok: false, error: { _tag: "InputInvalid", path: "more" } })
    const thrown = seq("i").step(
      "more",
      nest(add, () => {
        throw new Error("no")
      }),
    )
    expect((await testFlow(thrown, undefined)).result).toMatchObject({ ok: false, error: { _tag: "ConditionThrew", path: "more" } })
    const kid = seq("kid", { input: Ask }).step("k", ({ input }) => input.text).returns(({ k }) => k)
    const children = seq("c").step("said", nest(nest(kid, { as: "run" }) as any, () => ({ text: "child" })))
    expect((await testFlow(children, undefined)).result).toMatchObject({ ok: true, value: { said: "child" } })
    const agents = seq("j", { input: Ask }).step(
      "said",
      nest(agent("inner", { input: Ask, model: scripted(({ messages }) => messages[0]!.text) }), ({ input }) => ({ text: `${input.text}!` })),
    )
    expect((await testFlow(agents, { text: "x" })).result).toMatchObject({ ok: true, value: { said: "{\"text\":\"x!\"}" } })
  })

  it("need what a flow grants", async () => {
    const read = tool("read", { description: "x", input: Ask, needs: ["files.read"] }, () => 1)
    const inner = seq("n", { input: Ask }).step(read)
    const flow = (capabilities: ReadonlyArray<string>) =>
      seq("f", { input: Ask, capabilities }).step("a", () => 1).step("in", nest(inner, ({ input }) => input))
    for (const granted of [["files.read"], ["files.*"], ["*"]]) {
      expect((await testFlow(seq("f", { input: Ask, capabilities: granted }).step("a", () => 1).step(read), { text: "x" })).result.ok).toBe(true)
    }
    const error = await failure(makeHeddle(memoryStore()).run(flow(["net.*"]) as any, { text: "x" }))
    expect([error._tag, error.message]).toEqual(["FlowInvalid", expect.stringContaining("in/read: tool 'read' needs files.read, and the flow grants net.*")])
    expect((await failure(makeHeddle(memoryStore()).run(flow([]) as any, { text: "x" }))).message).toContain("grants nothing")
  })

  it("say how they get on, to whoever listens", async () => {
    const heddle = makeHeddle(memoryStore())
    const slow = tool("slow", { description: "x", input: z.object({}) }, async (_, { progress }) => {
      progress({ done: 1, of: 2 })
      await sleep(1)
      progress(() => 1)
      return 1
    })
    const heard: Array<string> = []
    await go(heddle.run(seq("quiet").step("s", nestOf(slow)), undefined))
    heddle.listen(({ kind, path, data }) => void (kind === "step.progressed" && heard.push(`${path} ${data}`)))
    await go(heddle.run(seq("f").step("s", nestOf(slow)), undefined))
    expect(heard).toEqual(["s {\"news\":{\"done\":1,\"of\":2}}", "s {\"news\":\"(a function)\"}"])
    const streamed: Array<string> = []
    heddle.listen(({ kind, data }) => void (kind === "step.progressed" && streamed.push(JSON.parse(data!).news.text)))
    await go(heddle.run(agent("a", { input: Ask, model: scripted(["one two"]) }), { text: "x" }))
    expect(streamed).toEqual(["one", " two", undefined])
  })
  const nestOf = (definition: any) => nest(definition, () => ({}))
})

it("an agent's layer may be anything that gives its model", async () => {
  const layer = Layer.effect(Model, Effect.succeed(scripted(() => "from a layer")))
  expect((await run(agent("a", { input: Ask }), { text: "x" }, { layer }))._unsafeUnwrap()).toBe("from a layer")
  // @ts-expect-error -- the agent needs a Model
  void (() => run(agent("a", { input: Ask }), { text: "x" }))
})

describe("catalog", () => {
  const given = z.object({ text: z.string() })
  const reads = tool("reads", { description: "Reads a file.", input: given, needs: ["files.read"], level: "safe" }, ({ text }) => text)
  const raw = tool("raw", { description: "Takes what it gets.", input: given, parameters: { type: "object", title: "raw" } }, ({ text }) => text)
  const clerk = agent("clerk", { input: given, description: "Writes invoices.", tools: [reads], model: scripted(["done"]) })
  const flow = seq("report", { input: given }).step(reads).step(step("plain", ({ text }: { text: string }) => text))
  const all = catalog([reads, raw, clerk, flow, seq("bare")], {
    tags: { clerk: ["Money"] },
    templates: { named: ({ name }: { name: string }) => agent(name, { input: given, model: scripted([name]) }) },
  })

  it("knows what it has, and finds it", async () => {
    const names = (query?: CatalogQuery) => all.find(query).map(({ name }) => name)
    expect(all.entries[2]).toMatchObject({ name: "clerk", kind: "agent", tools: ["reads"], model: "scripted", needs: ["files.read"], tags: ["Money"] })
    expect(all.entries[2]!.input).toMatchObject({ type: "object", properties: { text: { type: "string" } } })
    expect(all.entries[1]).toMatchObject({ kind: "tool", level: "restricted", input: { title: "raw" }, tags: [] })
    expect(all.entries[4]).toEqual({ name: "bare", kind: "flow", needs: [], tools: [], tags: [] })
    expect(names()).toEqual(["reads", "raw", "clerk", "report", "bare"])
    expect([names({ kind: "flow" }), names({ level: "safe" }), names({ tag: "Money" })]).toEqual([["report", "bare"], ["reads"], ["clerk"]])
    expect([names({ text: "writes INVOICES" }), names({ text: "money" }), names({ text: "writes pizza" })]).toEqual([["clerk"], ["clerk"], []])
    const child = seq("child", { input: given }).step(nest(flow, { as: "run" }))
    expect(catalog([child]).entries[0]!.needs).toEqual(["files.read"])
    const twice = seq("twice", { input: given }).step("a", nest(flow, ({ input }) => input, { as: "run" })).step(
      "b",
      nest(flow, ({ input }) => input, { as: "run" }),
    )
    expect(catalog([twice]).entries[0]!.needs).toEqual(["files.read"])
    // made right here, they keep their types
    const inline = catalog([agent("right", { input: given, model: scripted(["x"]) })]).get("right")
    const said = (await run(inline, { text: "x" }))._unsafeUnwrap()
    // @ts-expect-error -- it is text
    void said.totally
    expect([names({ within: [] }), names({ within: ["files.*"], kind: "tool" })]).toEqual([["raw", "bare"], ["reads", "raw"]])
  })

  it("gives its members with their types, and makes others from templates", async () => {
    const found: typeof clerk = all.get("clerk")
    expect(found).toBe(clerk)
    expect(all.members.report).toBe(flow)
    // @ts-expect-error -- there is none of that name
    expect(() => all.get("chef")).toThrow("catalog: there is no 'chef', only: reads, raw, clerk, report, bare")
    const made = all.make("named", { name: "Ada" })
    expect((await run(made, { text: "x" }))._unsafeUnwrap()).toBe("Ada")
    // @ts-expect-error -- the template takes a name
    all.make("named", {})
    // @ts-expect-error -- there is no such template
    expect(() => all.make("toString", {})).toThrow("there is no template 'toString', only: named")
    expect(() => catalog([reads]).make("x" as never, {} as never)).toThrow("there is no template 'x', only: ")
    const more = all.with(tool("more", { description: "More.", input: given }, () => 1))
    expect(more.get("more").tool.name).toBe("more")
    expect(more.entries).toHaveLength(6)
    expect(all.entries).toHaveLength(5)
  })

  it("names are unique, and a step is not in it", () => {
    expect(() => all.with(reads)).toThrow("catalog: two of its definitions are called 'reads'")
    expect(() => catalog([step("plain", () => 1)])).toThrow("it takes agents, tools and flows")
  })
})
