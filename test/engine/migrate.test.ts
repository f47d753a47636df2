import { Effect } from "effect"
import { changes, encode, type Heddle, nest, seq, verdict } from "heddle"
import { expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failure, go, no } from "../support.ts"

let worked: Array<string> = []
const note = <A>(name: string, value: A): A => (worked.push(name), value)
const v1 = seq("order", { version: 1 }).step("price", () => note("price", 10)).step("old", () => note("old", "x")).wait("go").step(
  "end",
  ({ price }) => note("end1", price),
)
const v2 = seq("order", { version: 2, migrations: { 1: ({ price, ...rest }) => ({ ...rest, price: { amount: price, currency: "EUR" } }) } })
  .step("price", () => note("price2", { amount: 0, currency: "" })).step("old", () => note("old", "x")).wait("go").step(
    "end",
    ({ price }) => note("end2", price),
  )
const v3 = seq("order", {
  version: 3,
  migrations: {
    1: ({ price, ...rest }) => ({ ...rest, price: { amount: price, currency: "EUR" } }),
    2: ({ old: _old, ...rest }) => ({ ...rest, tax: rest.price === undefined ? undefined : rest.price.amount * 0.2 }),
  },
}).step("price", () => note("price3", { amount: 0, currency: "" })).step("tax", ({ price }) => note("tax", price.amount)).wait("go").step(
  "end",
  ({ price, tax }) => note("end3", `${price.amount} ${price.currency} ${tax}`),
)
const flows = [v1, v2, v3] as const

/** A run of `from` that waits, with its signal already there. */
const waiting = async (heddle: Heddle["Service"], from: typeof v1 | typeof v2 | typeof v3, id: string) => {
  await failure(heddle.run(from as typeof v1, undefined, { id, onSuspend: "return" }))
  await go(heddle.signal(from as typeof v1, id, "go", undefined))
  worked = []
}

it("the matrix of old, new and rolled-back code: goes on, is migrated once, or is refused with the difference", async () => {
  const ends: Array<Array<unknown>> = []
  for (const from of flows) {
    const row: Array<unknown> = []
    for (const to of flows) {
      const store = memoryStore()
      const heddle = makeHeddle(store)
      await waiting(heddle, from, "r")
      const exit = await go(Effect.result(heddle.resume(to as typeof v1, "r")))
      row.push(exit._tag === "Success" ? (exit.success as { end: unknown }).end : exit.failure._tag)
      if (exit._tag === "Success") expect(worked.filter((name) => name.startsWith("price"))).toEqual([])
    }
    ends.push(row)
  }
  expect(ends).toEqual([
    [10, { amount: 10, currency: "EUR" }, "10 EUR 2"],
    ["FlowChanged", { amount: 0, currency: "" }, "0  0"],
    ["FlowChanged", "FlowChanged", "0  0"],
  ])
})

it("a migration is recorded and applied once; what it leaves as it is keeps its record", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  await waiting(heddle, v1, "r")
  await go(heddle.resume(v3 as never, "r"))
  const events = await go(heddle.events("r"))
  expect(events.filter(({ kind }) => kind.endsWith("migrated")).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    "step.migrated price",
    "step.migrated tax",
    "run.migrated ",
  ])
  expect(await go(heddle.get("r"))).toMatchObject({ version: 3, status: "completed" })
  expect(worked).toEqual(["end3"])
})

it("a refused run names every difference, and stays as it is", async () => {
  const heddle = makeHeddle(memoryStore())
  await waiting(heddle, v2, "r")
  const changed = seq("order", { version: 2 }).step("first", () => 0).step("price", () => ({ amount: 0, currency: "" }), { timeout: 5 }).wait("go", {
    signal: "other",
  })
  const error = await failure(heddle.resume(changed as never, "r"))
  expect(error.message).toContain("\n  - step 'old'\n")
  expect(error.changes).toEqual([
    "- step 'old'",
    "- step 'end'",
    "+ step 'first' at the beginning",
    "· step 'price': timeout \"none\" → \"5\"",
    "~ wait 'go': signal \"go\" → \"other\"",
  ])
  expect(await go(heddle.resume(v2, "r"))).toMatchObject({ end: { amount: 0 } })
})

it("what a run has not reached yet may change without a version; what it has may not", async () => {
  const store = memoryStore()
  const heddle = makeHeddle(store)
  const base = seq("free").step("a", () => 1).loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go").step("y", () => 2))
  await failure(heddle.run(base, undefined, { id: "f", onSuspend: "return" }))
  const behind = seq("free").step("a", () => 1).loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go").step("z", () => "new")).step("end", () => "end")
  const before = seq("free").step("zero", () => 0).step("a", () => 1).loop("l", { times: 2 }, (b) => b.step("x", () => 1).wait("go").step("y", () => 2))
  const inside = seq("free").step("a", () => 1).loop("l", { times: 2 }, (b) => b.step("w", () => 1).step("x", () => 1).wait("go").step("y", () => 2))
  const other = seq("free").step("a", () => 1).each("l", () => [1], (b) => b.step("x", () => 1))
  for (const wrong of [before, inside, other, seq("free").step("a", () => 1)]) {
    expect(await failure(heddle.resume(wrong as never, "f"))).toMatchObject({ _tag: "FlowChanged" })
  }
  for (const n of [1, 2]) await go(heddle.signal(base, "f", "go", undefined, { id: `g${n}` }))
  expect(await go(heddle.resume(behind, "f"))).toMatchObject({ end: "end", l: { z: "new" } })
  const lost = makeHeddle({ ...store, flows: { ...store.flows, get: () => Effect.succeed(undefined) } })
  await failure(heddle.run(base, undefined, { id: "g", onSuspend: "return" }))
  expect(await failure(lost.resume(behind, "g"))).toMatchObject({ _tag: "FlowChanged", changes: [] })
})

it("a migration that cannot work is refused before anything is changed", async () => {
  const heddle = makeHeddle(memoryStore())
  const from = seq("bad").step("a", () => 1).step("b", () => 2).wait("go")
  await failure(heddle.run(from, undefined, { id: "r", onSuspend: "return" }))
  const to = (migrate: (state: any) => object) =>
    seq("bad", { version: 2, migrations: { 1: migrate } }).step("a", () => 1).step("b", () => 2).step("c", () => 3).wait("go")
  const reason = async (migrate: (state: any) => object) => (await failure(heddle.resume(to(migrate) as never, "r"))).reason
  expect(
    await reason(() => {
      throw new Error("oops")
    }),
  ).toBe("the migration from version 1 threw: oops")
  expect(await reason(({ a, b }) => ({ a, b, nothing: 1 }))).toBe("it gives 'nothing', which version 2 does not bind")
  expect(await reason(({ a }) => ({ a }))).toBe("it leaves out 'b', which is recorded: give its value, or undefined to have it run again")
  expect(await reason(({ a, b }) => ({ a, b, c: () => 1 }))).toContain("'c' cannot be recorded")
  const open = seq("bad", { version: 2, migrations: { 1: (state: any) => state } }).step("a", () => 1).step("b", () => 2).wait("go", { signal: "other" })
  expect((await failure(heddle.resume(open as never, "r"))).message).toBe(
    "run 'r' cannot be migrated from version 1 to 2: 'go' is under way and has changed: let runs get past it first, or start anew",
  )
  expect((await go(heddle.events("r"))).some(({ kind }) => kind === "run.migrated")).toBe(false)
  await go(heddle.signal(from, "r", "go", undefined))
  expect(await go(heddle.resume(to(({ a, b }) => ({ a, b: undefined, c: b })) as never, "r"))).toMatchObject({ a: 1, b: 2, c: 2 })
})

it("a child run that has completed does not stand in the way: it is undone with the run", async () => {
  const heddle = makeHeddle(memoryStore())
  let undone = 0
  const child = seq("kid").step("k", () => 1, { compensate: () => void undone++ })
  const flow = (version: 1 | 2, fails = false) =>
    seq("dad", version === 1 ? {} : { version, migrations: { 1: (state: any) => state } }).step("d", nest(child, () => undefined, { as: "run" })).wait("go")
      .step("end", () => (fails ? no() : Effect.succeed(1)))
  await failure(heddle.run(flow(1), undefined, { id: "r", onSuspend: "return" }))
  await go(heddle.signal(flow(1), "r", "go", undefined))
  expect(await failure(heddle.resume(flow(2, true) as never, "r"))).toMatchObject({ _tag: "No" })
  expect(undone).toBe(1)
})

it("says before a deployment what a change means", () => {
  const flow = (version: number) => seq("v", { version }).step("a", () => 1).when("w", () => true, (b) => b.step("x", () => 1), (b) => b.step("y", () => 2))
  const before = encode(flow(1).ir)
  const of = (now: { readonly ir: Parameters<typeof encode>[0] }) => verdict(before, encode(now.ir), now.ir.migrations)
  expect(of(flow(1))).toBe("compatible")
  expect(of(flow(1).step("end", () => 1))).toBe("compatible")
  expect(of(seq("v").step("a", () => 1, { timeout: 5 }).when("w", () => true, (b) => b.step("x", () => 1), (b) => b.step("y", () => 2)))).toBe("compatible")
  expect(of(flow(2))).toBe("needs migration")
  expect(of(seq("v").step("b", () => 1))).toBe("needs migration")
  expect(of(seq("v", { version: 2, migrations: { 1: (state: any) => state } }).step("b", () => 1))).toBe("migrates")
  expect(of(seq("other").step("a", () => 1))).toBe("breaking")
  expect(verdict(encode(flow(2).ir), before, {})).toBe("breaking")
  const now = encode(
    seq("v").when("w", () => true, (b) => b.step("y", () => 1)).match("a", () => "k" as const, { k: (b) => b.step("n", () => 1) }).parallel("p", {
      q: (b) => b.step("r", () => 1),
    }).ir,
  )
  expect(changes(before, now).map(({ text }) => text)).toEqual([
    "~ when 'w' has moved",
    "~ when 'w': its blocks",
    "- step 'w/yes/x'",
    "+ step 'w/yes/y' at the beginning",
    "- 'w/no'",
    "~ match 'a' has moved",
    "~ 'a' was a step and is a match",
    "+ parallel 'p' behind 'a'",
  ])
  const more = encode(seq("v").step("a", () => 1).when("w", () => true, (b) => b.step("x", () => 1)).ir)
  expect(changes(more, before).map(({ text }) => text)).toContain("+ 'w/no'")
  const named = encode(seq("n").loop({ times: 1 }, (b) => b.step("x", () => 1)).when(() => true).step("s", () => 1).ir)
  const renamed = { ...named, body: named.body.map((node) => ({ ...node, binds: !node.binds, guarded: !node.guarded })) }
  expect(changes(named, renamed).map(({ text }) => text)).toEqual([
    "~ loop 'loop#1': is now named, is now guarded",
    "~ step 's': is no longer named, is no longer guarded",
  ])
  void z
})
