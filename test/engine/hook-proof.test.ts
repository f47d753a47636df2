/** The proof that every decision is honoured at every point that allows it, and refused at every other: made from the table that the types are made from. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Stream } from "effect"
import { type AnyFlow, decide, type EventDataOf, eventSchema, hook, type HookPoint, nest, seq as typed, state, tool } from "heddle"
import { agent, type ModelPart, type ModelShape, scripted } from "heddle/agents"
import { live } from "heddle/streams"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { hookDecisions } from "../../dsl/ir/hook.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { type LiveKind, liveKinds } from "../../src/model/event.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { go, no } from "../support.ts"

type Decides = (typeof hookDecisions)[HookPoint][number]
const decisions = [...new Set(Object.values(hookDecisions).flat())] as ReadonlyArray<Decides>
const points = Object.keys(hookDecisions) as ReadonlyArray<HookPoint>

/** What is proven here is what happens, whatever the types of these small flows say. */
const seq = typed as any
const spare = typed("spare").step("s", () => 1)
/** How often what is tried again has run. */
let ran = 0
const Ask = z.object({ text: z.string() })
/** What somebody else writes meanwhile. */
let others: () => Promise<unknown>
const shared = state<number>("shared", { scope: "global", initial: 0 })
const total = state<number>("total", { scope: "run", initial: 0 })
const fruit = (b: any) => b.step("s", () => 1)
const fails = (b: any) => b.step("s", no)
const adds = (answer: () => unknown) => tool("add", { description: "Adds.", input: z.object({ n: z.number() }) }, (given) => (ran++, answer() ?? given.n))
const clerk = (...turns: ReadonlyArray<any>) => agent("clerk", { input: Ask, model: scripted(turns) })
/** An agent that answers with what it was asked. */
const echo: ModelShape = {
  name: "echo",
  turn: ({ messages }) =>
    Stream.make<ReadonlyArray<ModelPart>>({ type: "text", text: messages.at(-1)!.text }, { type: "finish", reason: "stop", usage: { input: 1, output: 1 } }),
}
const parrot = () => agent("parrot", { input: Ask, model: echo })
const broken = () => {
  throw new Error("broken")
}
const items = function*() {
  yield* [1, 2, 3]
}
const undoable = (undo: () => unknown) =>
  seq("f").step("a", () => 7, { compensate: { undo: () => void (ran++, undo()), retry: { times: 1, backoff: 0 } } }).step("bad", no)

/** A flow in which each point is met, and what shows what came of it. */
const met = {
  "run.before": () => seq("f").step("a", ({ input }: any) => ({ got: input })),
  "run.after": () => seq("f").step("a", () => 1),
  "run.error": () => seq("f").step("a", no),
  "step.before": () => seq("f").step("b", () => 1).step("a", ({ b }: any) => (ran++, { got: b })),
  "step.after": () => seq("f").step("a", () => ++ran),
  "step.error": () => seq("f").step("a", () => (++ran, no())),
  "tool.before": () => seq("f").step("a", nest(adds(() => undefined), () => ({ n: 1 }))),
  "tool.after": () => seq("f").step("a", nest(adds(() => undefined), () => ({ n: 1 }))),
  "tool.error": () => seq("f").step("a", nest(adds(broken), () => ({ n: 1 }))),
  "agent.before": () => parrot(),
  "agent.after": () => clerk("x"),
  "agent.error": () => clerk(),
  "turn.before": () => parrot(),
  "turn.after": () => clerk("x"),
  "turn.error": () => clerk(),
  "state.before": () =>
    seq("f").step("a", (_: unknown, { state: kept }: any) => kept.set(total, 5)).step(
      "b",
      async (_: unknown, { state: kept }: any) => ({ total: await kept.get(total) }),
    ),
  "artifact.before": () => seq("f").step("a", async (_: unknown, { artifacts }: any) => (await artifacts.put("report", "x")).name),
  "artifact.after": () => seq("f").step("a", async (_: unknown, { artifacts }: any) => (await artifacts.put("report", "x")).name),
  "state.read": () => seq("f").step("a", async (_: unknown, { state: kept }: any) => ({ total: await kept.get(total) })),
  "state.conflict": () =>
    seq("f").step("a", async (_: unknown, { state: kept }: any) => {
      const seen = await kept.get(shared)
      if (++ran === 1) await others()
      await kept.set(shared, seen + 1)
      return seen
    }),
  "artifact.read": () => seq("f").step("a", async (_: unknown, { artifacts }: any) => (await artifacts.put("report", "x"), artifacts.text("report"))),
  "artifact.remove": () =>
    seq("f").step("a", async (_: unknown, { artifacts }: any) => (await artifacts.put("report", "x"), await artifacts.remove("report"), artifacts.list())),
  "session.before": () => seq("f").step("a", () => 1),
  "session.after": () => seq("f").step("a", () => 1),
  "when.before": () => seq("f").when("n", () => true, fruit),
  "when.decided": () => seq("f").match("n", () => "one", { one: (b: any) => b.step("s", () => 1), other: (b: any) => b.step("s", () => "other") }),
  "guard.decided": () => seq("f").when(() => false).step("a", () => "other"),
  "when.after": () => seq("f").when("n", () => true, fruit),
  "when.error": () => seq("f").when("n", () => true, fails),
  "loop.before": () => seq("f").loop("n", { times: 2 }, fruit),
  "loop.iteration": () => seq("f").loop("n", { times: 2, collect: "all" }, (b: any) => b.step("s", () => ({ passed: ++ran }))),
  "loop.after": () => seq("f").loop("n", { times: 2 }, fruit),
  "loop.error": () => seq("f").loop("n", { times: 2 }, fails),
  "each.before": () => seq("f").each("n", () => [1], fruit),
  "each.after": () => seq("f").each("n", () => [1], fruit),
  "each.error": () => seq("f").each("n", () => [1], fails),
  "parallel.before": () => seq("f").parallel("n", { a: fruit }),
  "parallel.after": () => seq("f").parallel("n", { a: fruit }),
  "parallel.error": () => seq("f").parallel("n", { a: fails }),
  "fork.before": () => seq("f").parallel("n", { a: fruit }),
  "fork.after": () => seq("f").parallel("n", { a: fruit }),
  "fork.error": () => seq("f").parallel("n", { a: fails }),
  "stream.before": () => seq("f").stream("n", () => [1, 2, 3], (s: any) => s.collect()),
  "stream.chunk": () => seq("f").stream("n", () => [1, 2, 3], (s: any) => s.map((passed: number) => ({ passed })).collect()),
  "stream.checkpoint": () => seq("f").stream("n", () => [1, 2, 3], (s: any) => s.collect(), { checkpoint: { items: 1 } }),
  "stream.pressed": () => seq("f").stream("n", () => live(items()), (s: any) => s.each("w", () => sleep(5)), { buffer: 1 }),
  "stream.rejected": () =>
    seq("f").stream("n", () => [1, 2, 3], (s: any) => s.map("w", (item: number) => (item === 2 ? no() : { passed: item }), { timeout: 5000 }).collect()),
  "stream.after": () => seq("f").stream("n", () => [1, 2, 3], (s: any) => s.collect()),
  "stream.error": () => seq("f").stream("n", () => [1, 2, 3], (s: any) => s.map(no).collect()),
  "wait.before": () => seq("f").wait("n", { for: 1 }),
  "wait.after": () => seq("f").wait("n", { for: 1 }),
  "wait.error": () => seq("f").wait("n", { timeout: 1 }),
  "protect.before": () => seq("f").protect("n", fruit, {}),
  "protect.caught": () => seq("f").protect("n", fails, { fallback: () => 1 }),
  "protect.after": () => seq("f").protect("n", fruit, {}),
  "protect.error": () => seq("f").protect("n", fails, {}),
  "rollback.before": () => undoable(() => undefined),
  "rollback.after": () => undoable(() => undefined),
  "compensation.before": () => undoable(() => undefined),
  "compensation.after": () => undoable(() => undefined),
  "compensation.error": () => undoable(broken),
  "limit.warned": () => seq("f", { budget: { steps: 1 } }).step("a", () => 1),
  "limit.exceeded": () => seq("f", { budget: { steps: 1 } }).step("a", () => 1).step("b", () => 1),
} satisfies Record<HookPoint, () => AnyFlow>

const isLive = (kind: string): kind is LiveKind => (liveKinds as ReadonlyArray<string>).includes(kind)
/** Everything that was told and not kept. */
const lives: Array<readonly [LiveKind, string]> = []

/** It belongs to no run. */
const ofSession = (point: HookPoint): boolean => point.startsWith("session.")

/** What comes of a run in which `decision` is decided at `point`, as text; with what was told of hooks, and which runs there are then. */
const outcome = async (point: HookPoint, decision: unknown, onFailure: "fail" | "ignore" = "ignore") => {
  ran = 0
  const told: Array<string> = []
  const answer = hook(point as "step.before", (() => decision) as never, { onFailure, where: ({ path }) => point !== "step.before" || path === "a" })
  const heddle = makeHeddle(memoryStore(), { hooks: decision === undefined ? [] : [answer] })
  others = () => go(heddle.state({}).set(shared, 5))
  heddle.listen(({ kind, data }) => void (kind.startsWith("hook.") && told.push(`${kind} ${data}`)))
  heddle.listen(({ kind, data = "{}" }) => void (isLive(kind) && lives.push([kind, data])))
  const flow = met[point]() as any
  const input = point.startsWith("agent") || point.startsWith("turn") ? { text: "x" } : 1
  const work = Effect.gen(function*() {
    if (ofSession(point)) yield* heddle.sessions.create({ id: "s" })
    const first = yield* heddle.run(flow, input as never, { id: "r" })
    // what is kept under a key is there for the next run
    return point === "step.before" && (decision as { readonly does: string } | undefined)?.does === "cache" ?
      [first, yield* heddle.run(flow, input as never)] :
      first
  })
  const ended = await go(
    Effect.match(work as Effect.Effect<unknown, any>, {
      onSuccess: (value) => JSON.stringify(value),
      onFailure: (error) => `${error._tag ?? error}: ${error.message} ${error.failures?.map((one: any) => one.error._tag)}`,
    }),
  )
  const runs = await go(heddle.list({ flow: "spare" }))
  return { ended, told, spares: runs.length, ran }
}

/** What stands in for an output, as the point wants it. */
const standIn = (point: HookPoint): unknown =>
  point.startsWith("turn.") ?
    { text: "42", calls: [], reason: "stop", usage: { input: 0, output: 0 } } :
    point === "stream.chunk" ?
    [42] :
    point === "agent.before" || point === "agent.after" || point === "agent.error" ?
    "42" :
    42
const modified: Partial<Record<HookPoint, unknown>> = {
  "run.before": 42,
  "step.before": { b: 42 },
  "tool.before": { n: 42 },
  "agent.before": { text: "42" },
  "turn.before": { messages: [{ role: "user", text: "42" }] },
  "artifact.before": { name: "report-42" },
}
type Seen = Awaited<ReturnType<typeof outcome>>
/** For each decision: how it is made, and how it shows that it was honoured, beside what came of the run without it. */
const proofs: Readonly<
  Record<Decides, { readonly make: (point: HookPoint) => unknown; readonly honoured: (seen: Seen, before: Seen, point: HookPoint) => boolean }>
> = {
  cancel: {
    make: () => decide.cancel("stop"),
    honoured: ({ ended }, _, point) => ended.startsWith(point === "session.before" ? "SessionRefused" : "RunCancelled") && ended.includes("stop"),
  },
  fork: { make: () => decide.fork(spare, undefined), honoured: ({ spares, ended }, before) => spares > 0 && ended === before.ended },
  replace: { make: (point) => decide.replace(standIn(point)), honoured: ({ ended }, before) => ended.includes("42") && !before.ended.includes("42") },
  modify: {
    make: (point) => decide.modify(modified[point]),
    honoured: ({ ended }, before) => ended.includes("42") && !before.ended.includes("42"),
  },
  redirect: {
    make: (point) => decide.redirect(point === "guard.decided" ? "yes" : "other"),
    honoured: ({ ended }, before) => ended.includes("other") && !before.ended.includes("other"),
  },
  retry: { make: () => decide.retry({ times: 2 }), honoured: (seen, before) => before.ran === 1 && seen.ran === 3 },
  cache: { make: () => decide.cache("key"), honoured: ({ ended, ran: times }, before) => times === 1 && ended === `[${before.ended},${before.ended}]` },
  skip: {
    make: () => decide.skip("not this"),
    honoured: (seen, before) => seen.ended !== before.ended || seen.ran < before.ran,
  },
}

describe.each(points)("%s", (point) => {
  const allowed = hookDecisions[point] as ReadonlyArray<Decides>
  it(`honours ${allowed.join(", ")}`, async () => {
    const before = await outcome(point, undefined)
    for (const does of allowed) {
      const seen = await outcome(point, proofs[does].make(point))
      expect([does, proofs[does].honoured(seen, before, point), proofs[does].honoured(seen, before, point) ? "" : seen]).toEqual([does, true, ""])
      expect(seen.told.length > 0, does).toBe(true)
      expect(seen.told.every((one) => one.startsWith("hook.decided"))).toBe(true)
    }
  })
  it("refuses every other decision, and goes on as if nothing was said", async () => {
    const before = await outcome(point, undefined)
    for (const does of decisions.filter((one) => !allowed.includes(one))) {
      const seen = await outcome(point, proofs[does].make(point))
      expect([does, seen.ended, seen.spares]).toEqual([does, before.ended, 0])
      expect(seen.told.every((one) => one.startsWith("hook.failed") && one.includes(`'${does}' cannot be decided here`)), does).toBe(true)
      expect(seen.told.length > 0).toBe(true)
    }
  })
})

// what a session has become is so, and what is undone is, whatever hooks say
it.each(points.filter((point) => point !== "session.after" && point !== "rollback.after"))(
  "%s: a hook that must not fail fails what it stands at",
  async (point) => {
    const refused = decisions.find((one) => !(hookDecisions[point] as ReadonlyArray<string>).includes(one))!
    const { ended } = await outcome(point, proofs[refused].make(point), "fail")
    const undoing = /^(rollback|compensation)/.test(point)
    // what a function asks for with a promise, it is refused with one
    const as = ofSession(point) ? "SessionRefused" : undoing ? "CompensationFailed" : /^(artifact|state.(before|read))/.test(point) ? "StepThrew" : "HookFailed"
    expect([ended.startsWith(`${as}:`), ended.includes(undoing ? "HookFailed" : `'${refused}' cannot be decided here`), ended]).toEqual([true, true, ended])
  },
)

it("what is told and not kept says what its kind says", () => {
  type Schema = { readonly type?: string; readonly required?: ReadonlyArray<string>; readonly properties?: Readonly<Record<string, Schema>> }
  const fits = (value: unknown, { type, required = [], properties }: Schema): boolean =>
    type === undefined || type === "array" ? true : typeof value === type && (type !== "object" ||
      (required.every((part) => part in Object(value)) &&
        Object.entries(Object(value)).every(([part, inner]) => properties?.[part] !== undefined && fits(inner, properties[part]!))))
  expect(lives.filter(([kind, data]) => !fits(JSON.parse(data), eventSchema(kind) as Schema))).toEqual([])
  const kinds = [
    "artifact.kept",
    "artifact.removed",
    "rollback.completed",
    "rollback.started",
    "hook.decided",
    "limit.exceeded",
    "session.active",
    "state.changed",
    "state.conflicted",
    "stream.flowed",
    "stream.pressed",
    "tool.failed",
    "turn.completed",
  ]
  expect([...new Set(lives.map(([kind]) => kind))]).toEqual(expect.arrayContaining(kinds))
  const warned: EventDataOf<"limit.warned"> = { limit: "time", of: "run 'r'", used: 5, allowed: 10, percent: 50 }
  // @ts-expect-error a warning says how much is used
  const lacking: EventDataOf<"limit.warned"> = { limit: "time", of: "run 'r'", allowed: 10, percent: 50 }
  expect([fits(warned, eventSchema("limit.warned") as Schema), fits(lacking, eventSchema("limit.warned") as Schema)]).toEqual([true, false])
})
