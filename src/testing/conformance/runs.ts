/** What any `Store` must do with runs, signals and flows. */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { NewRun } from "../../model/run.ts"
import { Store } from "../../store/store.ts"

/** Fails, by a defect, where the store breaks its contract. */
export type StoreCheck = Effect.Effect<void, unknown, Store>

export const newRun = (id: string, more: Partial<NewRun> = {}): NewRun => ({
  id,
  flow: "flow",
  version: 1,
  fingerprint: "print",
  input: "{\"n\":1}",
  source: undefined,
  owner: "here:1",
  status: "running",
  due: undefined,
  parent: undefined,
  origin: undefined,
  ...more,
})
export const me = { owner: "me:1", lease: 1, status: "running" } as const
export const event = (seq: number, more: { readonly parent?: string; readonly name?: string; readonly kind?: "step.completed" | "loop.iterated" } = {}) =>
  ({
    seq,
    kind: more.kind ?? "step.completed",
    parent: more.parent ?? "",
    name: more.name ?? `s${seq}`,
    data: `{"output":${seq}}`,
  }) as const
export const same = (found: unknown, wanted: unknown): Effect.Effect<void> =>
  JSON.stringify(found) === JSON.stringify(wanted) ? Effect.void : Effect.die(new Error(`found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`))
export const tagOfFailure = (exit: Exit.Exit<unknown, unknown>): unknown =>
  JSON.stringify(exit).match(/"_tag":"((?:Run|Store|State|Session|Artifact)\w+)"/)?.[1]

/** Runs, signals and flows. */
export const runConformance: Readonly<Record<string, StoreCheck>> = {
  "a run is created once, and whoever comes second is given the first": Effect.gen(function*() {
    const { runs } = yield* Store
    const first = yield* runs.create(newRun("create"))
    const second = yield* runs.create(newRun("create", { input: "2" }))
    yield* same([first.created, second.created, second.run.input, second.run.status, second.run.fence], [true, false, "{\"n\":1}", "running", 1])
  }),
  "a run that does not exist is a typed error": Effect.gen(function*() {
    const { runs } = yield* Store
    yield* same(tagOfFailure(yield* Effect.exit(runs.get("nobody"))), "RunNotFound")
    yield* same(tagOfFailure(yield* Effect.exit(runs.claim({ id: "nobody", fence: 1, status: "running" }, me))), "RunNotFound")
  }),
  "runs are listed newest first, by flow and status, up to a limit": Effect.gen(function*() {
    const { runs, events } = yield* Store
    for (const id of ["list-a", "list-b", "list-c"]) yield* runs.create(newRun(id, { flow: id === "list-b" ? "other" : "listed" }))
    yield* events.append(yield* runs.get("list-c"), event(1), "sync", { status: "failed" })
    const ids = (filter: Parameters<typeof runs.list>[0]) => Effect.map(runs.list(filter), (found) => found.map(({ id }) => id))
    yield* same(yield* ids({ flow: "listed" }), ["list-c", "list-a"])
    yield* same(yield* ids({ flow: "listed", status: "failed" }), ["list-c"])
    yield* same((yield* ids({ limit: 1 })).length, 1)
    yield* runs.create(newRun("tied-1", { correlation: "list-a", session: "s", parent: "list-a" }))
    yield* runs.create(newRun("tied-2", { correlation: "list-a", session: "s", parent: "list-b", flow: "other" }))
    yield* same(yield* ids({ correlation: "list-a" }), ["tied-2", "tied-1", "list-a"])
    yield* same(yield* ids({ correlation: "list-a", flow: "other" }), ["tied-2"])
    yield* same(yield* ids({ session: "s" }), ["tied-2", "tied-1"])
    yield* same(yield* ids({ session: "s", parent: "list-a" }), ["tied-1"])
    yield* same([yield* ids({ session: "s", roots: true }), yield* ids({ flow: "listed", roots: true }), yield* ids({ since: Date.now() + 1000 })], [[], [
      "list-c",
      "list-a",
    ], []])
    const { correlation, session, trace } = yield* runs.get("list-a")
    yield* same([correlation, session, trace], ["list-a", undefined, undefined])
    const own = yield* runs.create(newRun("tied-3", { correlation: "tied-3", trace: "00-1-2-01" }))
    yield* same([own.run.correlation, (yield* runs.get("tied-3")).trace, yield* ids({ correlation: "tied-3" })], ["tied-3", "00-1-2-01", ["tied-3"]])
    yield* runs.create(newRun("tied-4", { correlation: "elsewhere", parent: "list-a" }))
    yield* same([yield* ids({ correlation: "tied-4" }), yield* ids({ parent: "list-a", correlation: "elsewhere" })], [[], ["tied-4"]])
  }),
  "a run that has ended for good is not claimed": Effect.gen(function*() {
    const { runs, events } = yield* Store
    for (const status of ["completed", "cancelled"] as const) {
      const { run } = yield* runs.create(newRun(`ended-${status}`))
      yield* events.append(run, event(1), "sync", { status })
      yield* same(tagOfFailure(yield* Effect.exit(runs.claim(run, me))), "RunTakenOver")
      yield* same((yield* runs.get(run.id)).status, status)
    }
  }),
  "a run that is given up is pending for whoever comes, unless it belongs to another by now": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("release", { due: 99 }))
    const claimed = yield* runs.claim(run, me)
    yield* runs.release(run, 5)
    yield* same([(yield* runs.get("release")).status, (yield* runs.get("release")).owner], ["running", "me:1"])
    yield* runs.release(claimed, 5)
    const { status, owner, due } = yield* runs.get("release")
    yield* same([status, owner, due], ["pending", "", 5])
    const again = yield* runs.claim(yield* runs.get("release"), { ...me, status: "compensating" })
    yield* runs.release(again, 6)
    yield* same((yield* runs.get("release")).status, "compensating")
    yield* events.append(again, event(1), "sync", { status: "cancelled" })
    yield* runs.release(again, 7)
    yield* same((yield* runs.get("release")).due, undefined)
    yield* runs.release({ ...again, id: "nobody" }, 7)
  }),
  "leases are lengthened, and what is due is found by flow and time": Effect.gen(function*() {
    const { runs, events } = yield* Store
    for (const [id, due] of [["due-b", 20], ["due-a", 10], ["due-c", undefined]] as const) {
      yield* runs.create(newRun(id, { flow: "dues", due, owner: "lease:1" }))
    }
    const ids = (now: number, limit = 9) => Effect.map(runs.due(["dues", "other"], now, limit), (found) => found.map(({ id }) => id))
    yield* same([yield* ids(5), yield* ids(10), yield* ids(20), yield* ids(20, 1)], [[], ["due-a"], ["due-a", "due-b"], ["due-a"]])
    yield* same([yield* runs.nextDue(["dues"]), yield* runs.nextDue(["nothing"])], [10, undefined])
    yield* events.append(yield* runs.get("due-c"), event(1), "sync", { status: "failed", due: undefined })
    yield* runs.renew(["due-a", "due-b", "due-c", "nobody"], "lease:1", 50)
    yield* runs.renew(["due-a"], "somebody else", 70)
    yield* same([(yield* runs.get("due-a")).due, (yield* runs.get("due-b")).due, (yield* runs.get("due-c")).due], [50, 50, undefined])
  }),
  "what is due is found without some flows, sessions and correlations, but for steps of other runs": Effect.gen(function*() {
    const { runs } = yield* Store
    const all = [["a", {}], ["b", { flow: "due-y" }], ["c", { session: "s" }], ["d", { correlation: "k" }], ["e", { session: "s", parent: "a" }]] as const
    for (const [id, more] of all) yield* runs.create(newRun(`due-${id}`, { flow: "due-x", due: 10, ...more }))
    const none = { flows: [], sessions: [], correlations: [] }
    const ids = (without: object) =>
      Effect.map(runs.due(["due-x", "due-y"], 10, 9, { ...none, ...without }), (found) => found.map(({ id }) => id.slice(-1)).sort().join(""))
    yield* same(
      [
        yield* ids({}),
        yield* ids({ flows: ["due-y"] }),
        yield* ids({ flows: ["due-x"] }),
        yield* ids({ sessions: ["s"] }),
        yield* ids({ correlations: ["k"] }),
      ],
      ["abcde", "acde", "be", "abde", "abce"],
    )
  }),
  "a run is given to nobody while as many of its flow, session or correlation are driven as may be": Effect.gen(function*() {
    const { runs } = yield* Store
    const later = Date.now() + 60_000
    const made = (id: string, more: Partial<NewRun>) =>
      Effect.map(runs.create(newRun(`within-${id}`, { owner: "", status: "pending", due: 1, ...more })), ({ run }) => run)
    const driven = (yield* runs.driven(Date.now())).length
    const common = { flow: "within", session: "within", correlation: "within" }
    const a = yield* runs.claim(yield* made("a", common), { ...me, lease: later, within: { perFlow: 1, perSession: 1, perCorrelation: 1 } })
    const step = yield* runs.claim(yield* made("step", { ...common, parent: "within-a" }), { ...me, lease: later, within: { perFlow: 1 } })
    yield* same((yield* runs.driven(Date.now())).map(({ id }) => id).slice(driven), ["within-a"])
    const claimed = (id: string, more: Partial<NewRun>, within: object) =>
      Effect.flatMap(made(id, more), (run) => Effect.map(Effect.exit(runs.claim(run, { ...me, lease: later, within })), tagOfFailure))
    const taken = "RunTakenOver"
    yield* same(
      [
        yield* claimed("flow", { flow: "within" }, { perFlow: 1 }),
        yield* claimed("session", { session: "within" }, { perSession: 1 }),
        yield* claimed("correlation", { correlation: "within" }, { perCorrelation: 1 }),
        yield* claimed("two", { flow: "within" }, { perFlow: 2 }),
        yield* claimed("none", { flow: "within-other" }, { perSession: 1, perCorrelation: 1, perFlow: 1 }),
        yield* claimed("full", { flow: "within" }, { perFlow: 2 }),
      ],
      [taken, taken, taken, undefined, undefined, taken],
    )
    // whoever does not ask, or drives it already, is not held up; who is not heard of any more does not count
    yield* runs.claim(a, { ...me, lease: later, within: { perFlow: 2 } })
    yield* runs.claim(yield* runs.get("within-full"), { ...me, lease: 1 })
    yield* runs.release(yield* runs.get("within-two"), 1)
    yield* same(yield* claimed("then", { flow: "within" }, { perFlow: 2 }), undefined)
    for (const { id } of [a, step]) yield* runs.release(yield* runs.get(id), later)
  }),
  "a suspended run is nudged, others are not": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("nudge"))
    yield* runs.nudge("nudge", 3)
    yield* same((yield* runs.get("nudge")).due, undefined)
    yield* events.append(run, event(1), "sync", { status: "suspended", due: undefined, waits: ["go"] })
    yield* runs.nudge("nudge", 8)
    yield* runs.nudge("nudge", 9)
    yield* same([(yield* runs.get("nudge")).due, (yield* runs.get("nudge")).waits], [8, ["go"]])
    yield* runs.nudge("nobody", 1)
    const seen = yield* runs.look(["nudge", "nobody"], "never")
    yield* same(seen.runs.map(({ id }) => id), ["nudge"])
    yield* same((yield* runs.look(["nudge"], seen.version)).runs.every(({ id }) => id === "nudge"), true)
  }),
  "a child's end makes its parent due": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("parent"))
    yield* events.append(run, event(1), "sync", { status: "suspended" })
    const { run: child } = yield* runs.create(newRun("child", { parent: "parent" }))
    yield* events.append(child, event(1), "sync", { status: "failed", due: undefined })
    yield* same([(yield* runs.get("parent")).due !== undefined, (yield* runs.list({ parent: "parent" })).map(({ id }) => id)], [true, ["child"]])
    yield* same(yield* runs.list({ parent: "child" }), [])
    yield* same((yield* runs.list({ flow: "flow", before: 0 })).length, 0)
  }),
  "signals are kept once, received in order, and refused when the run has ended": Effect.gen(function*() {
    const { runs, events, signals } = yield* Store
    const { run } = yield* runs.create(newRun("signals"))
    const send = (id: string, name = "go") => signals.send("signals", { id, name, data: "1" }, 4)
    yield* same([yield* send("a"), yield* send("b"), yield* send("a"), yield* send("c", "other")], ["accepted", "accepted", "duplicate", "accepted"])
    yield* events.append(run, event(1), "sync", { takes: "a" })
    yield* same((yield* signals.waiting(run, "go")).map(({ id }) => id), ["b"])
    yield* events.append(run, event(2), "sync", { status: "suspended", due: undefined, waits: ["go"] })
    yield* same((yield* runs.get("signals")).due !== undefined, true)
    yield* events.append(run, event(3), "sync", { status: "suspended", due: undefined, waits: ["go"], left: ["b"] })
    yield* same([(yield* runs.get("signals")).due, (yield* signals.waiting(run, "go")).length], [undefined, 1])
    yield* events.append(run, event(4), "sync", { status: "suspended", due: undefined, waits: ["third"] })
    yield* send("d", "third")
    yield* same((yield* runs.get("signals")).due, 4)
    yield* events.append(run, event(5), "sync", { status: "completed", version: 2, fingerprint: "new" })
    yield* same([yield* send("late"), (yield* runs.get("signals")).version, (yield* runs.get("signals")).fingerprint], ["late", 2, "new"])
    yield* same((yield* signals.list(run)).map(({ id, taken, late }) => [id, taken ?? 0, late]), [["a", 1, false], ["b", 0, false], ["c", 0, false], [
      "d",
      0,
      false,
    ], [
      "late",
      0,
      true,
    ]])
    yield* same(tagOfFailure(yield* Effect.exit(signals.send("nobody", { id: "x", name: "go", data: "1" }, 4))), "RunNotFound")
  }),
  "structures of flows are kept by their fingerprint": Effect.gen(function*() {
    const { flows } = yield* Store
    yield* flows.save("print", "{\"n\":1}")
    yield* flows.save("print", "{\"n\":1}")
    yield* same([yield* flows.get("print"), yield* flows.get("none")], ["{\"n\":1}", undefined])
  }),
}
