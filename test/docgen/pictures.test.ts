/** Pictures of flows: what is drawn, that it stays where it was, that nothing in it is executed. */
import { merge, nest, seq } from "heddle"
import { linesTo } from "heddle/streams"
import { err } from "neverthrow"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { encode } from "../../dsl/ir/encode.ts"
import { compared } from "../../src/docgen/diagram/compare.ts"
import { pictureOf } from "../../src/docgen/diagram/layout.ts"
import { mapOf } from "../../src/docgen/diagram/map.ts"
import { type Picture, type Shape, widthOf, wrapped } from "../../src/docgen/diagram/shapes.ts"
import { svg } from "../../src/docgen/diagram/svg.ts"
import { dot } from "../../src/docgen/dot.ts"
import { mermaid } from "../../src/docgen/mermaid.ts"

const helper = seq("helper").step("inside", () => 1)
const flow = seq("all", { description: "Everything.", input: z.object({ n: z.number() }) })
  .step("start", ({ input }) => input.n, { effects: "a note", compensate: () => "taken back" })
  .when(({ start }) => start > 1).step("guarded", () => 1)
  .when("choice", ({ start }) => start > 2, (b) => b.step("only", () => 1))
  .match("kind", ({ start }) => start > 3 ? "a" : "b", { a: (c) => c.step("one", () => 1), b: (c) => c.step("two", () => 2) })
  .loop("again", { while: ({ start }) => start > 0, max: 2 }, (b) => b.step("turn", () => 1).continue(() => false).break(() => true).step("rest", () => 2))
  .each("items", () => [1, 2], (b) => b.step("item-of-it", () => 1))
  .parallel("both", { left: (f) => f.update("start", () => 1), right: (f) => f.update("start", () => 2) }).merge({ start: merge.sum })
  .protect("careful", (b) => b.step("risk", () => err({ _tag: "Bad" } as const)), { catch: { Bad: () => 1 }, fallback: () => 2 })
  .protect("plain", (b) => b.step("safe", () => 1), { timeout: "1 hour" })
  .wait("answer", { timeout: "1 hour" })
  .stream("flowing", () => [1], (s) => s.map((n) => n).to(linesTo("x")))
  .step("nested", nest(helper, () => undefined))
  .returns(({ start }) => start)
const picture = pictureOf(encode(flow.ir))
const boxes = (of: Picture) => of.shapes.filter((shape): shape is Extract<Shape, { kind: "box" | "frame" }> => shape.kind === "box" || shape.kind === "frame")
/** Tags of XML that are open when it ends, or closed in another order. */
const unbalanced = (text: string): ReadonlyArray<string> => {
  const open: Array<string> = []
  for (const [, close, name, self] of text.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (close === "/") { if (open.pop() !== name) return ["</" + name!] }
    else if (self !== "/") open.push(name!)
  }
  return open
}

describe("a picture", () => {
  it("has every node in its place, inside what holds it, and none over another", () => {
    const all = boxes(picture)
    const box = (path: string) => all.find((one) => one.path === path)!
    for (
      const path of [
        "start",
        "guarded",
        "choice/yes/only",
        "kind/a/one",
        "again/turn",
        "again/rest",
        "items/item-of-it",
        "both/left/start",
        "careful/risk",
        "answer",
        "nested/inside",
      ]
    ) {
      expect(box(path), path).toBeDefined()
    }
    for (
      const [outer, inner] of [["again", "again/turn"], ["items", "items/item-of-it"], ["both", "both/right/start"], ["careful", "careful/risk"], [
        "nested",
        "nested/inside",
      ]]
    ) {
      const [a, b] = [box(outer!), box(inner!)]
      expect(b.x >= a.x && b.y >= a.y && b.x + b.width <= a.x + a.width && b.y + b.height <= a.y + a.height, inner).toBe(true)
    }
    const leaves = all.filter(({ kind }) => kind === "box")
    for (const [i, a] of leaves.entries()) {
      for (const b of leaves.slice(i + 1)) {
        expect(a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y, `${a.title} over ${b.title}`).toBe(true)
      }
    }
    for (const { x, y, width, height } of all) expect(x >= 0 && y >= 0 && x + width <= picture.width && y + height <= picture.height).toBe(true)
    const looks = new Set(picture.shapes.flatMap((shape) => ("look" in shape ? [shape.look] : [])))
    expect([...looks].sort()).toEqual(["again", "choice", "edge", "end", "error", "flow", "jump", "stage", "step", "undo", "wait"])
    expect(picture).toMatchObject({ title: "Flow all, version 1", description: "Everything." })
    expect(pictureOf(encode(seq("none").ir))).toMatchObject({ description: "0 nodes, from nothing to nothing" })
    expect(pictureOf(encode(helper.ir)).description).toBe("1 nodes, from inside to inside")
  })

  it("stays as it was where the flow did", () => {
    const more = pictureOf(encode(seq<{ n: number }>("all").step("start", ({ input }) => input.n).step("then", () => 1).ir))
    const less = pictureOf(encode(seq<{ n: number }>("all").step("start", ({ input }) => input.n).ir))
    const place = (of: Picture) => boxes(of).filter(({ path }) => path === "start").map(({ x, y, width, height }) => [x, y, width, height])
    expect(place(more)).toEqual(place(less))
  })

  it("is SVG that nothing is executed in, read aloud in both themes", () => {
    const text = svg(picture)
    expect(unbalanced(text)).toEqual([])
    expect(text).toContain("role=\"img\" aria-labelledby=\"flow-t flow-d\"")
    expect(text).toContain("prefers-color-scheme:dark")
    expect(text).toContain("<title>step start · effects a note · compensate yes</title>")
    const hostile = svg(pictureOf(encode(seq("h").step("s", () => "</script>", { description: "<script>alert(1)</script>\u0000\" onload=\"x" }).ir)))
    expect(hostile).not.toMatch(/<script|onload="/)
    expect(hostile).not.toContain("\u0000")
    expect(unbalanced(hostile)).toEqual([])
  })

  it("breaks long words and lines", () => {
    expect(wrapped("one two three", widthOf("one two"), 3)).toEqual(["one two", "three"])
    expect(wrapped("a b c d", 12, 2)).toEqual(["a", "…"])
    expect(wrapped("mmmmmmmmmm", 40, 9).join("")).toBe("mmmmmmmmmm")
    expect(widthOf("ÄÖ⧖", true)).toBeGreaterThan(widthOf("abc"))
  })
})

it("Graphviz is given clusters, diamonds and labels", () => {
  const text = dot(encode(flow.ir))
  expect(text).toContain("digraph \"all\" {")
  for (
    const part of [
      "[label=\"start > 1\", shape=diamond]",
      "subgraph cluster_",
      "label=\"left\"",
      "label=\"again\"",
      "shape=hexagon",
      "label=\"no\"",
      "[label=\"returns\"",
    ]
  ) {
    expect(text).toContain(part)
  }
  expect(text.match(/\{/g)!.length).toBe(text.match(/\}/g)!.length)
  expect(dot(encode(seq("a\"b\\").ir))).toContain("digraph \"a\\\"b\\\\\" {\n")
})

describe("two versions in one picture", () => {
  const before = seq("f").step("gone first", () => 0).step("a", () => 1).step("gone", () => 2).step("b", () => 3, { timeout: "1 second" })
    .match("m", () => "x" as "x" | "y", { x: (c) => c.step("in", () => 1).step("out", () => 1), y: (c) => c.step("w", () => 1) })
    .step("other", () => 1)
  const now = seq("f").step("a", () => 1).step("b", () => 3).step("new", () => 4)
    .match("m", () => "x" as "x" | "z", { x: (c) => c.step("in", () => 1), z: (c) => c.step("v", () => 1) })
    .wait("other", { timeout: "1 hour" })

  it("what is new, gone and changed stands at its place", () => {
    const { flow: both, changes } = compared(encode(before.ir), encode(now.ir), {})
    expect(both.body.map(({ name }) => name)).toEqual(["gone first", "a", "gone", "b", "new", "m", "other"])
    expect(both.body[5]!.blocks.map(({ label, block }) => [label, block.map(({ name }) => name)])).toEqual([["x", ["in", "out"]], ["z", ["v"]], ["y", ["w"]]])
    expect(Object.fromEntries(changes)).toMatchObject({
      "gone first": "removed",
      gone: "removed",
      new: "added",
      "m/x/out": "removed",
      "m/z": "added",
      "m/y": "removed",
      b: "changed",
      other: "changed",
    })
    const drawn = svg(pictureOf(both, changes))
    expect(drawn).toMatch(/class="step removed" data-path="gone"><title>removed: step gone/)
    expect(drawn).toMatch(/class="step added" data-path="new"/)
    const text = mermaid(both, changes)
    expect(text).toMatch(/class n\d+ removed/)
    expect(text).toContain("classDef added stroke:#1a7f37")
    expect(text).not.toContain("classDef migrated")
  })

  it("what a migration takes along is marked so", () => {
    const old = seq("f").step("a", () => 1).step("b", () => 2)
    const next = seq("f", { version: 2, migrations: { 1: (state: never) => state } as never }).step("a", () => 1).wait("b", { timeout: "1 hour" })
    expect(compared(encode(old.ir), encode(next.ir), next.ir.migrations).changes.get("b")).toBe("migrated")
  })
})

it("who uses whom is drawn from left to right, circles too", () => {
  const map = mapOf("Shop", [["a", "b", "flow"], ["b", "c", "agent"], ["a", "t", "tool"], ["c", "t", "tool"], ["x", "y", "flow"], ["y", "x", "flow"]])!
  const x = (name: string) => boxes(map).find(({ title }) => title.endsWith(` ${name}`))!.x
  expect(x("a") < x("b") && x("b") < x("c") && x("c") < x("t")).toBe(true)
  expect(x("x")).not.toBe(x("y"))
  expect(unbalanced(svg(map, "map"))).toEqual([])
  expect(map.description).toContain("a uses b")
  expect(mapOf("None", [])).toBeUndefined()
})
