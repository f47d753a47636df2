import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Client as OfficialClient, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { McpServer as OfficialServer, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server"
import { openHeddle, secret, seq, tool } from "heddle"
import { mcp, mcpHandler, type McpHandlerOptions, type McpHttpOptions } from "heddle/mcp"
import { afterEach, expect, it, vi } from "vitest"
import { z } from "zod"
import { listen } from "../../src/cli/commands/mcp-http.ts"
import { file, useTool } from "../support.ts"

const closing: Array<() => unknown> = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})
const client = (url: string, more: Partial<McpHttpOptions> = {}) => {
  const made = mcp("test", { url, timeout: "5 seconds", ...more })
  closing.push(() => made.close())
  return made
}
const x = (server: ReturnType<typeof mcp>) => server.tool("x", { input: z.object({}) })

type Said = { readonly method: string; readonly message: any; readonly headers: IncomingMessage["headers"] }
type Answers = (said: Said, response: ServerResponse, send: (result: unknown) => void) => unknown
/** A server that answers `tools/call` as it is told, and has said what was said to it. */
async function server(calls: Answers, others: Answers = () => undefined) {
  const heard: Array<Said> = []
  const http = createServer((incoming, response) => {
    void (async () => {
      let text = ""
      for await (const part of incoming) text += String(part)
      const message = text === "" ? {} : JSON.parse(text)
      const said = { method: message.method ?? incoming.method, message, headers: incoming.headers }
      heard.push(said)
      const send = (result: unknown) => {
        if (!response.headersSent) response.writeHead(200, { "content-type": "application/json" })
        response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, result }))
      }
      await (said.method === "tools/call" ? calls : others)(said, response, send)
      if (said.method === "tools/call" || response.writableEnded) return
      if (said.method === "initialize") {
        response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "s1" })
        send({ protocolVersion: "2025-06-18", capabilities: {}, serverInfo: { name: "t", version: "1" } })
      } else if (said.method === "tools/list") send({ tools: [{ name: "x", inputSchema: { type: "object" } }] })
      else response.writeHead(202).end()
    })()
  })
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
  closing.push(() => (http.closeAllConnections(), new Promise((resolve) => http.close(resolve))))
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, heard, http }
}
const ok = { content: [{ type: "text", text: "ok" }] }
const methods = (heard: ReadonlyArray<Said>) => heard.map(({ method }) => method)

it("a server behind a URL is greeted once, told who asks, and told when we go", async () => {
  const { url, heard } = await server((_, __, send) => send(ok))
  let asked = 0
  const remote = client(url, { headers: async () => ({ authorization: secret(`Bearer key-of-mcp-http-${asked++}`) }) })
  expect((await useTool(x(remote), {}))._unsafeUnwrap()).toBe("ok")
  expect((await useTool(x(remote), {}))._unsafeUnwrap()).toBe("ok")
  await remote.close()
  expect(methods(heard)).toEqual(["initialize", "notifications/initialized", "tools/list", "tools/call", "tools/call", "DELETE"])
  expect(heard[0]!.headers).not.toHaveProperty("mcp-session-id")
  expect(heard[4]!.headers).toMatchObject({ "mcp-session-id": "s1", "mcp-protocol-version": "2025-06-18" })
  expect(new Set(heard.map(({ headers }) => headers.authorization)).size).toBe(heard.length)
  expect((await useTool(x(remote), {}))._unsafeUnwrapErr()).toMatchObject({ code: "closed" })
})

it("answers come as events, with what else the server says on the way", async () => {
  const event = (message: object) => `event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`
  const { url, heard } = await server(({ message }, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write(": hello\nretry: 10\n\ndata: no json\n\n")
    response.write(event({ id: "of-theirs", method: "ping" }) + event({ method: "notifications/tools/list_changed" }) + event({ id: 999, result: {} }))
    response.write(event({ id: message.id, result: ok }).slice(0, 20))
    // it stays open after its answer: nobody waits for its end
    setTimeout(() => response.write(event({ id: message.id, result: ok }).slice(20)), 20)
  })
  const remote = client(url)
  expect((await useTool(x(remote), {}))._unsafeUnwrap()).toBe("ok")
  await vi.waitFor(() => expect(heard.at(-1)!.message).toEqual({ jsonrpc: "2.0", id: "of-theirs", result: {} }))
  expect((await useTool(x(remote), {}))._unsafeUnwrap()).toBe("ok")
  expect(methods(heard).filter((method) => method === "tools/list")).toHaveLength(2)
})

it("an answer that breaks off has broken off, and is not late", async () => {
  const { url } = await server((_, response) => {
    response.writeHead(200, { "content-type": "application/json" }).write("{")
    setTimeout(() => response.destroy(), 30)
  })
  expect((await useTool(x(client(url)), {}))._unsafeUnwrapErr()).toMatchObject({ code: "ended", reason: expect.stringContaining("broke off") })
})

it("a list of tools is read again when it is a minute old", async () => {
  const { url, heard } = await server((_, __, send) => send(ok))
  const remote = client(url)
  const now = vi.spyOn(performance, "now")
  closing.push(() => now.mockRestore())
  await useTool(x(remote), {})
  now.mockReturnValue(performance.now() + 59_000)
  await useTool(x(remote), {})
  expect(methods(heard).filter((method) => method === "tools/list")).toHaveLength(1)
  now.mockReturnValue(performance.now() + 2000)
  await useTool(x(remote), {})
  expect(methods(heard).filter((method) => method === "tools/list")).toHaveLength(2)
})

it.each<[string, Answers, string, string]>([
  ["refuses a key", (_, response) => response.writeHead(401).end(), "refused", "it answers 401 Unauthorized"],
  ["has had enough", (_, response) => response.writeHead(429).end("later"), "refused", "it answers 429 Too Many Requests: later"],
  ["knows no such thing", (_, response) => response.writeHead(405).end(), "protocol", "it answers 405"],
  ["has forgotten us", (_, response) => response.writeHead(404).end("x".repeat(50)), "ended", "it answers 404 Not Found"],
  ["is down", (_, response) => response.writeHead(503).end(), "ended", "it answers 503 Service Unavailable"],
  ["hangs up", (_, response) => response.destroy(), "ended", "other side closed"],
  ["sends us elsewhere", (_, response) => response.writeHead(307, { location: "http://127.0.0.1:9/" }).end(), "ended", "redirect"],
  ["says nothing", (_, response) => response.writeHead(204).end(), "protocol", "holds none"],
  ["says what is no message", (_, response) => response.writeHead(200, { "content-type": "application/json" }).end("[1]"), "protocol", "holds none"],
  ["says too much", (_, __, send) => send("x".repeat(5000)), "too-much", "more than 4000 bytes"],
  [
    "says it has failed",
    (said, response) => response.end(JSON.stringify({ jsonrpc: "2.0", id: said.message.id, error: { code: 7, message: "no" } })),
    "protocol",
    "no (7)",
  ],
])("a server that %s", async (_, answers, code, reason) => {
  const { url } = await server(answers)
  const error = (await useTool(x(client(url, { most: { bytes: 4000 } })), {}))._unsafeUnwrapErr()
  expect(error).toMatchObject({ _tag: "McpFailed", code, reason: expect.stringContaining(reason) })
})

it("a server that has forgotten us is greeted anew; one that is not there is left alone for a while", async () => {
  let isLost = true
  const { url, heard } = await server((_, response, send) => {
    if (isLost) response.writeHead(404).end()
    else send(ok)
    isLost = false
  })
  const remote = client(url)
  expect((await useTool(x(remote), {}))._unsafeUnwrapErr()).toMatchObject({ code: "ended" })
  expect((await useTool(x(remote), {}))._unsafeUnwrap()).toBe("ok")
  expect(methods(heard).filter((method) => method === "initialize")).toHaveLength(2)

  const nobody = client("http://127.0.0.1:9/mcp", { restarts: { failures: 2 } })
  const codes = []
  for (let i = 0; i < 3; i++) codes.push((await useTool(x(nobody), {}))._unsafeUnwrapErr().code)
  expect(codes).toEqual(["start", "start", "resting"])
})

it("a call that takes too long is cancelled there; one that goes on when we close ends with us", async () => {
  const { url, heard } = await server(() => undefined)
  expect((await useTool(x(client(url, { timeout: 50 })), {}))._unsafeUnwrapErr()).toMatchObject({ code: "timeout" })
  await vi.waitFor(() => expect(heard.at(-1)!.message).toMatchObject({ method: "notifications/cancelled", params: { requestId: 3 } }))
  const remote = client(url)
  const call = useTool(x(remote), {})
  await vi.waitFor(() => expect(methods(heard).filter((method) => method === "tools/call")).toHaveLength(2))
  await remote.close()
  expect((await call)._unsafeUnwrapErr()).toMatchObject({ code: "closed" })
  const slow = await server(() => undefined, ({ method }) => method === "initialize" ? new Promise(() => undefined) : undefined)
  expect((await useTool(x(client(slow.url, { timeout: 50 })), {}))._unsafeUnwrapErr()).toMatchObject({ code: "timeout" })
  expect(methods(slow.heard)).toEqual(["initialize"])
})

it("a server that hears no more than it must is none the worse; a key that cannot be had is a failure to start", async () => {
  const { url, heard } = await server((_, __, send) => send(ok), ({ method }, response) => {
    if (method !== "initialize" && method !== "tools/list") response.destroy()
  })
  const remote = client(url, { headers: { "x-team": "looms" } })
  expect((await useTool(x(remote), {}))._unsafeUnwrap()).toBe("ok")
  await remote.close()
  expect(heard.at(-1)).toMatchObject({ method: "DELETE", headers: { "x-team": "looms" } })
  const keyless = client(url, { headers: () => Promise.reject(new Error("no token to be had")) })
  expect((await useTool(x(keyless), {}))._unsafeUnwrapErr()).toMatchObject({ code: "start", reason: "no token to be had" })
})

it("a server without sessions is not told when we go", async () => {
  const { url, heard } = await server((_, __, send) => send(ok), ({ method }, _, send) => {
    if (method === "initialize") send({ protocolVersion: "2025-11-25" })
  })
  const remote = client(url)
  await useTool(x(remote), {})
  await remote.close()
  expect(methods(heard)).not.toContain("DELETE")
})

const add = tool("add", { description: "Adds.", input: z.object({ a: z.number(), b: z.number() }), level: "safe" }, ({ a, b }) => a + b)
const order = seq("order", { input: z.object({ nr: z.number() }) })
  .wait("approval", { signal: "approval", schema: z.object({ by: z.string() }) })
  .returns(({ input, approval }) => `order ${input.nr} by ${approval.by}`)
const served = async (more: Partial<McpHandlerOptions<never>> = {}) => {
  const heddle = (await openHeddle({ store: file() }))._unsafeUnwrap()
  closing.push(() => heddle.close())
  return mcpHandler({ heddle, serves: [add, order], ...more })
}
const rpc = (message: object | string, headers: Readonly<Record<string, string>> = {}) =>
  new Request("http://localhost/mcp", {
    method: "POST",
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: typeof message === "string" ? message : JSON.stringify({ jsonrpc: "2.0", ...message }),
  })
const call = (name: string, args: object) => rpc({ id: 1, method: "tools/call", params: { name, arguments: args } })

it("flows and tools are served to whoever asks over HTTP, request by request", async () => {
  const handler = await served({ name: "mine", signals: ["approval"] })
  const hello = await (await handler(rpc({ id: 0, method: "initialize", params: { protocolVersion: "2025-06-18" } }))).json()
  expect(hello).toMatchObject({ id: 0, result: { protocolVersion: "2025-06-18", serverInfo: { name: "mine" } } })
  expect((await handler(rpc({ method: "notifications/initialized" }))).status).toBe(202)
  expect(await (await handler(call("add", { a: 1, b: 2 }))).json()).toMatchObject({ result: { content: [{ text: "3" }] } })
  const waiting: any = await (await handler(call("order", { nr: 7 }))).json()
  const told = call("signal_run", { run: waiting.result.structuredContent.run, signal: "approval", payload: { by: "Ada" } })
  expect(await (await handler(told)).json()).toMatchObject({ result: { content: [{ text: "order 7 by Ada" }] } })
})

it("what is no request of the protocol is refused", async () => {
  const handler = await served({ origins: ["https://app.example"] })
  const status = async (request: Request) => (await handler(request)).status
  const ping = { id: 1, method: "ping" }
  expect(await status(rpc(ping))).toBe(200)
  expect(await status(rpc(ping, { origin: "https://evil.example" }))).toBe(403)
  expect(await status(rpc(ping, { origin: "https://app.example" }))).toBe(200)
  expect(await status(new Request("http://localhost/mcp"))).toBe(405)
  expect(await status(rpc(ping, { "content-type": "text/plain" }))).toBe(415)
  expect(await status(new Request("http://localhost/mcp", { method: "POST" }))).toBe(415)
  expect(await status(new Request("http://localhost/mcp", { method: "POST", headers: { "content-type": "application/json" } }))).toBe(202)
  expect(await status(rpc(ping, { "mcp-protocol-version": "1999-01-01" }))).toBe(400)
  expect(await status(rpc("{"))).toBe(400)
  expect(await status(rpc({ id: 1, method: "no/such" }))).toBe(200)
  expect(await status(rpc({ method: "x", id: 1, params: { long: "x".repeat(5e6) } }))).toBe(413)
})

it("no more than 64 calls at once", async () => {
  let done = () => {}
  const until = new Promise<void>((resolve) => (done = resolve))
  const handler = await served({ serves: [tool("slow", { description: "Slow.", input: z.object({ n: z.number() }), level: "safe" }, () => until)] })
  const going = Array.from({ length: 64 }, (_, n) => handler(call("slow", { n })))
  expect((await handler(rpc({ id: 1, method: "ping" }))).status).toBe(503)
  done()
  expect((await Promise.all(going)).map(({ status }) => status)).toEqual(Array.from({ length: 64 }, () => 200))
  expect((await handler(rpc({ id: 1, method: "ping" }))).status).toBe(200)
})

it("the protocol's own client and server understand ours over HTTP", async () => {
  const ours = await listen(await served(), 0)
  closing.push(() => ours.close())
  const official = new OfficialClient({ name: "official", version: "1.0.0" })
  await official.connect(new StreamableHTTPClientTransport(new URL(ours.url)))
  expect((await official.listTools()).tools.map(({ name }) => name)).toEqual(["add", "order", "look_at_run", "signal_run", "cancel_run"])
  expect(await official.callTool({ name: "add", arguments: { a: 2, b: 3 } })).toMatchObject({ content: [{ text: "5" }], isError: false })
  await official.close()

  const theirs = new OfficialServer({ name: "theirs", version: "1.0.0" })
  theirs.registerTool(
    "add",
    { description: "Adds.", inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ sum: z.number() }) },
    ({ a, b }) => ({
      content: [{ type: "text", text: String(a + b) }],
      structuredContent: { sum: a + b },
    }),
  )
  const transport = new WebStandardStreamableHTTPServerTransport({ sessionIdGenerator: () => "of-theirs" })
  await theirs.connect(transport)
  const listening = await listen((request) => transport.handleRequest(request), 0)
  closing.push(() => listening.close())
  const remote = client(listening.url)
  const sum = remote.tool("add", { input: z.object({ a: z.number(), b: z.number() }), output: z.object({ sum: z.number() }) })
  expect((await useTool(sum, { a: 1, b: 2 }))._unsafeUnwrap()).toEqual({ sum: 3 })
  expect(Object.keys(await remote.hashes())).toEqual(["add"])
})
