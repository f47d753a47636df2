/** Every point of a run at which hooks are asked, and every decision that is possible there. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { type AnyFlow, decide, type Hook, hook, type HookPoint, nest, openHeddle, run, seq, transaction } from "heddle"
import { matchers, testFlow } from "heddle/testing"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { StoreFailed } from "../../src/model/error.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { failure, go, no } from "../support.ts"

const beside = seq<number>("beside").step("got", ({ input }) => input)

/** For each kind of node: a flow in which it works, one in which it fails. */
const nodes = {
  step: { works: () => seq("f").step("n", () => 1), fails: () => seq("f").step("n", no) },
  when: { works: () => seq("f").when("n", () => true, (b) => b.step("s", () => 1)), fails: () => seq("f").when("n", () => true, (b) => b.step("s", no)) },
  loop: { works: () => seq("f").loop("n", { times: 2 }, (b) => b.step("s", () => 1)), fails: () => seq("f").loop("n", { times: 2 }, (b) => b.step("s", no)) },
  each: {
    works: () => seq("f").each("n", () => [1, 2], (b) => b.step("s", ({ item }) => item)),
    fails: () => seq("f").each("n", () => [1], (b) => b.step("s", no)),
  },
  parallel: {
    works: () => seq("f").parallel("n", { a: (b) => b.step("s", () => 1), b: (b) => b.step("s", () => 2) }),
    fails: () => seq("f").parallel("n", { a: (b) => b.step("s", no) }),
  },
  wait: { works: () => seq("f").wait("n", { for: 5 }), fails: () => seq("f").wait("n", { signal: "never", timeout: 5 }) },
  protect: {
    works: () => seq("f").protect("n", (b) => b.step("s", () => 1), {}),
    fails: () => seq("f").protect("n", (b) => b.step("s", no), {}),
  },
} satisfies Record<string, { works: () => AnyFlow; fails: () => AnyFlow }>
type Kind = keyof typeof nodes
const kinds = Object.keys(nodes) as ReadonlyArray<Kind>
const with_ = (given: AnyFlow, ...hooks: ReadonlyArray<Hook>) => testFlow(given, undefined as never, { hooks })
const at = (kind: Kind, when: "before" | "after" | "error", answer: () => any) =>
  hook(`${kind}.${when}` as HookPoint, answer as never, { where: ({ path }) => path === "n" })

describe.each(kinds)("%s", (kind) => {
  it("before: replace", async () => {
    const tested = await with_(nodes[kind].works(), at(kind, "before", () => decide.replace("instead")))
    expect(tested.result).toEqual({ ok: true, value: { n: "instead" } })
    // nothing of it has run, and what was decided is what is recorded
    expect(tested.events.map((event) => event.kind)).toEqual(["run.started", `${kind}.completed`, "run.completed"])
    expect(tested.state).toEqual({ n: "instead" })
  })
  it("after: replace", async () => {
    const tested = await with_(nodes[kind].works(), at(kind, "after", () => decide.replace("instead")))
    expect(tested.result).toEqual({ ok: true, value: { n: "instead" } })
  })
  it("error: replace", async () => {
    const tested = await with_(nodes[kind].fails(), at(kind, "error", () => decide.replace("instead")))
    expect(tested.result).toEqual({ ok: true, value: { n: "instead" } })
  })
  it.each(["before", "after", "error"] as const)("%s: cancel", async (when) => {
    const tested = await with_(nodes[kind][when === "error" ? "fails" : "works"](), at(kind, when, () => decide.cancel("no more")))
    expect(tested.result).toMatchObject({ ok: false, error: { _tag: "RunCancelled", reason: "no more" } })
    expect(tested.run.status).toBe("cancelled")
    expect(tested.hooks).toMatchObject([{ path: "n", decision: "cancel" }])
  })
  it.each(["after", "error"] as const)("%s: fork", async (when) => {
    const store = memoryStore()
    const forking = at(kind, when, () => decide.fork(beside, 7))
    const heddle = makeHeddle(store, { hooks: [forking] })
    const given: AnyFlow = nodes[kind][when === "error" ? "fails" : "works"]()
    await go(Effect.exit(heddle.run(given as never, undefined as never, { id: "r" })))
    const started = await go(heddle.list({ flow: "beside" }))
    expect(started).toMatchObject([{ status: "pending", origin: "r", input: "7" }])
    expect(await go(heddle.resume(beside, started[0]!.id))).toEqual({ got: 7 })
  })
})

describe("step", () => {
  it("before: modify what it reads, and nothing else", async () => {
    const given = seq("f").step("a", () => 1).step("b", ({ a }) => a + 1).step("c", ({ a, b }) => a + b)
    const tested = await with_(given, hook("step.before", ({ path }) => path === "b" ? decide.modify({ a: 10 }) : undefined))
    expect(tested.state).toEqual({ a: 1, b: 11, c: 12 })
  })
  it("before: cache, by key and for a time", async () => {
    let [calls, now] = [0, "k1"]
    const heddle = makeHeddle(memoryStore(), { hooks: [hook("step.before", () => decide.cache(now, 40))] })
    const given = seq("f").step("s", () => ++calls)
    const once = () => go(heddle.run(given, undefined)).then(({ s }) => s)
    expect([await once(), await once()]).toEqual([1, 1])
    now = "k2"
    expect([await once(), await once()]).toEqual([2, 2])
    await go(Effect.sleep(60))
    expect(await once()).toBe(3)
  })
  it.each(["after", "error"] as const)("%s: retry, so often and no more", async (when) => {
    let calls = 0
    const given = when === "error" ? seq("f").step("s", () => (calls++, no())) : seq("f").step("s", () => ++calls)
    const tested = await with_(given, hook(`step.${when}`, () => decide.retry({ times: 2, delay: 1000 }), { name: "again" }))
    expect(calls).toBe(3)
    expect(tested.result.ok).toBe(when === "after")
    expect(tested.hooks.length).toBe(3)
  })
  it("retry of a nested flow begins it anew, and a run that was resumed knows", async () => {
    let [tries, inner] = [0, 0]
    const nested = seq("inner").step("a", () => ++inner).step("b", () => (++tries < 3 ? no() : Effect.succeed(tries)))
    const given = seq("f").step("n", nest(nested, () => undefined))
    const hooks = [hook("step.error", ({ path }) => path === "n" ? decide.retry({ times: 1 }) : undefined)]
    const store = memoryStore()
    await go(Effect.exit(makeHeddle(store, { hooks }).run(given, undefined, { id: "r" })))
    expect([tries, inner]).toEqual([2, 2])
    expect(await go(makeHeddle(store, { hooks }).resume(given, "r"))).toEqual({ n: { a: 2, b: 3 } })
  })
  it("what runs at most once is not run again", async () => {
    const given = seq("f").step("s", no, { delivery: "atMostOnce" })
    const tested = await with_(given, hook("step.error", () => decide.retry()))
    expect(tested.result).toMatchObject({ ok: false, error: { _tag: "HookFailed", path: "s", point: "step.error" } })
    expect(String(tested.result.ok || tested.result.error)).toContain("runs at most once")
  })
})

it("guard.decided: the node behind a condition runs, or does not, as a hook says, and what it said is recorded", async () => {
  const guarded = (holds: boolean) => seq("f").when(() => holds).step("s", () => 1)
  const turn = hook("guard.decided", ({ chosen, cases }) => decide.redirect(cases.find((one) => one !== chosen)!))
  for (const holds of [true, false]) {
    const tested = await with_(guarded(holds), turn)
    expect(tested.result).toEqual({ ok: true, value: { s: holds ? undefined : 1 } })
    expect(tested.events.find(({ kind }) => kind === "guard.decided")?.data).toBe(`{"chosen":"${holds ? "no" : "yes"}"}`)
    expect((await with_(guarded(holds), hook("guard.decided", () => undefined))).result).toEqual({ ok: true, value: { s: holds ? 1 : undefined } })
  }
  expect((await with_(guarded(true), hook("guard.decided", () => decide.cancel("c")))).run.status).toBe("cancelled")
})

describe("when.decided", () => {
  const given = () =>
    seq("f", { input: z.object({ kind: z.enum(["a", "b"]) }) }).match("m", ({ input }) => input.kind, {
      a: (b) => b.step("x", () => "a").returns(({ x }) => x),
      b: (b) => b.step("x", () => "b").returns(({ x }) => x),
    })
  it("redirect, which is what is recorded", async () => {
    const tested = await testFlow(given(), { kind: "a" }, {
      hooks: [hook("when.decided", ({ chosen, cases }) => decide.redirect(cases.find((one) => one !== chosen)!))],
    })
    expect(tested.result).toEqual({ ok: true, value: { m: "b" } })
    expect(tested.events.find(({ kind }) => kind === "when.decided")?.data).toBe("{\"chosen\":\"b\"}")
  })
  it("redirect between yes and no; cancel", async () => {
    const two = seq("f").when("w", () => true, (b) => b.step("x", () => 1))
    expect((await with_(two, hook("when.decided", () => decide.redirect("no")))).result).toEqual({ ok: true, value: { w: undefined } })
    expect((await with_(two, hook("when.decided", () => decide.cancel("c")))).run.status).toBe("cancelled")
  })
  it("a case that is not there is no decision", async () => {
    const tested = await testFlow(given(), { kind: "a" }, { hooks: [hook("when.decided", () => decide.redirect("c"))] })
    expect(tested.result).toEqual({ ok: true, value: { m: "a" } })
    expect(tested.hooks).toEqual([{ path: "m", hook: "when.decided", point: "when.decided", reason: "there is no case 'c', only: a, b" }])
  })
})

it("loop.iteration: skip leaves a pass out, cancel ends the run", async () => {
  const given = seq("f").step("n", () => 0).loop("l", { times: 4, collect: "all" }, (b) => b.step("i", ({ index }) => index).returns(({ i }) => i))
  const tested = await with_(given, hook("loop.iteration", ({ index }) => index % 2 === 0 ? decide.skip("even") : undefined))
  expect(tested.state).toMatchObject({ l: [1, 3] })
  expect((await with_(given, hook("loop.iteration", () => decide.cancel("c")))).run.status).toBe("cancelled")
})

it.each(["before", "after", "error"] as const)("fork.%s is told of each fork and item, and can cancel", async (when) => {
  const told: Array<string> = []
  const listening = hook(`fork.${when}` as HookPoint, ({ fork }: any) => void told.push(fork))
  const work = () => (when === "error" ? no() : Effect.succeed(1))
  await with_(seq("f").parallel("p", { a: (b) => b.step("s", work), b: (b) => b.step("s", work) }, { failure: "collect" }), listening)
  await with_(seq("f").each("e", () => [1], (b) => b.step("s", work), { failure: "collect" }), listening)
  expect(told).toEqual(["a", "b", "[0]"])
  const stop = hook(`fork.${when}` as HookPoint, (() => decide.cancel("c")) as never)
  expect((await with_(seq("f").parallel("p", { a: (b) => b.step("s", work) }), stop)).run.status).toBe("cancelled")
})

describe("run", () => {
  const given = seq("f", { input: z.object({ n: z.number() }), output: z.object({ b: z.number() }) }).step("b", ({ input }) => input.n + 1)
  it("before: modify the input, which is checked and recorded", async () => {
    const tested = await testFlow(given, { n: 1 }, { hooks: [hook("run.before", () => decide.modify({ n: 10 }))] })
    expect(tested.result).toEqual({ ok: true, value: { b: 11 } })
    const wrong = await testFlow(given, { n: 1 }, { hooks: [hook("run.before", () => decide.modify({ n: "x" }))] })
    expect(wrong.result).toMatchObject({ ok: false, error: { _tag: "InputInvalid" } })
    expect(wrong.run.status).toBe("failed")
  })
  it("before: cancel; nothing has run", async () => {
    const tested = await testFlow(given, { n: 1 }, { hooks: [hook("run.before", () => decide.cancel("closed"))] })
    expect(tested.run.status).toBe("cancelled")
    expect(tested.calls).toEqual([])
    expect(tested.events.map(({ kind }) => kind)).toEqual(["run.started", "run.cancelled"])
  })
  it("after: replace the output, which is checked; fork", async () => {
    const tested = await testFlow(given, { n: 1 }, { hooks: [hook("run.after", ({ output }) => decide.replace({ b: (output as { b: number }).b * 100 }))] })
    expect(tested.result).toEqual({ ok: true, value: { b: 200 } })
    const wrong = await testFlow(given, { n: 1 }, { hooks: [hook("run.after", () => decide.replace("x"))] })
    expect(wrong.result).toMatchObject({ ok: false, error: { _tag: "OutputInvalid" } })
  })
  it.each(["run.after", "run.error"] as const)("%s: fork", async (point) => {
    const heddle = makeHeddle(memoryStore(), { hooks: [hook(point, () => decide.fork(beside, 1))] })
    await go(Effect.exit(heddle.run(seq("f").step("s", () => (point === "run.after" ? Effect.succeed(1) : no())), undefined)))
    expect((await go(heddle.list({ flow: "beside" }))).length).toBe(1)
  })
})

it("protect.caught: cancel, fork", async () => {
  const given = () => seq("f").protect("n", (b) => b.step("s", no), { catch: { No: () => 0 } })
  expect((await with_(given(), hook("protect.caught", () => decide.cancel("c")))).run.status).toBe("cancelled")
  const store = memoryStore()
  await go(makeHeddle(store, { hooks: [hook("protect.caught", () => decide.fork(beside, 1))] }).run(given(), undefined))
  expect((await go(store.runs.list({ flow: "beside" }))).length).toBe(1)
})

describe("compensation", () => {
  const given = (undone: Array<number>, fails = false) =>
    seq("f").step("a", () => 1, { compensate: (output) => fails ? no() : void undone.push(output) }).step("b", no)
  it("before: skip leaves it out; it counts as done", async () => {
    const undone: Array<number> = []
    const tested = await with_(given(undone), hook("compensation.before", () => decide.skip("kept")))
    expect([undone, tested.run.status]).toEqual([[], "compensated"])
  })
  it.each(["after", "error"] as const)("%s: fork", async (when) => {
    const heddle = makeHeddle(memoryStore(), { hooks: [hook(`compensation.${when}`, () => decide.fork(beside, 1))] })
    await go(Effect.exit(heddle.run(given([], when === "error"), undefined)))
    expect((await go(heddle.list({ flow: "beside" }))).length).toBe(1)
  })
  it("a run that a hook cancels is undone", async () => {
    const undone: Array<number> = []
    const tested = await with_(
      seq("f").step("a", () => 1, { compensate: (output) => void undone.push(output) }).step("b", () => 2),
      at("step", "after", () => undefined),
      hook("step.after", ({ path }) => path === "b" ? decide.cancel("c") : undefined),
    )
    expect([undone, tested.run.status]).toEqual([[1], "cancelled"])
  })
})

describe("corners", () => {
  it("a fork whose input does not fit fails the node", async () => {
    const strict = seq("strict", { input: z.object({ n: z.number() }) }).step("s", () => 1)
    const tested = await with_(seq("f").step("s", () => 1), hook("step.after", () => decide.fork(strict, { n: "x" } as never)))
    expect(tested.result).toMatchObject({ ok: false, error: { _tag: "HookFailed", cause: { _tag: "InputInvalid" } } })
  })
  it("a transaction is done: its output is not replaced", async () => {
    const path = join(mkdtempSync(join(tmpdir(), "heddle-hooks-")), "heddle.db")
    const given = seq("f").step("s", transaction(() => 1))
    const failed = (await run(given, undefined, { store: path, hooks: [hook("step.after", () => decide.replace(2))] }))._unsafeUnwrapErr()
    expect(String(failed)).toContain("which is done and recorded")
  })
  it("hooks are not asked about a store that fails", async () => {
    const asked: Array<string> = []
    const hooks = (["step.error", "fork.error", "run.error"] as const).map((point) => hook(point, () => void asked.push(point)))
    const store = memoryStore()
    const broken = new StoreFailed({ store: "s", operation: "append", reason: "full", cause: undefined })
    const events = {
      ...store.events,
      append: (...args: Parameters<typeof store.events.append>) => args[1].name === "s" ? Effect.fail(broken) : store.events.append(...args),
    }
    await go(
      Effect.exit(
        makeHeddle({ ...store, events }, { hooks }).run(
          seq("f").parallel("p", {
            a: (b) =>
              b.step(
                "n",
                nest(seq("i").step("s", () => 1), () => undefined),
              ),
          }),
          undefined,
        ),
      ),
    )
    expect(asked).toEqual([])
  })
  it("a jump is no output", async () => {
    const asked: Array<string> = []
    const given = seq("f").loop("l", { times: 2, collect: "all" }, (b) => b.when("w", () => true, (c) => c.continue(() => true)).step("s", () => 1))
    await with_(given, hook("when.after", ({ path }) => void asked.push(path)))
    expect(asked).toEqual([])
  })
  it("the first decision is it; what is not in scope is not modified", async () => {
    const given = seq("f").step("s", () => 0)
    expect((await with_(given, hook("step.after", () => decide.replace(1)), hook("step.after", () => decide.replace(2)))).state).toEqual({ s: 1 })
    expect((await with_(given, hook("step.before", () => decide.modify({ nothing: 1 })))).hooks).toMatchObject([{
      reason: "there is no 'nothing' in scope to modify",
    }])
  })
  it("matchers and clients know hooks", async () => {
    const tested = await with_(seq("f").step("s", () => 0), hook("step.after", () => decide.replace(1), { name: "one" }))
    expect(matchers.toHaveDecided(tested, "s", "replace", "one").pass).toBe(true)
    expect(matchers.toHaveDecided(tested, "s", "replace").pass).toBe(true)
    expect(matchers.toHaveDecided(tested, "s", "replace", "two").message()).toContain("found one: replace at 's'")
    expect(matchers.toHaveDecided({ events: [] }, "s", "cancel").message()).toContain("found nothing")
    const client = (await openHeddle())._unsafeUnwrap()
    const remove = client.hook(hook("step.after", () => decide.replace(5)))
    expect((await client.run(seq("f").step("s", () => 0), undefined))._unsafeUnwrap()).toEqual({ s: 5 })
    remove()
    await client.close()
  })
})

describe("asking", () => {
  const order: Array<string> = []
  const says = (name: string, priority?: number) => hook("step.before", () => void order.push(name), { name, ...(priority === undefined ? {} : { priority }) })

  it("by priority; then the engine's, the flow's around, the flow's, the node's", async () => {
    const inner = seq("inner", { hooks: [says("inner")] }).step("s", () => 1, { hooks: [says("node"), says("first", -1)] })
    const outer = seq("outer", { hooks: [says("outer")] }).step("i", nest(inner, () => undefined))
    await with_(outer, says("engine"))
    expect(order).toEqual(["engine", "outer", "first", "engine", "outer", "inner", "node"])
  })

  it("a late hook is interrupted, and no answer; it fails the node only if it says so", async () => {
    let interrupted = 0
    const late = (onFailure: "ignore" | "fail") =>
      hook("step.before", () => Effect.onInterrupt(Effect.as(Effect.never, undefined), () => Effect.sync(() => interrupted++)), {
        deadline: 20,
        onFailure,
        name: "late",
      })
    const given = seq("f").step("s", () => 1)
    const tested = await with_(given, late("ignore"))
    expect(tested.result).toEqual({ ok: true, value: { s: 1 } })
    expect(tested.hooks).toEqual([{ path: "s", hook: "late", point: "step.before", reason: "it has not answered within 20 ms" }])
    const failed = await with_(given, late("fail"))
    expect(failed.result).toMatchObject({ ok: false, error: { _tag: "HookFailed", hook: "late" } })
    expect(interrupted).toBe(2)
  })

  it.each([
    () => {
      throw new Error("thrown")
    },
    () => Promise.reject(new Error("thrown")),
    () => Effect.fail(new Error("thrown")),
    () => Effect.die(new Error("thrown")),
  ])("a hook that throws has failed", async (broken) => {
    const tested = await with_(seq("f").step("s", () => 1), hook("step.before", broken as never))
    expect(tested.result.ok).toBe(true)
    expect(tested.hooks).toMatchObject([{ reason: "thrown" }])
  })

  it("a hook that keeps failing is left out for a while, then one call decides", async () => {
    let [calls, broken] = [0, true]
    const shaky = hook("step.before", () => {
      calls++
      if (broken) throw new Error("down")
    }, { breaker: { failures: 2, window: "10 seconds", open: "1 minute" } })
    const counts: Array<number> = []
    const count = () => counts.push(calls)
    const given = seq("f").loop({ times: 3 }, (b) => b.step("s", () => 1)).step("opened", count)
      .wait({ for: "2 minutes" }).loop({ times: 3 }, (b) => b.step("t", () => 1)).step("again", count)
      .wait({ for: "30 seconds" }).step("closed", count)
      .wait({ for: "2 minutes" }).step("mended", () => (broken = false, count())).wait({ for: "2 minutes" }).step("tried", count).step("well", count)
    expect((await with_(given, shaky)).result.ok).toBe(true)
    // two failures open it; a minute later one call is let through and opens it again, then one closes it
    expect(counts).toEqual([2, 3, 3, 4, 5, 6])
  })

  it("one that must answer is not left out: what it guards fails meanwhile", async () => {
    let calls = 0
    const guard = hook("step.before", () => {
      calls++
      throw new Error("down")
    }, { breaker: { failures: 2, window: "10 seconds", open: "1 minute" }, onFailure: "fail" })
    const heddle = makeHeddle(memoryStore(), { hooks: [guard] })
    const given = seq("f").step("s", () => 1)
    const ends = []
    for (let i = 0; i < 4; i++) ends.push(await failure(heddle.run(given, undefined)))
    expect([calls, ends.map(({ _tag }) => _tag)]).toEqual([2, ["HookFailed", "HookFailed", "HookFailed", "HookFailed"]])
    expect(ends[3]!.message).toContain("failed too often")
  })

  it("a call that decides and is interrupted decides nothing: the next one does", async () => {
    let calls = 0
    const slow = hook("step.before", () => {
      calls++
      return calls < 3 ? Effect.fail(new Error("down")) : calls === 3 ? Effect.never : undefined
    }, { breaker: { failures: 2, window: "10 seconds", open: "1 minute" }, deadline: "1 hour" })
    const given = seq("f").step("a", () => 1).step("b", () => 1).wait({ for: "2 minutes" })
      .protect("tried", (b) => b.step("c", () => 1), { timeout: "1 second", fallback: () => undefined })
      .step("d", () => 1)
    expect((await with_(given, slow)).result.ok).toBe(true)
    expect(calls).toBe(4)
  })

  it("two hooks of one name have tries of their own", async () => {
    const seen: Array<number> = []
    const given = seq("f").step("s", (_, { attempt }) => {
      seen.push(attempt)
      return no()
    })
    const asks = (nr: number) => hook("step.error", () => seen.length === nr ? decide.retry({ times: 1 }) : undefined)
    await with_(given, asks(1), asks(2))
    expect(seen.length).toBe(3)
  })

  it("hooks that are added count for runs driven from then on, until they are removed", async () => {
    const heddle = makeHeddle(memoryStore())
    const given = seq("f").step("s", () => 1)
    const remove = heddle.hook(hook("step.after", () => decide.replace(2)))
    expect(await go(heddle.run(given, undefined))).toEqual({ s: 2 })
    remove()
    expect(await go(heddle.run(given, undefined))).toEqual({ s: 1 })
  })

  it("what is recorded is not asked about again", async () => {
    const asked: Array<string> = []
    let broken = true
    const hooks = [hook("step.before", ({ path }) => void asked.push(path))]
    const store = memoryStore()
    const given = seq("f").step("a", () => 1).step("b", () => (broken ? no() : Effect.succeed(2)))
    await go(Effect.exit(makeHeddle(store, { hooks }).run(given, undefined, { id: "r" })))
    broken = false
    await go(makeHeddle(store, { hooks }).resume(given, "r"))
    expect(asked).toEqual(["a", "b", "b"])
  })

  it("a hook sees the scope it stands in, through every door", async () => {
    const seen: Array<unknown> = []
    const see = hook("step.after", ({ scope, output, run: id, flow: name }) => void seen.push({ scope, output, id, name }))
    expect((await run(seq("f").step("a", () => 1), undefined, { hooks: [see], id: "r" }))._unsafeUnwrap()).toEqual({ a: 1 })
    expect(seen).toEqual([{ scope: { input: undefined, a: 1 }, output: 1, id: "r", name: "f" }])
  })
})
