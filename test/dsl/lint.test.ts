import { nest, seq, tool } from "heddle"
import { expect, it } from "vitest"
import { z } from "zod"
import { lint } from "../../dsl/ir/lint.ts"

const found = (flow: { readonly ir: Parameters<typeof lint>[0] }) => lint(flow.ir).map(({ path, rule }) => `${path} ${rule}`)

it("a loop whose condition can say nothing else ends at max and nowhere else", () => {
  const flow = seq("f").step("n", () => 1).step("m", () => 1)
  const body = (b: any) => b.step("x", () => 1).update("m", () => 2)
  expect(found(flow.loop("l", { while: () => true, max: 3 }, body))).toEqual(["l endless"])
  expect(found(flow.loop("l", { until: () => false, max: 3 }, body))).toEqual(["l endless"])
  expect(found(flow.loop("l", { until: ({ n }) => n > 1, max: 3 }, body))).toEqual(["l endless"])
  expect(found(flow.loop("l", { while: ({ n: of, input }) => of > 1 || input === undefined, max: 3 }, body))).toEqual(["l endless"])
  expect(found(flow.loop("l", { until: ({ n, m }) => n > m, max: 3 }, body))).toEqual([])
  expect(found(flow.loop("l", { until: ({ n, index }) => n > index, max: 3 }, body))).toEqual([])
  expect(found(flow.loop("l", { until: (scope) => scope.n > 1, max: 3 }, body))).toEqual([])
  expect(found(flow.loop("l", { until: () => Date.now() > 0, max: 3 }, body))).toEqual([])
  expect(found(flow.loop("l", { until: ({}) => Date.now() > 0, max: 3 }, body))).toEqual([])
})

it("forks that wait for what has not begun, or take each other's signals", () => {
  const waits = (b: any) => b.wait("go", { signal: "go" })
  const works = (b: any) => b.step("a", () => 1)
  const forks = (forks: object, options: object = {}) => found(seq("f").parallel("p", forks as never, options))
  expect(forks({ a: waits, b: works }, { concurrency: 1 })).toEqual(["p blocked"])
  expect(forks({ a: waits, b: works }, { concurrency: 2 })).toEqual([])
  expect(forks({ a: waits, b: works }, { concurrency: "unbounded" })).toEqual([])
  expect(forks({ a: works, b: works }, { concurrency: 1 })).toEqual([])
  expect(forks({ a: waits, b: waits })).toEqual(["p blocked"])
  expect(forks({ a: waits, b: (b: any) => b.wait("go", { signal: "go", timeout: "1 day" }) })).toEqual([])
  const each = (options: object) => found(seq("f").each("e", () => [1], (b) => b.wait("go", { signal: "go" }), options))
  expect(each({ concurrency: 1 })).toEqual(["e blocked"])
  expect(each({ concurrency: 2 })).toEqual([])
})

it("a wait that is longer than what it is in may take never ends", () => {
  const rest = seq("rest").wait("night", { for: "8 hours" })
  expect(found(seq("f").protect("p", (b) => b.wait("w", { for: "2 days" }), { timeout: "1 day" }))).toEqual(["p/w late"])
  expect(found(seq("f").protect("p", (b) => b.wait("w", { for: "1 hour" }), { timeout: "1 day" }))).toEqual([])
  expect(found(seq("f").protect("p", (b) => b.wait("w", { for: () => "2 days" }).wait({ until: new Date() }), { timeout: "1 day" }))).toEqual([])
  expect(found(seq("f").protect("p", (b) => b.wait("w", { for: "soon" as never }), { timeout: "1 day" }))).toEqual([])
  expect(found(seq("f").step("s", nest(rest, () => undefined), { timeout: "1 hour" }))).toEqual(["s/night late"])
  expect(found(seq("f").step("s", nest(rest, () => undefined)))).toEqual([])
})

it("what is granted and not needed is told", () => {
  const reads = tool("reads", { description: "Reads.", input: z.object({}), needs: ["files.read"] }, () => 1)
  const flow = (...capabilities: ReadonlyArray<string>) => found(seq("f", { capabilities }).step(reads))
  expect(flow("files.read")).toEqual([])
  expect(flow("files.*")).toEqual([])
  expect(flow("files.read", "files.write")).toEqual([" unneeded"])
  expect(found(seq("f", { capabilities: [] }))).toEqual([])
  expect(found(seq("f").step(reads))).toEqual([" ungranted"])
})

it("what always says the same is known, however it is written", () => {
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
