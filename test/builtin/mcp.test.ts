import { execFileSync } from "node:child_process"
import { Effect, Fiber } from "effect"
import { nest, run, secret, seq } from "heddle"
import { agent, scripted } from "heddle/agents"
import { mcp, type McpOptions } from "heddle/mcp"
import { afterEach, expect, it } from "vitest"
import { z } from "zod"
import { checking } from "../../src/builtin/mcp/json-schema.ts"
import { Lines } from "../../src/builtin/mcp/lines.ts"
import { go, useTool } from "../support.ts"

/** Who listens for the end of this process before there is any server. */
const quiet = process.listeners("exit")
const open: Array<ReturnType<typeof mcp>> = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})
const server = (mode = "", more: Partial<McpOptions> = {}) => {
  const made = mcp("test", { command: [process.execPath, "test/fixtures/mcp-server.ts", mode], timeout: "5 seconds", ...more })
  open.push(made)
  return made
}
/** What its tool `x` gives. */
const use = async (mode: string, more?: Partial<McpOptions>) => useTool(server(mode, more).tool("x", { input: z.object({}) }), {})
const why = async (promise: Promise<unknown>) => promise.then(() => "fine", (error) => `${error.code}: ${error.reason}`)

it("its tools are typed steps", async () => {
  const x = server().tool("x", { input: z.object({ n: z.number() }) })
  const flow = seq("f", { input: z.object({ n: z.number() }), capabilities: ["mcp.test"] }).step(x).returns(({ x: said }) => said)
  expect((await run(flow, { n: 3 }))._unsafeUnwrap()).toBe("ok {\"n\":3}")
  const none = seq("f", { input: z.object({ n: z.number() }), capabilities: [] }).step(x)
  expect((await run(none, { n: 3 }))._unsafeUnwrapErr()).toMatchObject({ _tag: "FlowInvalid" })
})

it("what it gives is checked where a schema says what it is", async () => {
  const found = z.object({ found: z.number() })
  const good = server("structured").tool("x", { as: "look", input: z.object({}), output: found })
  expect(good.tool).toMatchObject({ name: "look", description: "The tool x of test.", level: "restricted", needs: ["mcp.test"] })
  expect((await useTool(good, {}))._unsafeUnwrap()).toEqual({ found: 3 })
  const bad = server("structured").tool("x", { input: z.object({}), output: z.object({ found: z.string(), more: z.string() }), description: "Looks." })
  expect((await useTool(bad, {}))._unsafeUnwrapErr()).toMatchObject({ code: "protocol", reason: expect.stringContaining("found: ") })
  const text = server().tool("x", { input: z.object({}), output: z.number() })
  expect((await useTool(text, {}))._unsafeUnwrapErr().message).toContain("(all): ")
  expect((await use("picture"))._unsafeUnwrap()).toEqual([{ type: "text", text: "here" }, { type: "image", data: "AA==", mimeType: "image/png" }])
})

it("an agent uses what it offers, and what does not fit its schema is not sent", async () => {
  const tools = await server().tools({ only: ["x", "env.look"], prefix: "t-", approval: false })
  expect(tools.map(({ tool: { name, description } }) => [name, description])).toEqual([["t-x", "The tool x of test."], ["t-env_look", "Shows a variable."]])
  const asks = agent("asks", {
    input: z.object({}),
    tools,
    model: scripted(({ messages, tools: seen }) =>
      messages.at(-1)?.role === "tool" ?
        messages.filter(({ role }) => role === "tool").map(({ text }) => text).join(" | ") + ` | ${JSON.stringify(seen[0]!.parameters)}` :
        { calls: [{ name: "t-x", args: { n: "three" } }, { name: "t-x", args: { n: 3, m: 4 } }, { name: "t-x", args: { n: 3 } }] }
    ),
  })
  const said = (await run(asks, {}))._unsafeUnwrap()
  expect(said).toMatch(/do not fit.* \| .*do not fit.* \| ok \{"n":3\} \| \{"type":"object","properties"/)
  await expect(server().tools({ only: ["z"] })).rejects.toMatchObject({ code: "missing" })
  expect(() => agent("twice", { input: z.object({}), tools: [...tools, ...tools] })).toThrow("two of its tools are called 't-x'")
})

it("tools are taken only as they were", async () => {
  const { x } = await server().hashes()
  const pinned = (mode: string, hash: string) => server(mode).tool("x", { input: z.object({}), hash })
  expect((await useTool(pinned("", x!), {})).isOk()).toBe(true)
  expect((await useTool(pinned("", "other"), {}))._unsafeUnwrapErr()).toMatchObject({ code: "changed" })

  const changing = server("changes")
  const [first, second] = await changing.tools()
  expect((await useTool(first, {})).isOk()).toBe(true)
  expect((await useTool(first, {}))._unsafeUnwrapErr()).toMatchObject({ _tag: "McpFailed", code: "changed" })
  expect((await useTool(second, {}))._unsafeUnwrapErr()).toMatchObject({ code: "missing" })
})

it("servers that do wrong are told apart", async () => {
  const code = async (mode: string, more?: Partial<McpOptions>) => {
    const error = (await use(mode, more))._unsafeUnwrapErr()
    return `${error._tag} ${error.code}: ${error.reason}`
  }
  expect(await code("exit-at-start")).toBe("McpFailed ended: it has ended (9): cannot find the config")
  expect(await code("quiet-exit")).toBe("McpFailed ended: it has ended (3)")
  expect(await code("", { command: ["/nonexistent/server"] })).toContain("McpFailed start: spawn /nonexistent/server ENOENT")
  expect(await code("hang-init", { timeout: 300 })).toBe("McpFailed timeout: it has not answered 'initialize' within 300 ms")
  expect(await code("ancient")).toContain("McpFailed protocol: it speaks version 2023-01-01")
  expect(await code("no-hello")).toContain("McpFailed protocol: it speaks version undefined")
  expect(await code("huge")).toBe("McpFailed too-much: it has more than 1000 tools")
  expect(await code("huge", { most: { tools: 5, bytes: 1e7 } })).toBe("McpFailed too-much: it has more than 5 tools")
  expect(await code("long")).toBe("McpFailed too-much: a message has more than 4194304 bytes")
  expect(await code("pages")).toBe("McpFailed too-much: its list of tools has more than 100 pages")
  expect(await code("no-list")).toBe("McpFailed protocol: it gives no list of tools")
  expect(await code("no-schema")).toBe("McpFailed protocol: it lists a tool without a name or a schema")
  expect(await code("crash")).toBe("McpFailed ended: it has ended (7): segfault")
  expect(await code("hang", { timeout: 1000 })).toBe("McpFailed timeout: it has not answered 'tools/call' within 1000 ms")
  expect(await code("remote-error")).toBe("McpFailed protocol: bad arguments (-32602)")
  expect(await code("refusing")).toBe("McpFailed tool: its tool 'x' says: no such page")
  expect(await code("refusing-pictures")).toContain("McpFailed tool: its tool 'x' says: [{\"type\":\"image\"")
  expect(await code("no-content")).toBe("McpFailed protocol: its tool 'x' has answered without content")
  for (const harmless of ["old", "banner"]) expect((await use(harmless))._unsafeUnwrap()).toBe("ok {}")
})

it("it may ask us, and is told that we answer nothing but pings", async () => {
  const [x] = await server("asks").tools()
  expect(JSON.parse(x!.tool.description)).toEqual({ error: { code: -32601, message: "Method not found" } })
})

it("it is given the environment that it is given, and no other", async () => {
  process.env["HEDDLE_TEST_VALUE"] = "ours"
  const tool = server("env", { environment: { KEY: secret("canary-of-mcp-env"), OTHER: "plain" }, folder: process.cwd() }).tool("x", {
    input: z.object({ name: z.string() }),
  })
  const value = async (name: string) => (await useTool(tool, { name }))._unsafeUnwrap()
  expect(await value("HEDDLE_TEST_VALUE")).toBe("(none)")
  expect(await value("OTHER")).toBe("plain")
  expect(await value("KEY")).toBe("[redacted]")
  delete process.env["HEDDLE_TEST_VALUE"]
})

it("one that has ended is started again; one that keeps ending is left alone for a while", async () => {
  const tool = server("", { restarts: { failures: 3, open: 200 } }).tool("x", { input: z.object({ crash: z.boolean() }) })
  const one = async (crash: boolean) => {
    const result = await useTool(tool, { crash })
    // until its end is known here too
    if (crash) await new Promise((resolve) => setTimeout(resolve, 50))
    return result.match(() => "ok", ({ code }) => code)
  }
  const said: Array<string> = []
  for (const crash of [false, true, false, true, true, false]) said.push(await one(crash))
  expect(said).toEqual(["ok", "ended", "ok", "ended", "ended", "resting"])
  await new Promise((resolve) => setTimeout(resolve, 250))
  expect(await one(false)).toBe("ok")
})

it("a call that is interrupted is cancelled there; parallel calls get their own answers", async () => {
  const x = server().tool("x", { input: z.object({ n: z.number() }) })
  const all = seq("all").each("got", () => Array.from({ length: 100 }, (_, n) => n), (b) => b.step("it", nest(x, ({ item }) => ({ n: item }))), {
    concurrency: 20,
  })
    .returns(({ got }) => got.map(({ it: said }) => said))
  expect((await run(all))._unsafeUnwrap()).toEqual(Array.from({ length: 100 }, (_, n) => `ok {"n":${n}}`))

  const hanging = server("hang")
  const slow = hanging.tool("x", { input: z.object({}) })
  expect((await useTool(hanging.tool("z", { input: z.object({}) }), {}))._unsafeUnwrapErr()).toMatchObject({ code: "missing" })
  const fiber = Effect.runFork(slow({}) as Effect.Effect<unknown>)
  await new Promise((resolve) => setTimeout(resolve, 100))
  await go(Fiber.interrupt(fiber))
  const late = slow({})
  const gone = Effect.runPromise(Effect.flip(late))
  await new Promise((resolve) => setTimeout(resolve, 100))
  await hanging.close()
  expect(await gone).toMatchObject({ code: "closed" })
  expect(await why(hanging.tools())).toBe("closed: it has been closed")
})

it("what is given up before it is sent is not sent, and what is closed while it starts ends", async () => {
  const crashing = server("crash")
  const fiber = Effect.runFork(crashing.tool("x", { input: z.object({}) })({}) as Effect.Effect<unknown>)
  await go(Fiber.interrupt(fiber))
  expect(await crashing.tools()).toHaveLength(3)
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(await crashing.tools()).toHaveLength(3)

  const never = server("", { command: ["/nonexistent/server"] })
  const starting = why(never.tools())
  await never.close()
  expect(await starting).toContain("start: ")
})

it("it may stop hearing, or say too much: whoever asks is told", async () => {
  expect(await why(server("deaf", { timeout: 500 }).tools())).toBe("timeout: it has not answered 'tools/list' within 500 ms")
  const long = server("long")
  const said = "too-much: a message has more than 4194304 bytes"
  expect([await why(long.tools()), await why(long.tools())]).toEqual([said, said])
})

it("what it has started ends with it, and does not hide its end", async () => {
  const sleeps = () => {
    try {
      return execFileSync("pgrep", ["-f", "^sleep 30$"]).toString().trim().split("\n").length
    } catch {
      return 0
    }
  }
  const before = sleeps()
  expect((await use("leaves"))._unsafeUnwrapErr()).toMatchObject({ code: "ended" })
  await expect.poll(sleeps).toBe(before)
  const closed = server("leaves")
  await closed.tools()
  await closed.close()
  await expect.poll(sleeps).toBe(before)
})

it("whatever goes wrong is told as its failure, and closing waits for nobody", async () => {
  expect(await why(server("", { command: ["node", "a\0b"] }).tools())).toContain("start: ")
  expect(await why(server("", { timeout: "Infinity" as never }).tools())).toBe("fine")
  const silent = server("hang-init", { timeout: "1 minute" })
  const asked = why(silent.tools())
  await new Promise((resolve) => setTimeout(resolve, 100))
  await silent.close()
  expect(await asked).toMatch(/timeout|closed/)
})

it("its process ends with ours", async () => {
  await expect.poll(() => process.listeners("exit")).toEqual(quiet)
  const before = process.listeners("exit")
  const one = server()
  await one.tools()
  const added = process.listeners("exit").filter((listener) => !before.includes(listener))
  expect(added).toHaveLength(1)
  added[0]!(0)
  await expect.poll(() => process.listeners("exit")).toEqual(before)
})

it("closing ends its process, also one that does not want to; an idle one does not keep ours alive", async () => {
  const children = () => {
    try {
      return execFileSync("pgrep", ["-P", String(process.pid), "-f", "mcp-server.ts"]).toString().trim().split("\n").length
    } catch {
      return 0
    }
  }
  await using stubborn = server("stubborn")
  await stubborn.tools()
  expect(children()).toBeGreaterThan(0)
  await stubborn.close()
  await Promise.all(open.splice(0).map((one) => one.close()))
  expect(children()).toBe(0)

  const script = `
    import { mcp } from "./src/builtin/mcp/index.ts"
    const tools = await mcp("t", { command: [process.execPath, "test/fixtures/mcp-server.ts", "stubborn"] }).tools()
    console.log(tools.length)`
  const said = execFileSync(process.execPath, ["--conditions=source", "--input-type=module-typescript", "-e", script], { timeout: 10_000 })
  expect(said.toString().trim()).toBe("3")
}, 30_000)

it("lines that are too long are not read, nor what follows", () => {
  const heard: Array<string> = []
  const lines = new Lines(5, (line) => heard.push(line), () => heard.push("too long"))
  for (const part of ["ab", "c\nde\n\nfg", "hijk", "\nlm\n"]) lines.read(Buffer.from(part))
  expect(heard).toEqual(["abc", "de", "", "too long"])
})

it("schemas of others are checked as far as can be said", async () => {
  const issues = async (schema: Record<string, unknown>, value: unknown) => ((await (await checking(schema))["~standard"].validate(value)).issues ?? []).length
  const n = { type: "object", properties: { n: { type: "number" } } }
  expect(await issues(n, { n: "x" })).toBe(1)
  expect(await issues({ type: "object", properties: { t: { $ref: "#/definitions/T" } }, definitions: { T: { type: "string" } } }, { t: 1 })).toBe(1)
  expect(await issues({ ...n, $schema: "http://json-schema.org/draft-07/schema#" }, { n: 1 })).toBe(0)
  // what Effect cannot say is left to the server
  expect(await issues({ ...n, not: { required: ["x"] } }, { n: "x" })).toBe(0)
  expect(await issues({ ...n, not: { required: ["x"] } }, [])).toBe(1)
  // a pattern that may take for ever is not tried
  expect(await issues({ type: "object", properties: { s: { type: "string", pattern: "^(a+)+$" } } }, { s: `${"a".repeat(50)}!` })).toBe(0)
})
