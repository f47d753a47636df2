import { err } from "neverthrow"
import { atLeast, check, encode, fingerprint, merge, nest, seq, step } from "heddle"
import { describe, expect, it } from "vitest"
import { passPath, writtenPath } from "../../dsl/ir/path.ts"
import { walk } from "../../dsl/ir/walk.ts"

const child = seq("child").step("m", () => 1)
const everything = seq("everything", { description: "all verbs", version: 3 })
  .step("n", () => 0, { description: "a number" })
  .step(step("def", ({ n }: { n: number }) => n))
  .step("fn", async () => 1, { retry: { times: 2 }, timeout: "1 second" })
  .update("n", ({ n }) => n + 1)
  .update("n", ({ n }) => n + 1)
  .when(({ n }) => n > 0).step("maybe", () => 1)
  .when("either", ({ n }) => n > 0, (b) => b.step("x", () => 1), (b) => b.step("y", () => 1))
  .match("route", ({ n }) => (n > 0 ? "a" : "b") as "a" | "b", { a: (b) => b.step("x", () => 1), b: (b) => b.step("x", () => 1) })
  .loop({ while: ({ n }) => n < 3, max: 3 }, (b) => b.break(() => true).continue(() => true).update("n", ({ n }) => n + 1))
  .loop("until", { until: () => true, max: 3, collect: { last: 2 } }, (b) => b.step("s", () => 1))
  .loop("times", { times: 3 }, (b) => b.step("s", () => 1))
  .loop("dynamic", { times: ({ n }) => n }, (b) => b.step("s", () => 1))
  .loop("over", { over: () => [1], max: 3, atMax: "fail" }, (b) => b.step("s", () => 1))
  .each("each", () => [1], (b) => b.step("s", () => 1), { concurrency: 2, failure: atLeast(1) })
  .parallel("par", { left: (b) => b.update("n", () => 1), right: (b) => b.update("n", () => 2).step("z", () => err("x")) }, { optional: ["right"] }).merge({
    n: merge.sum,
  })
  .protect("safe", (b) => b.step("s", () => err({ _tag: "A" as const })), { catch: { A: () => 1 } })
  .step(child)
  .step("named", nest(child, () => undefined))
  .returns(({ n }) => n)

describe("ir", () => {
  it("places every node under its path as written", () => {
    expect(Array.from(walk(everything.ir), ({ path }) => path)).toEqual([
      "n",
      "def",
      "fn",
      "n#2",
      "n#3",
      "maybe",
      "either",
      "either/yes/x",
      "either/no/y",
      "route",
      "route/a/x",
      "route/b/x",
      "loop#1",
      "loop#1/break#1",
      "loop#1/continue#1",
      "loop#1/n",
      "until",
      "until/s",
      "times",
      "times/s",
      "dynamic",
      "dynamic/s",
      "over",
      "over/s",
      "each",
      "each/s",
      "par",
      "par/left/n",
      "par/right/n",
      "par/right/z",
      "safe",
      "safe/s",
      "child",
      "child/m",
      "named",
      "named/m",
    ])
    expect(writtenPath(passPath("a[3]/b", 2))).toBe("a/b")
  })

  it("encodes to plain JSON that says what is written", () => {
    const encoded = encode(everything.ir)
    expect(JSON.parse(JSON.stringify(encoded))).toEqual(encoded)
    expect(encoded).toMatchObject({ format: 1, name: "everything", version: 3, description: "all verbs", returns: true })
    expect(encoded.body[0]).toMatchObject({ kind: "step", name: "n", description: "a number", text: { work: "() => 0" } })
    expect(encoded.body.map(({ kind }) => kind)).toContain("protect")
    expect(encoded.body[5]?.text["guard"]).toContain("n > 0")
    expect(
      encode(
        seq("long").step(
          "s",
          () => "a string that is long enough to be cut somewhere, since a diagram has no room for the whole of a function that goes on and on",
        ).ir,
      ).body[0]?.text["work"],
    ).toHaveLength(120)
    expect(encode(seq("plain").ir)).toEqual({ format: 1, name: "plain", version: 1, returns: false, body: [] })
  })

  it("the fingerprint is of the structure: names, kinds and cases count, tuning and bodies do not", () => {
    const base = (work: () => number, options = {}) => fingerprint(seq("f").step("a", work, options).ir)
    expect(base(() => 1)).toBe(base(() => 2, { timeout: "1 second" }))
    const variants = [
      seq("f").step("a", () => 1),
      seq("f").step("b", () => 1),
      seq("f").step("a", () => 1).step("b", () => 1),
      seq("f").when(() => true).step("a", () => 1),
      seq("f").loop("a", { times: 2 }, (b) => b.step("x", () => 1)),
      seq("f").loop("a", { times: 2, collect: "all" }, (b) => b.step("x", () => 1)),
      seq("f").each("a", () => [1], (b) => b.step("x", () => 1)),
    ].map(({ ir }) => fingerprint(ir))
    expect(new Set(variants).size).toBe(variants.length)
    expect(fingerprint(everything.ir)).toBe(fingerprint(everything.ir))
  })
})

describe("check", () => {
  const rules = (flow: any) => check(flow.ir).map(({ level, path, rule }) => `${level} ${path} ${rule}`)
  const any = (name = "c"): any => seq(name)

  it("has nothing to say of a flow that works, but warns of identities that move", () => {
    expect(rules(seq("fine").step("a", () => 1))).toEqual([])
    expect(rules(everything)).toEqual([
      "warning n#2 unnamed",
      "warning n#3 unnamed",
      "warning loop#1 unnamed",
      "warning loop#1/break#1 unnamed",
      "warning loop#1/continue#1 unnamed",
    ])
    expect(check(everything.ir)).toBe(check(everything.ir))
  })

  it.each([
    [any("a/b"), "error  name"],
    [any("__proto__"), "error  name"],
    [seq("v", { version: 0 }), "error  version"],
    [seq("v", { version: 1.5 }), "error  version"],
    [any().when(() => true), "error  when-guards-nothing"],
    [any().loop("l", { times: 1 }, (b: any) => b.when(() => true)), "error l when-guards-nothing"],
    [any().step("a", () => 1).step("a", () => 1), "error a duplicate-name"],
    [any().step("a", () => 1).loop("l", { times: 1 }, (b: any) => b.step("a", () => 1)), "error l/a duplicate-name"],
    [any().step("a[0]", () => 1), "error a[0] name"],
    [any().step("constructor", () => 1), "error constructor name"],
    [any().update("x", () => 1), "error x update-unknown"],
    [any().step("a", () => 1, { retry: { times: 0 } }), "error a retry"],
    [any().match("m", () => "a", {}), "error m no-cases"],
    [any().match("m", () => "a", { "a/b": (b: any) => b }), "error m label"],
    [any().loop("l", { until: () => true, max: 0 }, (b: any) => b), "error l max"],
    [any().loop("l", { while: () => true, max: Number.NaN }, (b: any) => b), "error l max"],
    [any().loop("l", { times: -1 }, (b: any) => b), "error l times"],
    [any().loop("l", { times: 1, collect: { first: 0 } }, (b: any) => b), "error l collect"],
    [any().each("e", () => [], (b: any) => b, { concurrency: 0 }), "error e concurrency"],
    [any().each("e", () => [], (b: any) => b, { failure: { atLeast: 0 } }), "error e at-least"],
    [any().step("n", () => 1).each("e", () => [], (b: any) => b.update("n", () => 1)), "error e unmerged"],
    [any().parallel("p", { a: (b: any) => b }, { optional: ["x"] }), "error p optional"],
    [any().parallel("p", { a: (b: any) => b }, { failure: atLeast(2) }), "error p at-least"],
    [
      any().step("n", () => 1).parallel("p", {
        a: (b: any) => b.update("n", () => 1),
        b: (b: any) => b.loop("l", { times: 1 }, (c: any) => c.update("n", () => 1)),
      }),
      "error p unmerged",
    ],
    [any().step("n", () => 1).parallel("p", { a: (b: any) => b.update("n", () => 1) }).merge({ n: merge.sum }), "error p merge-unused"],
  ])("%# finds it", (flow, wanted) => {
    expect(rules(flow)).toContain(wanted)
  })

  it("a fork's own names are no updates, and a race needs no policy", () => {
    expect(
      rules(seq("f").parallel("p", { a: (b) => b.step("x", () => 1).update("x", () => 2), b: (b) => b.step("x", () => 1).update("x", () => 2) })).filter((
        rule,
      ) => rule.startsWith("error")),
    ).toEqual([])
    expect(rules(seq("f").step("n", () => 1).parallel("p", { a: (b) => b.update("n", () => 1), b: (b) => b.update("n", () => 2) }, { failure: "first" })))
      .toEqual([])
  })

  it("long chains and endless nesting are noticed", () => {
    const chain = Array.from({ length: 51 }).reduce((flow: any, _x, i) => flow.step(`s${i}`, () => 1), seq("long"))
    expect(rules(chain)).toEqual(["warning  long-chain"])
    const deep = (levels: number): any => (levels === 0 ? (b: any) => b : (b: any) => b.loop("l", { times: 1 }, deep(levels - 1)))
    expect(rules(any().loop("l", { times: 1 }, deep(33))).some((rule) => rule.endsWith("depth"))).toBe(true)
  })
})
