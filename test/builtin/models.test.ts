/** Models against a real HTTP server that speaks OpenAI's protocol. */
import { existsSync, mkdtempSync, readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Effect, Fiber, Redacted, Stream } from "effect"
import { run, tool } from "heddle"
import { agent, aiSdk, cassette, type ModelPart, type ModelRequest, type ModelShape, openai, scripted } from "heddle/agents"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { z } from "zod"
import { failure, go } from "../support.ts"

type Answer = (body: any, response: ServerResponse, request: IncomingMessage) => void
let answer: Answer = () => undefined
const bodies: Array<any> = []
const server = createServer((request, response) => {
  let text = ""
  request.on("data", (part) => (text += String(part)))
  request.on("end", () => {
    bodies.push({ ...JSON.parse(text), "~headers": request.headers, "~url": request.url })
    answer(JSON.parse(text), response, request)
  })
})
let baseUrl = ""
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
})
afterAll(() => void server.close())

const stream = (...chunks: ReadonlyArray<object | string>): Answer => (_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  for (const chunk of chunks) response.write(`data: ${typeof chunk === "string" ? chunk : JSON.stringify(chunk)}\n\n`)
  response.end()
}
const delta = (said: object, finish: string | null = null) => ({
  id: "c",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta: said, finish_reason: finish }],
})
const usage = {
  id: "c",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
}
const ask = (more: Partial<ModelRequest> = {}): ModelRequest => ({
  messages: [{ role: "user", text: "Hello?" }],
  tools: [],
  settings: {},
  key: "r/turn",
  ...more,
})
const turn = (model: ModelShape, request = ask()): Promise<ReadonlyArray<ModelPart>> => go(Stream.runCollect(model.turn(request)))
const fails = (model: ModelShape, request = ask()) => failure(Stream.runCollect(model.turn(request)))
const local = (more: Partial<Parameters<typeof openai>[0]> = {}) => openai({ baseUrl, model: "m", ...more })

describe("openai", () => {
  it("streams text, reasoning and usage, and says who it is", async () => {
    answer = stream(
      delta({ role: "assistant", reasoning_content: "hm" }),
      delta({ content: "Hel" }),
      delta({ content: "lo" }),
      delta({}, "stop"),
      usage,
      "[DONE]",
    )
    const model = local({
      apiKey: Redacted.make("sk-secret"),
      headers: { "x-team": "a" },
      price: { input: 1_000_000, output: 2_000_000 },
      settings: { temperature: 0 },
      baseUrl: `${baseUrl}/`,
    })
    expect(
      await turn(
        model,
        ask({
          settings: { max_tokens: 9 },
          messages: [{ role: "system", text: "s" }, { role: "user", text: "u" }, { role: "assistant", text: "", calls: [{ id: "1", name: "t", args: "{}" }] }, {
            role: "tool",
            id: "1",
            name: "t",
            text: "3",
          }, { role: "assistant", text: "x", calls: [] }],
        }),
      ),
    ).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Hel" },
      { type: "text", text: "lo" },
      { type: "finish", reason: "stop", usage: { input: 10, output: 5, cost: 20 } },
    ])
    expect(bodies.at(-1)).toMatchObject({
      model: "m",
      stream: true,
      temperature: 0,
      max_tokens: 9,
      messages: [
        { role: "system", content: "s" },
        { role: "user", content: "u" },
        { role: "assistant", content: null, tool_calls: [{ id: "1", type: "function", function: { name: "t", arguments: "{}" } }] },
        { role: "tool", tool_call_id: "1", content: "3" },
        { role: "assistant", content: "x" },
      ],
      "~headers": { authorization: "Bearer sk-secret", "x-team": "a", "idempotency-key": "r/turn" },
      "~url": "/v1/chat/completions",
    })
  })

  it("puts calls together from their pieces, also where the server does not stream", async () => {
    const tools = [{ name: "add", description: "Adds.", parameters: { type: "object" } }]
    answer = stream(
      delta({ tool_calls: [{ index: 0, id: "a", function: { name: "add", arguments: "{\"a\":" } }] }),
      delta({ tool_calls: [{ index: 1, function: { name: "add" } }, { index: 0, function: { arguments: "1}" } }] }),
      delta({}, "tool_calls"),
    )
    const parts = await turn(local(), ask({ tools }))
    expect(parts).toEqual([
      { type: "call", call: { id: "a", name: "add", args: "{\"a\":1}" } },
      { type: "call", call: { id: "call_1", name: "add", args: "" } },
      { type: "finish", reason: "calls", usage: { input: 2, output: 0, estimated: true } },
    ])
    expect(bodies.at(-1).tools).toEqual([{ type: "function", function: tools[0] }])
    answer = (_, response) =>
      response.writeHead(200, { "content-type": "application/json" }).end(
        JSON.stringify({
          choices: [{
            message: { content: "whole", tool_calls: [{ id: "x", function: { name: "add", arguments: "{}" } }, { id: "y" }] },
            finish_reason: "stop",
          }],
          usage: {},
        }),
      )
    expect(await turn(local())).toEqual([
      { type: "text", text: "whole" },
      { type: "call", call: { id: "x", name: "add", args: "{}" } },
      { type: "call", call: { id: "y", name: "", args: "" } },
      { type: "finish", reason: "calls", usage: { input: 0, output: 0 } },
    ])
    answer = stream(delta({ content: "x" }), { choices: [{ finish_reason: "stop" }] })
    expect((await turn(local())).length).toBe(2)
    answer = stream(delta({ content: "odd" }, "eos"))
    expect((await turn(local())).at(-1)).toMatchObject({ reason: "unknown" })
  })

  it("asks for JSON as the endpoint understands it", async () => {
    answer = stream(delta({ content: "{}" }, "stop"))
    const output = { name: "kind", schema: { type: "object" } }
    await turn(local(), ask({ output }))
    expect(bodies.at(-1).response_format).toEqual({ type: "json_schema", json_schema: { name: "kind", schema: { type: "object" }, strict: true } })
    await turn(local(), ask({ output: { name: "kind", schema: undefined } }))
    expect(bodies.at(-1).response_format).toEqual({ type: "json_object" })
    await turn(local({ structured: "object" }), ask({ output }))
    expect([bodies.at(-1).response_format, bodies.at(-1).messages.at(-1)]).toEqual([{ type: "json_object" }, {
      role: "system",
      content: "Answer with JSON and nothing else, that fits this JSON Schema: {\"type\":\"object\"}",
    }])
    await turn(local({ structured: "prompt" }), ask({ output: { name: "kind", schema: undefined } }))
    expect([bodies.at(-1).response_format, bodies.at(-1).messages.at(-1).content]).toEqual([undefined, "Answer with JSON and nothing else"])
  })

  it("tells failures apart, says when to come back, and never shows the key", async () => {
    const status = (code: number, text: string, headers: Record<string, string> = {}): Answer => (_, response) => response.writeHead(code, headers).end(text)
    const kinds: Array<[Answer, object]> = [
      [status(429, "slow down, sk-secret", { "retry-after": "2" }), {
        kind: "rate-limit",
        status: 429,
        retryAfter: 2000,
        retryable: true,
        reason: "slow down, [redacted]",
      }],
      [status(429, "", { "retry-after": new Date(0).toUTCString() }), { kind: "rate-limit", retryAfter: 0 }],
      [status(429, "", { "retry-after": "2", "retry-after-ms": "20" }), { kind: "rate-limit", retryAfter: 20 }],
      [status(429, "", { "retry-after": "2", "retry-after-ms": "soon" }), { kind: "rate-limit", retryAfter: 2000 }],
      [status(204, ""), { kind: "invalid", reason: "No Content" }],
      // more than anybody reads, and without an end
      [(_, response) => {
        response.writeHead(400)
        const more = () => response.write("x".repeat(10_000)) ? setImmediate(more) : response.once("drain", more)
        more()
      }, { kind: "invalid" }],
      [status(429, "", { "retry-after": "soon" }), { kind: "rate-limit", retryAfter: undefined, reason: "Too Many Requests" }],
      [status(429, "insufficient_quota"), { kind: "unauthorized", retryable: false }],
      [status(401, "who?"), { kind: "unauthorized" }],
      [status(403, "no"), { kind: "unauthorized" }],
      [status(503, "later"), { kind: "unavailable", retryable: true, retryAfter: undefined }],
      [status(408, "late"), { kind: "unavailable" }],
      [status(400, "maximum context length is 8k"), { kind: "context-length", retryable: false }],
      [status(422, "odd"), { kind: "invalid" }],
      [stream("{"), { kind: "malformed", retryable: true }],
      [stream({ error: { message: "overloaded" } }), { kind: "malformed", reason: "overloaded" }],
      [stream({ error: "plain" }), { kind: "malformed", reason: "plain" }],
      [stream(delta({ content: "cut" })), { kind: "malformed", reason: "the answer ended before it was complete" }],
      [(_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write("data: {}\n\n")
        setTimeout(() => response.destroy(), 20)
      }, { kind: "unavailable" }],
      [(_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write("retry: 5\n\n")
        response.end()
      }, { kind: "malformed" }],
    ]
    for (const [given, wanted] of kinds) {
      answer = given
      expect(await fails(local({ apiKey: "sk-secret" }))).toMatchObject({ _tag: "ModelFailed", model: "m", ...wanted })
    }
    answer = (_, response) => {
      response.writeHead(500, { "content-length": "100" }).write("x")
      setTimeout(() => response.destroy(), 10)
    }
    expect(await fails(local())).toMatchObject({ kind: "unavailable", status: 500, reason: "x" })
    expect(await fails(local({ headers: { "x-odd": "漢" } }))).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("ByteString") })
    expect(await fails(openai({ baseUrl: "http://127.0.0.1:9/v1", model: "m" }))).toMatchObject({
      kind: "unavailable",
      reason: expect.stringMatching(/ECONNREFUSED|bad port/),
    })
    answer = () => undefined
    expect(await fails(local({ timeout: 30 }))).toMatchObject({ kind: "timeout" })
    answer = (_, response) =>
      void response.writeHead(200, { "content-type": "text/event-stream" }).write(`data: ${JSON.stringify(delta({ content: "x" }))}\n\n`)
    expect(await fails(local({ timeout: 50 }))).toMatchObject({ kind: "timeout" })
  })

  it("an interrupted turn closes the connection", async () => {
    const closed = new Promise<boolean>((done) => {
      answer = (_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(`data: ${JSON.stringify(delta({ content: "x" }))}\n\n`)
        response.on("close", () => done(true))
      }
    })
    const fiber = Effect.runFork(Stream.runDrain(local().turn(ask())))
    await new Promise((done) => setTimeout(done, 50))
    await go(Fiber.interrupt(fiber))
    expect(await closed).toBe(true)
  })

  it("an agent goes on after a 429, calls its tool and answers", async () => {
    let asked = 0
    answer = (body, response, request) => {
      asked++
      if (asked === 1) return void response.writeHead(429, { "retry-after": "0" }).end("busy")
      if (body.messages.at(-1).role === "tool") {
        return stream(delta({ content: `It is ${body.messages.at(-1).content}.` }, "stop"), usage, "[DONE]")(body, response, request)
      }
      stream(delta({ tool_calls: [{ index: 0, id: "a", function: { name: "add", arguments: "{\"a\":1,\"b\":2}" } }] }, "tool_calls"), usage)(
        body,
        response,
        request,
      )
    }
    const add = tool("add", { description: "Adds.", input: z.object({ a: z.number(), b: z.number() }) }, ({ a, b }) => a + b)
    const sum = agent("sum", { input: z.object({ q: z.string() }), tools: [add], model: local() })
    expect((await run(sum, { q: "1+2?" }))._unsafeUnwrap()).toBe("It is 3.")
    expect(asked).toBe(3)
  })
})

describe("the ai package", () => {
  const model = (price?: { input: number; output: number }) =>
    aiSdk(createOpenAICompatible({ name: "local", baseURL: baseUrl, includeUsage: true }).chatModel("m"), price === undefined ? {} : { price })

  it("its providers' models take turns", async () => {
    answer = stream(
      delta({ role: "assistant", reasoning_content: "hm" }),
      delta({ content: "Hi" }),
      delta({ tool_calls: [{ index: 0, id: "a", function: { name: "add", arguments: "{}" } }] }),
      delta({}, "tool_calls"),
      usage,
      "[DONE]",
    )
    const parts = await turn(
      model({ input: 1_000_000, output: 0 }),
      ask({
        tools: [{ name: "add", description: "Adds.", parameters: { type: "object", properties: {} } }],
        messages: [
          { role: "system", text: "s" },
          { role: "user", text: "u" },
          { role: "assistant", text: "thinking", calls: [{ id: "1", name: "add", args: "{\"a\":1}" }, { id: "2", name: "add", args: "{" }] },
          { role: "assistant", text: "", calls: [] },
          { role: "tool", id: "1", name: "add", text: "3" },
          { role: "tool", id: "2", name: "add", text: "no" },
        ],
        output: { name: "o", schema: { type: "object" } },
      }),
    )
    expect(parts).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Hi" },
      { type: "call", call: { id: "a", name: "add", args: "{}" } },
      { type: "finish", reason: "calls", usage: { input: 10, output: 5, cost: 10 } },
    ])
    expect(bodies.at(-1).messages.map(({ role }: { role: string }) => role)).toEqual(["system", "user", "assistant", "assistant", "tool", "tool"])
    answer = stream(delta({ content: "no usage" }, "stop"), "[DONE]")
    expect((await turn(model())).at(-1)).toMatchObject({ type: "finish", reason: "stop" })
  })

  it("their failures are ours", async () => {
    const status = (code: number, headers: Record<string, string> = {}): Answer => (_, response) =>
      response.writeHead(code, { "content-type": "application/json", ...headers }).end("{\"error\":{\"message\":\"no\"}}")
    for (
      const [given, wanted] of [
        [status(429, { "retry-after": "3" }), { kind: "rate-limit", retryAfter: 3000, status: 429 }],
        [status(401), { kind: "unauthorized" }],
        [status(403), { kind: "unauthorized" }],
        [status(400), { kind: "invalid" }],
        [status(500), { kind: "unavailable" }],
      ] as const
    ) {
      answer = given
      expect(await fails(model())).toMatchObject({ _tag: "ModelFailed", model: "m", ...wanted })
    }
    answer = stream("{")
    expect(await fails(model())).toMatchObject({ _tag: "ModelFailed" })
    const older = aiSdk({
      modelId: "old",
      doStream: async () => ({
        stream: new ReadableStream({
          start: (
            c,
          ) => (c.enqueue({ type: "text-delta", delta: "x" }),
            c.enqueue({ type: "finish", finishReason: "length", usage: { inputTokens: 3, outputTokens: 4 } }),
            c.close()),
        }),
      }),
    })
    expect((await turn(older)).at(-1)).toEqual({ type: "finish", reason: "length", usage: { input: 3, output: 4 } })
    const odd = aiSdk({ modelId: "odd", doStream: async () => ({ stream: new ReadableStream({ start: (c) => (c.enqueue({ type: "finish" }), c.close()) }) }) })
    expect(await turn(odd)).toEqual([{ type: "finish", reason: "unknown", usage: { input: 2, output: 0, estimated: true } }])
  })
})

it("a cassette plays what it has, records what it has not, and keeps only whole turns", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "heddle-cassette-")), "deep", "tape.json")
  const real = scripted(["first", { calls: [{ name: "t", args: {} }] }])
  const recording = cassette(file, real)
  const question = (text: string) => ask({ messages: [{ role: "user", text }] })
  const first = await turn(recording, question("one"))
  expect(await turn(recording, { ...question("one"), key: "another" })).toEqual(first)
  await turn(recording, question("two"))
  expect(real.requests.length).toBe(2)
  const playing = cassette(file)
  expect([await turn(playing, question("one")), (await turn(playing, question("two")))[0]]).toMatchObject([first, { type: "call" }])
  expect(await fails(playing, question("three"))).toMatchObject({
    kind: "not-recorded",
    retryable: false,
    reason: expect.stringContaining("'three' is not recorded in"),
  })
  expect(await fails(cassette(`${file}.none`), ask({ messages: [] }))).toMatchObject({ reason: expect.stringContaining("'' is not recorded") })
  expect(await fails(recording, question("four"))).toMatchObject({ kind: "not-recorded" })
  expect([Object.keys(JSON.parse(readFileSync(file, "utf8"))).length, existsSync(`${file}.new`)]).toEqual([2, false])
})
