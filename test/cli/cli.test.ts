import { request } from "node:http"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { describe, expect, it, vi } from "vitest"
import { Effect } from "effect"
import { nest, openHeddle, seq } from "heddle"
import { loadFlows } from "../../src/docgen/source/load.ts"
import { heddle, terminal } from "./command-line.ts"
import { duration, short } from "../../src/cli/output.ts"
import { Progress } from "../../src/cli/progress.ts"
import { Heddle } from "../../src/engine/heddle.ts"
import { openDatabase } from "../../src/store/sqlite/database.ts"

const folder = mkdtempSync(join(tmpdir(), "heddle-cli-"))
const index = JSON.stringify(new URL("../../src/index.ts", import.meta.url).pathname)
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const greet = file(
  "greet.ts",
  `import { seq } from ${index}
import { z } from ${JSON.stringify(new URL("../../node_modules/zod/index.js", import.meta.url).pathname)}
export const greet = seq("greet", { input: z.object({ name: z.string(), age: z.number().optional() }) })
  .step("text", ({ input }) => "Hello " + input.name)
  .returns(({ text }) => text)
`,
)
const several = file(
  "several.ts",
  `import { seq } from ${index}
export const one = seq("first").step("a", () => ({ n: 1n, m: new Map([["k", 1]]), s: new Set([1]), z: null })).loop("l", { times: 14 }, (b) => b.step("s", ({ index }) => index))
export const again = one
export const two = seq("second").step("fails", () => { throw new Error("it \\u001b[31m broke") })
export const three = seq("third").step("wait", () => new Promise(() => {})).returns(() => undefined)
export const four = seq("fourth").step("nothing", () => undefined).returns(() => undefined)
let tries = 0
export const five = seq("fifth").step("flaky", async () => { if (++tries < 2) throw new Error("again"); return "x".repeat(200) }, { retry: { times: 2, backoff: 1 } })
  .protect("p", (b) => b.step("s", async () => { throw new Error("caught") }), { catch: { StepThrew: () => 1 } })
export const seven = seq("seventh").step("s", () => { const error = { isOk: () => false, match: (_ok: any, no: any) => no("plain text") }; return error as never })
export const notAFlow = { ir: { name: 1 } }
`,
)
const store = join(folder, "heddle.db")

const on = (...args: ReadonlyArray<string>) => heddle(...args, "--store", store)

describe("run", () => {
  it("runs a flow: output on stdout, progress on stderr", async () => {
    const { code, out, errors } = await on("run", greet, "--input", "{\"name\":\"Ada\"}", "--id", "ada")
    expect([code, out]).toEqual([0, "Hello Ada\n"])
    expect(errors).toContain("run ada · journal")
    expect(errors).toContain("✓ text \"Hello Ada\"")
    expect(errors).not.toContain("\u001B")
  })

  it("takes input from a file, and prints JSON", async () => {
    const input = file("input.json", "{\"name\":\"Bo\"}")
    expect(JSON.parse((await on("run", greet, "-i", `@${input}`, "--json", "--id", "bo")).out)).toEqual({ ok: true, run: "bo", output: "Hello Bo" })
    expect((await on("run", `${several}#one`, "--id", "one", "--durability", "async")).out).toContain("\"n\": \"1n\"")
    expect((await on("run", `${several}#fourth`)).out).toBe("")
    expect(JSON.parse((await on("run", `${several}#four`, "--json")).out)).toMatchObject({ ok: true, output: null })
    expect((await heddle("run", greet, "-i", "{\"name\":\"Cy\"}", "--store", "memory")).errors).toContain("journal in memory")
  })

  it("says what is wrong with the input, and where", async () => {
    expect(await on("run", greet, "-i", "{\"name\":")).toMatchObject({ code: 2, errors: expect.stringContaining("✗ --input is not JSON: ") })
    expect((await on("run", greet, "-i", "{\"name\":\n 1,,}")).errors).toContain("at line 2, column 4")
    expect((await on("run", greet, "-i", "")).errors).toContain("is not JSON")
    expect(await on("run", greet, "-i", "@nowhere.json")).toMatchObject({ code: 2, errors: expect.stringContaining("cannot read the input from nowhere.json") })
    const invalid = await on("run", greet, "-i", "{\"name\":1,\"age\":\"x\"}")
    expect(invalid.code).toBe(2)
    expect(invalid.errors).toContain("  name: ")
    expect(invalid.errors).toContain("  age: ")
    expect(invalid.errors).toContain("docs/errors/input-invalid.md")
  })

  it("reads stdin", async () => {
    expect(await on("run", greet, "-i", "-")).toMatchObject({ code: 2, errors: expect.stringContaining("stdin") })
  })

  it("an error without a tag is a failed run too", async () => {
    expect(await on("run", `${several}#seventh`, "--id", "seventh")).toMatchObject({ code: 1, errors: expect.stringContaining("✗ plain text") })
    expect(JSON.parse((await on("run", `${several}#seven`, "--json")).out)).toEqual({ ok: false, code: 1, error: { tag: null, message: "plain text" } })
    expect((await on("show", "seventh")).out).toContain("failed  plain text")
  })

  it("does not wait forever for a file", async () => {
    await expect(loadFlows(file("endless.ts", "await new Promise(() => setTimeout(() => {}, 1e6))"), 300)).rejects.toThrow(
      "did not finish loading within 0.3 s",
    )
  })

  it("says what is wrong with the file", async () => {
    expect(await on("run", "nowhere.ts")).toMatchObject({ code: 2, errors: expect.stringContaining("there is no file nowhere.ts") })
    expect((await on("run", file("throws.ts", "throw new Error('at import')"))).errors).toContain("cannot be loaded: Error: at import")
    expect((await on("run", file("odd.ts", "throw 'just text'"))).errors).toContain("cannot be loaded: just text")
    expect((await on("run", file("empty-error.ts", "throw ''"))).errors).toContain("cannot be loaded: ")
    expect((await on("run", file("syntax.ts", "export const x = ="))).errors).toMatch(/syntax\.ts cannot be loaded: .*[Uu]nexpected/)
    expect((await on("run", file("none.ts", "export const x = 1, y = null, z = { ir: 1 }"))).errors).toContain("exports no flow")
    expect((await on("run", several)).errors).toContain("exports 6 flows: say which")
    expect(await on("run", `${several}#six`)).toMatchObject({ code: 2, errors: expect.stringContaining("exports no flow 'six'") })
  })

  it("a run that fails ends with 1, and no control characters reach the terminal", async () => {
    const { code, errors } = await on("run", `${several}#two`, "--id", "two")
    expect(code).toBe(1)
    expect(errors).toContain("✗ fails")
    expect(errors).toContain("step 'fails' threw: it \uFFFD[31m broke")
    expect(errors).not.toContain("at ")
    expect(JSON.parse((await on("run", `${several}#two`, "--json")).out)).toMatchObject({ ok: false, code: 1, error: { tag: "StepThrew" } })
    expect((await on("run", `${several}#two`, "--debug")).errors).toMatch(/it \uFFFD\[31m broke\n +at /)
  })

  it("tells of retries and caught errors", async () => {
    const { errors } = await on("run", `${several}#five`, "--id", "five")
    expect(errors).toContain("↻ flaky tries again")
    expect(errors).toContain("◈ p caught an error")
    expect(errors).toContain("…")
  })

  it("Ctrl-C leaves the run to be resumed", async () => {
    const running = on("run", `${several}#three`, "--id", "three")
    await vi.waitFor(() => expect(terminal.errors).toContain("run three"))
    await new Promise((resolve) => setTimeout(resolve, 300))
    process.emit("SIGINT")
    const { code, errors: said } = await running
    expect(code).toBe(130)
    expect(said).toContain("go on with: heddle resume three")
    expect((await on("show", "three")).out).toContain("pending")
  })

  it("a second Ctrl-C ends the process at once", async () => {
    const exit = vi.spyOn(process, "exit").mockImplementation((() => undefined) as never)
    const running = on("resume", "three")
    await vi.waitFor(() => expect(terminal.errors).toContain("resume three"))
    await new Promise((resolve) => setTimeout(resolve, 300))
    process.emit("SIGINT")
    process.emit("SIGINT")
    expect((await running).code).toBe(130)
    expect(exit).toHaveBeenCalledWith(130)
  })
})

describe("runs, show, resume, cancel", () => {
  it("lists runs and filters them", async () => {
    const { out } = await on("runs")
    expect(out).toMatch(/ada +completed +greet +\d{4}-/)
    expect((await on("runs", "--status", "failed", "--flow", "second", "--limit", "1")).out.trim().split("\n")).toHaveLength(1)
    expect((await on("runs", "--flow", "nothing")).out).toBe("no runs\n")
    expect(JSON.parse((await on("runs", "--flow", "greet", "--json")).out)[0]).toMatchObject({ flow: "greet", input: { name: "Bo" } })
    expect((await on("runs", "--limit", "0")).code).toBe(2)
    expect((await on("runs", "--status", "odd")).code).toBe(2)
  })

  it("shows a run as a tree", async () => {
    const shown = (await on("show", "one")).out
    expect(shown).toContain("one  completed  first version 1")
    expect(shown).toMatch(/├─ ✓ a {2}.*"\$":"bigint"/)
    expect(shown).toContain("… 3 more")
    expect((await on("show", "two")).out).toContain("failed  step 'fails' threw: it \uFFFD[31m broke")
    expect((await on("show", "five")).out).toContain("2 attempts")
    const json = JSON.parse((await on("show", "ada", "--json")).out)
    expect(json).toMatchObject({ id: "ada", status: "completed", error: null, reason: null, nodes: [{ path: "text", status: "completed" }] })
    expect(JSON.parse((await on("show", "two", "--json")).out).error).toBeTruthy()
  })

  it("lists what has happened in a run, follows it, and stops when asked", async () => {
    const lines = (await on("events", "one")).out.trimEnd().split("\n")
    expect(lines[0]).toMatch(/^ +1 {2}\d\d:\d\d:\d\d\.\d{3} {2}run\.started/)
    expect(lines.at(-1)).toContain("run.completed")
    const json = (await on("events", "one", "--json", "--after", "1", "--kind", "step.*", "--children")).out.trim().split("\n").map((line) => JSON.parse(line))
    expect(json[0]).toMatchObject({ id: "one/2", run: "one", kind: "step.completed", correlation: "one", at: expect.stringMatching(/^20/) })
    expect((await on("events", "two", "--follow", "--kind", "*.failed")).out).toMatch(/run\.failed/)
    expect(await on("events", "one", "--kind", "odd")).toMatchObject({ code: 2, errors: expect.stringContaining("no event is called 'odd'") })
    expect(await on("events", "nobody")).toMatchObject({ code: 4, errors: expect.stringContaining("there is no run 'nobody'") })
    expect(await heddle("events", "one", "--store", "/nowhere.db")).toMatchObject({ code: 4, errors: expect.stringContaining("there is no store") })
    const kid = seq("kid").step("k", () => 1)
    const parent = seq("dad").step("c", nest(kid, () => undefined, { as: "run" }))
    await Effect.runPromise(Effect.provide(Heddle.run(parent, undefined, { id: "dad" }), Heddle.layerSqlite(store)))
    expect((await on("events", "dad", "--children", "--kind", "step.completed")).out).toMatch(/kid-\w+ k .*\n[^]* c /)
    const following = on("events", "three", "--follow", "--children")
    await new Promise((resolve) => setTimeout(resolve, 400))
    process.emit("SIGINT")
    expect((await following).code).toBe(0)
  })

  it("resumes by what is stored, or by what is given", async () => {
    expect((await on("resume", "ada")).out).toBe("Hello Ada\n")
    expect((await on("resume", "ada", "--flow", greet, "--json")).out).toContain("\"ok\":true")
    await Effect.runPromise(
      Effect.provide(
        Heddle.use((h) => Effect.flip(h.run(lone as never, undefined as never, { id: "lone" })) as Effect.Effect<unknown>),
        Heddle.layerSqlite(store),
      ),
    )
    expect(await on("resume", "lone")).toMatchObject({ code: 2, errors: expect.stringContaining("was not started from the command line") })
  })

  it("cancels", async () => {
    expect(await on("cancel", "three", "--reason", "enough")).toMatchObject({ code: 0, out: "run three cancelled\n" })
    expect((await on("cancel", "three")).out).toBe("run three was cancelled already\n")
    expect(JSON.parse((await on("cancel", "ada", "--json")).out)).toEqual({ ok: true, run: "ada", cancelled: false, status: "completed" })
    expect((await on("show", "three")).out).toContain("cancelled  enough")
    const db = openDatabase(store)
    db.exec("UPDATE runs SET status = 'running' WHERE id = 'three'")
    db.close()
    expect(JSON.parse((await on("cancel", "three", "--json")).out)).toMatchObject({ cancelled: true, status: "cancelled" })
    expect((await on("show", "three")).out).not.toContain("cancelled  enough")
  })

  it("a store or run that is not there is one clear error", async () => {
    for (const command of [["runs"], ["show", "x"], ["resume", "x"], ["cancel", "x"]]) {
      expect(await heddle(...command, "--store", join(folder, "none.db"))).toMatchObject({ code: 4, errors: expect.stringContaining("there is no store") })
    }
    expect(await on("show", "nobody")).toMatchObject({ code: 4, errors: expect.stringContaining("there is no run 'nobody' in this store") })
    const notes = file("notes.db", "not a database at all ".repeat(99))
    expect(await heddle("runs", "--store", notes)).toMatchObject({ code: 4, errors: expect.stringContaining("it is not a Heddle database") })
    expect(await heddle("run", greet, "-i", "{\"name\":\"x\"}", "--store", notes)).toMatchObject({ code: 4 })
    expect(readFileSync(notes, "utf8")).toContain("not a database at all")
  })
})
const lone = seq("lone").returns(() => {
  throw new Error("x")
})

describe("graph and check", () => {
  it("draws one flow or all, as tree, Mermaid or JSON", async () => {
    expect((await on("graph", greet)).out).toContain("greet  version 1")
    expect((await on("graph", several)).out).toContain("third")
    expect((await on("graph", `${several}#one`, "--mermaid")).out).toContain("flowchart TD")
    expect(JSON.parse((await on("graph", greet, "--json")).out)).toMatchObject([{ name: "greet" }])
    expect((await on("graph", join(folder, "none.ts"))).errors).toContain("exports no flow")
  })

  it("checks types and flows, each finding with its place", async () => {
    const header = `import { seq } from ${index}\n`
    const wrong = file("wrong.ts", `${header}export const f = seq("f").step("a", () => 1).step("b", ({ a }) => a.x)\nconst n: string = 1\nvoid n\n`)
    const chained = file(
      "chained.ts",
      `${header}export const f = seq("f").step("s", () => ({ f: () => 1 }))\nexport const g = seq("g").step("a", () => 1).step("a", () => 2)\n`,
    )
    const doubtful = file(
      "doubtful.ts",
      `${header}const loop: any = seq("f").step("a", () => 1)
export const f = loop.loop({ times: 2 }, (b: any) => b.step("x", () => 1)).step("a", () => 2)
export const g = (seq("g") as any).step("bad[1]", () => 1)
export default seq("a/b")
`,
    )
    const again = file("again.ts", `export { g as h } from "./doubtful.ts"\n`)
    const throws = file("throws-at-import.ts", "throw new Error('at import')\nexport {}\n")
    const config = file(
      "tsconfig.json",
      JSON.stringify({ compilerOptions: { target: "ES2024", module: "NodeNext", strict: true, skipLibCheck: true, types: [] } }),
    )
    const found = await heddle("check", wrong, chained, doubtful, again, throws)
    expect(found.code).toBe(3)
    for (
      const line of [
        /wrong\.ts:2:\d+ error Property 'x' does not exist on type 'number'\. TS2339/,
        /wrong\.ts:3:7 error Type 'number' is not assignable/,
        // the sentence, not the type that carries it
        /chained\.ts:2:\d+ error step 's' returns a value that cannot be recorded; .* 'f: function' TS/,
        /chained\.ts:3:\d+ error 'a' is already bound in this scope; give the node another name, or use \.update TS/,
        /doubtful\.ts:3:\d+ error f › a: 'a' is already bound/,
        /doubtful\.ts:3:\d+ warning f › loop#1/,
        /doubtful\.ts:4:\d+ error g › bad\[1\]: .* is not a name/,
        /doubtful\.ts:5:\d+ error a\/b: the flow's name/,
        /doubtful\.ts:4:\d+ error g › bad/,
        /throws-at-import\.ts:1:1 error .*cannot be loaded: Error: at import load/,
        /5 files, 4 flows, 9 errors, 1 warnings/,
      ]
    ) expect(found.out).toMatch(line)
    const json = JSON.parse((await heddle("check", throws, "--tsconfig", config, "--json")).out)
    expect(json).toMatchObject({ ok: false, files: 1, flows: 0, findings: [{ rule: "load", line: 1 }] })
    // released shapes count, also where nobody names their file
    const released = mkdtempSync(join(tmpdir(), "heddle-released-"))
    writeFileSync(join(released, "flow.ts"), `${header}export const f = seq("rel").step("a", () => "text").returns(({ a }) => a)\n`)
    writeFileSync(join(released, "heddle.lock.d.ts"), "interface HeddleLock { \"rel\": { 1: { \"a\": number } } }\n")
    expect((await heddle("check", join(released, "flow.ts"))).out).toContain(
      "'rel' version 1 was released with another shape; raise the version and give a migration; changed: 'a'",
    )
    const lone = mkdtempSync(join(tmpdir(), "heddle-lone-"))
    writeFileSync(join(lone, "plain.ts"), "export const n: number = 1\n")
    expect(await heddle("check", join(lone, "plain.ts"))).toMatchObject({ code: 0, out: "1 files, 0 flows, 0 errors, 0 warnings\n" })
    expect(await heddle("check", "nowhere.ts")).toMatchObject({ code: 2 })
    expect(await heddle("check", greet, "--tsconfig", "nowhere.json")).toMatchObject({ code: 2 })
  }, 180_000)
})

describe("the command line itself", () => {
  it("helps, tells its version, suggests, and uses 2 for what it does not know", async () => {
    const help = await heddle("--help")
    expect(help).toMatchObject({ code: 0 })
    expect(help.out).toContain("Exit codes:")
    expect((await heddle("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect(await heddle("rnu")).toMatchObject({ code: 2, errors: expect.stringContaining("Did you mean run?") })
    expect(await heddle("run")).toMatchObject({ code: 2, errors: expect.stringContaining("missing required argument 'file'") })
  })

  it("a defect of its own is not swallowed", async () => {
    const { Command } = await import("commander")
    vi.spyOn(Command.prototype, "parseAsync").mockRejectedValue(new TypeError("bug"))
    await expect(heddle("runs")).rejects.toThrow("bug")
  })

  it("shows colours only on a terminal that wants them, and one line that changes", () => {
    const written: Array<string> = []
    const terminal = { isTTY: true, columns: 40, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
    const progress = new Progress(terminal)
    const notice = (kind: any, path: string, data?: string) => progress.listen({ kind, path, data })
    progress.clear()
    notice("run.started", "")
    notice("step.started", "a-name-that-is-much-longer-than-the-terminal-is-wide")
    notice("step.started", "b")
    notice("step.completed", "b", "{\"ref\":1}")
    notice("guard.decided", "c")
    notice("compensation.completed", "b")
    notice("compensation.failed", "b")
    expect(written.join("")).toMatch(/↶[^\n]*undone[^]*✗[^\n]*could not be undone/)
    progress.clear()
    expect(written.join("")).toContain("\r\u001B[K")
    expect(written[0]).toMatch(/…/)
    const tty = Object.getOwnPropertyDescriptor(process.stderr, "isTTY")
    Object.defineProperty(process.stderr, "isTTY", { value: true, configurable: true })
    delete process.env["NO_COLOR"]
    notice("step.completed", "b", "{\"output\":1}")
    process.env["NO_COLOR"] = "1"
    notice("step.completed", "b", "{\"output\":1}")
    expect(written.filter((text) => text.includes("✓")).at(-2)).toContain("\u001B[32m")
    expect(written.filter((text) => text.includes("✓")).at(-1)).not.toContain("\u001B[32m")
    delete process.env["NO_COLOR"]
    if (tty === undefined) delete (process.stderr as { isTTY?: boolean }).isTTY
    else Object.defineProperty(process.stderr, "isTTY", tty)
    const wide = { isTTY: true, columns: 0, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
    new Progress(wide).listen({ kind: "step.started", path: "p", data: undefined })
    expect(written.at(-1)).toContain("… p (0 done")
  })

  it("says durations as people do", () => {
    expect([undefined, 5, 1500, 90_000].map(duration)).toEqual(["", "5 ms", "1.5 s", "1.5 min"])
    expect(short("a\nb", 10)).toBe("a b")
    expect(short("abc", 0)).toBe("…")
  })
})

it("mcp serves the flows of files over stdin and stdout", async () => {
  const asks = (...messages: ReadonlyArray<object>) => {
    const lines = messages.map((message, i) => JSON.stringify({ jsonrpc: "2.0", id: i + 1, ...message })).join("\n")
    vi.spyOn(process, "stdin", "get").mockReturnValue(Readable.from([`${lines}\n`]) as never)
  }
  asks({ method: "initialize", params: {} }, { method: "tools/call", params: { name: "greet", arguments: { name: "Ada" } } })
  const served = await heddle("mcp", greet, "--name", "greeter", "--store", "memory")
  expect(served).toMatchObject({ code: 0, errors: "MCP server · greet, look_at_run, signal_run, cancel_run · memory\n" })
  expect(served.out.trim().split("\n").map((line) => JSON.parse(line).result)).toMatchObject([
    { serverInfo: { name: "greeter" } },
    { content: [{ text: "Hello Ada" }] },
  ])
  const kinds = file(
    "kinds.ts",
    `import { seq, tool } from ${index}
import { z } from ${JSON.stringify(new URL("../../node_modules/zod/index.js", import.meta.url).pathname)}
const input = z.object({ n: z.number() })
export const bare = seq("bare").step("a", () => 1)
export const dated = seq("dated", { input: z.object({ d: z.date() }) })
export const double = tool("double", { description: "Doubles.", input }, ({ n }) => n * 2)
export const erase = tool("erase", { description: "Erases.", input, level: "privileged" }, () => 1)
export const member = seq("member", { input, session: z.object({}) })
`,
  )
  asks({ method: "tools/call", params: { name: "double", arguments: { n: 4 } } })
  const some = await heddle("mcp", kinds, "--store", "memory")
  expect(JSON.parse(some.out).result.content[0].text).toBe("8")
  for (
    const left of [
      "flow 'bare' has no input schema",
      "the input of 'dated' has no JSON Schema",
      "'erase' is privileged",
      "flow 'member' reads its session's context",
    ]
  ) {
    expect(some.errors).toContain(left)
  }
  const serving = heddle("mcp", greet, "--port", "0", "--origins", "https://app.example", "--store", "memory")
  const at = await vi.waitFor(() => /http:\S+\/mcp/.exec(terminal.errors)![0], { timeout: 10_000 })
  const post = (headers: object, url = at) =>
    fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "greet", arguments: { name: "Bo" } } }),
    })
  expect(await (await post({ origin: "https://app.example" })).json()).toMatchObject({ result: { content: [{ text: "Hello Bo" }] } })
  expect((await post({ origin: "https://evil.example" })).status).toBe(403)
  expect((await post({}, at.replace("/mcp", "/other"))).status).toBe(404)
  const status = await new Promise((resolve) => request(at, { method: "TRACE" }, (response) => resolve(response.resume().statusCode)).end())
  expect(status).toBe(400)
  expect(await heddle("mcp", greet, "--port", new URL(at).port, "--store", "memory")).toMatchObject({
    code: 2,
    errors: expect.stringContaining(`cannot listen at port ${new URL(at).port}`),
  })
  process.emit("SIGTERM")
  await serving
  asks({ method: "ping" })
  expect((await heddle("mcp", `${kinds}#erase`, `${greet}#greet`, "--allow-privileged", "--session", "s", "--signals", "a", "b", "--store", "memory")).errors)
    .toContain("MCP server · erase, greet,")
  expect(await heddle("mcp", `${kinds}#bare`, "--store", "memory")).toMatchObject({
    code: 2,
    errors: expect.stringContaining("exports nothing that can be served"),
  })
  expect(await heddle("mcp", `${kinds}#none`, "--store", "memory")).toMatchObject({ code: 2, errors: expect.stringContaining("exports no flow 'none'") })
  expect(await heddle("mcp", file("nothing.ts", "export const n = 1"), "--store", "memory")).toMatchObject({
    code: 2,
    errors: expect.stringContaining("exports no flow, agent or tool"),
  })
  expect(await heddle("mcp", greet, "--store", join(folder, "no/such/folder/x.db"))).toMatchObject({ code: 4 })
})

it("a run belongs to the session it is told", async () => {
  const member = file(
    "member.ts",
    `import { seq } from ${index}
import { z } from ${JSON.stringify(new URL("../../node_modules/zod/index.js", import.meta.url).pathname)}
export const member = seq("member", { session: z.object({ tier: z.string() }) }).returns(({ session }) => session.tier)
`,
  )
  const kept = join(folder, "sessions.db")
  {
    await using client = (await openHeddle({ store: kept }))._unsafeUnwrap()
    await client.sessions.create({ id: "ada", context: { tier: "gold" } })
  }
  expect(await heddle("run", member, "--session", "ada", "--store", kept)).toMatchObject({ code: 0, out: "gold\n" })
  expect(await heddle("run", member, "--store", kept)).toMatchObject({ errors: expect.stringContaining("start it with { session }") })
  await heddle("start", member, "--id", "later", "--session", "ada", "--store", kept)
  await using client = (await openHeddle({ store: kept }))._unsafeUnwrap()
  expect((await client.get("later"))._unsafeUnwrap()).toMatchObject({ session: "ada", status: "pending" })
})
