/** Every pattern, and every pattern inside every other: what the crash harness kills. */
import { err } from "neverthrow"
import { nest, seq } from "heddle"
import { z } from "zod"

type Block = any
type Write = (b: Block) => Block

const leaf: Write = (b) => b.step("one", () => 1).step("two", ({ one }: any) => one + 1)
/** Each makes a block around another one; `d` tells the same pattern inside itself apart. */
export const patterns: Readonly<Record<string, (inner: Write, d: number) => Write>> = {
  steps: (inner, d) => (b) => inner(b.step(`before${d}`, async () => new Map([["k", 1n]]))).step(`after${d}`, (s: any) => s[`before${d}`].get("k")),
  when: (inner, d) => (b) => b.when(`when${d}`, () => true, inner).when(() => false).step(`skipped${d}`, () => 1),
  match: (inner, d) => (b) => b.match(`match${d}`, () => "a" as "a" | "b", { a: inner, b: (c: Block) => c }),
  loop: (inner, d) => (b) =>
    b.step(`n${d}`, () => 0).loop(`loop${d}`, { times: 2, collect: "all" }, (c: Block) => inner(c.update(`n${d}`, (s: any) => s[`n${d}`] + 1))),
  each: (inner, d) => (b) => b.each(`each${d}`, () => ["x", "y"], inner, { concurrency: 1 }),
  parallel: (inner, d) => (b) => b.parallel(`parallel${d}`, { left: inner, right: (c: Block) => c.step(`r${d}`, () => "r") }, { concurrency: 1 }),
  protect: (inner, d) => (b) =>
    b.protect(`protect${d}`, (c: Block) => inner(c.step(`done${d}`, () => 1, { compensate: () => undefined })).step(`fails${d}`, () => err({ _tag: "No" })), {
      catch: { No: () => "caught" },
    }),
  compensate: (inner, d) => (b) =>
    b.protect(
      `outer${d}`,
      (o: Block) =>
        o.protect(`saga${d}`, (c: Block) =>
          inner(c.step(`done${d}`, ({ input }: any) =>
            input, { compensate: (output: unknown) => output })).step(`fails${d}`, () => err({ _tag: "No" })), {}),
      {
        fallback: () =>
          "undone",
      },
    ),
  wait: (inner, d) => (b) => inner(b.wait(`go${d}`, { schema: z.number(), signal: "go" })).wait({ for: 1 }),
  nested: (inner, d) => (b) => b.step(`nested${d}`, nest(inner(seq(`inner${d}`)), () => undefined)),
  child: (inner, d) => (b) => b.step(`child${d}`, nest(inner(seq(`child${d}`)), () => undefined, { as: "run" })),
  stream: (inner, d) => (b) =>
    inner(
      b.stream(
        `stream${d}`,
        () => ["x", "y", "z"],
        (s: any) =>
          s.map("up", async (word: string) => word.toUpperCase(), { concurrency: 2 }).scan("", (all: string, word: string) => all + word).batch(2).collect(),
        { buffer: 1, checkpoint: { items: 1 } },
      ),
    ),
  retry: (inner, d) => (b) => inner(b.step(`tried${d}`, () => 1, { retry: { times: 1 }, timeout: "1 minute" })),
}
export const names = Object.keys(patterns)

/** `outer/inner` as a flow; a signal is there for every wait. */
export const flowOf = (
  target: string,
): { readonly flow: any; readonly signals: ReadonlyArray<{ readonly name: string; readonly payload: number; readonly id: string }> } => {
  const flow = target.split("/").toReversed().reduce<Write>((inner, name, d) => patterns[name]!(inner, d), leaf)(seq(target.replaceAll("/", "-")))
  const waits = JSON.stringify(flow.ir, (_key, value) => (typeof value === "function" ? undefined : value)).includes("\"by\":\"signal\"")
  return { flow, signals: waits ? Array.from({ length: 8 }, (_, i) => ({ name: "go", payload: i, id: `go${i}` })) : [] }
}
/** All but a wait inside a child: its signal would have to be sent to the child. */
export const targets = (): ReadonlyArray<string> =>
  names.flatMap((outer) => names.map((inner) => `${outer}/${inner}`)).filter((target) => target !== "child/wait")
