import { Effect } from "effect"
import { ok, err, type Result } from "neverthrow"
import { z } from "zod"
import { seq, step, nest, merge, atLeast, type Flow, type OutputOf, type FailureOf, type ServicesOf, type InputOf } from "../../dsl/index.ts"
class Declined { readonly _tag = "Declined" }
class NotFound { readonly _tag = "NotFound"; readonly id: string; constructor(id: string) { this.id = id } }
type Eq<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A, B>(_: Eq<A, B>) => {}
const classify = step("classify", ({ ticket }: { ticket: string }) => ({ kind: "bug" as "bug" | "billing" | "other", ticket }))
export const f = seq("triage", { version: 2, input: z.object({ ticket: z.string(), file: z.string() }) })
  .step(classify)
  .step("priority", ({ classify }) => classify.ticket.length)
  .when(({ priority }) => priority > 7).step("page", () => Effect.fail(new Declined()))
  .match("route", ({ classify }) => classify.kind, {
    bug: (b) => b.step("fileBug", () => 1),
    billing: (b) => b.step("invoice", async () => "x"),
    other: (b) => b.step("queue", () => ok<boolean, NotFound>(true)),
  })
  .step("draft", () => ({ text: "t", score: 0.1 }))
  .loop("refine", { until: ({ draft }) => draft.score >= 0.9, max: 5 }, (b) => b.update("draft", ({ draft }) => ({ ...draft, score: draft.score + 0.5 })).step("seen", () => true))
  .step("total", () => 0)
  .parallel("enrich", { crm: (b) => b.step("x", () => 1).update("total", ({ total }) => total + 1), web: (b) => b.step("y", () => "s").update("total", () => 2) }, { concurrency: 4, optional: ["web"] })
  .merge({ total: merge.sum })
  .each("items", ({ draft }) => [draft.text, "b"], (b) => b.step("len", ({ item, index }) => item.length + index), { concurrency: 3 })
  .protect("guarded", (b) => b.step("charge", (): Result<{ id: number }, Declined | NotFound> => err(new Declined())), { catch: { Declined: (e, { draft }) => ({ id: draft.score, tag: e._tag }) } })
  .step("gen", function*() { const a = yield* Effect.succeed(1); if (a > 2) yield* Effect.fail(new NotFound("x")); return a })
  .returns((s) => ({ page: s.page, route: s.route, refine: s.refine, enrich: s.enrich, items: s.items, guarded: s.guarded, gen: s.gen, total: s.total }))
same<OutputOf<typeof f>, { page: undefined; route: { readonly fileBug: number } | { readonly invoice: string } | { readonly queue: boolean }; refine: { readonly seen: boolean }; enrich: { readonly crm: { readonly x: number }; readonly web: { readonly y: string } | undefined }; items: ReadonlyArray<{ readonly len: number }>; guarded: { readonly charge: { id: number } } | { id: number; tag: string }; gen: number; total: number }>(true)
export type O = OutputOf<typeof f>; export type Fl = FailureOf<typeof f>; export type N = ServicesOf<typeof f>; export type I = InputOf<typeof f>
const flow: Flow<{ ticket: string; file: string }, O, Fl> = f
void flow
const child = seq("child", { input: z.object({ n: z.number() }) }).step("m", ({ input }) => input.n + 1)
export const p = seq("p").step("n", () => 3).step(child).step("again", nest(child, ({ n }) => ({ n })))
export const q = p.returns(({ again, child }) => again.m + child.m)
export const lit = seq().step(step("agent", () => 4)).when(({ agent }) => agent > 3).loop({ times: 2 }, (b) => b.step("x", ({ index }) => index))
export const fst = seq("r").parallel("race", { a: (b) => b.step("v", () => 1), b: (b) => b.step("w", () => "s") }, { failure: "first" }).returns(({ race }) => race.fork === "a" ? race.value.v : race.value.w)
export const two = seq("r").parallel("race", { a: (b) => b.step("v", () => Effect.fail(new Declined())), b: (b) => b.step("w", () => "s") }, { failure: atLeast(1) })
export const tag = seq("m").step("shape", () => ({ _tag: "Circle", r: 1 }) as { _tag: "Circle"; r: number } | { _tag: "Sq"; a: number })
  .match("area", ({ shape }) => shape, { Circle: (b) => b.step("c", ({ matched }) => matched.r), Sq: (b) => b.step("s", ({ matched }) => matched.a) })
  .loop("l", { over: () => [1, 2] }, (b) => b.continue(({ item }) => item > 1).step("d", ({ item }) => item * 2))
  .returns(({ l }) => l)
same<OutputOf<typeof tag>, { readonly d: number } | undefined>(true)

