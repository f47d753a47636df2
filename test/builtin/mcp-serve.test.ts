import { once } from "node:events"
import { PassThrough } from "node:stream"
import { Client as OfficialClient } from "@modelcontextprotocol/client"
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio"
import { openHeddle, secret, seq, tool } from "heddle"
import { mcp, serveMcp, type ServeMcpOptions } from "heddle/mcp"
import { expect, it, vi } from "vitest"
import { z } from "zod"
import { take } from "../../src/builtin/mcp/take.ts"
import { file, useTool } from "../support.ts"

const add = tool("add", { description: "Adds.", input: z.object({ a: z.number(), b: z.number() }), level: "safe" }, ({ a, b }) => a + b)
const greet = seq("greet", { input: z.object({ name: z.string() }), description: "Greets." }).returns(({ input }) => ({
  text: `Hello ${input.name}`,
  tags: new Set([1]),
}))
const order = seq("order", { input: z.object({ nr: z.number() }) })
  .wait("approval", { signal: "approval", schema: z.object({ by: z.string() }) })
  .returns(({ input, approval }) => `order ${input.nr} by ${approval.by}`)
const twice = seq("twice", { input: z.object({}) }).wait("first").wait("second")
const broken = seq("broken", { input: z.object({}) }).step("break", () => {
  throw new Error("the key is canary-of-mcp-serve")
})
const nothing = seq("nothing", { input: z.object({}) }).returns(() => undefined)
const slow = seq("slow", { input: z.object({}) }).step("wait", (_, { signal }) => once(signal, "abort"))

/** A server in this process, and somebody who speaks to it. */
async function served(more: Partial<ServeMcpOptions<never>> = {}) {
  const heddle = (await openHeddle({ store: file() }))._unsafeUnwrap()
  const [input, output] = [new PassThrough(), new PassThrough()]
  const said: Array<any> = []
  const waiting = new Map<number, (message: any) => void>()
  const write = output.write.bind(output)
  const done = serveMcp({ heddle, serves: [greet, add, order, twice, broken, nothing, slow], input, output, ...more })
  output.on("data", (part: Buffer) => {
    for (const line of part.toString().trim().split("\n")) {
      const message = JSON.parse(line)
      said.push(message)
      waiting.get(message.id)?.(message)
    }
  })
  let next = 1
  const send = (message: object | string) => input.write(typeof message === "string" ? message : `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`)
  const ask = (method: string, params: object = {}): Promise<any> => {
    const id = next++
    const answer = new Promise((resolve) => waiting.set(id, resolve))
    send({ id, method, params })
    return answer
  }
  const call = async (name: string, given?: object) => (await ask("tools/call", { name, ...(given === undefined ? {} : { arguments: given }) })).result
  return { heddle, said, send, ask, call, done, write, output, input, end: () => input.end() }
}
const texts = (result: any) => result.content[0].text

it("flows and tools are called, each as a run", async () => {
  const { ask, call, end, done, heddle, send, output, write } = await served({ name: "mine", version: "2.1.0" })
  expect((await ask("initialize", { protocolVersion: "2025-06-18" })).result).toEqual({
    protocolVersion: "2025-06-18",
    capabilities: { tools: {} },
    serverInfo: { name: "mine", version: "2.1.0" },
  })
  for (const protocolVersion of ["1999-01-01", "2025-03-26"]) expect((await ask("initialize", { protocolVersion })).result.protocolVersion).toBe("2025-11-25")
  send({ method: "notifications/initialized" })
  expect((await ask("ping")).result).toEqual({})
  const { tools } = (await ask("tools/list")).result
  expect(tools.map(({ name }: any) => name)).toEqual(["greet", "add", "order", "twice", "broken", "nothing", "slow", "look_at_run", "signal_run", "cancel_run"])
  expect(tools[0]).toMatchObject({ description: "Greets.", inputSchema: { type: "object", properties: { name: { type: "string" } } } })

  expect(await call("greet", { name: "Ada" })).toEqual({
    content: [{ type: "text", text: "{\"text\":\"Hello Ada\",\"tags\":[1]}" }],
    structuredContent: { text: "Hello Ada", tags: [1] },
    isError: false,
  })
  expect(await call("add", { a: 1, b: 2 })).toEqual({ content: [{ type: "text", text: "3" }], isError: false })
  expect(texts(await call("nothing"))).toBe("(nothing)")
  const bad = await call("add", { a: "1" })
  expect(bad.isError).toBe(true)
  expect(texts(bad)).toContain("a: ")
  expect((await heddle.list())._unsafeUnwrap().map(({ flow }) => flow).sort()).toEqual(["add", "greet", "nothing"])

  const printed: Array<unknown> = []
  const err = process.stderr.write
  process.stderr.write = ((text: unknown) => printed.push(text)) as never
  output.write("by others\n")
  process.stderr.write = err
  expect(printed).toEqual(["by others\n"])
  end()
  await done
  // given back
  write("{\"id\":0}\n")
  output.write("{\"id\":0}\n")
  await heddle.close()
})

it("a server that may send no signal says so", async () => {
  const { call, end, done, heddle } = await served({})
  const { run } = (await call("order", { nr: 7 })).structuredContent
  expect(texts(await call("signal_run", { run, signal: "approval" }))).toContain("sends no signal 'approval', none: a person may")
  end()
  await done
  await heddle.close()
})

it("a run that waits is told with its id, and goes on when it is signalled", async () => {
  const { call, end, done, heddle } = await served({ signals: ["approval", "first"] })
  const { structuredContent: waits } = await call("order", { nr: 7 })
  expect(waits).toMatchObject({ status: "suspended", waits: ["approval"] })
  const { run } = waits
  expect((await call("look_at_run", { run })).structuredContent).toEqual({ run, flow: "order", status: "suspended", waits: ["approval"] })
  expect(texts(await call("signal_run", { run, signal: "approval", payload: { by: 3 } }))).toContain("by: ")
  expect(texts(await call("signal_run", { run, signal: "approval", payload: { by: "Grace" } }))).toBe("order 7 by Grace")
  expect((await call("look_at_run", { run })).structuredContent).toEqual({ run, flow: "order", status: "completed", output: "order 7 by Grace" })

  const other = (await call("order", { nr: 8 })).structuredContent.run
  expect((await call("cancel_run", { run: other })).structuredContent).toEqual({ run: other, status: "cancelled" })
  expect(texts(await call("signal_run", { run: other, signal: "approval", payload: { by: "Grace" } }))).toContain("the run has ended")
  const both = (await call("twice")).structuredContent.run
  expect((await call("signal_run", { run: both, signal: "first" })).structuredContent).toMatchObject({ status: "suspended", waits: ["second"] })
  // a person may send the others
  expect(texts(await call("signal_run", { run: both, signal: "second" }))).toContain("sends no signal 'second', only approval, first: a person may")
  const paused = (await call("order", { nr: 9 })).structuredContent.run
  await heddle.pause(paused)
  expect(texts(await call("signal_run", { run: paused, signal: "approval", payload: { by: "x" } }))).toContain("is paused by somebody")
  // only runs that were started here, also where others run what is served
  await heddle.run(seq("foreign"), undefined, { id: "foreign" })
  await heddle.run(order, { nr: 1 }, { id: "theirs", onSuspend: "return" })
  for (const name of ["look_at_run", "signal_run", "cancel_run"]) {
    expect(texts(await call(name, { signal: "approval" }))).toBe("'run' is missing, or no text")
    for (const id of ["foreign", "theirs", "none"]) {
      expect(await call(name, { run: id })).toMatchObject({ isError: true, content: [{ text: `there is no run '${id}' that was started here` }] })
    }
  }
  end()
  await done
  await heddle.close()
})

it("what is wrong is answered; secrets are not in it", async () => {
  secret("canary-of-mcp-serve")
  const { ask, call, send, said, end, done, heddle } = await served()
  expect(texts(await call("broken", {}))).toContain("the key is [redacted]")
  send("\n")
  send("no json\n")
  send("[]\n")
  send("{\"id\":1,\"method\":\"ping\"}\n")
  send({ id: "answer", result: {} })
  send({ id: "params", method: "ping", params: [] })
  expect((await ask("resources/list")).error).toEqual({ code: -32601, message: "Method not found: resources/list" })
  expect((await ask("tools/call", { name: "other" })).error).toEqual({ code: -32602, message: "Unknown tool: \"other\"" })
  expect((await ask("tools/call", { name: { toString: 1 } })).error.code).toBe(-32602)
  expect((await ask("tools/call", { name: "look_at_run", arguments: 3 })).error.code).toBe(-32602)
  send({ id: "look", method: "tools/call", params: { name: "look_at_run", arguments: { run: "none" } } })
  send({ id: "look", method: "tools/call", params: { name: "add", arguments: { a: 1, b: 1 } } })
  send({ method: "notifications/cancelled", params: { requestId: "look" } })
  await call("nothing")
  expect(said.filter(({ id }) => id === "look")).toMatchObject([{ error: { message: "the id look is that of a call that goes on" } }])
  const wrong = said.filter(({ id, error }) => id === null && error !== undefined).map(({ error }) => error.code)
  expect(wrong).toEqual([-32700, -32600, -32600])
  expect(said.find(({ id }) => id === "params")).toMatchObject({ result: {} })
  end()
  await done
  await heddle.close()
})

it("who cancels gets no answer, and the run is cancelled; no more than 64 at once", async () => {
  const { ask, send, said, heddle, end, done } = await served()
  const many = Array.from({ length: 65 }, (_, i) => `many-${i}`)
  for (const id of many) send({ id, method: "tools/call", params: { name: "slow", arguments: {} } })
  await ask("ping")
  expect(said.filter(({ error }) => error !== undefined)).toMatchObject([{ id: "many-64", error: { message: "more than 64 calls at once" } }])
  // they are known to the store before they are cancelled
  await expect.poll(async () => (await heddle.list({ status: "running", limit: 100 }))._unsafeUnwrap().length).toBe(64)
  for (const requestId of many) send({ method: "notifications/cancelled", params: { requestId } })
  end()
  await done
  expect(said.filter(({ result }) => result !== undefined && Object.keys(result).length > 0)).toEqual([])
  expect((await heddle.list({ status: "cancelled", limit: 100 }))._unsafeUnwrap()).toHaveLength(64)
  await heddle.close()
})

it("a request that is too long ends the talk", async () => {
  const { send, said, done, heddle } = await served()
  send("x".repeat(5 * 1024 * 1024))
  await done
  expect(said).toMatchObject([{ id: null, error: { code: -32600 } }])
  await heddle.close()
})

it("who goes away ends the talk, and keeps nobody alive", async () => {
  for (const how of ["output", "input"] as const) {
    const gone = await served()
    const stream = how === "output" ? gone.output : gone.input
    stream.destroy(new Error("gone"))
    await gone.done
    await gone.heddle.close()
  }
  const left = await served()
  left.send("x".repeat(5 * 1024 * 1024))
  await left.done
  expect([left.input.isPaused(), left.input.listenerCount("data")]).toEqual([true, 0])
  await left.heddle.close()
})

it("what is written meanwhile is written elsewhere, with all that belongs to it", async () => {
  const output = new PassThrough()
  const { giveBack } = take(output)
  const err = process.stderr.write
  process.stderr.write = ((text: string, encoding: string, over: () => void) => {
    expect([text, encoding]).toEqual(["x", "utf8"])
    over()
    return true
  }) as never
  try {
    await new Promise<void>((resolve) => output.write("x", "utf8", () => resolve()))
  } finally {
    process.stderr.write = err
    giveBack()
  }
})

it("what cannot be served is refused before anybody can call it", async () => {
  const heddle = (await openHeddle())._unsafeUnwrap()
  const refused = async (serves: ServeMcpOptions<never>["serves"], allow?: "privileged") => {
    const input = new PassThrough().end() as PassThrough
    return serveMcp({ heddle, serves, input, output: new PassThrough(), ...(allow === undefined ? {} : { allow }) }).then(
      () => "served",
      (error) => `${error.name}: ${error.message}`,
    )
  }
  const dangerous = tool("erase", { description: "Erases.", input: z.object({}), level: "privileged" }, () => 1)
  const asks = tool("pay", { description: "Pays.", input: z.object({}), approval: true }, () => 1)
  expect(await refused([seq("bare")])).toContain("MCP server 'heddle': flow 'bare' has no input schema")
  expect(await refused([seq("member", { input: z.object({}), session: z.object({}) })])).toContain("say which session its runs belong to")
  expect(await refused([greet, seq("greet", { input: z.object({}) })])).toBe("TypeError: MCP server 'heddle': the name 'greet' is taken")
  expect(await refused([seq("signal_run", { input: z.object({}) })])).toContain("the name 'signal_run' is taken")
  expect(await refused([seq("text", { input: z.string() })])).toBe("TypeError: MCP server 'heddle': the input of 'text' is to be an object")
  expect(await refused([dangerous])).toContain("'erase' is privileged, and nobody is asked here")
  expect(await refused([asks])).toContain("'pay' asks for an approval, and nobody is asked here")
  expect(await refused([dangerous, asks], "privileged")).toBe("served")
})

const command = (store: string, ...files: ReadonlyArray<string>): [string, ...Array<string>] => [
  process.execPath,
  "--conditions=source",
  "--disable-warning=ExperimentalWarning",
  "test/security/cli.ts",
  "--store",
  store,
  "mcp",
  ...files,
]

it("who does not read what it is told is not heard until it does", async () => {
  const output = new PassThrough({ highWaterMark: 100 })
  const input = new PassThrough()
  const heddle = (await openHeddle())._unsafeUnwrap()
  const done = serveMcp({ heddle, serves: [greet], input, output })
  const pings = Array.from({ length: 1000 }, (_, id) => `${JSON.stringify({ jsonrpc: "2.0", id, method: "ping" })}\n`)
  for (const ping of pings) input.write(ping)
  await vi.waitFor(() => expect(input.isPaused()).toBe(true))
  expect(output.writableLength + output.readableLength).toBeLessThan(1000)
  const said: Array<number> = []
  input.end()
  output.on("data", (part: Buffer) => {
    for (const line of part.toString().trim().split("\n")) said.push(JSON.parse(line).id)
  })
  await done
  await vi.waitFor(() => expect(said).toEqual(pings.map((_, id) => id)))
})

it("`heddle mcp` serves a file's flows, whatever they print", async () => {
  const store = file()
  await using server = mcp("ours", { command: command(store, "test/fixtures/served.ts") })
  const say = server.tool("say", { input: z.object({ name: z.string() }), output: z.object({ text: z.string() }) })
  expect((await useTool(say, { name: "Ada" }))._unsafeUnwrap()).toEqual({ text: "Hello Ada" })
  expect((await server.tools()).map(({ tool: { name } }) => name)).toEqual(["say", "look_at_run", "signal_run", "cancel_run"])
  await server.close()
  await using heddle = (await openHeddle({ store }))._unsafeUnwrap()
  expect((await heddle.list())._unsafeUnwrap()).toMatchObject([{ flow: "say", status: "completed" }])
})

it("the protocol's own client and server understand ours", async () => {
  const [program, ...args] = command(file(), "test/fixtures/served.ts")
  const client = new OfficialClient({ name: "official", version: "1.0.0" })
  const transport = new StdioClientTransport({ command: program, args, stderr: "pipe" })
  await client.connect(transport)
  expect(client.getServerVersion()).toEqual({ name: "heddle", version: "1.0.0" })
  expect((await client.listTools()).tools.map(({ name, description }) => [name, description])[0]).toEqual(["say", "Says hello."])
  expect(await client.callTool({ name: "say", arguments: { name: "Ada" } })).toMatchObject({ structuredContent: { text: "Hello Ada" }, isError: false })
  await client.close()

  await using official = mcp("official", { command: [process.execPath, "test/fixtures/mcp-official.ts"] })
  const add = official.tool("add", { input: z.object({ a: z.number(), b: z.number() }), output: z.object({ sum: z.number() }) })
  expect((await useTool(add, { a: 1, b: 2 }))._unsafeUnwrap()).toEqual({ sum: 3 })
  const [found] = await official.tools()
  expect((await useTool(found, { a: "1", b: 2 }))._unsafeUnwrapErr()).toMatchObject({ _tag: "InputInvalid" })
})
