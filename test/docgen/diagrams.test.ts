import { err } from "neverthrow"
import { merge, nest, seq } from "heddle"
import { describe, expect, it } from "vitest"
import { encode } from "../../dsl/ir/encode.ts"
import { mermaid } from "../../src/docgen/mermaid.ts"
import { unicode } from "../../src/docgen/unicode.ts"

const child = seq("child").step("m", () => 1)
const flow = seq("triage", { description: "sorts tickets" })
  .step("score", () => 8, { description: "how urgent", retry: undefined as never })
  .when(({ score }) => score > 7).step("page", () => 1)
  .match("route", ({ score }) => (score > 7 ? "bug" : "other") as "bug" | "other", {
    bug: (b) => b.step("file", () => 1),
    other: (b) => b.step("queue", () => 2).returns(({ queue }) => queue),
  })
  .when("either", ({ score }) => score > 1, (b) => b.step("yes", () => 1))
  .when("both", ({ score }) => score > 1, (b) => b.step("y", () => 1), (b) => b.step("n", () => 1))
  .loop("refine", { until: ({ score }) => score > 9, max: 5 }, (b) =>
    b.update("score", ({ score }) => score + 1).break(function(scope) {
      return scope.score > 20
    }))
  .loop("thrice", { times: 3 }, (b) => b.step("t", () => 1))
  .loop("some", { times: () => 2 }, (b) => b.step("t", () => 1))
  .each("each", () => [1], (b) => b.step("s", () => 1))
  .parallel("enrich", { crm: (b) => b.update("score", () => 1), web: (b) => b.update("score", () => 2) }, { concurrency: 4 }).merge({ score: merge.max })
  .protect("safe", (b) => b.step("s", () => err({ _tag: "Down" as const })), { catch: { Down: () => 1 } })
  .step("nested", nest(child, () => undefined))
  .step("slow", async () => 1, { timeout: "2 seconds", retry: { times: 3 } })

describe("diagrams", () => {
  it("a tree for the terminal", () => {
    expect(unicode(encode(flow.ir)).map((line) => line.replaceAll(/(\S) {2,}/g, "$1  ")).join("\n")).toBe(`triage  version 1  sorts tickets
├─ ● score  how urgent
├─ ? ● page  when score > 7
├─ ◇ route  match · match score > 7 ? "bug" : "other"
│  ├─ bug
│  │  └─ ● file
│  └─ other
│  ├─ ● queue
│  └─ ◀ returns
├─ ◇ either  when · if score > 1
│  └─ yes
│  └─ ● yes
├─ ◇ both  when · if score > 1
│  ├─ yes
│  │  └─ ● y
│  └─ no
│  └─ ● n
├─ ↻ refine  loop · until score > 9 · max 5
│  ├─ ● score  updates score
│  └─ ⤓ break#1  break · if function(scope) { return scope.score > 20; }
├─ ↻ thrice  loop · times 3
│  └─ ● t
├─ ↻ some  loop · times …
│  └─ ● t
├─ ⇉ each  each · of [1] · concurrency 16
│  └─ ● s
├─ ∥ enrich  parallel · concurrency 4 · merge score: max
│  ├─ crm
│  │  └─ ● score  updates score
│  └─ web
│  └─ ● score  updates score
├─ ◈ safe  protect · catches Down
│  └─ ● s
├─ ▣ nested  flow
│  └─ ● m
└─ ● slow  retry 3 · timeout 2 seconds`)
    expect(unicode(encode(flow.ir), { dim: (text) => `<${text}>`, bold: (text) => `*${text}*` })[0]).toBe("*triage*  <version 1>  sorts tickets")
    expect(unicode(encode(seq("done").returns(() => 1).ir))).toEqual(["done  version 1", "└─ ◀ returns"])
  })

  it("a Mermaid flowchart, with everything that Mermaid would read escaped", () => {
    const text = mermaid(encode(flow.ir))
    expect(text).toContain("flowchart TD\n  n0([\"triage<br/>sorts tickets\"])")
    expect(text).toContain("{\"score #62; 7\"}")
    expect(text).toMatch(/-->\|"no"\| n\d+/)
    expect(text).toMatch(/-->\|"crm"\|/)
    expect(text).toMatch(/-->\|"again"\|/)
    expect(text.match(/subgraph/g)).toHaveLength(7)
    expect(text.match(/^ *end$/gm)).toHaveLength(7)
    const hostile = mermaid(encode(seq("h").step("s", () => 1, { description: "<script>\"]; click n0 \"javascript:1\"" }).returns(() => 1).ir))
    expect(hostile).not.toMatch(/<script|javascript:1"/)
    expect(hostile).toContain("returns")
  })
})
