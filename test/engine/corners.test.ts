/** Small promises that no other test happens to need. */
import { hostname } from "node:os"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect } from "effect"
import { changes, check, encode, nest, run, seq, step, transaction } from "heddle"
import { expect, it } from "vitest"
import { unicode } from "../../src/docgen/unicode.ts"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { isAlive } from "../../src/engine/owner.ts"
import { trace } from "../../src/engine/trace.ts"
import { BundleInvalid, RunQuarantined, RunSuspended, RunTakenOver } from "../../src/model/error.ts"
import type { EventKind, RunEvent } from "../../src/model/event.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import type { Store } from "../../src/store/store.ts"
import { failure, file, go, newRun, no, racing, status } from "../support.ts"

it("a flow without a name is called flow; what cannot be undone says so", () => {
  expect(seq().ir.name).toBe("flow")
  const pay = step("pay", ({ a }: { a: number }) => a, { effects: { irreversible: "sends money" } })
  const flow = seq("f").step("a", () => 1).step(pay).step("tx", transaction(() => 1)).step(
    "kid",
    nest(seq("kid").step("k", () => 1), () => undefined, { as: "run" }),
  )
    .step("und", () => 1, { effects: "x", compensate: () => undefined, delivery: "atMostOnce" }).wait("go", { timeout: "1 day" }).wait("nap", {
      for: ({ a }) => a,
    })
    .wait("date", { until: new Date(0) }).wait("d2", { until: () => new Date(0) }).wait("d3", { for: { seconds: 5 } })
    .protect("p", (b) => b.step("s", () => 1), { compensated: true, fallback: () => 1, rollback: false, timeout: 5 })
  expect(check(flow.ir)).toEqual([])
  expect(JSON.stringify(encode(flow.ir))).toContain("\"compensated\":true")
  expect(unicode(encode(flow.ir)).join("\n").split("\n").slice(1)).toEqual([
    "├─ ● a",
    "├─ ● pay   effects sends money · compensate irreversible",
    "├─ ● tx    transaction",
    "├─ ▣ kid   flow · run of kid",
    "├─ ● und   delivery atMostOnce · effects x · compensate yes",
    "├─ ⧖ go    wait · for signal go · timeout 1 day",
    "├─ ⧖ nap   wait · for a",
    "├─ ⧖ date  wait · until 1970-01-01T00:00:00.000Z",
    "├─ ⧖ d2    wait · until new Date(0)",
    "├─ ⧖ d3    wait · for {\"seconds\":5}",
    "└─ ◈ p     protect · fallback true · timeout 5 · rollback false · compensated true",
    "   └─ ● s",
  ].map((line) => expect.stringMatching(new RegExp(`^${line.replaceAll(/[()[\]{}.]/g, "\\$&").replaceAll(/ {2,}/g, " +")}$`))))
})

it("check refuses what the compiler would", () => {
  const rules = (flow: { readonly ir: Parameters<typeof check>[0] }) => check(flow.ir).map(({ rule, level }) => `${level} ${rule}`)
  const any = (given: unknown) => given as any
  expect(rules(seq("a").step("s", any(() => 1), any({ delivery: "atMostOnce", retry: { times: 1 } })))).toEqual(["error at-most-once"])
  expect(rules(seq("a").step("s", transaction(() => 1), any({ retry: { times: 1 } })))).toEqual(["error transaction"])
  expect(rules(seq("a").protect("p", (b) => b.step("s", () => 1, { effects: "x" }).step("t", () => 1), any({ compensated: true })))).toEqual([
    "error uncompensated",
  ])
  const misspelt = seq("a", { version: 1, migratoins: {} } as any).protect(
    "p",
    (b) => b.step("s", () => 1, { compensat: 1 } as any),
    { compensatd: true } as any,
  )
  expect(check(misspelt.ir).map(({ path, message }) => `${path}: ${message}`)).toEqual([
    ": 'migratoins' is no option of a flow: is it misspelt?",
    "p: 'compensatd' is no option of .protect: is it misspelt?",
    "p/s: 'compensat' is no option of .step or .update: is it misspelt?",
  ])
  expect(rules(seq("a").wait("w", { signal: "a/b", timeout: 1 }).wait("v", { for: any("soon") }).wait("endless"))).toEqual([
    "error signal",
    "error for",
    "warning endless-wait",
  ])
})

it("what is told of a run shows waits, refusals, undoing and what was taken back", () => {
  let seq_ = 0
  const event = (kind: EventKind, name: string, data: object = {}): RunEvent => ({ seq: ++seq_, at: seq_, kind, parent: "", name, data: JSON.stringify(data) })
  const nodes = trace([
    event("step.started", "s"),
    event("protect.started", "p"),
    event("wait.started", "w", { reason: "go", until: 0 }),
    event("wait.started", "t", {}),
    event("wait.refused", "r", { reason: "no" }),
    event("step.completed", "u", { output: 1 }),
    event("compensation.failed", "u", { of: 6 }),
    event("step.completed", "gone", { output: 1 }),
    event("run.rewound", "", { forget: [{ path: "gone" }] }),
    event("step.migrated", "m", { output: 2 }),
    event("run.migrated", "", { bound: [seq_] }),
  ])
  expect(nodes.map(({ name, note, status: how }) => [name, note, how])).toEqual([
    ["s", undefined, "open"],
    ["p", undefined, "open"],
    ["w", "for 'go' until 1970-01-01T00:00:00.000Z", "open"],
    ["t", "", "open"],
    ["r", "refused a signal: no", "open"],
    ["u", "could not be undone", "completed"],
    ["m", undefined, "completed"],
  ])
})

it("errors say what to do", () => {
  expect(new RunQuarantined({ run: "r", crashes: 5 }).message).toContain("its process died 5 times")
  expect(new BundleInvalid({ at: "", reason: "not JSON" }).message).toBe("the bundle cannot be imported: not JSON")
  expect(new RunSuspended({ run: "r", waits: [], until: undefined }).message).toContain("is suspended")
})

it("a process with the number of this one that is not this one is dead", () => {
  expect(isAlive(`${hostname()}:${process.pid}:other`)).toBe(false)
})

it("going back to nowhere is refused; a child's name may be any", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("g").step("kid", nest(seq("é").step("a", () => 1), () => undefined, { as: "run" }))
  await go(heddle.run(flow, undefined, { id: "g" }))
  expect((await go(heddle.list({ parent: "g" })))[0]!.id).toMatch(/^child-/)
  expect((await failure(heddle.plan(flow, "g", ""))).reason).toContain("the flow has no step ''")
})

it("a command that loses a race looks again, up to a point", async () => {
  let races = 1
  const heddle = makeHeddle(racing(memoryStore(), () => races-- > 0))
  await go(heddle.start(seq("r").step("a", () => 1), undefined, { id: "r" }))
  await go(heddle.pause("r"))
  expect(await status(heddle, "r")).toBe("paused")
  races = 9
  expect(await failure(heddle.cancel("r"))).toMatchObject({ _tag: "RunTakenOver" })
})

it("a store that fails while a run is being undone, or behind a fallback, is the run's error", async () => {
  const broken = (when: EventKind): Store["Service"] => {
    const store = memoryStore()
    const failing = Effect.fail(new RunTakenOver({ run: "r" }))
    return {
      ...store,
      events: { ...store.events, append: (record, event, ...rest) => (event.kind === when ? failing : store.events.append(record, event, ...rest)) },
    }
  }
  const saga = seq("s").step("a", () => 1, { compensate: () => Effect.fail(new RunTakenOver({ run: "r" })) }).step("x", no)
  expect(await failure(makeHeddle(memoryStore()).run(saga, undefined))).toMatchObject({ _tag: "RunTakenOver" })
  const guarded = seq("g").protect("p", (b) => b.step("a", () => 1), { fallback: () => 2 })
  expect(await failure(makeHeddle(broken("step.completed")).run(guarded, undefined))).toMatchObject({ _tag: "RunTakenOver" })
})

it("undoing goes on after a crash inside a protect; a compensation that dies is a failure", async () => {
  const store = memoryStore()
  let [hang, undone] = [true, 0]
  const flow = seq("u").protect(
    "p",
    (b) => b.step("a", () => 1, { compensate: () => (hang ? Effect.never : Effect.sync(() => void undone++)) }).step("x", no),
    {},
  )
  const first = Effect.runFork(makeHeddle(store).run(flow, undefined, { id: "u" }))
  await sleep(10)
  first.interruptUnsafe()
  await sleep(5)
  hang = false
  expect(await failure(makeHeddle(store).resume(flow, "u"))).toMatchObject({ _tag: "No" })
  expect(undone).toBe(1)
  const codec = {
    encode: (n: number) => n,
    decode: (n: number) => {
      if (n === 7) throw new Error("bad codec")
      return n
    },
  }
  const dies = seq("d").step("a", () => 7, { codec, compensate: () => undefined }).step("x", no)
  expect(await failure(makeHeddle(memoryStore()).run(dies, undefined))).toMatchObject({ _tag: "CompensationFailed", failures: [{ path: "a" }] })
  const gone = makeHeddle(store)
  const had = seq("h").step("a", () => 1, { compensate: () => undefined }).wait("go")
  await failure(gone.run(had, undefined, { id: "h", onSuspend: "return" }))
  expect(await failure(gone.cancel("h", { flow: seq("h").step("a", () => 1).wait("go") }))).toMatchObject({
    _tag: "CompensationFailed",
    failures: [{ path: "a" }],
  })
})

it("steps without a name of their own are undone, timed and recorded like others", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("o").step("n", () => 1).update("n", ({ n }) => n + 1, { compensate: () => undefined }).update("n", transaction(({}) => 5) as never).step(
    "x",
    no,
  )
  expect(await failure(heddle.run(flow, undefined))).toMatchObject({ _tag: "TransactionUnsupported" })
  const limited = seq("l").step("inner", nest(seq("i").step("a", () => Effect.sleep(50)), () => undefined), { timeout: 5 })
  expect(await failure(heddle.run(limited, undefined))).toMatchObject({ _tag: "StepTimedOut", path: "inner" })
  const input = seq<{ n: number }>("i").each("e", () => [1], (b) => b.step("s", ({ index }) => index, { compensate: () => undefined })).step("x", no)
  expect(await failure(heddle.run(input, { n: 1 }))).toMatchObject({ _tag: "No" })
})

it("two who wait for one run are both told; a paused run of another process ends here with that", async () => {
  const heddle = makeHeddle(memoryStore())
  const flow = seq("w").wait("go", { timeout: "1 hour" }).returns(() => 1)
  const both = [Effect.runPromise(heddle.run(flow, undefined, { id: "w" })), Effect.runPromise(heddle.run(flow, undefined, { id: "w" }))]
  await sleep(10)
  await go(heddle.signal(flow, "w", "go", undefined))
  expect(await Promise.all(both)).toEqual([1, 1])
  const db = file()
  const running = run(seq("p").step("s", () => Effect.never), undefined, { store: db, id: "p" })
  await sleep(50)
  const other = new DatabaseSync(db)
  other.exec("UPDATE runs SET fence = fence + 1, status = 'paused'")
  other.close()
  expect((await running)._unsafeUnwrapErr()).toMatchObject({ _tag: "RunPaused", reason: "by another process" })
})

it("whoever waits for a run lets others drive it, and is told its end", async () => {
  const db = file()
  const flow = seq("other").step("a", () => 1).wait("go").step("slow", () => Effect.as(Effect.sleep(400), 2)).returns(({ slow }) => slow)
  await go(Effect.scoped(Effect.gen(function*() {
    const [mine, theirs] = [yield* openSqlite(db), yield* openSqlite(db)]
    const waiting = Effect.runPromise(makeHeddle(mine).run(flow, undefined, { id: "o" }))
    yield* Effect.sleep(50)
    // as another process would: a store of another name does not share what goes on here
    const elsewhere = makeHeddle({ ...theirs, name: `${db}-elsewhere` })
    yield* elsewhere.signal(flow, "o", "go", undefined)
    const there = yield* Effect.result(elsewhere.resume(flow, "o"))
    expect(there._tag === "Success" ? there.success : there.failure._tag).toSatisfy((one: unknown) => one === 2 || one === "RunTakenOver" || one === "RunOwned")
    expect(yield* Effect.promise(() => waiting)).toBe(2)
  })))
})

it("a worker is told twice of one flow; ids of many runs do not pile up", async () => {
  await go(Effect.scoped(Effect.gen(function*() {
    const db = file()
    const store = yield* openSqlite(db, { synchronous: "normal" })
    const heddle = makeHeddle(store)
    const flow = seq("twice").step("a", () => 1)
    const worker = yield* heddle.worker([flow, flow])
    yield* worker.stop
    const other = new DatabaseSync(db)
    other.exec(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050) INSERT INTO runs (id, flow, version, fingerprint, status, input, owner, fence, created_at, updated_at) SELECT 'm' || i, 'f', 1, 'x', 'completed', 'null', '', 1, 1, 1 FROM n",
    )
    other.close()
    const { run: one } = yield* store.runs.create(newRun({ id: "one", input: "null", due: 1 }))
    for (let i = 1; i <= 10_050; i++) yield* store.events.head({ ...one, id: `m${i}` })
    expect(yield* store.events.head(one)).toBe(0)
    for (let i = 0; i < 10_001; i++) {
      if (i === 10_000) expect(yield* store.signals.send("one", { id: "last", name: "go", data: "1" }, 1)).toBe("full")
      else if (i === 0) {
        const sql = new DatabaseSync(db)
        sql.exec(
          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO signals (run, id, name, data, at) SELECT (SELECT nr FROM runs WHERE id = 'one'), 's' || i, 'go', '1', 1 FROM n",
        )
        sql.close()
      }
    }
  })))
  const memory = memoryStore()
  const heddle = makeHeddle(memory)
  const waits = seq("full").wait("go")
  await go(heddle.start(waits, undefined, { id: "full", at: new Date(Date.now() + 3_600_000) }))
  await go(Effect.forEach(Array.from({ length: 10_000 }, (_, i) => i), (i) => memory.signals.send("full", { id: `${i}`, name: "go", data: "1" }, 1)))
  expect((await failure(heddle.signal(waits, "full", "go", undefined))).reason).toContain("10,000 signals wait")
})

it("listeners hear of transactions; a nested flow that was retried is compacted with care; migrations leave unnamed nodes alone", async () => {
  await go(Effect.scoped(Effect.gen(function*() {
    const heddle = makeHeddle(yield* openSqlite(file()))
    const heard: Array<string> = []
    heddle.listen(({ kind, path }) => void heard.push(`${kind} ${path}`))
    yield* heddle.run(seq("t").step("x", transaction(() => 1)), undefined)
    expect(heard).toContain("step.completed x")
  })))
  const heddle = makeHeddle(memoryStore())
  let tries = 0
  const inner = seq("i").step("a", () => ++tries).step("b", () => (tries < 2 ? no() : Effect.succeed(1)))
  const retried = seq("r").step("i", nest(inner, () => undefined), { retry: { times: 1, backoff: 1 } }).loop({ times: 1 }, (b) => b.step("s", () => 1)).wait(
    "go",
  )
  await failure(heddle.run(retried, undefined, { id: "r", onSuspend: "return" }))
  expect(await go(heddle.compact("r"))).toBeGreaterThan(0)
  const v2 = seq("r", { version: 2, migrations: { 1: (state: any) => state } }).step("i", nest(inner, () => undefined), { retry: { times: 1, backoff: 1 } })
    .loop({ times: 1 }, (b) => b.step("s", () => 1)).wait("go").step("z", () => 1, { compensate: () => undefined })
  await go(heddle.signal(v2, "r", "go", undefined))
  expect(await go(heddle.resume(v2, "r"))).toMatchObject({ i: { a: 2, b: 1 }, z: 1 })
})

it("a child that waits beside work goes on while its parent is at work; pausing leaves children that are over", async () => {
  const heddle = makeHeddle(memoryStore())
  const child = seq("kid").wait("go").returns(() => 1)
  const done = seq("done").step("a", () => 1)
  const parent = seq("dad").step("d", nest(done, () => undefined, { as: "run" }))
    .parallel("p", { kid: (b) => b.step("c", nest(child, () => undefined, { as: "run" })), work: (b) => b.step("s", () => Effect.sleep(80)) }).wait("end")
  const running = Effect.runFork(Effect.exit(heddle.run(parent, undefined, { id: "d", onSuspend: "return" })))
  await sleep(20)
  const [leaf] = await go(heddle.list({ flow: "kid" }))
  await go(heddle.signal(child, leaf!.id, "go", undefined))
  await sleep(20)
  expect(await status(heddle, leaf!.id)).toBe("completed")
  await sleep(100)
  await go(heddle.pause("d"))
  expect([await status(heddle, "d"), running.pollUnsafe() !== undefined]).toEqual(["paused", true])
})

it("whoever waits for a run that another has taken goes on waiting, and takes it when its lease is over", async () => {
  const store = memoryStore()
  let races = 0
  const heddle = makeHeddle(racing(store, () => races-- > 0))
  const flow = seq("w").wait("go").returns(() => 1)
  const waiting = Effect.runPromise(heddle.run(flow, undefined, { id: "w" }))
  await sleep(10)
  const suspended = await go(store.runs.get("w"))
  await go(store.signals.send("w", { id: "s", name: "go", data: "1" }, Date.now()))
  await go(store.runs.claim(suspended, { owner: "elsewhere:1:x", lease: Date.now() + 150, status: "running" }))
  races = 1
  await go(heddle.signal(flow, "w", "go", undefined))
  expect(await waiting).toBe(1)
})

it("what stands is undone also after a rewind; what is under way in a case may change behind it", async () => {
  const heddle = makeHeddle(memoryStore())
  let [undone, broken] = [0, false]
  const flow = seq("r").step("a", () => 1, { compensate: () => void undone++ }).step("b", () => (broken ? no() : Effect.succeed(1)))
  await go(heddle.run(flow, undefined, { id: "r" }))
  await go(heddle.rewind(flow, "r", "b"))
  broken = true
  await failure(heddle.resume(flow, "r"))
  expect(undone).toBe(1)
  const open = (last: string) => seq("o").when("w", () => true, (b) => (b.wait("go") as any).step(last, () => last)) as any
  await failure(heddle.run(open("x"), undefined, { id: "o", onSuspend: "return" }))
  await go(heddle.signal(open("x"), "o", "go" as never, undefined as never))
  expect(await go(heddle.resume(open("y"), "o"))).toMatchObject({ w: { y: "y" } })
  const tuned = (options: object) => encode(seq("t").step("s", () => 1, options).ir)
  expect(changes(tuned({}), tuned({ delivery: "atMostOnce" })).map(({ text }) => text)).toEqual(["\u00b7 step 's': delivery none \u2192 \"atMostOnce\""])
  expect(changes(tuned({ delivery: "atMostOnce" }), tuned({})).map(({ text }) => text)).toEqual(["\u00b7 step 's': delivery \"atMostOnce\" \u2192 none"])
})
