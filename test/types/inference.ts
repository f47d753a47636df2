/** What the compiler infers. Nothing here runs; `npm run typecheck` fails where a type differs, under both compilers. */
import { Context, Effect } from "effect"
import { ok, type Result } from "neverthrow"
import { z } from "zod"
import {
  type FailureOf,
  type Flow,
  type InputOf,
  type JoinFailed,
  merge,
  nest,
  type OutputOf,
  run,
  seq,
  type ServicesOf,
  step,
  type StepThrew,
  type StepTimedOut,
  tool,
} from "heddle"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>): void => {}

class Declined {
  readonly _tag = "Declined"
}
class NotFound {
  readonly _tag = "NotFound"
}
class Db extends Context.Service<Db, { readonly q: string }>()("test/Db") {}

// every kind of work
const works = seq("works")
  .step("value", () => 1)
  .step("promise", async () => "x")
  .step("result", (): Result<boolean, Declined> => ok(true))
  .step("effect", () => Db.use(({ q }) => (q === "" ? Effect.fail(new NotFound()) : Effect.succeed(q))))
  .step("generator", function*() {
    const one = yield* Effect.succeed(1)
    if (one > 1) return yield* Effect.fail(new Declined())
    return one
  })
same<
  OutputOf<typeof works>,
  { readonly value: number; readonly promise: string; readonly result: boolean; readonly effect: string; readonly generator: number }
>(true)
same<FailureOf<typeof works>, StepThrewShape | Declined | NotFound>(true)
same<ServicesOf<typeof works>, Db>(true)
type StepThrewShape = Extract<FailureOf<typeof works>, { readonly _tag: "StepThrew" }>
const threw = (error: StepThrew): StepThrewShape => error
void threw

// a flow can be extended twice from one point
const left = works.step("a", () => 1).returns(({ a }) => a)
const right = works.step("a", () => "s").returns(({ a }) => a)
same<OutputOf<typeof left>, number>(true)
same<OutputOf<typeof right>, string>(true)

// literal and unnamed, as in the first line of the design
const agent = step("agent", () => 4)
const literal = seq().step(agent).when(({ agent }) => agent > 3).loop({ times: 2 }, (b) => b.step("x", ({ index }) => index))
same<OutputOf<typeof literal>, { readonly agent: number }>(true)

// a guard makes the next output optional, and only that
const guarded = seq("g").when(() => true).step("maybe", () => 1).step("sure", () => 1)
same<OutputOf<typeof guarded>, { readonly maybe: number | undefined; readonly sure: number }>(true)

// input and output of schemas that parse
const parsed = seq("parsed", { input: z.object({ n: z.string().transform(Number) }), output: z.object({ n: z.number() }) })
  .returns(({ input }) => ({ n: input.n }))
same<InputOf<typeof parsed>, { n: string }>(true)
const asFlow: Flow<{ n: string }, { n: number }> = parsed
void asFlow

// what loops keep
const loops = seq("loops").step("n", () => 0)
  .loop("last", { until: ({ n }) => n > 3, max: 9 }, (b) => b.update("n", ({ n }) => n + 1).step("v", () => "s"))
  .loop("maybe", { while: ({ n }) => n < 3, max: 9 }, (b) => b.step("v", () => "s"))
  .loop("all", { over: () => ["a"], collect: "all" }, (b) => b.step("v", ({ item, index }) => item.length + index).returns(({ v }) => v))
  .loop("first", { times: 3, collect: { first: 2 } }, (b) => b.step("v", () => 1).returns(({ v }) => v))
  .loop("none", { times: 3, collect: "none" }, (b) => b.step("v", () => 1))
  .loop("jumped", { times: 3 }, (b) => b.when(({ index }) => index > 1, (c) => c.break(() => true)).step("v", () => 1).returns(({ v }) => v))
same<
  OutputOf<typeof loops>,
  {
    readonly n: number
    readonly last: { readonly v: string }
    readonly maybe: { readonly v: string } | undefined
    readonly all: ReadonlyArray<number>
    readonly first: ReadonlyArray<number>
    readonly none: undefined
    readonly jumped: number | undefined
  }
>(true)

// failure modes are in the type
const modes = seq("modes")
  .parallel("all", { a: (b) => b.step("x", () => 1), b: (b) => b.step("y", (): Result<string, Declined> => ok("s")) }, { failure: "waitAll" })
  .parallel("race", { a: (b) => b.step("x", () => 1), b: (b) => b.step("y", () => "s") }, { failure: "first" })
  .each("list", () => [1, 2], (b) => b.step("x", ({ item }) => item).returns(({ x }) => String(x)), { ordered: false })
same<FailureOf<typeof modes>, FailureShape>(true)
type FailureShape = Extract<FailureOf<typeof modes>, { readonly _tag: "JoinFailed" }>
const joinFailed: FailureShape["failures"][number]["error"] = new Declined()
const fromClass = (error: JoinFailed): FailureShape["_tag"] => error._tag
void joinFailed
void fromClass
same<OutputOf<typeof modes>["all"], { readonly a: { readonly x: number }; readonly b: { readonly y: string } }>(true)
same<
  OutputOf<typeof modes>["race"],
  { readonly fork: "a"; readonly value: { readonly x: number } } | { readonly fork: "b"; readonly value: { readonly y: string } }
>(true)
same<OutputOf<typeof modes>["list"], ReadonlyArray<string>>(true)

// a caught error leaves the failure type, a handler's own joins it
const caught = seq("caught").protect("p", (b) => b.step("s", (): Result<number, Declined | NotFound> => ok(1)).returns(({ s }) => s), {
  catch: { Declined: () => Effect.fail("again" as const) },
})
same<FailureOf<typeof caught>, NotFound | "again">(true)
same<OutputOf<typeof caught>, { readonly p: number }>(true)

// timeouts, nested flows, merged names, codecs
const rest = seq("rest").step("total", () => 0)
  .step("slow", () => 1, { timeout: "1 second", retry: { times: 2, while: (error) => error._tag === "StepTimedOut" } })
  .step("nested", nest(parsed, ({ slow }) => ({ n: String(slow) })))
  .parallel({ a: (b) => b.update("total", () => 1), b: (b) => b.update("total", () => 2) }).merge({
    total: merge.custom((values, before) => before + values.length),
  })
  .step("url", () => new URL("https://example.org"), { codec: { encode: (url) => url.href, decode: (href: string) => new URL(href) } })
  .returns(({ nested, total, url }) => nested.n + total + url.port)
same<OutputOf<typeof rest>, string>(true)
const timedOut = (error: StepTimedOut): FailureOf<typeof rest> => error
void timedOut

// both doors
const result = run(parsed, { n: "1" })
void result.map(({ n }) => n.toFixed())

// a step takes from the scope what it asks for; what it may do without may be missing
const search = tool("search", { description: "Searches.", input: z.object({ text: z.string(), path: z.string().optional() }) }, ({ text }) => text)
seq("a", { input: z.object({ text: z.string() }) }).step(search)
seq("b", { input: z.object({ text: z.string(), path: z.string() }) }).step(search)
seq("c", { input: z.object({ text: z.string(), path: z.string().optional() }) }).step(search)
// @ts-expect-error what it may do without is there and is no text
seq("d", { input: z.object({ text: z.string(), path: z.number() }) }).step(search)
// @ts-expect-error it cannot do without a text
seq("e", { input: z.object({ path: z.string() }) }).step(search)
