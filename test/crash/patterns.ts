/** Every pattern, and every pattern inside every other: what the crash harness kills. */
import { err } from "neverthrow"
import { nest, seq } from "heddle"
import { z } from "zod"

type Block = any
type Write = (b: Block) => Block

const leaf: Write = (b) => b.step("one", () => 1).step("two", ({ one }: any) => one + 1)
/** Each makes a block around another one. */
export const patterns: Readonly<Record<string, (inner: Write) => Write>> = {
  steps: (inner) => (b) => inner(b.step("before", async () => new Map([["k", 1n]]))).step("after", ({ before }: any) => before.get("k")),
  when: (inner) => (b) => b.when("when", () => true, inner).when(() => false).step("skipped", () => 1),
  match: (inner) => (b) => b.match("match", () => "a" as "a" | "b", { a: inner, b: (c: Block) => c }),
  loop: (inner) => (b) => b.step("n", () => 0).loop("loop", { times: 2, collect: "all" }, (c: Block) => inner(c.update("n", ({ n }: any) => n + 1))),
  each: (inner) => (b) => b.each("each", () => ["x", "y"], inner, { concurrency: 1 }),
  parallel: (inner) => (b) => b.parallel("parallel", { left: inner, right: (c: Block) => c.step("r", () => "r") }, { concurrency: 1 }),
  protect: (inner) => (b) =>
    b.protect("protect", (c: Block) => inner(c.step("done", () => 1, { compensate: () => undefined })).step("fails", () => err({ _tag: "No" })), {
      catch: { No: () => "caught" },
    }),
  compensate: (inner) => (b) =>
    b.protect("outer", (d: Block) =>
      d.protect("saga", (c: Block) => inner(c.step("done", ({ input }: any) => input, { compensate: (output: unknown) => output })).step("fails", () => err({ _tag: "No" })), {}), {
      fallback: () => "undone",
    }),
  wait: (inner) => (b) => inner(b.wait("go", { schema: z.number(), signal: "go" })).wait({ for: 1 }),
  nested: (inner) => (b) => b.step("nested", nest(inner(seq("inner")), () => undefined)),
  child: (inner) => (b) => b.step("child", nest(inner(seq("child")), () => undefined, { as: "run" })),
  retry: (inner) => (b) => inner(b.step("tried", () => 1, { retry: { times: 1 }, timeout: "1 minute" })),
}
export const names = Object.keys(patterns)

/** `outer/inner` as a flow; a signal is there for every wait. */
export const flowOf = (target: string): { readonly flow: any; readonly signals: ReadonlyArray<{ readonly name: string; readonly payload: number; readonly id: string }> } => {
  const flow = target.split("/").toReversed().reduce<Write>((inner, name) => patterns[name]!(inner), leaf)(seq(target.replaceAll("/", "-")))
  const waits = JSON.stringify(flow.ir, (_key, value) => (typeof value === "function" ? undefined : value)).includes('"by":"signal"')
  // a child of its own is sent none: `wait` inside `child` is told apart
  return { flow, signals: waits ? Array.from({ length: 8 }, (_, i) => ({ name: "go", payload: i, id: `go${i}` })) : [] }
}
/** A child's signals go to the child, which nobody here sends: then the run would wait for ever. */
export const targets = (): ReadonlyArray<string> => names.flatMap((outer) => names.map((inner) => `${outer}/${inner}`)).filter((target) => target !== "child/wait")
