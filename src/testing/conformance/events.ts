/** What any `Store` must do with events. */
import * as Effect from "effect/Effect"
import { Store } from "../../store/store.ts"
import { event, me, newRun, same, type StoreCheck, tagOfFailure } from "./runs.ts"

export const eventConformance: Readonly<Record<string, StoreCheck>> = {
  "events come back in order, whole and by block": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("events"))
    for (
      const one of [
        event(1),
        event(2, { parent: "loop", name: "[0]", kind: "loop.iterated" }),
        event(3, { parent: "loop", name: "[1]", kind: "loop.iterated" }),
      ]
    ) {
      yield* events.append(run, one, "sync")
    }
    const seqs = (found: ReadonlyArray<{ readonly seq: number }>) => found.map(({ seq }) => seq)
    yield* same(seqs(yield* events.since(run, 0)), [1, 2, 3])
    yield* same(seqs(yield* events.since(run, 2)), [3])
    yield* same(seqs(yield* events.since(run, 0, 2)), [1, 2])
    yield* same(seqs(yield* events.under(run, "loop")), [2, 3])
    yield* same(seqs(yield* events.under(run, "nothing")), [])
    yield* same((yield* events.last(run, "loop", "loop.iterated"))?.seq, 3)
    yield* same(yield* events.last(run, "", "loop.iterated"), undefined)
    yield* same((yield* events.at(run, 2))?.data, "{\"output\":2}")
    yield* same(yield* events.at(run, 9), undefined)
    yield* same(yield* events.head(run), 3)
  }),
  "what nobody has waited for is seen by whoever reads it": Effect.gen(function*() {
    const { runs, events } = yield* Store
    for (const how of ["async", "exit"] as const) {
      const { run } = yield* runs.create(newRun(`seen-${how}`))
      let n = 0
      const append = () => events.append(run, event(++n, { parent: "in" }), how)
      yield* append()
      yield* same((yield* events.under(run, "")).length, 0)
      yield* same((yield* events.under(run, "in")).length, 1)
      yield* append()
      yield* same((yield* events.last(run, "in", "step.completed"))?.seq, 2)
      yield* append()
      yield* same((yield* events.at(run, 1))?.seq, 1)
      yield* same((yield* events.at(run, 3))?.seq, 3)
      yield* append()
      yield* same((yield* events.since(run, 3)).length, 1)
      yield* append()
      yield* same(yield* events.head(run), 5)
    }
  }),
  "events of one run are not those of another": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const one = (yield* runs.create(newRun("mine"))).run
    const other = (yield* runs.create(newRun("yours"))).run
    yield* events.append(one, event(1), "sync")
    yield* same([yield* events.head(other), (yield* events.since(other, 0)).length], [0, 0])
  }),
  "a run that the store does not know has no events": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("known"))
    const stranger = { ...run, id: "stranger" }
    yield* same([yield* events.head(stranger), yield* events.since(stranger, 0), yield* events.under(stranger, "")], [0, [], []])
    yield* same([yield* events.last(stranger, "", "step.completed"), yield* events.at(stranger, 1)], [undefined, undefined])
    yield* same(tagOfFailure(yield* Effect.exit(events.append(stranger, event(1), "sync"))), "RunTakenOver")
  }),
  "an event and the run's new status are written together": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("status"))
    yield* events.append(run, event(1), "sync", { status: "completed" })
    yield* same([(yield* runs.get("status")).status, yield* events.head(run)], ["completed", 1])
  }),
  "appends of an earlier owner are refused": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("fence"))
    const claimed = yield* runs.claim(run, { ...me, owner: "there:2" })
    yield* same(tagOfFailure(yield* Effect.exit(events.append(run, event(1), "sync"))), "RunTakenOver")
    yield* events.append(claimed, event(1), "sync")
    yield* same([yield* events.head(run), claimed.owner, claimed.fence], [1, "there:2", 2])
    yield* same(tagOfFailure(yield* Effect.exit(runs.claim(run, { ...me, owner: "late:3" }))), "RunTakenOver")
  }),
  "concurrent appends of many runs are all written": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const all = yield* Effect.forEach(Array.from({ length: 20 }, (_, i) => `many-${i}`), (id) => Effect.map(runs.create(newRun(id)), ({ run }) => run))
    yield* Effect.forEach(all, (run) => Effect.forEach([1, 2, 3], (seq) => events.append(run, event(seq), "sync")), { concurrency: "unbounded" })
    yield* same(yield* Effect.forEach(all, (run) => events.head(run)), all.map(() => 3))
  }),
  "async and exit appends are durable when the run's end is": Effect.gen(function*() {
    const { runs, events } = yield* Store
    for (const durability of ["async", "exit"] as const) {
      const { run } = yield* runs.create(newRun(`ends-${durability}`))
      yield* events.append(run, event(1), durability)
      yield* events.append(run, event(2), durability)
      yield* events.append(run, event(3), durability, { status: "completed" })
      yield* same((yield* events.since(run, 0)).map(({ seq }) => seq), [1, 2, 3])
    }
  }),
  "text of every kind comes back unchanged": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("text"))
    const data = JSON.stringify({ output: "\u0000 \uD800 ' \" \\ ; -- é 漢 🧵" })
    yield* events.append(run, { ...event(1), data }, "sync")
    yield* same((yield* events.at(run, 1))?.data, data)
  }),
  "a run can have a past from elsewhere; a journal is thinned out and removed": Effect.gen(function*() {
    const { runs, events, signals } = yield* Store
    const { run } = yield* runs.create(newRun("copied"))
    for (const seq of [1, 2, 3]) yield* events.append(run, event(seq), "sync")
    yield* signals.send("copied", { id: "s", name: "go", data: "1" }, 1)
    const more = [{ id: "t", name: "go", data: "1", at: 1, taken: 1, late: false }, { id: "l", name: "go", data: "1", at: 2, taken: undefined, late: true }]
    const past = { events: (yield* events.since(run, 0)).slice(0, 2), signals: [...yield* signals.list(run), ...more] }
    const { created, run: copy } = yield* runs.adopt(newRun("copy", { status: "paused" }), past)
    yield* same([created, copy.status, (yield* events.since(copy, 0)).map(({ seq }) => seq)], [true, "paused", [1, 2]])
    yield* same((yield* signals.waiting(copy, "go")).map(({ id }) => id), ["s"])
    // a past is never added to what a run has
    yield* same([(yield* runs.adopt(newRun("copy"), past)).created, yield* events.head(copy)], [false, 2])
    yield* events.remove(run, [2])
    yield* same([
      (yield* events.since(run, 0)).map(({ seq }) => seq),
      (yield* events.under(run, "")).length,
      yield* events.at(run, 2),
      (yield* events.at(run, 3))?.seq,
    ], [
      [1, 3],
      2,
      undefined,
      3,
    ])
    yield* runs.remove(["copied", "copy"])
    yield* same(tagOfFailure(yield* Effect.exit(runs.get("copied"))), "RunNotFound")
    yield* same([yield* events.since(run, 0), yield* events.head(run), yield* signals.list(run), yield* signals.waiting(run, "go")], [[], 0, [], []])
    yield* events.remove(run, [1])
  }),
  "an event may take the place of one before it": Effect.gen(function*() {
    const { runs, events } = yield* Store
    const { run } = yield* runs.create(newRun("replaced"))
    const seqs = Effect.map(events.since(run, 0), (all) => all.map(({ seq }) => seq))
    for (const seq of [1, 2]) yield* events.append(run, event(seq), "sync")
    for (const acknowledge of ["now", "sync", "async", "exit"] as const) {
      const before = yield* seqs
      const former = before.at(-1)!
      yield* events.append(run, event(former + 1), acknowledge, { replaces: former })
      yield* same(yield* seqs, [...before.slice(0, -1), former + 1])
    }
    // one that is gone already is no failure
    yield* events.append(run, event(7), "sync", { replaces: 2 })
    yield* events.commit(run, () => ({ ...event(8), data: undefined as never }), [], "{\"a\":1}", () => "[]", { replaces: 7 })
    yield* same([yield* seqs, yield* events.head(run), (yield* events.under(run, "")).length], [[1, 6, 8], 8, 3])
  }),
}
