/** Pages of flows: what is known of each node, what a page says, what drifts, what attacks. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Application } from "typedoc"
import { beforeAll, describe, expect, it, vi } from "vitest"
import { ownPages, pagesOf, written } from "../../src/docgen/docs.ts"
import { differences } from "../../src/docgen/drift.ts"
import { mermaid } from "../../src/docgen/mermaid.ts"
import { embedded, refreshed } from "../../src/docgen/embed.ts"
import type { FlowPage } from "../../src/docgen/model.ts"
import { site } from "../../src/docgen/pages/html.ts"
import { code, fence, plain, short, table } from "../../src/docgen/pages/text.ts"
import { anew } from "../../src/docgen/source/load.ts"
import { watched } from "../../src/docgen/source/watchdog.ts"
import { load } from "../../src/docgen/typedoc.ts"

// fixtures use the built package: what is loaded by Node itself must not be what is measured here
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })
const fixture = (name: string) => `test/fixtures/docs/${name}.ts`
/** Where the flow of the pages begins. */
const at = readFileSync("test/fixtures/docs/flows.ts", "utf8").split("\n").findIndex((line) => line.startsWith("export const order")) + 1
let pages: ReadonlyArray<FlowPage>
const page = (name: string) => pages.find((one) => one.name === name)!
const node = (path: string) => page("order").nodes.find((one) => one.path === path)!
beforeAll(async () => {
  pages = await pagesOf([fixture("flows"), fixture("helper")], {})
})

describe("what is known", () => {
  it("of each node: what it fails with itself, also where the flow does already, and what stages do", () => {
    const { nodes, structure } = page("failing")
    const of = (path: string) => nodes.find((one) => one.path === path)!
    const bads = { plain: [], again: [], later: ["StepThrew"], async: [], effect: ["StepTimedOut"], program: [], late: ["StepTimedOut"] }
    for (const [path, more] of Object.entries(bads)) {
      expect(of(path).fails.map((one) => (one.includes("Bad") ? "Bad" : one)).sort(), path).toEqual(["Bad", ...more].sort())
    }
    expect(of("undone")).toMatchObject({ reads: [{ name: "input" }], fails: [] })
    expect(of("passes/pass")).toMatchObject({ reads: [{ name: "index", type: "number" }], gives: "number" })
    expect(of("rows/parse")).toMatchObject({
      reads: [{ name: "input" }],
      gives: "{ n: number; }",
      fails: ["{ readonly _tag: \"Low\"; }"],
      line: expect.any(Number),
    })
    expect(of("rows/save")).toMatchObject({ reads: [], gives: "{ n: number; }" })
    const drawn = mermaid(structure)
    expect(drawn).toMatch(/-\.->\|"undo"\| n\d+_undo/)
    expect(drawn).toMatch(/-\.->\|"catch any other error"\|/)
    const [, first] = /subgraph n\d+\["loop passes[^\n]*\n +(n\d+)\(/.exec(drawn)!
    expect(drawn).toMatch(new RegExp(`-->\\|"yes"\\| ${first}\\n`))
  })

  it("of each node: where it is written, what it reads, gives and fails with", () => {
    expect(pages.map(({ name, slug, kind }) => [name, slug, kind])).toEqual([
      ["writer", "writer", "agent"],
      ["order", "order", "flow"],
      ["order", "order-2", "flow"],
      ["made", "made", "flow"],
      ["rest", "rest", "flow"],
      ["chosen", "chosen", "flow"],
      ["picked", "picked", "flow"],
      ["by default", "by-default", "flow"],
      ["loose", "loose", "flow"],
      ["failing", "failing", "flow"],
      ["helper", "helper", "flow"],
    ])
    const lines = readFileSync(fixture("flows"), "utf8").split("\n")
    for (const { path, line, file } of page("order").nodes) {
      if (file === fixture("flows")) expect(lines[line! - 1], path).toContain(path.split("/").at(-1)!.replace(/#\d+$/, ""))
    }
    expect(node("total")).toMatchObject({
      prose: "Adds up what is in the cart.",
      reads: [{ name: "input", type: "{ cart: { price: number; }[]; name: string; }" }],
      gives: "number",
      fails: [],
      limits: ["gate: 2 at once"],
    })
    expect(node("gift")).toMatchObject({ guard: "total > 50 and input.name !== \"\"", reads: [{ name: "input" }], gives: "string | undefined" })
    expect(node("charge")).toMatchObject({
      prose: "Takes the money.\n\n```ts\nawait charge({ total: 12 })\n```",
      reads: [{ name: "total", type: "number" }],
      fails: ["{ readonly _tag: \"Declined\"; }"],
      effects: "money",
      compensation: expect.stringContaining("receipt"),
    })
    expect(node("size/large/box")).toMatchObject({ gives: "{ weight: number; }" })
    expect(node("urgent/no/write")).toMatchObject({ gives: "string" })
    expect(node("improve/total")).toMatchObject({ verb: "step", detail: "updates total", reads: [{ name: "total", type: "number" }] })
    expect(node("improve/break#1")).toMatchObject({ verb: "break", detail: "if total < 1" })
    expect(node("lines/line")).toMatchObject({ reads: [{ name: "item", type: "{ price: number; }" }], gives: "number" })
    expect(node("careful")).toMatchObject({ fails: [], detail: "catches Gone" })
    expect(node("careful/risky")).toMatchObject({ fails: ["{ readonly _tag: \"Gone\"; }"] })
    expect(node("approval")).toMatchObject({ gives: "{ by: string; }", fails: ["WaitTimedOut"] })
    expect(node("sizes")).toMatchObject({ detail: "from input.cart → map → batch → fold", gives: "number" })
    expect(node("parcel")).toMatchObject({ uses: { kind: "tool", name: "track" }, prose: "Where a parcel is." })
    expect(node("words")).toMatchObject({ uses: { kind: "agent", name: "writer", tools: ["track"] } })
    // a nested flow's nodes are found in its own file
    expect(node("helped/twice")).toMatchObject({ file: fixture("helper"), line: 3, gives: "number" })
    expect(node("own")).toMatchObject({ detail: "run of helper", uses: { kind: "flow", name: "helper" } })
  })

  it("of the flow itself", () => {
    expect(page("order")).toMatchObject({
      prose: "Takes an order from its cart to its parcel.\n\n{@heddle tree order}",
      input: "{ cart: { price: number; }[]; name: string; }",
      output: "{ receipt: number; }",
      fails: expect.arrayContaining(["WaitTimedOut", "{ readonly _tag: \"Declined\"; }"]),
      signals: [{ name: "approval", schema: { type: "object" } }],
      schemas: { input: { required: ["cart", "name"] }, output: {} },
      budget: { steps: 100 },
      capabilities: ["net.*"],
      migrations: [1],
      events: expect.arrayContaining(["run.started", "guard.decided", "compensation.completed", "fork.completed", "stream.checkpointed"]),
    })
    expect(page("order").events).not.toContain("unknown")
    expect(page("writer")).toMatchObject({
      nodes: [],
      tools: [{ name: "track", level: "restricted", needs: ["net.fetch"], approval: "never" }],
      structure: { body: [] },
    })
    // calls in a loop are not the nodes that they have made
    expect(page("made").nodes).toMatchObject([{ path: "one", line: undefined, gives: undefined }, { path: "two" }])
    expect(page("made")).toMatchObject({ input: "unknown", output: "unknown", fails: [], needs: [] })
    const rest = page("rest")
    expect(rest.nodes.find(({ path }) => path === "one")).toMatchObject({ line: undefined })
    expect(rest.nodes.find(({ path }) => path === "two")).toMatchObject({ gives: "number" })
    expect(rest.nodes.find(({ path }) => path === "sent")).toMatchObject({
      compensation: "irreversible",
      effects: expect.stringContaining("a mail"),
      limits: ["calls: 3 per \"1 second\""],
      hooks: ["step.before"],
    })
    expect(rest.nodes.find(({ path }) => path === "held")).toMatchObject({ effects: undefined, compensation: "(held) => void held" })
    expect(rest.nodes.find(({ path }) => path === "spending")).toMatchObject({ limits: ["budget {\"iterations\":3}"] })
    expect(rest).toMatchObject({
      hooks: ["run.before"],
      signals: [{ name: "go", schema: undefined }],
      schemas: { input: { description: expect.stringContaining("JSON Schema") } },
    })
    expect(rest.nodes.find(({ path }) => path === "maybe")).toMatchObject({ guard: "two > 1" })
    expect(rest.nodes.find(({ path }) => path === "asked")).toMatchObject({ needs: ["Model"] })
    expect(page("loose").nodes).toMatchObject([{ path: "a", gives: undefined, fails: [] }, { path: "sides" }, { path: "sides/one/seen", line: undefined }])
    expect(page("chosen").prose).toBeUndefined()
    expect(page("chosen").nodes).toMatchObject([{ path: "a", line: undefined }])
    expect(page("picked").nodes).toMatchObject([{ path: "a", line: undefined }])
    expect(page("by default")).toMatchObject({ exported: "default", nodes: [{ path: "a", gives: "number" }] })
    expect(node("ping")).toMatchObject({ reads: [], gives: "number" })
  })
})

describe("pages", () => {
  const made = (options = {}) => new Map(written(pages, { out: "docs/flows", ...options }).map(({ slug, markdown }) => [slug, markdown]))

  it("say all of it, and link to each other and to the source", () => {
    const text = made().get("order")!
    for (
      const part of [
        "# order\n\nPrices, pays and ships. Asks when in doubt.\n\nTakes an order from its cart to its parcel.",
        `[test/fixtures/docs/flows.ts:${at}](../../test/fixtures/docs/flows.ts#L${at})`,
        "```mermaid\nflowchart TD",
        "```text\norder  version 2",
        "| input | `{ cart: { price: number; }[]; name: string; }` |",
        "| `gift` | step · when `total > 50 and input.name !== \"\"` | `input: { cart: { price: number; }[]; name: string; }` | `string \\| undefined` |",
        "agent [writer](writer.md)",
        "tool `track`",
        "## Signals\n\n| signal | payload |",
        "One run may spend `{\"steps\":100}`.",
        "Its tools may only need `net.*`.",
        "| `total` | gate: 2 at once |",
        "## What is undone\n\n| node | changes | undone by |\n| --- | --- | --- |\n| `charge` | money |",
        "Runs of version 1 are migrated to the next.",
        "## Events\n\nIts runs tell `run.started`",
        "## JSON Schemas\n\ninput\n\n```json",
        "**charge**: Takes the money.",
      ]
    ) {
      expect(text).toContain(part)
    }
    expect(made().get("helper")).toContain("## Used by\n\n- flow [order](order.md)")
    expect(made().get("writer")).not.toContain("mermaid")
    expect(made().get("rest")).toContain("| `go` |\n")
    expect(made().get("rest")).toContain("| `bare` | a change | nothing |")
    expect(made().get("rest")).toContain("| `held` |  | `(held) => void held` |")
    expect(made().get("README")).toContain("[\"x#58;y\"]")
    expect(made().get("made")).toContain("| `one` | step |\n")
    const index = made({ title: "Shop" }).get("README")!
    expect(index).toContain("# Shop\n\n## Flows\n\n| name | what it does | nodes | fails with | source |")
    expect(index).toContain("| [order](order.md) | Prices, pays and ships. |")
    expect(index).toContain("## Agents\n\n| name | what it does |")
    expect(index).toContain("| `track` | Where a parcel is. | writer, order |")
    expect(index).toMatch(/n\d\["order"\] --> n\d/)
    expect(index).toContain("[\"tool track\"]")
    expect(made().get("events")).toContain("| `run.started` |  | `output`, `session`, `trace` | every flow |")
    expect(made({ sourceUrl: "https://x.y/{file}?l={line}" }).get("order")).toContain(`(https://x.y/test/fixtures/docs/flows.ts?l=${at})`)
    expect(made({ sourceUrl: "none" }).get("order")).toContain(`version 2 · test/fixtures/docs/flows.ts:${at}, exported as \`order\``)
  })

  it("long types are shortened and told in full; an example run is shown", async () => {
    const long = `{ ${Array.from({ length: 30 }, (_, i) => `name${i}: string`).join("; ")} }`
    const [first] = written([{
      ...page("order"),
      input: long,
      nodes: [{ ...node("total"), gives: long, hooks: ["step.before"], compensation: "irreversible", reads: [{ name: "x", type: long }] }],
      hooks: ["run.before"],
      needs: ["Model"],
      example: { run: "r-1", input: "1", output: "2", steps: [{ path: "total", status: "completed", output: "12" }] },
    }], { out: "." }).slice(1)
    expect(first!.markdown).toContain("## Types in full\n\ninput\n\n```ts\n{\n  name0: string;\n  name1: string;")
    expect(first!.markdown.match(/name0: string;\n/g)).toHaveLength(1)
    expect(first!.markdown).toContain("Of the flow: `run.before`.\n\n| node | hooks |\n| --- | --- |\n| `total` | `step.before` |")
    expect(first!.markdown).toContain("| needs | `Model` |")
    expect(first!.markdown).toContain("Run `r-1` was given `1` and gave `2`.\n\n| node |  | output |\n| --- | --- | --- |\n| `total` | completed | `12` |")
    expect(first!.markdown).toContain("| `total` | `irreversible` |")
    const none = await pagesOf([fixture("helper")], {})
    expect(written(none, { out: "." })[0]!.markdown).not.toContain("Who uses whom")
    expect(written(none, { out: "." })[0]!.picture).toBeUndefined()
  })

  it("a site has pages of one's own beside them, each link at its place", async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-"))
    mkdirSync(join(folder, "guide"))
    writeFileSync(join(folder, "README.md"), "# Mine & yours\n\n[a guide](guide/first%20one.md#some-part) [out](https://x.y) [gone](none.md)\n")
    writeFileSync(join(folder, "guide/first one.md"), "No title. [back](../README.md)\n\n## Some part\n")
    writeFileSync(join(folder, "guide/note.txt"), "no page")
    const own = ownPages([join(folder, "README.md"), join(folder, "guide"), join(folder, "README.md")], folder, new Set())
    expect(own.map(({ slug, title, group }) => [slug, title, group])).toEqual([
      ["page-readme", "Mine & yours", ""],
      ["page-guide-first-one", "first one.md", "guide"],
    ])
    expect(ownPages([join(folder, "README.md")], folder, new Set(["README.md"]))).toEqual([])
    const files = await site("T", own, "..")
    expect(files.get("page-readme.html")).toContain(
      "<a href=\"page-guide-first-one.html#some-part\">a guide</a> <a href=\"https://x.y\">out</a> <a href=\"../none.md\">gone</a>",
    )
    expect(files.get("page-guide-first-one.html")).toContain("<h2 id=\"some-part\">Some part</h2>")
    expect(files.get("page-guide-first-one.html")).toContain("<h2>guide</h2><ul><li><a href=\"page-guide-first-one.html\" aria-current=\"page\">")
  })

  it("what authors write stays text", async () => {
    expect(plain("<b>|`*_#[x](y)\u0000\\")).toBe("&#60;b&#62;\\|\\`\\*\\_\\#\\[x\\](y) \\\\")
    expect([code("a`b``c"), code("`"), code(""), short("abc", 2)]).toEqual(["```a`b``c```", "`` ` ``", "", "a…"])
    expect(fence("ts", "```")).toBe("````ts\n```\n````")
    expect(table(["a", "b"], [["1|2", ""]])).toBe("| a |\n| --- |\n| 1\\|2 |")
    const hostile = await pagesOf([fixture("hostile")], {})
    const made = written(hostile, { out: "docs" })
    const files = await site("<Title>", made, "..")
    expect([...files.keys()]).toEqual(["style.css", "site.js", "README.html", "proto-x.html", "flow.html", "events.html", "search-index.js"])
    const html = files.get("proto-x.html")!
    expect(html.match(/<script[^>]*>/g)).toEqual(["<script src=\"search-index.js\">", "<script src=\"site.js\">"])
    expect(html).not.toMatch(/<(img|b)\b|href="javascript:/i)
    expect(html).toContain("default-src 'none'")
    expect(html).toContain("&#60;Title&#62;")
    expect(files.get("search-index.js")).not.toContain("<")
    expect(hostile[0]!.schemas).toEqual({})
  })

  it("become a site without a server", async () => {
    const files = await site("Flows", written(pages, { out: "docs" }).map((one) => (one.slug === "README" ? { ...one, slug: "index" } : one)), "..")
    const html = files.get("order.html")!
    expect(html).toContain("<figure class=\"diagram\"><svg")
    expect(html).toContain("<a href=\"writer.html\">writer</a>")
    expect(html).toContain("href=\"order.html\" aria-current=\"page\"")
    expect(html).toContain("<title>order (flows.ts) · Flows</title>")
    expect(files.get("index.html")).toContain("<title>Flows</title>")
    // the map of who uses whom is drawn too
    expect(files.get("index.html")).toContain("order uses writer")
    // what is no diagram of the page's own stays as it is written
    expect(files.get("writer.html")).not.toContain("<svg")
    expect(html).toContain(`href="../test/fixtures/docs/flows.ts#L${at}"`)
  })
})

describe("drift", () => {
  it("is named: what is said and is not so, and what is not said", () => {
    expect(differences("a.md", "x\n", "x\n")).toEqual([])
    expect(differences("a.md", undefined, "x")).toEqual([{ file: "a.md", what: "is missing" }])
    expect(differences("a.md", "# T\n\nold\nsame", "# T\n\nsame\nnew")).toEqual([
      { file: "a.md", what: "T: old is there no more" },
      { file: "a.md", what: "T: new is not there yet" },
    ])
    const table = (rows: string) => `# Nodes\n\n| node | gives | fails |\n| --- | --- | --- |\n${rows}`
    expect(differences("a.md", table("| `a` | `x \\| y` |  |\n| `b` | 1 | 2 |"), table("| `a` | `x` | no |\n| `c` | 1 | 2 |")).map(({ what }) => what)).toEqual(
      [
        "Nodes: `a` says `x | y`, and should say `x`",
        "Nodes: `a` says nothing, and should say no",
        "Nodes: `b` is there no more",
        "Nodes: `c` is not there yet",
      ],
    )
    expect(differences("a.md", table("| `a` |  no  | 2 |"), table("| `a` |  |  2 |"))[0]!.what).toBe("Nodes: `a` says no, and should say nothing")
    // a column that comes or goes says something of those rows only that have it
    const wide = "# Nodes\n\n| node | gives | fails with | source |\n| --- | --- | --- | --- |\n| `a` | 1 |  | 4 |\n| `w` | 2 | Late | 5 |"
    const narrow = "# Nodes\n\n| node | gives | source |\n| --- | --- | --- |\n| `a` | 1 | 4 |\n| `w` | 2 | 5 |"
    expect(differences("a.md", wide, narrow)).toEqual([{ file: "a.md", what: "Nodes: `w` says Late, and should say nothing" }])
    expect(differences("a.md", narrow, wide)).toEqual([{ file: "a.md", what: "Nodes: `w` says nothing, and should say Late" }])
    const drawn = (label: string) => `\`\`\`mermaid\nn1 -->|"${label}"| n2\n\`\`\``
    expect(differences("a.md", drawn("late"), drawn("no")).map(({ what }) => what)).toEqual([
      "the diagram: 'late' is there no more",
      "the diagram: 'no' is not there yet",
    ])
    // another order, another diagram, a page of the site
    for (const [file, was, is] of [["a.md", "a\nb", "b\na"], ["a.md", "```mermaid\na\n```", "```mermaid\nb\n```"], ["a.html", "a", "b"]]) {
      expect(differences(file!, was, is!)).toEqual([{ file, what: "is not what it would be now" }])
    }
    const many = differences("a.md", "", Array.from({ length: 20 }, (_, i) => `line ${i} ${"x".repeat(200)}`).join("\n"))
    expect(many).toHaveLength(9)
    expect(many.at(-1)).toEqual({ file: "a.md", what: "and 12 more" })
  })

  it("diagrams in other texts are renewed between their marks", () => {
    const text = "before\n<!-- heddle nodes order -->\nold\n<!-- /heddle -->\nafter {@heddle graph helper}"
    const made = refreshed(text, pages, "a.md")
    expect(made).toContain("<!-- heddle nodes order -->\n\n| node | gives | fails with |\n| --- | --- | --- |\n| `total` | `number` |")
    expect(refreshed(made, pages, "a.md")).toBe(made)
    expect(embedded(text, pages)).toContain("after\n\n```mermaid\nflowchart TD\n  n0([\"helper\"])")
    expect(() => embedded("{@heddle drawing order}", pages)).toThrow("there is no 'drawing'")
    expect(() => embedded("{@heddle graph nothing}", pages)).toThrow("no flow is called 'nothing'")
    expect(embedded("{@heddle tree again}", pages)).toContain("order  version 1")
  })
})

describe("files that give no pages", () => {
  it.each([
    ["broken", /broken\.ts:2:50 does not compile: Property 'nothing' does not exist/],
    ["throws", /throws\.ts cannot be loaded: Error: at import/],
    ["none", /none\.ts exports no flow/],
    ["nowhere", /there is no file/],
  ])("%s", async (name, message) => {
    await expect(pagesOf([fixture(name)], {})).rejects.toThrow(message)
  })

  it("one that gives back the thread is not stopped", async () => {
    expect(await watched("x.ts", 10_000, async () => 1)).toBe(1)
    await expect(watched("x.ts", 10_000, () => Promise.reject(new Error("no")))).rejects.toThrow("no")
  })
})

it("modules are loaded again under another name, packages are not", () => {
  const named = (url: string) => anew(7)("x", {} as never, () => ({ url }) as never).url
  expect(named("file:///project/a.ts")).toBe("file:///project/a.ts?heddle=7")
  for (const url of ["node:fs", "file:///project/node_modules/a.js", "file:///a.ts?heddle=3", new URL("../../src/index.ts", import.meta.url).href]) {
    expect(named(url)).toBe(url)
  }
})

describe("TypeDoc", () => {
  const converted = async (options: Readonly<Record<string, unknown>>, plugin: ReadonlyArray<string> = []) => {
    const app = await Application.bootstrapWithPlugins({
      plugin: [...plugin],
      entryPoints: [fixture("helper")],
      tsconfig: "test/fixtures/docs/tsconfig.json",
      skipErrorChecking: true,
      disableGit: true,
      readme: "none",
      logLevel: "None",
    })
    load(app)
    for (const [name, value] of Object.entries(options)) app.options.setValue(name, value)
    const project = await app.convert()
    return { app, project: project! }
  }

  it("has the pages of the flows, their diagrams and types in it", async () => {
    const { app, project } = await converted({ heddleFlows: [fixture("flows")], heddleTitle: "Our flows", heddleSourceUrl: "https://x.y/{file}#L{line}" })
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-"))
    await app.generateDocs(project, folder)
    const documents = readdirSync(join(folder, "documents"))
    expect(documents).toEqual(expect.arrayContaining(["Our_flows.html"]))
    const all = readdirSync(folder, { recursive: true, encoding: "utf8" })
    const html = all.filter((name) => name.endsWith(".html")).map((name) => readFileSync(join(folder, name), "utf8"))
    const order = html.find((text) => text.includes("Takes an order from its cart"))
    expect(order).toContain("{ cart: { price: number; }[]; name: string; }")
    expect(order).toContain(`https://x.y/test/fixtures/docs/flows.ts#L${at}`)
    expect(order).toMatch(/<img src="[^"]*order[^"]*\.svg"/)
    expect(all.some((name) => name.endsWith(".svg"))).toBe(true)
  })

  it("also where TypeDoc writes Markdown", async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-"))
    const { app, project } = await converted({ heddleFlows: [fixture("helper")], out: folder }, ["typedoc-plugin-markdown"])
    await app.generateOutputs(project)
    const all = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md"))
    const texts = all.map((name) => readFileSync(join(folder, name), "utf8"))
    expect(texts.some((text) => text.includes("Helps out.") && text.includes("| `twice` | step | `input: { n: number; }` | `number` |"))).toBe(true)
  })

  it("draws what doc comments ask for, leads from a flow to its page, and watches the flows' files", async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-test-"))
    const { app, project } = await converted({ heddleFlows: [fixture("helper")] })
    expect(app.logger.hasWarnings()).toBe(true)
    await app.generateDocs(project, folder)
    const page = (name: string) => readFileSync(join(folder, name), "utf8")
    expect(page("functions/helper.double.html")).toMatch(/<img alt="Diagram of helper" src="data:image\/svg\+xml;base64,[\w+/=]+"/)
    expect(page("functions/helper.double.html")).toContain("twice")
    expect(page("variables/helper.helper.html")).toMatch(/See[\s\S]*<a href="\.\.\/documents\/[^"]*helper\.html"[^>]*>the page of helper<\/a>/)
    // what is watched is what begins anew
    const watching = await converted({ heddleFlows: [fixture("helper")] })
    const watched: Array<string> = []
    watching.app.watchFile = (file, restarts) => void watched.push(`${file} ${String(restarts)}`)
    await watching.app.convert()
    expect(watched).toContainEqual(expect.stringMatching(/helper\.ts true$/))
    // where it does not want to watch, the pages are there all the same
    const refused = await converted({ heddleFlows: [fixture("helper")] })
    const before = refused.app.options.getValue("projectDocuments").length
    refused.app.options.setValue("entryPointStrategy", "packages")
    expect(await refused.app.convertAndWatch(async () => undefined)).toBe(false)
    expect(refused.app.options.getValue("projectDocuments").length).toBe(before + 1)
  })

  it("says why there are none", async () => {
    const nothing = await converted({})
    expect(nothing.app.logger.hasWarnings()).toBe(true)
    const plainly = await converted({ heddleFlows: [fixture("helper")] })
    expect(plainly.project.documents).toBeTruthy()
    const wrong = await converted({ heddleFlows: [fixture("broken")] })
    expect(wrong.app.logger.hasErrors()).toBe(true)
    expect(wrong.project.name).toBeTruthy()
  })
})

it("tools and streams are told with their settings", async () => {
  const pages = await pagesOf([fixture("tools")], {})
  const [all] = written(pages, { out: "docs" }).filter(({ slug }) => slug === "shopping")
  expect(all!.markdown).toMatch(/\| `book` \| Books a seat. \| restricted \| sometimes \|/)
  expect(all!.markdown).toMatch(/\| `mail` \| Sends mail. \| restricted \| always \|/)
  expect(all!.markdown).toContain(
    "| `saved` | `twice, 2 at once` → `filter` | `rows.txt` | 256 items | the source waits | every 1000 ms |  |",
  )
  expect(all!.markdown).toContain(
    "| `all` | `groupBy(batch → b)` → `partition(x: c, y: take)` | `collect` | 7 items, 99 bytes | the oldest are dropped | every 5 items |",
  )
  // of tools that only a run of its own may call, their names are known
  expect(written(pages, { out: "docs" })[0]!.markdown).toContain("| `pay` | Pays. | buyer |")
  const agents = await pagesOf([fixture("flows")], {})
  expect(agents.find(({ name }) => name === "writer")!.tools[0]!.approval).toBe("never")
})

it("the same project gives the same pages", async () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-test-"))
  mkdirSync(join(folder, "a"))
  cpSync(fixture("helper"), join(folder, "a/helper.ts"))
  writeFileSync(
    join(folder, "a/helper.ts"),
    readFileSync(fixture("helper"), "utf8").replace("../../../dist/src/index.js", join(process.cwd(), "dist/src/index.js")),
  )
  const twice = [await pagesOf([join(folder, "a/helper.ts")], { root: folder }), await pagesOf([join(folder, "a/helper.ts")], { root: folder })]
  expect(JSON.stringify(twice[0])).toBe(JSON.stringify(twice[1]))
  expect(twice[0]![0]!.file).toBe("a/helper.ts")
})
