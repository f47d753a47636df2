import { Effect } from "effect"
import { err, ok } from "neverthrow"
import { nest, seq } from "heddle"
import { expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { trace, type TraceNode } from "../../src/engine/trace.ts"
import type { RunEvent } from "../../src/model/event.ts"
import { memoryStore } from "../../src/store/memory/store.ts"

const shape = (nodes: ReadonlyArray<TraceNode>): ReadonlyArray<string> =>
  nodes.flatMap((
    { path, kind, status, attempts, note, output, children },
  ) => [[path, kind, status, attempts > 1 ? `x${attempts}` : "", note ?? "", output ?? ""].filter(Boolean).join(" "), ...shape(children)])

it("a run is told as a tree of what happened", async () => {
  let tries = 0
  const flow = seq("t").step("a", () => 1)
    .when(() => false).step("skipped", () => 1)
    .when(() => true).step("taken", () => 1)
    .match("m", () => "x" as "x" | "y", { x: (b) => b.step("in", () => 2), y: (b) => b.step("in", () => 3) })
    .loop("l", { over: () => [1, 2] }, (b) => b.step("s", () => 1).continue(({ index }) => index > 5))
    .loop("w", { while: ({ index }) => index < 1, max: 3 }, (b) => b.step("s", () => 1))
    .each("e", () => [1], (b) => b.step("s", () => 1))
    .parallel("p", {
      f: (b) => b.step("s", () => (++tries < 2 ? err("no") : ok(1)), { retry: { times: 1, backoff: 1 } }),
      o: (b) => b.step("bad", () => err("no")),
    }, { optional: ["o"] })
    .protect("c", (b) => b.step("s", () => err({ _tag: "T" as const })), { catch: { T: () => 1 } })
    .step("last", () => err("end"))
  const heddle = makeHeddle(memoryStore())
  await Effect.runPromise(Effect.flip(heddle.run(flow, undefined, { id: "r" })))
  expect(shape(trace(await Effect.runPromise(heddle.events("r"))))).toEqual([
    "a step completed 1",
    "skipped block skipped",
    "taken step completed 1",
    "m when completed chose x",
    "m/x block completed",
    "m/x/in step completed 2",
    "l loop completed 2 items",
    "l[0] pass completed",
    "l[0]/s step completed 1",
    "l[0]/continue#1 jump completed",
    "l[1] pass completed",
    "l[1]/s step completed 1",
    "l[1]/continue#1 jump completed",
    "w loop completed",
    "w[0] pass completed",
    "w[0]/s step completed 1",
    "e each completed 1 items",
    "e[0] pass completed",
    "e[0]/s step completed 1",
    "p parallel completed",
    "p/o block failed",
    "p/o/bad step failed",
    "p/f block completed",
    "p/f/s step completed x2 1",
    "c protect completed caught T 1",
    "c/s step failed",
    "last step failed",
  ])
})

it("durations run from the event before in the same block; nothing gives nothing", () => {
  const event = (seq: number, at: number, kind: RunEvent["kind"], parent: string, name: string, data = "{}"): RunEvent => ({
    seq,
    at,
    kind,
    parent,
    name,
    data,
  })
  const nodes = trace([
    event(1, 100, "run.started", "", ""),
    event(2, 130, "step.completed", "", "a", "{\"output\":1,\"jump\":\"break\"}"),
    event(3, 150, "step.completed", "p/f", "s"),
    event(4, 190, "fork.completed", "p", "f"),
    event(5, 200, "parallel.completed", "", "p"),
    event(6, 260, "step.completed", "", "b"),
  ])
  expect(nodes.map(({ name, milliseconds, note }) => [name, milliseconds, note])).toEqual([["a", 30, "break"], ["p", 70, undefined], ["b", 60, undefined]])
  expect(trace([])).toEqual([])
})

it("a nested flow that was tried again is told with its attempts", async () => {
  let tries = 0
  const child = seq("child").step("s", () => (++tries < 2 ? err("no") : ok(tries)))
  const heddle = makeHeddle(memoryStore())
  await Effect.runPromise(heddle.run(seq("t").step("c", nest(child, () => undefined), { retry: { times: 2, backoff: 1 } }), undefined, { id: "r" }))
  expect(shape(trace(await Effect.runPromise(heddle.events("r"))))).toEqual(["c step completed x2", "c/s step completed 2"])
})
