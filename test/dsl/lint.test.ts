import { seq } from "heddle"
import { expect, it } from "vitest"
import { lint } from "../../dsl/ir/lint.ts"

it("what always says the same is known, however it is written", () => {
  const found = (flow: { readonly ir: Parameters<typeof lint>[0] }) => lint(flow.ir).map(({ path, rule }) => `${path} ${rule}`)
  const when = (condition: () => boolean) => seq("f").when("w", condition, (b) => b.step("a", () => 1), (b) => b.step("c", () => 1))
  expect(found(when(() => true))).toEqual(["w/no dead"])
  expect(found(when(() => (false)))).toEqual(["w/yes dead"])
  expect(found(when(() => Math.random() > 1))).toEqual([])
  expect(found(seq("f").when(() => true).step("a", () => 1))).toEqual([])
  expect(found(seq("f").when(() => false).step("a", () => 1))).toEqual(["a dead"])
  const every = seq("f").each("e", () => [1], (b) => b.step("a", () => 1, { limits: [] }), { concurrency: "unbounded" })
  expect(found(every)).toEqual(["e unlimited"])
  expect(found(seq("f", { budget: { fanOut: 10 } }).each("e", () => [1], (b) => b.step("a", () => 1), { concurrency: "unbounded" }))).toEqual([])
})
