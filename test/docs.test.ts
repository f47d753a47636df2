import { execFile } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import * as heddle from "heddle"
import * as agents from "heddle/agents"
import * as mcp from "heddle/mcp"
import * as streams from "heddle/streams"
import * as tools from "heddle/tools"
import { describe, expect, it } from "vitest"
import { describedAs, doubtful } from "../src/cli/check/rules.ts"
import { exitCode } from "../src/cli/exit-codes.ts"
import { errorPage } from "../src/model/error.ts"
import { eventKinds, liveKinds } from "../src/model/event.ts"

const node = async (...args: ReadonlyArray<string>) =>
  (await promisify(execFile)(process.execPath, ["--conditions=source", ...args], { env: { ...process.env, NO_COLOR: "1" } })).stdout
const read = (file: string) => readFileSync(file, "utf8")
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync("docs", { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".md")).map((file) => join("docs", file)),
]

describe("examples", () => {
  const examples = readdirSync("examples").filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  it.each(examples)("%s prints its last comment", async (file) => {
    const wanted = /\/\/ => (.*)\n$/.exec(read(join("examples", file)))?.[1]
    expect(wanted).toBeDefined()
    expect((await node(join("examples", file))).trim()).toBe(wanted)
  })

  it("there is one per verb", () => {
    const text = examples.map((file) => read(join("examples", file))).join("\n")
    for (const verb of ["step", "update", "when", "match", "loop", "each", "parallel", "merge", "stream", "protect", "returns", "break", "continue"]) {
      expect(text).toContain(`.${verb}(`)
    }
  })

  it("the pipeline makes its report from the real data", async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-pipeline-"))
    const { boxOffice } = await import("../examples/applications/box-office/flow.ts")
    const output = (await heddle.run(boxOffice, { report: join(folder, "report.html") }, { store: join(folder, "h.db") }))._unsafeUnwrap()
    expect(output).toMatchObject({ records: 3201, films: 3145, repaired: 26, genres: 9, rejected: { "no gross": 54, "no budget": 1, "no title": 1 } })
    const report = read(join(folder, "report.html"))
    expect(report).toContain("<h1>Box office</h1>")
    expect(report).not.toMatch(/<script|undefined|NaN/)
  })
})

describe("README", () => {
  const [flow] = /```ts\n([\s\S]*?)```/.exec(read("README.md"))?.slice(1) ?? []

  it("its flow is short, runs and prints what it says", async () => {
    const code = flow!.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("//"))
    expect(code.length).toBeLessThanOrEqual(27)
    const folder = mkdtempSync("test/readme-")
    try {
      writeFileSync(join(folder, "flow.ts"), flow!.replace("\"heddle.db\"", "\"memory\""))
      expect((await node(join(folder, "flow.ts"))).trim()).toBe(/\/\/ => (.*)/.exec(flow!)?.[1])
      writeFileSync(join(folder, "broken.ts"), flow!.replace(/ {4}question: .*\n/, ""))
      const config = (file: string) => writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.check.json", include: [file] }))
      config("flow.ts")
      for (const compiler of ["typescript", "typescript7"]) expect(await node(`node_modules/${compiler}/bin/tsc`, "-p", folder)).toBe("")
      config("broken.ts")
      const printed = await promisify(execFile)(process.execPath, ["node_modules/typescript7/bin/tsc", "-p", folder]).catch((
        { stdout }: { stdout: string },
      ) => ({ stdout }))
      const sentence = /^Argument of type .*$/m.exec(read("README.md"))?.[0]
      expect(printed.stdout).toContain(sentence)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }, 30_000)
})

describe("docs", () => {
  it("every relative link leads somewhere", () => {
    const broken = pages.flatMap((page) =>
      Array.from(read(page).matchAll(/\]\((?!http|#)([^)#]+)/g), ([, link]) => join(dirname(page), link!)).filter((target) => !existsSync(target))
    )
    expect(broken).toEqual([])
  })

  it("every link into a page leads to a heading of it", () => {
    const slug = (heading: string) => heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    const headings = (page: string) => Array.from(read(page).matchAll(/^#+ (.*)$/gm), ([, heading]) => slug(heading!))
    const links = pages.flatMap((page) =>
      Array.from(
        read(page).matchAll(/\]\((?!http)([^)#]*)#([^)]+)\)/g),
        ([, file, hash]) => ({ page, to: file === "" ? page : join(dirname(page), file!), hash: hash! }),
      )
    )
    const into = links.filter(({ to }) => to.endsWith(".md"))
    expect(into.length).toBeGreaterThan(5)
    expect(into.filter(({ to, hash }) => !headings(to).includes(hash))).toEqual([])
  })

  const snippets = pages.flatMap((page) =>
    Array.from(read(page).matchAll(/```ts\n([\s\S]*?)```/g), ([, code]) => ({ page, code: code! })).filter(({ page: of, code }) =>
      /guide|concepts/.test(of) && code.includes("// =>")
    )
  )
  it.each(snippets)("what a snippet of $page says it prints, it prints", async ({ code }) => {
    const folder = mkdtempSync("test/snippet-")
    try {
      writeFileSync(join(folder, "snippet.ts"), code)
      const wanted = Array.from(code.matchAll(/\/\/ => (.*)/g), ([, line]) => line)
      expect((await node("--disable-warning=ExperimentalWarning", join(folder, "snippet.ts"))).trim().split("\n")).toEqual(wanted)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("every word has its page, and every verb", () => {
    const words = Array.from(read("docs/architecture.md").matchAll(/^\| (\w+) +\|/gm), ([, word]) => word!).filter((word) =>
      word !== "word" && word !== "folder"
    )
    const verbs = ["step", "update", "when", "match", "loop", "each", "parallel", "merge", "stream", "wait", "protect", "returns"]
    const named = Array.from(read("docs/concepts/README.md").matchAll(/\]\((\w+)\.md\)/g), ([, word]) => word!)
    expect(words.length).toBeGreaterThan(9)
    expect(named).toEqual(expect.arrayContaining([...words, ...verbs]))
    expect(new Set(readdirSync("docs/concepts"))).toEqual(new Set([...named.map((word) => `${word}.md`), "README.md"]))
  })

  it("the page about events names every kind, and no other", () => {
    const page = read("docs/guide/events.md")
    const named = Array.from(page.slice(page.indexOf("## Kinds"), page.indexOf("## Traces")).matchAll(/`([a-z]+\.[a-z]+)`/g), ([, kind]) => kind!)
    expect(new Set(named)).toEqual(new Set([...eventKinds, ...liveKinds]))
  })

  it("every error of ours has its page, and every page its error", () => {
    const tags = Object.entries({ ...heddle, ...agents, ...mcp, ...streams, ...tools }).flatMap((
      [name, value],
    ) => (typeof value === "function" && value.prototype instanceof Error ? [name] : []))
    expect(tags.length).toBeGreaterThan(15)
    expect(tags.map(errorPage).filter((page) => !existsSync(page))).toEqual([])
    expect(readdirSync("docs/errors").filter((file) => file !== "README.md").sort()).toEqual(tags.map((tag) => errorPage(tag).split("/").at(-1)).sort())
  })

  it("the rules on the page are the rules", () => {
    const page = read("docs/guide/documentation.md")
    const rows = Array.from(page.slice(page.indexOf("| rule"), page.indexOf("A comment says why")).matchAll(/`([a-z-]+)`/g), ([, rule]) => rule!)
    expect(rows).toEqual(expect.arrayContaining(Object.keys(doubtful)))
    expect([describedAs("TS2345"), describedAs("duplicate-name")]).toEqual(["what TypeScript says", "what keeps a flow from running"])
  })

  it("the exit codes on the page are the exit codes", () => {
    const text = read("docs/guide/command-line.md")
    for (const code of Object.values(exitCode)) expect(text).toMatch(new RegExp(`\\| ${code} +\\|`))
  })
})

const { scripts } = JSON.parse(read("package.json")) as { readonly scripts: Readonly<Record<string, string>> }

it("the site of these docs is made, and its links lead somewhere", { timeout: 240_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-site-"))
  try {
    const docs = scripts["docs"]!.replace(/.*(?=bin\/heddle\.js)/, `"${process.execPath}" `).replace("docs/examples", join(folder, "pages"))
    // npm adds what comes behind the dashes
    await promisify(execFile)("sh", ["-c", scripts["docs:site"]!.replace("npm run -s docs --", docs).replaceAll("_site", join(folder, "site"))])
    const site = join(folder, "site")
    const files = readdirSync(site, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".html"))
    expect(files).toEqual(
      expect.arrayContaining(["index.html", "search.html", "page-readme.html", "hello.html", "api/index.html", "api/functions/heddle.seq.html"]),
    )
    const gone = files.flatMap((file) =>
      Array.from(read(join(site, file)).matchAll(/\s(?:href|src)="(?![a-z]+:)([^"#?]+)/g), ([, url]) => join(dirname(file), decodeURIComponent(url!)))
        .filter((path) => !existsSync(join(site, path))).map((path) => `${file}: ${path}`)
    )
    expect(gone).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it("the examples' pages say what the examples do", { timeout: 120_000 }, async () => {
  const command = /heddle\.js (docs .*)$/.exec(scripts["docs"]!)![1]!
  const { stdout } = await promisify(execFile)("sh", ["-c", `"${process.execPath}" bin/heddle.js ${command} --check`], {
    env: { ...process.env, NO_COLOR: "1" },
  })
    .catch((error: { readonly stdout: string; readonly stderr: string }) => ({ stdout: error.stdout + error.stderr }))
  expect(stdout).toMatch(/\d+ files say what the code says\n$/)
})
