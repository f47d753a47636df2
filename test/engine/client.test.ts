import { Context, Effect, Layer } from "effect"
import { err } from "neverthrow"
import { openHeddle, seq } from "heddle"
import { recordFixture, replayRun, replaySession } from "heddle/testing"
import { expect, it } from "vitest"
import { z } from "zod"
import { file } from "../support.ts"

class Db extends Context.Service<Db, { readonly n: number }>()("client/Db") {}

it.each(["memory", "file"])("a client does everything with promises: %s", async (kind) => {
  const opened = await openHeddle({ ...(kind === "memory" ? {} : { store: file(), synchronous: "normal" as const }), layer: Layer.succeed(Db, { n: 2 }) })
  await using heddle = opened._unsafeUnwrap()
  let broken = true
  const flow = seq("c", { input: z.object({ n: z.number() }) }).step("a", ({ input }) => Db.use((db) => Effect.succeed(db.n + input.n)))
    .wait("go", { schema: z.string() }).step("b", ({ go }) => (broken ? err({ _tag: "No" } as const) : Effect.succeed(go))).returns(({ a, b }) => `${a} ${b}`)
  const seen: Array<string> = []
  expect(await heddle.output("nobody")).toMatchObject({ error: { _tag: "RunNotFound" } })
  const stop = heddle.listen(({ kind: event }) => void seen.push(event))
  const waits = await heddle.run(flow, { n: 1 }, { id: "r", onSuspend: "return" })
  expect(waits._unsafeUnwrapErr()).toMatchObject({ _tag: "RunSuspended" })
  expect((await heddle.signal(flow, "r", "go", "x"))._unsafeUnwrap()).toBe("accepted")
  expect((await heddle.resume(flow, "r"))._unsafeUnwrapErr()).toMatchObject({ _tag: "No" })
  broken = false
  expect((await heddle.retry(flow, "r"))._unsafeUnwrap()).toBe("3 x")
  expect((await heddle.plan(flow, "r", "b"))._unsafeUnwrap()).toMatchObject({ again: ["b"], kept: ["a"] })
  expect((await heddle.rewind(flow, "r", "b"))._unsafeUnwrap()).toMatchObject({ again: ["b"] })
  expect((await heddle.resume(flow, "r"))._unsafeUnwrap()).toBe("3 x")
  expect((await heddle.fork(flow, "r", "b", { as: "f" }))._unsafeUnwrap()).toMatchObject({ run: "f" })
  expect((await heddle.rerun(flow, "r", { id: "again", onSuspend: "return" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunSuspended" })
  expect((await heddle.pause("again"))._unsafeUnwrap()).toBeUndefined()
  expect((await heddle.cancel("again"))._unsafeUnwrap()).toBe("cancelled")
  const worker = (await heddle.worker([flow]))._unsafeUnwrap()
  await heddle.start(flow, { n: 5 }, { id: "w" })
  for (let i = 0; i < 100 && (await heddle.get("w"))._unsafeUnwrap().status !== "suspended"; i++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(worker.running()).toBe(0)
  await worker.stop()
  stop()
  expect(seen).toContain("run.suspended")
  expect((await heddle.list({ status: "completed" }))._unsafeUnwrap().map(({ id }) => id)).toContain("r")
  expect((await heddle.events("r", 1))._unsafeUnwrap()[0]).toMatchObject({ seq: 2 })
  expect((await heddle.prune({ dryRun: true }))._unsafeUnwrap().length).toBeGreaterThan(0)
})

it("a store that cannot be opened is an error, and nothing is thrown", async () => {
  expect((await openHeddle({ store: "/nowhere/at/all.db" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "StoreFailed" })
  const plain = (await openHeddle())._unsafeUnwrap()
  expect((await plain.run(seq("x").step("a", () => 1), undefined))._unsafeUnwrap()).toEqual({ a: 1 })
  await plain.close()
  await plain.close()
  const errors = [await plain.run(seq("x").step("a", () => 1), undefined), await plain.list(), await plain.worker([])]
  for (const closed of errors) {
    expect(closed._unsafeUnwrapErr()).toMatchObject({ _tag: "StoreFailed", message: "memory: use failed: the client is closed: open another with openHeddle" })
  }
})

it("tells signals, compacts, exports and imports runs, and is what runs are replayed from", async () => {
  await using heddle = (await openHeddle())._unsafeUnwrap()
  await using other = (await openHeddle())._unsafeUnwrap()
  const flow = seq<{ n: number }>("f").step("a", ({ input }) => input.n + 1).wait("go", { schema: z.object({ by: z.string() }) }).step("b", ({ go }) => go.by)
  await heddle.run(flow, { n: 1 }, { id: "r", session: "s", onSuspend: "return" })
  await heddle.signal(flow, "r", "go", { by: "Ada" })
  await heddle.resume(flow, "r")
  expect((await heddle.signals("r"))._unsafeUnwrap()).toMatchObject([{ name: "go" }])
  expect((await other.import((await heddle.export("r"))._unsafeUnwrap(), "copy"))._unsafeUnwrap()).toMatchObject({ id: "copy", status: "completed" })
  expect(await replayRun(heddle, flow, "r")).toMatchObject({ differences: [], result: { ok: true, value: { a: 2, b: "Ada" } } })
  expect(await replaySession(heddle, "s", [flow])).toHaveLength(1)
  await expect(recordFixture(heddle, "nobody")).rejects.toMatchObject({ _tag: "RunNotFound" })
  expect((await heddle.compact("nobody"))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunNotFound" })
})
