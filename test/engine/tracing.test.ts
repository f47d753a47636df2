/** Spans, as a tracer is given them: over nodes, children, suspensions and processes. */
import { createServer } from "node:http"
import { Effect, Layer, Tracer } from "effect"
import { Otlp } from "effect/observability"
import { FetchHttpClient } from "effect/http"
import { nest, run, seq, tool } from "heddle"
import { agent, scripted } from "heddle/agents"
import { expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { no, out, recorder } from "../support.ts"

const recorded = () => {
  const { tracer, spans } = recorder()
  const named = (name: string) => spans.filter((span) => span.name === name)
  const parentOf = (name: string) => {
    const parent = named(name)[0]!.parent
    return parent._tag === "Some" && parent.value._tag === "Span" ? parent.value.name : undefined
  }
  return { tracer, spans, named, parentOf }
}
const go = <A>(effect: Effect.Effect<A, any, any>, tracer: Tracer.Tracer) => out(Effect.provideService(effect, Tracer.Tracer, tracer))

it("a run, its nodes and its children are spans in each other; what fails says so", async () => {
  const { tracer, named, parentOf, spans } = recorded()
  const child = seq("kid").step("k", () => 1)
  const flow = seq("f").step("a", () => 1).when(() => false).step("skipped", () => 1)
    .parallel("p", { x: (b) => b.step("inner", () => Effect.withSpan(Effect.succeed(1), "mine")) })
    .step("c", nest(child, () => undefined, { as: "run" })).step("bad", no)
  await go(makeHeddle(memoryStore()).run(flow, undefined, { id: "r" }), tracer)
  expect(spans.map(({ name }) => name)).toEqual(["run f", "step a", "parallel p", "step inner", "mine", "step c", "run kid", "step k", "step bad"])
  expect(["step a", "step inner", "mine", "run kid", "step k"].map(parentOf)).toEqual(["run f", "parallel p", "step inner", "step c", "run kid"])
  expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1)
  const status = (name: string) => {
    const { status: ended } = named(name)[0]!
    return ended._tag === "Ended" ? ended.exit._tag : ended._tag
  }
  expect(["step a", "step bad", "run f"].map(status)).toEqual(["Success", "Failure", "Failure"])
  expect(Object.fromEntries(named("step inner")[0]!.attributes)).toMatchObject({ "heddle.path": "p/x/inner" })
  expect(Object.fromEntries(named("run f")[0]!.attributes)).toMatchObject({ "heddle.run": "r", "heddle.flow": "f", "heddle.correlation": "r" })
})

it("turns, tools, agents and other tries say what they are, a run its session", async () => {
  const { tracer, named } = recorded()
  const input = z.object({ text: z.string() })
  const model = scripted([{ calls: [{ name: "add", args: {} }] }, { text: "3", usage: { input: 7, output: 2, cost: 0.25 } }])
  const add = tool("add", { description: "Adds.", input: z.object({}) }, () => 3)
  const clerk = agent("clerk", { input, model, tools: [add] })
  let tries = 0
  const flaky = seq("desk", { input }).step(clerk).step("flaky", () => (++tries === 1 ? no() : 1), { retry: { times: 1, backoff: 0 } })
  await go(makeHeddle(memoryStore()).run(flaky, { text: "x" }, { session: "s" }), tracer)
  const said = (name: string, nr = 0) => Object.fromEntries(named(name)[nr]!.attributes)
  expect(said("step turn", 1)).toMatchObject({
    "gen_ai.operation.name": "chat",
    "gen_ai.agent.name": "clerk",
    "gen_ai.request.model": "scripted",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 2,
    "heddle.cost": 0.25,
  })
  expect([said("step call"), said("step clerk")]).toMatchObject([{ "gen_ai.tool.name": "add" }, { "gen_ai.agent.name": "clerk" }])
  expect([said("step flaky"), said("run desk")]).toMatchObject([{ "heddle.attempts": 2 }, { "session.id": "s" }])
})

it("a run goes on in the trace in which it began, wherever; inside another one it is linked to it", async () => {
  const store = memoryStore()
  const [first, second, third] = [recorded(), recorded(), recorded()]
  const flow = seq("f").wait("go").wait("on").step("a", () => 1)
  await go(Effect.withSpan(makeHeddle(store).start(flow, undefined, { id: "r" }), "request"), first.tracer)
  const [request] = first.spans
  await go(makeHeddle(store).resume(flow, "r", { onSuspend: "return" }), first.tracer)
  const began = first.named("run f")[0]!
  expect([began.traceId, began.parent]).toMatchObject([request!.traceId, { value: { spanId: request!.spanId } }])
  await go(makeHeddle(store).signal(flow, "r", "go", undefined), second.tracer)
  await go(makeHeddle(store).resume(flow, "r", { onSuspend: "return" }), second.tracer)
  expect(second.named("run f")[0]).toMatchObject({ traceId: request!.traceId, parent: { value: { spanId: began.spanId } } })
  await go(makeHeddle(store).signal(flow, "r", "on", undefined), third.tracer)
  await go(Effect.withSpan(makeHeddle(store).resume(flow, "r"), "other"), third.tracer)
  expect(third.named("run f")[0]!.links.map(({ span }) => span.spanId)).toEqual([began.spanId])
  expect(third.parentOf("run f")).toBe("other")
})

it("an input that its schema changes, or that cannot be recorded, is traced no less; without a tracer nothing is", async () => {
  for (const value of [() => "changed", () => () => 1]) {
    const { tracer, spans } = recorded()
    const input = { "~standard": { version: 1 as const, vendor: "test", validate: () => ({ value: value() }) } }
    const heddle = makeHeddle(memoryStore())
    const flow = seq("f", { input }).wait("go").returns(() => 1)
    await go(heddle.run(flow, "x", { id: "r", onSuspend: "return" }), tracer)
    await go(heddle.signal(flow, "r", "go", undefined), tracer)
    await go(heddle.resume(flow, "r"), tracer)
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1)
  }
  const { tracer, spans } = recorded()
  const store = memoryStore()
  const flow = seq("f").step("a", () => 1)
  await go(Effect.withSpan(makeHeddle(store).start(flow, undefined, { id: "r" }), "unsampled", { sampled: false }), tracer)
  await go(makeHeddle(store).resume(flow, "r"), tracer)
  expect(spans.map(({ sampled }) => sampled)).toEqual([false, false, false])
  await out(makeHeddle(memoryStore()).import(await out(makeHeddle(store).export("r"))))
  expect((await out(makeHeddle(store).events("r")))[0].data).toMatch(/"trace":"00-\w+-\w+-00"/)
  const plain = makeHeddle(memoryStore())
  await out(plain.run(seq("f").step("a", () => 1), undefined, { id: "r" }))
  expect((await out(plain.events("r")))[0].data).toBe("{}")
})

it("they arrive at an OpenTelemetry collector, through the promise door too", async () => {
  const names: Array<string> = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk) => (body += String(chunk))).on("end", () => {
      if (request.url === "/v1/traces") {
        for (const { scopeSpans } of JSON.parse(body).resourceSpans) for (const { spans } of scopeSpans) names.push(...spans.map(({ name }: any) => name))
      }
      response.end("{}")
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { readonly port: number }
  const layer = Otlp.layerJson({ baseUrl: `http://127.0.0.1:${port}`, resource: { serviceName: "test" } }).pipe(Layer.provide(FetchHttpClient.layer))
  await run(seq("sent").step("a", () => 1), undefined, { layer })
  server.close()
  expect(names).toEqual(expect.arrayContaining(["run sent", "step a"]))
})
