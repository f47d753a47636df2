/** `heddle docs`, `check`, `graph` and `diff` as they are used in a project. */
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { expect, it, vi } from "vitest"
import { heddle, terminal } from "./command-line.ts"
import { loadModule } from "../../src/docgen/source/load.ts"

// fixtures use the built package: what is loaded by Node itself must not be what is measured here
vi.setConfig({ testTimeout: 120_000 })
const folder = mkdtempSync(join(tmpdir(), "heddle-docs-"))
const at = (name: string) => join(folder, name)
const index = JSON.stringify(new URL("../../dist/src/index.js", import.meta.url).pathname)
const agents = JSON.stringify(new URL("../../dist/src/builtin/agents/index.js", import.meta.url).pathname)
const zod = JSON.stringify(new URL("../../node_modules/zod/index.js", import.meta.url).pathname)
const head = `import { seq, nest, tool } from ${index}\nimport { z } from ${zod}\n`
const file = (name: string, text: string): string => {
  writeFileSync(at(name), text)
  return at(name)
}
const shop = (price = "12", step = "price", cases = "{ a: (c) => c.step(\"one\", () => 1), b: (c) => c.step(\"two\", () => 2) }") =>
  file(
    "shop.ts",
    `${head}/** Sells things. */\nexport const shop = seq("shop").step("${step}", () => ${price}).match("kind", () => "a" as "a" | "b", ${cases})\n`,
  )

it("docs are written, kept up to date, and CI is told what differs", async () => {
  const where = ["--out", at("docs"), "--site", at("site"), "--title", "Shop"]
  const readme = file("README.md", "# Mine\n<!-- heddle tree shop -->\n<!-- /heddle -->\n")
  expect(await heddle("docs", shop(), ...where, "--embed", readme)).toMatchObject({ code: 0, out: "1 flows, 10 files: 10 written, 0 removed\n" })
  expect(readFileSync(at("docs/shop.md"), "utf8")).toContain("Sells things.")
  expect(readFileSync(at("site/shop.html"), "utf8")).toContain("<svg")
  expect(readFileSync(readme, "utf8")).toContain("● price")
  expect((await heddle("docs", shop(), ...where, "--embed", readme)).out).toBe("1 flows, 10 files: 0 written, 0 removed\n")
  expect(await heddle("docs", shop(), ...where, "--embed", readme, "--check")).toMatchObject({ code: 0, out: "10 files say what the code says\n" })

  // another type, another name, a case less
  const changed = `${head}/** Sells things. */
export const shop = seq("shop").step("price", () => "12").match("kind", () => "a" as "a" | "b", { a: (c) => c.step("first", () => 1), b: (c) => c })\n`
  const drifted = await heddle("docs", file("shop.ts", changed), ...where, "--embed", readme, "--check", "--json")
  expect(drifted.code).toBe(3)
  const { ok, files, differences } = JSON.parse(drifted.out) as { ok: boolean; files: number; differences: ReadonlyArray<{ file: string; what: string }> }
  expect([ok, files]).toEqual([false, 10])
  const named = differences.map(({ file: of, what }) => `${of.slice(folder.length + 1)}: ${what}`)
  expect(named).toEqual(expect.arrayContaining([
    "docs/shop.md: Nodes: `price` says `number`, and should say `string`",
    "docs/shop.md: Nodes: `kind/a/one` is there no more",
    "docs/shop.md: Nodes: `kind/a/first` is not there yet",
    "docs/shop.md: Nodes: `kind/b/two` is there no more",
    "site/shop.html: is not what it would be now",
  ]))
  expect(named.join("\n")).toMatch(/README\.md: Mine: .*● first.* is not there yet/)

  // a flow that is gone takes its page with it; what is not ours stays
  writeFileSync(at("docs/own.md"), "# My own\n")
  writeFileSync(at("docs/own.txt"), "mine")
  const other = file("other.ts", `${head}export const other = seq("other").step("a", () => 1)\n`)
  expect((await heddle("docs", other, ...where, "--check")).out).toContain("docs/shop.md: is of a flow that is there no more")
  expect((await heddle("docs", other, ...where)).out).toContain("2 removed")
  expect([existsSync(at("docs/shop.md")), existsSync(at("docs/own.md"))]).toEqual([false, true])
  expect(JSON.parse((await heddle("docs", other, "--json")).out)).toMatchObject({
    format: 1,
    title: "Flows",
    flows: [{ name: "other", nodes: [{ path: "a", gives: "number" }] }],
  })
})

it("docs show a recorded run", async () => {
  const flow = file(
    "recorded.ts",
    `${head}export const recorded = seq("recorded").step("a", () => 1).loop("l", { times: 2 }, (b) => b.step("in", () => "x"))\nexport const never = seq("never")\n`,
  )
  await heddle("run", `${flow}#recorded`, "--id", "seen", "--store", at("heddle.db"))
  expect(await heddle("docs", flow, "--out", at("shown"), "--runs", at("heddle.db"))).toMatchObject({ code: 0 })
  const page = readFileSync(at("shown/recorded.md"), "utf8")
  expect(page).toContain("## A run\n\nRun `seen` was given")
  expect(page).toContain("| `a` | completed | `1` |")
  expect(page).toContain("| `l[0]/in` | completed |")
  expect(readFileSync(at("shown/never.md"), "utf8")).not.toContain("## A run")
})

it("files that cannot be documented are named, with a remedy", async () => {
  const broken = file("broken.ts", `${head}export const broken = seq("b").step("a", ({ none }) => none)\n`)
  expect(await heddle("docs", broken)).toMatchObject({ code: 2, errors: expect.stringMatching(/broken\.ts:3:\d+ does not compile[\s\S]*heddle check/) })
  const none = file("none.ts", "export const x = 1\n")
  expect(await heddle("docs", none)).toMatchObject({ code: 2, errors: expect.stringContaining("exports no flow") })
  const own = file("OWN.md", "<!-- heddle graph nobody -->\n<!-- /heddle -->\n")
  expect(await heddle("docs", shop(), "--out", at("docs"), "--embed", own)).toMatchObject({
    code: 2,
    errors: expect.stringContaining("no flow is called 'nobody'"),
  })
})

it("a file that loops at import ends the process with a sentence", async () => {
  const loops = file("loops.ts", "export {}\nwhile (Date.now() > 0) {}\n")
  const program = `import { loadModule } from ${JSON.stringify(new URL("../../src/docgen/source/load.ts", import.meta.url).href)}; await loadModule(${
    JSON.stringify(loops)
  }, { timeout: 700 })`
  const child = spawn(process.execPath, ["--conditions=source", "--input-type=module", "-e", program], { stdio: ["ignore", "ignore", "pipe"] })
  let said = ""
  child.stderr.on("data", (text) => said += String(text))
  const signal = await new Promise((done) => child.on("exit", (_code, by) => done(by)))
  expect(signal).toBe("SIGKILL")
  expect(said).toMatch(/loops\.ts loops at import: it did not give back the thread within 0\.7 s\n {2}a flow file must do nothing but make flows/)
})

it("check tells what is doubtful, where it is written, unless a comment says why it is right", async () => {
  const doubtful = file(
    "doubtful.ts",
    `${head}
export const a = seq("a").step("n", () => 1)
  .when(() => false).step("never", () => 1)
  .when("always", () => true, (b) => b.step("x", () => 1), (b) => b.step("y", () => 1))
  .loop("no pass", { while: () => false, max: 2 }, (b) => b.step("x", () => 1))
  .loop("round", { while: ({ n }) => n < 1, max: 2 }, (b) => b.update("n", () => 1))
  .loop("perhaps", { until: ({ n }: { n: number }) => n > 1 } as any, (b: any) => b.step("x", () => 1)) // without types max may be left out
  .loop("counted", { times: 2 }, (b) => b.step("x", () => 1))
  .parallel("sides", { left: (f) => f.step("x", () => 1) })
  .stream("flowing", () => [1], (s) => s)
  .loop("leaves", { times: 2 }, (b) => b.step("x", () => 1).break(({ x }) => x > 0))
  .each("wide", () => [1, 2], (b) => b.step("x", () => 1), { concurrency: "unbounded" })
  // heddle-ignore endless-wait: a person answers, however late
  .wait("answer")
  .wait("other") // heddle-ignore endless-wait
  // heddle-ignore dead: there is nothing dead here
  .step("last", () => 1)
export const free = tool("free", { description: "d", input: z.object({ a: z.string() }) }, () => 1)
`,
  )
  const { code, out: text } = await heddle("check", doubtful)
  expect(code).toBe(3)
  const lines = text.split("\n").map((line) => line.replace(/^.*doubtful\.ts:/, ""))
  const found = (line: number, rule: string) => lines.filter((one) => one.startsWith(`${line}:`) && one.endsWith(` ${rule}`)).length
  expect([5, 6, 7, 8].map((line) => found(line, "dead"))).toEqual([1, 1, 1, 0])
  expect([7, 8, 9, 10].map((line) => found(line, "endless"))).toEqual([0, 0, 1, 0])
  expect(found(14, "unlimited")).toBe(1)
  expect([found(16, "endless-wait"), found(17, "endless-wait"), found(17, "ignore-without-reason"), found(18, "ignore-nothing")]).toEqual([0, 1, 1, 1])
  expect(found(20, "unused")).toBe(1)

  const config = file("heddle.json", JSON.stringify({ check: { files: [doubtful], rules: { dead: "off", unlimited: "error", unused: "off" } } }))
  const weighed = JSON.parse((await heddle("check", "--config", config, "--json")).out) as { findings: ReadonlyArray<{ rule: string; level: string }> }
  expect(weighed.findings.some(({ rule }) => rule === "dead" || rule === "unused")).toBe(false)
  expect(weighed.findings.find(({ rule }) => rule === "unlimited")!.level).toBe("error")

  const report = JSON.parse((await heddle("check", doubtful, "--sarif")).out)
  expect(report).toMatchObject({
    version: "2.1.0",
    runs: [{
      tool: {
        driver: {
          name: "heddle",
          rules: expect.arrayContaining([{ id: "dead", shortDescription: { text: "a node, a case or a loop that no run can reach" } }]),
        },
      },
    }],
  })
  expect(report.runs[0].results[0]).toMatchObject({
    ruleId: expect.any(String),
    level: expect.stringMatching(/^(error|warning)$/),
    locations: [{ physicalLocation: { artifactLocation: { uri: expect.stringContaining("doubtful.ts") }, region: { startLine: expect.any(Number) } } }],
  })
})

it("what a flow may do is told to whoever has to approve of it", async () => {
  const careful = file(
    "careful.ts",
    `${head}
const files = tool("read", { description: "Reads.", input: z.object({ name: z.string() }), needs: ["files.read"] }, () => 1)
export const careful = seq("careful", { input: z.object({ name: z.string() }), capabilities: ["files.*", "net.fetch"] })
  .step("n", () => 1)
  .step(files)
  .loop("again", { times: 2 }, (b) => b.update("n", () => 2))
  .step("charge", () => 1, { effects: "takes money", compensate: () => undefined })
  .step("mail", () => 1, { effects: { irreversible: "sends a mail" } })
  .step("log", () => 1, { effects: "writes a line" })
  .wait("approval", { timeout: "1 day" })
export const plain = seq("plain").step("a", () => 1)
`,
  )
  const { code, out: text } = await heddle("check", careful, "--report")
  expect(code).toBe(0)
  expect(text.replaceAll(/ \S*careful\.ts:/g, " ").split("\n").slice(1)).toEqual([
    "careful 5",
    "  writes  again → n",
    "  needs   files.read (read)",
    "  effects charge: takes money (undone); mail: sends a mail (irreversible); log: writes a line (not undone)",
    "  signals approval",
    "plain 13",
    "1 files, 2 flows, 0 errors, 1 warnings",
    "",
  ])
  expect(text).toContain("it grants 'net.fetch', which none of its tools needs")
  const { report } = JSON.parse((await heddle("check", careful, "--report", "--json")).out)
  expect(report).toMatchObject([{ flow: "careful", line: 5, capabilities: { "files.read": ["read"] }, effects: { log: { undone: false } } }, {
    flow: "plain",
    writes: {},
  }])
})

it("agents and tools that a flow uses are used, in other files too", async () => {
  const used = file(
    "used.ts",
    `${head}import { agent, scripted } from ${agents}
export const look = tool("look", { description: "d", input: z.object({ a: z.string() }) }, () => 1)
export const find = tool("find", { description: "d", input: z.object({ a: z.string() }) }, () => 1)
export const writer = agent("writer", { input: z.object({ a: z.string() }), tools: [look], model: scripted([]), prompt: ({ a }) => a })
export const idle = agent("idle", { input: z.object({ a: z.string() }), model: scripted([]), prompt: ({ a }) => a })
`,
  )
  const user = file(
    "user.ts",
    `${head}import { writer, find } from "./used.ts"\nconst own = seq("own").step("x", () => 1)\nexport const user = seq("user").step("own", nest(own, () => undefined)).step("w", nest(writer, () => ({ a: "x" }))).step("f", nest(find, () => ({ a: "x" })))\n`,
  )
  const { out: text } = await heddle("check", used, user)
  expect(text).toMatch(/used\.ts:7:\d+ warning no flow of these files uses agent 'idle' unused/)
  expect(text).not.toMatch(/uses (tool|agent) '(look|find|writer)'/)
})

it("settings that are wrong are refused", async () => {
  const wrong = async (text: string) => (await heddle("check", shop(), "--config", file("wrong.json", text))).errors
  expect(await wrong("{")).toContain("it is not JSON")
  expect(await wrong("{\"check\":{\"files\":[1]}}")).toContain("check.files is no list of files")
  expect(await wrong("{\"check\":{\"rules\":null}}")).toContain("check.rules is no object")
  expect(await wrong("{\"check\":{\"rules\":{\"dead\":\"loud\"}}}")).toContain("check.rules.dead is \"loud\": use off, warning or error")
  expect(await heddle("check", shop(), "--config", file("wrong.json", "null"))).toMatchObject({ code: 0 })
  expect(await heddle("check", "--config", at("nowhere.json"))).toMatchObject({ code: 2, errors: expect.stringContaining("which files?") })
})

it("what is wrong with the project itself is told once", async () => {
  mkdirSync(at("lone"))
  file("lone/a.ts", "export const a = 1\n")
  file("lone/b.ts", "export const b = 1\n")
  file("lone/tsconfig.json", JSON.stringify({ compilerOptions: { types: ["nowhere-to-be-found"], noEmit: true, module: "nodenext", target: "es2024" } }))
  const { code, out: text } = await heddle("check", at("lone/a.ts"), at("lone/b.ts"))
  expect(code).toBe(3)
  expect(text).toMatch(/lone\/a\.ts:1:1 error Cannot find type definition file for 'nowhere-to-be-found'/)
  expect(text).toContain("2 files, 0 flows, 1 errors")
})

it("check watches: what changes is checked again", async () => {
  file("package.json", "{\"type\":\"module\"}")
  const part = file("part.ts", `${head}export const part = seq("part").loop("l", { times: 2 }, (b) => b.step("x", () => 1))\n`)
  const whole = file("whole.ts", `${head}import { part } from "./part.ts"\nexport const whole = seq("whole").step("p", nest(part, () => undefined))\n`)
  const watching = heddle("check", part, whole, shop(), "--watch")
  const until = async (what: RegExp) => {
    for (let i = 0; i < 600 && !what.test(terminal.out); i++) await sleep(50)
    expect(terminal.out).toMatch(what)
  }
  await until(/3 files, 3 flows, 0 errors/)
  await sleep(2000)
  terminal.out = ""
  writeFileSync(at("unrelated.ts"), "export const nothing = 1\n")
  writeFileSync(part, readFileSync(part, "utf8").replace("times: 2", "times: 0"))
  await until(/part\.ts:3:\d+ error part › l: times is 0[\s\S]* ms · /)
  terminal.out = ""
  writeFileSync(part, readFileSync(part, "utf8").replace("times: 0", "times: \"no\""))
  await until(/part\.ts:3:\d+ error .*TS\d+[\s\S]* ms · /)
  terminal.out = ""
  writeFileSync(part, readFileSync(part, "utf8").replace("times: \"no\"", "times: 3"))
  await until(/3 flows, 0 errors[\s\S]* ms · /)
  terminal.out = ""
  rmSync(part)
  await until(/✗ /)
  process.emit("SIGINT")
  expect((await watching).code).toBe(0)
})

it.each(["{}", "{\"type\":\"module\"}"])("also through what imports it, in a package of %s", async (manifest) => {
  const there = mkdtempSync(join(folder, "watched-"))
  const write = (name: string, text: string) => writeFileSync(join(there, name), text)
  write("package.json", manifest)
  const part = (times: number) => write("part.ts", `${head}export const part = seq("part").loop("l", { times: ${times} }, (b) => b.step("x", () => 1))\n`)
  part(2)
  write("whole.ts", `${head}import { part } from "./part.ts"\nexport const whole = seq("whole").step("p", nest(part, () => undefined))\n`)
  const cli = new URL("../../src/cli/main.ts", import.meta.url).href
  const program = `const { main } = await import(${JSON.stringify(cli)}); await main(["node", "heddle", "check", "part.ts", "whole.ts", "--watch"])`
  const child = spawn(process.execPath, ["--conditions=source", "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program], { cwd: there })
  let said = ""
  child.stdout.on("data", (text) => said += String(text))
  const until = async (what: RegExp) => {
    for (let i = 0; i < 600 && !what.test(said); i++) await sleep(50)
    expect(said).toMatch(what)
  }
  await until(/2 files, 2 flows, 0 errors/)
  await sleep(2500)
  part(-1)
  await until(/part\.ts:3:\d+ error part › l: times is -1[\s\S]*error whole › p\/l: times is -1[\s\S]*2 flows, 2 errors/)
  child.kill("SIGINT")
  expect(await new Promise((done) => child.on("exit", done))).toBe(3)
})

it("what a file exports is loaded anew when it has changed", async () => {
  mkdirSync(at("common"))
  mkdirSync(at("modules"))
  file("modules/package.json", "{\"type\":\"module\"}")
  file("common/package.json", "{}")
  for (const name of ["modules/one.ts", "modules/two.mts", "common/one.ts"]) {
    const one = file(name, "export const n: number = 1\n")
    expect((await loadModule(one))["n"]).toBe(1)
    file(name, "export const n: number = 2\n")
    expect([(await loadModule(one))["n"], (await loadModule(one, { fresh: true }))["n"]], name).toEqual([1, 2])
  }
})

it("graph draws in four ways, diff in three", async () => {
  const target = shop()
  expect((await heddle("graph", target, "--format", "svg")).out).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
  expect((await heddle("graph", target, "--format", "dot")).out).toContain("digraph \"shop\"")
  expect((await heddle("graph", target, "--format", "mermaid")).out).toBe((await heddle("graph", target, "--mermaid")).out)
  expect((await heddle("graph", target)).out).toContain("● price")
  const before = file("before.ts", `${head}export const shop = seq("shop").step("cost", () => 1)\n`)
  expect((await heddle("diff", before, target, "--svg")).out).toMatch(/class="step removed" data-path="cost"/)
  expect((await heddle("diff", before, target, "--mermaid")).out).toMatch(/class n\d+ removed/)
})
