/** What a newcomer's trial of docs found: each was wrong once. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Effect } from "effect"
import { encode, seq } from "heddle"
import { expect, it, vi } from "vitest"
import { compared } from "../../src/docgen/diagram/compare.ts"
import { pictureOf } from "../../src/docgen/diagram/layout.ts"
import { mapOf } from "../../src/docgen/diagram/map.ts"
import { mermaid } from "../../src/docgen/mermaid.ts"
import { broken } from "../../src/docgen/pages/flow-page.ts"
import { cell, plain } from "../../src/docgen/pages/text.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { trace, type TraceNode } from "../../src/engine/trace.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { go } from "../support.ts"
import { heddle as onCommandLine } from "./command-line.ts"

vi.setConfig({ testTimeout: 120_000 })
const folder = mkdtempSync(join(tmpdir(), "heddle-trial-"))
const at = (name: string) => join(folder, name)
const file = (name: string, text: string): string => {
  mkdirSync(dirname(at(name)), { recursive: true })
  writeFileSync(at(name), text)
  return at(name)
}
const ours = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).pathname)

it("pages of comments as people write them, of merges, waits, sessions, and flows in flows", async () => {
  const text = `import { merge, nest, seq } from ${ours("dist/src/index.js")}
import { z } from ${ours("node_modules/zod/index.js")}
/** Looks at \`it\`. */
export const desk = seq("desk").step("look", () => 1)
/**
 * A support | desk. {@heddle tree desk} Then more.
 *
 * @remarks Slow.
 * @example
 * Words before.
 * \`\`\`ts
 * run(support)
 * \`\`\`
 */
export const support = seq("support", { session: z.object({ tenant: z.string() }) }).step("d", nest(desk, () => undefined))
  .wait("go", { timeout: 5, atTimeout: "continue" })
/** @example run(day) */
export const day = seq("day").step("n", () => 0).step("s", nest(desk, () => undefined))
  .parallel("ps", { a: (b) => b.update("n", () => 1), c: (b) => b.update("n", () => 2) }).merge({ n: merge.sum })
  .step("after", ({ ps, n }) => [ps, n])
  .stream("st", () => [1], (s) => s.map("m", (n) => n, { concurrency: 2, ordered: false, failure: "skip" }).map("one", (n) => n))
export const whole = seq("whole").step("day", nest(day, () => undefined))\n`
  const source = file("all.ts", text)
  expect((await onCommandLine("docs", source, "--out", at("docs"))).errors).toBe("")
  const page = (name: string) => readFileSync(at(`docs/${name}.md`), "utf8")
  expect(page("support")).toContain("A support | desk.\n\n```text\ndesk  version 1\n")
  expect(page("support")).toMatch(/```\n\nThen more\.\n\nSlow\.\n\nWords before\.\n```ts\nrun\(support\)\n```\n\nFlow/)
  expect(page("day")).toContain("```ts\nrun(day)\n```\n")
  expect(page("support")).toContain("at timeout continue")
  expect(page("day")).toContain("`m, 2 at once, as they are done, skip` → `one`")
  expect(page("support")).toMatch(/\| session \| `.*tenant.*` \|/)
  expect(page("day")).toMatch(/\| `ps` \| parallel[^|]*\|[^|]*\| `[^|]+` \|/)
  // what a flow in it uses is that flow's
  expect(page("README")).toContain("| Looks at `it`. |")
  expect([...page("README").matchAll(/n\d+(?:\["(\w+)"\])? --> n\d+(?:\["(\w+)"\])?/g)]).toHaveLength(3)
})

it("cells keep their bars, types their shape", () => {
  expect([cell("a | b"), cell(plain("a | b")), cell("a \\\\| b")]).toEqual(["a \\| b", "a \\| b", "a \\\\\\| b"])
  expect(broken("{ ref: string; by: \"x; | y\"; } | { paid: { is: true; }; }")).toBe(
    "{\n  ref: string;\n  by: \"x; | y\";\n}\n| {\n  paid: {\n    is: true;\n  };\n}",
  )
})

it("an arm that is gone is told, also where nothing was in it", () => {
  // the arms are what differs: no one type has them all
  const flow = (arms: object) => encode((seq("f") as any).match("m", () => "a", arms).ir)
  const nothing = (b: any) => b.returns(() => 1)
  const { flow: both, changes } = compared(flow({ a: nothing, late: nothing }), flow({ a: nothing }), {})
  expect(mermaid(both, changes)).toContain("|\"late #40;removed#41;\"|")
  expect(pictureOf(both, changes).shapes).toContainEqual(expect.objectContaining({ kind: "label", text: "late (removed)" }))
})

it("what leads past others on the map does not pass behind them", () => {
  const { shapes } = mapOf("t", [["a", "b", "flow"], ["b", "c", "flow"], ["a", "c", "flow"]])!
  const boxes = shapes.flatMap((shape) => (shape.kind === "box" ? [shape] : []))
  const points = shapes.flatMap((shape) => (shape.kind === "line" && shape.points.length === 6 ? shape.points : []))
  expect(points).toHaveLength(6)
  const inside = points.slice(1, -1).filter(([x, y]) => boxes.some((box) => x > box.x && x < box.x + box.width && y > box.y && y < box.y + box.height))
  expect(inside).toEqual([])
})

it("the site has the regions as they will be", async () => {
  const source = file("one.ts", `import { seq } from ${ours("dist/src/index.js")}\nexport const one = seq("one").step("a", () => 1)\n`)
  const own = file("own.md", "# Own\n\n<!-- heddle graph one -->\n<!-- /heddle -->\n")
  const flags = ["docs", source, "--out", at("pages"), "--site", at("site"), "--pages", own, "--embed", own]
  await onCommandLine(...flags)
  expect(await onCommandLine(...flags, "--check")).toMatchObject({ code: 0 })
})

it("what has no end of its own, an arm or a last pass, has ended with what it is in", async () => {
  const flow = seq("f").match("m", () => "a" as "a" | "b", { a: (b) => b.step("x", () => 1), b: (b) => b.step("x", () => 2) })
    .loop("l", { times: 2 }, (b) => b.step("y", () => 1)).wait("go")
  const heddle = makeHeddle(memoryStore())
  await go(Effect.ignore(heddle.run(flow, undefined, { id: "r", onSuspend: "return" })))
  const said = (nodes: ReadonlyArray<TraceNode>): ReadonlyArray<string> =>
    nodes.flatMap(({ path, status, children }) => [`${path} ${status}`, ...said(children)])
  expect(said(trace(await go(heddle.events("r"))))).toEqual(
    ["m", "m/a", "m/a/x", "l", "l[0]", "l[0]/y", "l[1]", "l[1]/y"].map((path) => `${path} completed`).concat("go open"),
  )
})

it("an interface with parts that may be missing can be recorded", () => {
  interface Found {
    readonly a: number
    readonly u?: string
    readonly o?: { readonly x: number }
  }
  const flow = seq("f").step("x", (): Found => ({ a: 1 })).step("y", async (): Promise<ReadonlyArray<Found>> => []).step("z", ({ x, y }) => x.a + y.length)
  expect(flow.ir.body.nodes).toHaveLength(3)
  interface Wrong {
    readonly a?: () => number
  }
  // @ts-expect-error a function cannot be recorded, also where it may be missing
  seq("f").step("x", (): Wrong => ({}))
})
