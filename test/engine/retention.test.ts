import { createHash } from "node:crypto"
import { Effect } from "effect"
import * as fc from "fast-check"
import { err } from "neverthrow"
import { Heddle, nest, run, seq, transaction } from "heddle"
import { expect, it } from "vitest"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { failure, file, go } from "../support.ts"

const ids = (runs: ReadonlyArray<{ readonly id: string }>) => runs.map(({ id }) => id)

it("prune deletes ended runs by age, number, status and flow, with their children, and says so first if asked", async () => {
  await go(Effect.scoped(Effect.gen(function*() {
    const heddle = makeHeddle(yield* openSqlite(file()))
    const one = seq("one").step("a", () => 1)
    const parent = seq("parent").step("c", nest(one, () => undefined, { as: "run" }))
    for (const id of ["a", "b", "c"]) yield* heddle.run(one, undefined, { id })
    yield* heddle.run(parent, undefined, { id: "p" })
    yield* Effect.flip(heddle.run(seq("fails").step("x", () => err(1)), undefined, { id: "f" }))
    yield* Effect.flip(heddle.run(seq("waits").wait("go"), undefined, { id: "w", onSuspend: "return" }))
    expect(ids(yield* heddle.prune({ dryRun: true, olderThan: 60_000 }))).toEqual([])
    expect(ids(yield* heddle.prune({ dryRun: true, keep: 2 }))).toEqual(["b", "a"])
    expect(ids(yield* heddle.prune({ dryRun: true, status: ["failed", "suspended"] }))).toEqual(["f"])
    expect(ids(yield* heddle.prune({ flow: "one", keep: 1 }))).toEqual(["b", "a"])
    expect(yield* heddle.prune()).toHaveLength(3)
    expect(ids(yield* heddle.list())).toEqual(["w", "f"])
    // a number that was used is not taken for another run
    yield* heddle.run(one, undefined, { id: "a" })
    expect(yield* heddle.events("a")).toHaveLength(3)
  })))
})

it("compacting a run lets go of its past and changes nothing of its future", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const log: Array<string> = []
  const flow = seq("long").step("n", () => 0)
    .loop("l", { times: 20 }, (b) => b.step("x", ({ index }) => `x${index}`).step("unused", () => "y".repeat(100)).update("n", ({ n }) => n + 1))
    .loop("all", { times: 3, collect: "all" }, (b) => b.step("x", ({ index }) => index))
    .parallel("p", { a: (b) => b.step("s", () => 1).step("t", () => 2).returns(({ t }) => t) })
    .step("book", () => "booked", { compensate: (output, { n }) => void log.push(`${output} ${n}`) })
    .loop("open", { times: 5 }, (b) => b.step("z", ({ index }) => index).wait("go"))
    .step("fails", () => err({ _tag: "No" } as const))
  await failure(heddle.run(flow, undefined, { id: "c", onSuspend: "return" }))
  for (const n of [1, 2]) {
    await go(heddle.signal(flow, "c", "go", undefined, { id: `g${n}` }))
    await failure(heddle.resume(flow, "c", { onSuspend: "return" }))
  }
  const copy = await go(heddle.export("c"))
  const before = (await go(heddle.events("c"))).length
  const removed = await go(heddle.compact("c"))
  expect(removed).toBeGreaterThan(70)
  expect((await go(heddle.events("c"))).length).toBe(before - removed + 1)
  expect(await go(heddle.compact("c"))).toBe(0)
  for (const id of ["c", "copy"]) {
    if (id === "copy") {
      await go(heddle.import(copy, "copy"))
      await failure(heddle.resume(flow, "copy", { onSuspend: "return" }))
    }
    for (const n of [3, 4, 5]) await go(heddle.signal(flow, id, "go", undefined, { id: `g${n}` }))
    expect(await failure(heddle.resume(flow, id))).toMatchObject({ _tag: "No" })
  }
  expect(log).toEqual(["booked 20", "booked 20"])
  const last = await go(heddle.list())
  expect(last.map(({ status }) => status)).toEqual(["compensated", "compensated"])
})

it("a bundle carries a run to another store; one that had not ended is paused there", async () => {
  const flow = seq("b").step("a", () => new Map([["k", 1n]])).wait("go").returns(({ a }) => a)
  const [here, there] = [makeHeddle(memoryStore()), makeHeddle(memoryStore())]
  await failure(here.run(flow, undefined, { id: "b", onSuspend: "return" }))
  await go(here.signal(flow, "b", "go", undefined))
  const bundle = await go(here.export("b"))
  expect(await go(there.import(bundle))).toMatchObject({ id: "b", status: "paused", flow: "b" })
  expect(await go(there.resume(flow, "b"))).toEqual(new Map([["k", 1n]]))
  expect(await failure(there.import(bundle))).toMatchObject({ _tag: "RunConflict" })
  expect(await go(there.import(await go(there.export("b")), "done"))).toMatchObject({ id: "done", status: "completed", origin: "b" })
  expect(await go(there.resume(flow, "done"))).toEqual(new Map([["k", 1n]]))
})

it("a bundle is not trusted", async () => {
  const heddle = makeHeddle(memoryStore())
  await go(heddle.run(seq("t").step("a", () => ({ x: 1 })), undefined, { id: "t" }))
  const bundle = JSON.parse(await go(heddle.export("t")))
  const signed = (change: (content: any) => void): string => {
    const { format, sha256: _sha, ...content } = structuredClone(bundle)
    change(content)
    return JSON.stringify({ format, sha256: createHash("sha256").update(JSON.stringify(content)).digest("hex"), ...content })
  }
  const at = async (text: string) => {
    const { _tag, at: place, reason } = await failure(heddle.import(text, "x"))
    return `${_tag} ${place}: ${reason}`
  }
  expect(await at("{")).toBe("BundleInvalid : not JSON")
  expect(await at("[]")).toBe("BundleInvalid : not an object")
  expect(await at("{}")).toContain("format: not heddle-run/1")
  expect(await at(JSON.stringify({ ...bundle, run: {} }))).toBe("BundleInvalid sha256: the content is not what was exported")
  const wrong: ReadonlyArray<readonly [string, (content: any) => void]> = [
    ["run.status: not a status", (c) => (c.run.status = "rich")],
    ["run.version: not a whole number", (c) => (c.run.version = "1")],
    ["run.input: not an encoded value", (c) => (c.run.input = "{")],
    ["run.source: not a string", (c) => (c.run.source = 5)],
    ["events: not a list", (c) => (c.events = {})],
    ["events[0]: not an object", (c) => (c.events[0] = 1)],
    ["events[1].seq: out of order", (c) => (c.events[1].seq = 1)],
    ["events[1].kind: no event is called 'run.exploded'", (c) => (c.events[1].kind = "run.exploded")],
    ["events[1].data: a key that attacks prototypes", (c) => (c.events[1].data = "{\"output\":{\"__proto__\":{\"x\":1}}}")],
    ["events[1].data: a marker 'evil' this version of Heddle does not know", (c) => (c.events[1].data = "{\"output\":{\"$\":\"evil\"}}")],
    ["events[1].data: nested too deep", (c) => (c.events[1].data = "[".repeat(300) + "]".repeat(300))],
    ["events[1].data: too large", (c) => (c.events[1].data = JSON.stringify("x".repeat(33 * 1024 * 1024)))],
    ["signals: more than 1000000", (c) => (c.signals = Array.from({ length: 1_000_001 }, () => 0))],
    ["signals[0].id: not a string", (c) => (c.signals = [{ id: 1 }])],
  ]
  for (const [message, change] of wrong) expect(await at(signed(change))).toBe(`BundleInvalid ${message}`)
  expect(await go(heddle.import(signed((c) => delete c.structure), "bare"))).toMatchObject({ id: "bare", status: "completed" })
  expect((await failure(heddle.import(signed((c) => (c.run.id = "../etc"))))).message).toBe("the bundle cannot be imported: run.id: not a run id")
  // whatever is changed, it is refused or comes in: nothing else happens
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), fc.constantFrom("run", "events", "signals", "structure"), async (value, key) => {
      const exit = await go(Effect.result(heddle.import(signed((c) => (c[key] = value)), `f${Math.random()}`)))
      if (exit._tag === "Failure") expect(exit.failure._tag).toBe("BundleInvalid")
    }),
    { numRuns: 100 },
  )
})

it("a transaction step and its record are one: both, or neither", async () => {
  const db = file()
  let broken = true
  const flow = seq("tx").step("table", transaction((sql) => (sql.run("CREATE TABLE IF NOT EXISTS money (n INTEGER) STRICT"), 0)))
    .step(
      "pay",
      transaction((sql, { table }) => {
        const { changes, lastId } = sql.run("INSERT INTO money VALUES (?)", 5 + table)
        if (broken) throw new Error("after the insert")
        return { changes, lastId, rows: sql.all("SELECT n FROM money") }
      }),
    ).returns(({ pay }) => pay)
  const options = { store: db, id: "t" }
  expect((await run(flow, undefined, options))._unsafeUnwrapErr()).toMatchObject({
    _tag: "StepThrew",
    path: "pay",
    message: "step 'pay' threw: after the insert",
  })
  broken = false
  const retried = await go(Effect.provide(Heddle.use((heddle) => heddle.retry(flow, "t")), Heddle.layerSqlite(db)))
  expect(retried).toEqual({ changes: 1, lastId: 1, rows: [{ n: 5 }] })
  expect((await run(seq("m").step("x", transaction(() => 1))))._unsafeUnwrapErr()).toMatchObject({ _tag: "TransactionUnsupported", store: "memory" })
  const odd = seq("odd").step("x", transaction((sql) => (sql.run("INSERT INTO money VALUES (9)"), (() => 1) as never)))
  expect((await run(odd, undefined, { store: db }))._unsafeUnwrapErr()).toMatchObject({ _tag: "NotStorable", path: "x" })
  const count = seq("count").step("n", transaction((sql) => sql.all("SELECT count(*) AS n FROM money")[0]))
  expect((await run(count, undefined, { store: db }))._unsafeUnwrap()).toEqual({ n: { n: 1 } })
  // an owner that has lost its run writes nothing
  const stolen = seq("stolen").step("steal", () =>
    Effect.promise(async () => {
      const { DatabaseSync } = await import("node:sqlite")
      const other = new DatabaseSync(db)
      other.exec("UPDATE runs SET fence = fence + 1 WHERE id = 's'")
      other.close()
    })).step("x", transaction((sql) => sql.run("INSERT INTO money VALUES (9)").changes))
  expect((await run(stolen, undefined, { store: db, id: "s", durability: "exit" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunTakenOver" })
  expect((await run(count, undefined, { store: db }))._unsafeUnwrap()).toEqual({ n: { n: 1 } })
})
