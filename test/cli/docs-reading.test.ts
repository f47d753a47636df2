/** What a reading of docs and checks found: each was wrong once. */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { encode, nest, seq, tool } from "heddle"
import { describe, expect, it, vi } from "vitest"
import { z } from "zod"
import { check } from "../../dsl/ir/check.ts"
import { lint } from "../../dsl/ir/lint.ts"
import { compared } from "../../src/docgen/diagram/compare.ts"
import { mapOf } from "../../src/docgen/diagram/map.ts"
import { ownPages } from "../../src/docgen/docs.ts"
import { dot } from "../../src/docgen/dot.ts"
import { mermaid } from "../../src/docgen/mermaid.ts"
import { edges } from "../../src/docgen/pages/index-page.ts"
import { site } from "../../src/docgen/pages/html.ts"
import { loadModule } from "../../src/docgen/source/load.ts"
import { endedAtImport } from "../../src/docgen/source/watchdog.ts"
import { openSources } from "../../src/docgen/source/project.ts"
import { heddle, terminal } from "./command-line.ts"

vi.setConfig({ testTimeout: 120_000 })
const folder = mkdtempSync(join(tmpdir(), "heddle-reading-"))
const at = (name: string) => join(folder, name)
const index = JSON.stringify(new URL("../../dist/src/index.js", import.meta.url).pathname)
const zod = JSON.stringify(new URL("../../node_modules/zod/index.js", import.meta.url).pathname)
const head = `import { nest, seq, service, tool } from ${index}\nimport { z } from ${zod}\n`.replace(", service", "")
const file = (name: string, text: string): string => {
  mkdirSync(dirname(at(name)), { recursive: true })
  writeFileSync(at(name), text)
  return at(name)
}
const plain = `${head}export const order = seq("order").step("a", () => 1)\n`
const rules = (out: string) =>
  (JSON.parse(out) as { findings: ReadonlyArray<{ rule: string; level: string }> }).findings.map(({ rule, level }) => `${level} ${rule}`)

describe("capabilities", () => {
  const money = tool("pay", { description: "Pays.", input: z.object({ t: z.string() }), level: "privileged", needs: ["money.send"] }, () => 1)
  const refund = seq("refund", { input: z.object({ t: z.string() }), capabilities: ["money.send"] }).step("pay", nest(money, ({ input }) => input))
  it("of a flow are those of the runs that it starts, too", () => {
    const streamed = (capabilities: ReadonlyArray<string>) => seq("f", { capabilities }).stream("i", () => [{ t: "" }], (s) => s.map(refund))
    expect(check(streamed([]).ir)).toEqual([expect.objectContaining({ rule: "capability", path: "i/refund/pay" })])
    expect([check(streamed(["money.*"]).ir), lint(streamed(["money.*"]).ir).map(({ rule }) => rule)]).toEqual([[], []])
  })
})

describe("a file that does something at import", () => {
  it("that ends the process, or leaves something open, is told, and the command ends; what it prints is not what the command says", () => {
    const run = (text: string, ...more: ReadonlyArray<string>) =>
      spawnSync(process.execPath, ["bin/heddle.js", "check", file("import.ts", text), ...more], { encoding: "utf8", timeout: 60_000 })
    const ended = run(`${plain}process.exit(0)\n`)
    expect([ended.status, ended.stderr]).toEqual([2, expect.stringContaining("ended the process at import")])
    endedAtImport()
    expect(process.exitCode).toBe(2)
    process.exitCode = 0
    const open = run(`${plain}setInterval(() => undefined, 1000)\n`, "--json")
    expect([open.status, JSON.parse(open.stdout)]).toEqual([0, expect.objectContaining({ ok: true })])
    const prints = run(`${plain}console.log("hello")\n`, "--json")
    expect([prints.stderr, JSON.parse(prints.stdout)]).toEqual([expect.stringContaining("hello\n"), expect.objectContaining({ ok: true })])
  })
})

it("many files can be loaded at once", async () => {
  const before = process.listenerCount("exit")
  const loading = Array.from({ length: 12 }, (_, nr) => loadModule(file(`many/${nr}.ts`, plain)))
  await new Promise((resolve) => setImmediate(resolve))
  expect(process.listenerCount("exit")).toBeLessThanOrEqual(before + 1)
  expect(await Promise.all(loading)).toHaveLength(12)
  expect(process.listenerCount("exit")).toBe(before)
})

describe("regions of other texts", () => {
  const embed = (text: string) => heddle("docs", file("order.ts", plain), "--out", at("docs"), "--embed", file("R.md", text))
  it("without an end are refused, and nothing is lost", async () => {
    const text = "<!-- heddle graph order -->\nmy own text\n\n<!-- heddle graph order -->\nold\n<!-- /heddle -->\n"
    expect(await embed(text)).toMatchObject({ code: 2, errors: expect.stringContaining("R.md:1: what begins here has no end") })
    expect(await embed("<!-- heddle graph order -->\nmine")).toMatchObject({ code: 2 })
    expect(readFileSync(at("R.md"), "utf8")).toBe("<!-- heddle graph order -->\nmine")
    expect(await embed("# none\n")).toMatchObject({ code: 2, errors: expect.stringContaining("has no region to renew") })
    expect(await embed("<!-- heddle constructor order -->\n<!-- /heddle -->\n")).toMatchObject({
      code: 2,
      errors: expect.stringContaining("there is no 'constructor'"),
    })
  })
  it("are renewed whatever ends their lines", async () => {
    expect((await embed("# R\r\n<!--heddle tree order-->\r\nold\r\n<!-- /heddle -->\r\n")).code).toBe(0)
    const made = readFileSync(at("R.md"), "utf8")
    expect([made.includes("old"), made.includes("● a"), made.replaceAll("\r\n", "").includes("\n")]).toEqual([false, true, false])
  })
})

it("every page has a name of its own; each thing on the map is one", async () => {
  const text =
    `${head}export const a = seq("a").step("x", () => 1)\nexport const A = seq("A").step("x", () => 1)\nexport const a2 = seq("a 2").step("x", () => 1)\n`
  await heddle("docs", file("names.ts", text), "--out", at("names"))
  for (const slug of ["a", "a-2", "a-2-2"]) expect(readFileSync(at(`names/${slug}.md`), "utf8")).toContain("# ")
  file("own/sub/b.md", "# one")
  file("own/sub-b.md", "# two")
  const own = ownPages([at("own")], folder, new Set())
  expect(new Set(own.map(({ slug }) => slug)).size).toBe(2)
  const page = (name: string, uses: string) =>
    ({ name, kind: "flow", nodes: [{ path: "n", uses: { name: uses, kind: "flow", tools: [] } }], tools: [] }) as never
  const links = edges([page("a b", "c"), page("a", "b c")])
  expect(links).toHaveLength(2)
  expect(mapOf("t", links)).toBeDefined()
})

it("what an agent calls is listed, also where it is a flow", async () => {
  const text = `${head}import { agent, scripted } from ${JSON.stringify(new URL("../../dist/src/builtin/agents/index.js", import.meta.url).pathname)}
const Ask = z.object({ q: z.string() })
const helper = seq("helper", { input: Ask }).step("s", () => 1)
const asker = agent("asker", { input: Ask, model: scripted([]), tools: [helper] })
export const f = seq("f").step("ask", nest(asker, () => ({ q: "" })))\n`
  expect((await heddle("docs", file("asks.ts", text), "--out", at("asks"))).errors).toBe("")
  expect(readFileSync(at("asks/README.md"), "utf8")).toMatch(/\| `helper` \| asker \|/)
})

it("what is in an arm or a fork that is new, or gone, is marked in pictures", () => {
  const one = (name: string) => (b: any) => b.step(name, () => 1)
  // the arms are what differs: no one type has them all
  const flow = (arms: object) => encode((seq("f") as any).match("m", () => "a", arms).parallel("p", { x: one("s") }).ir)
  const { flow: both, changes } = compared(
    flow({ a: one("ma"), c: (b: any) => b.loop("lc", { times: 2 }, one("mc")) }),
    flow({ a: one("ma"), d: one("md") }),
    {},
  )
  expect(Object.fromEntries(changes)).toMatchObject({ "m/d/md": "added", "m/c/lc": "removed", "m/c/lc/mc": "removed" })
  expect(changes.has("m/a/ma")).toBe(false)
  expect(mermaid(both, changes)).toContain("removed")
})

it("a watched check sees what files import", async () => {
  const part = file("watch/part.ts", "export const price = 1\n")
  const flow = file("watch/flow.ts", `${head}import { price } from "./part.ts"\nexport const f = seq("f").step("a", () => price)\n`)
  const sources = await openSources([flow], undefined)
  expect(sources.files()).toContain(part)
  sources.refresh([part])
  expect(sources.dependents([part])).toContain(flow)
})

describe("rules", () => {
  let nr = 0
  const offers = (comment = "") =>
    `${head}${comment}export const pay = tool("pay", { description: "Pays.", input: z.object({}) }, () => 1)\nexport const f = seq("f").step("a", () => 1)\n`
  const checked = async (text: string, config: object) =>
    // a file of its own each: what was loaded once stays loaded
    heddle("check", file(`rules-${nr++}.ts`, text), "--json", "--config", file("heddle.json", JSON.stringify({ check: config })))
  it("count as much as a project says, whatever finds them, and can be explained", async () => {
    expect(await checked(offers(), { rules: { unused: "error" } })).toMatchObject({ code: 3, out: expect.stringContaining("\"level\":\"error\"") })
    expect(rules((await checked(offers("// heddle-ignore unused: served by MCP\n"), {})).out)).toEqual([])
    expect(rules((await checked(offers("// heddle-ignore dead: nothing\n"), { rules: { "ignore-nothing": "off", unused: "off" } })).out)).toEqual([])
  })
  it("that explain what stands nowhere are told", async () => {
    expect(rules((await checked(`${plain}// heddle-ignore dead: nothing behind it`, {})).out)).toEqual(["warning ignore-nothing"])
  })
  it("are explained also over a comment, and where a call says its name on the next line", async () => {
    const waits = `${head}export const f = seq("f")\n  // heddle-ignore endless-wait: a person answers\n  .wait(\n    "approval",\n  )
  // heddle-ignore endless-wait: another\n  /** Prose. */\n  .wait("second")\n`
    const told = await checked(waits, {})
    expect([rules(told.out), told.out]).toEqual([[], told.out])
  })
  it("that are none are refused", async () => {
    expect(await checked(plain, { rules: { unnammed: "off" } })).toMatchObject({ code: 2, out: expect.stringContaining("there is no rule 'unnammed'") })
    expect(await checked(plain, { filez: [] })).toMatchObject({ code: 2, out: expect.stringContaining("check.filez is nothing that can be set") })
  })
  it("do not say of a loop that it says the same where a pass ends it or its condition looks elsewhere", () => {
    const found = (flow: any) => lint(flow.ir).map(({ rule }) => rule)
    // conditions are read as they are written, whatever the types say of their names
    const f = () => seq("f").step("n", () => 1) as any
    const broken = (b: any) => b.step("x", () => 1).when("w", ({ x }: any) => x > 0, (c: any) => c.break(({ x }: any) => x > 0))
    expect(found(f().loop("l", { while: ({ n }: any) => n < 100, max: 10 }, broken))).toEqual([])
    expect(found(f().loop("l", { while: () => true, max: 10 }, broken))).toEqual([])
    const limit = Date.now()
    expect(found(f().loop("l", { until: ({ n }: any) => limit > n, max: 10 }, (b: any) => b.step("x", () => 1)))).toEqual([])
    expect(found(f().loop("l", { until: ({ n }: any) => n.some((one: unknown) => one === "x"), max: 10 }, (b: any) => b.step("x", () => 1)))).toEqual([])
    expect(found(f().when(({ n }: any) => !n.some(() => false)).step("s", () => 1))).toEqual([])
    expect(found(f().when(() => false).step("s", () => 1))).toEqual(["dead"])
    // the break of a loop inside ends that one
    expect(
      found(f().loop("l", { while: () => true, max: 3 }, (b: any) => b.loop("i", { times: 2 }, (c: any) => c.step("x", () => 1).break(({ x }: any) => x > 0)))),
    )
      .toEqual(["endless"])
  })
})

it("pages say what nodes need, also in cases written as methods; links of comments are links", async () => {
  const text = `${head}
import * as Context from ${JSON.stringify(new URL("../../node_modules/effect/dist/Context.js", import.meta.url).pathname)}
import * as Effect from ${JSON.stringify(new URL("../../node_modules/effect/dist/Effect.js", import.meta.url).pathname)}
class Mailer extends Context.Service<Mailer, { readonly send: Effect.Effect<number> }>()("Mailer") {}
/** See {@link https://x.y the site}, {@link https://z.y}, {@link order} and {@link order | that}; {@heddle tree mails}. */
export const mails = seq("mails").step("send", () => Effect.flatMap(Mailer, (one) => one.send)).match("m", () => "p" as "p" | "q", {
  p(b) {
    return b.step("inMethod", () => 1)
  },
  q: (b) => b.step("other", () => 2),
})
const priced = seq<{ n: number }>("priced").step("p", () => Effect.fail({ _tag: "Declined" as const }))
const all = { priced }
const make = () => () => 1
const named = ({ n }: { n: number }) => Effect.as(Effect.fail({ _tag: "Odd" as const, n }), 1)
export const nested = seq<{ n: number }>("nested").step("n", () => 1).step("first", () => Effect.fail({ _tag: "Declined" as const }))
  .step("in", nest(priced, ({ n }) => ({ n }))).step("of", nest(all.priced, ({ n }) => ({ n })), {}).step("by", named).step("made", make())
  .loop("l", { times: 2 }, (b) => b.step("x", () => 1).update("n", ({ n, x }) => n + x))\n`
  const made = await heddle("docs", file("mails.ts", text), "--out", at("mails"), "--site", at("mails-site"))
  expect(made.errors).toBe("")
  const page = readFileSync(at("mails/mails.md"), "utf8")
  expect(page).toMatch(/\| `send` \|.*`Mailer`/)
  expect(page).toMatch(/\| `m\/p\/inMethod` \|.*`number`/)
  expect(page).toContain("See [the site](https://x.y), [https://z.y](https://z.y), `order` and that;")
  expect(page).toContain("● send")
  const other = readFileSync(at("mails/nested.md"), "utf8")
  expect(other).toMatch(/\| `in` \|.*`\{ _tag: "Declined"; \}`/)
  expect(other).toMatch(/\| `of` \|.*`\{ _tag: "Declined"; \}`/)
  expect(other).toMatch(/\| `by` \|[^|]*\| `n: number` \|.*_tag: "Odd"/)
  expect(other).toMatch(/\| `l\/n` \|.*\| `number` \|/)
  // what types say is text
  const literal = `${head}export const odd = seq("odd").step("s", () => "{@heddle tree odd}" as const)\n`
  await heddle("docs", file("odd.ts", literal), "--out", at("odd"))
  expect(readFileSync(at("odd/odd.md"), "utf8")).toContain("\"{@heddle tree odd}\"")
})

it("pages of one's own in a site: links of any letters, pictures, headings of one text", async () => {
  file("letters/ü.md", "# Ü\n\n## Dup\n\n## Dup\n")
  file("letters/a.md", "# A\n\n[u](%C3%BC.md) [odd](%E0.md) ![p](pic.png) ![q](https://x.y/p.png)\n")
  const files = await site("T", ownPages([at("letters")], folder, new Set()), "../root")
  const all = [...files.values()].join("\n")
  expect(all).toContain("<a href=\"page-letters-ü.html\">u</a>")
  expect(all).toContain("<img src=\"../root/letters/pic.png\"")
  expect(all).toContain("<img src=\"https://x.y/p.png\"")
  expect(all).toMatch(/id="dup"[\s\S]*id="dup-1"/)
})

it("DOT draws what leaves a loop and what goes on with its next pass; a picture is one flow", async () => {
  const looped = seq("f").loop("l", { times: 3 }, (b) => b.step("a", () => 1).break(({ a }) => a > 1).continue(({ a }) => a > 0).step("c", () => 2))
  const drawn = dot(encode(looped.ir))
  expect(drawn.match(/label="yes"/g)).toHaveLength(2)
  expect(drawn).toMatch(/shape=diamond/)
  const two = file("two.ts", `${plain}export const other = seq("other").step("a", () => 1)\n`)
  expect(await heddle("graph", two, "--format", "svg")).toMatchObject({ code: 2, errors: expect.stringContaining("exports 2 flows") })
  expect((await heddle("graph", `${two}#other`, "--format", "svg")).out).toContain("<svg")
  await sleep(1)
  expect(terminal.errors).toBe("")
})
