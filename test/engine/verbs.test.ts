import { setTimeout as sleep } from "node:timers/promises"
import { type } from "arktype"
import { Effect, Schema } from "effect"
import { err, errAsync, ok, okAsync, type Result } from "neverthrow"
import { atLeast, CurrentStep, merge, nest, run, seq, step, type StepContext } from "heddle"
import * as v from "valibot"
import { describe, expect, it } from "vitest"
import { z } from "zod"

class Declined {
  readonly _tag = "Declined"
}
class Lost extends Error {
  readonly _tag = "Lost"
}
const value = async (flow: any, input?: unknown) => (await run(flow, input as never))._unsafeUnwrap() as unknown
const error = async (flow: any, input?: unknown) => (await run(flow, input as never))._unsafeUnwrapErr() as any

describe("step", () => {
  it("takes every kind of work", async () => {
    const flow = seq("works")
      .step("plain", () => 1)
      .step("nothing", () => undefined)
      .step("promise", async () => 2)
      .step("ok", () => ok(3))
      .step("okAsync", () => okAsync(4))
      .step("promiseOfOk", async () => ok(5))
      .step("effect", () => Effect.succeed(6))
      .step("generator", function*() {
        return (yield* Effect.succeed(6)) + 1
      })
    expect(await value(flow)).toEqual({ plain: 1, nothing: undefined, promise: 2, ok: 3, okAsync: 4, promiseOfOk: 5, effect: 6, generator: 7 })
  })

  it("fails with what its work fails with", async () => {
    expect(await error(seq("a").step("s", () => err(new Declined())))).toBeInstanceOf(Declined)
    expect(await error(seq("a").step("s", () => errAsync("no")))).toBe("no")
    expect(await error(seq("a").step("s", () => Effect.fail("effect")))).toBe("effect")
    expect(
      await error(
        seq("a").step("s", function*() {
          return yield* Effect.fail("generator")
        }),
      ),
    ).toBe("generator")
  })

  it("names the step where something throws, rejects or dies", async () => {
    const cause = new Error("boom")
    for (
      const work of [
        () => {
          throw cause
        },
        () => Promise.reject(cause),
        () => Effect.die(cause),
      ] as Array<() => any>
    ) {
      const failed = await error(seq("a").loop("l", { times: 1 }, (b) => b.step("s", work)))
      expect(failed).toMatchObject({ _tag: "StepThrew", path: "l[0]/s", cause })
      expect(failed.message).toBe("step 'l[0]/s' threw: boom")
    }
  })

  it("is told its run, path, key and attempt, as function and as Effect", async () => {
    const seen: Array<Pick<StepContext, "run" | "path" | "key" | "attempt">> = []
    const note = ({ run, path, key, attempt }: StepContext) => void seen.push({ run, path, key, attempt })
    const flow = seq("told").step("fn", (_scope, step) => note(step)).step("fx", () => CurrentStep.use((step) => Effect.sync(() => note(step))))
    await run(flow, undefined, { id: "r1" })
    expect(seen).toEqual([{ run: "r1", path: "fn", key: "r1/fn", attempt: 1 }, { run: "r1", path: "fx", key: "r1/fx", attempt: 1 }])
  })

  it("defined elsewhere reads scope first, then the fields of the input, and checks its schemas", async () => {
    const add = step("add", ({ a, b }: { a: number; b: number }) => a + b, { input: z.object({ a: z.number(), b: z.number() }), output: z.number().max(10) })
    expect(add({ a: 1, b: 2 })).toBe(3)
    expect(add.name).toBe("add")
    const flow = seq("defined", { input: z.object({ a: z.number(), b: z.number() }) }).step("b", () => 5).step(add)
    expect(await value(flow, { a: 1, b: 1 })).toEqual({ b: 5, add: 6 })
    expect(await error(flow, { a: 9, b: 1 })).toMatchObject({ _tag: "OutputInvalid", path: "add" })
    const loose = seq("loose").step("a", () => "x" as never).step("b", () => 1).step(add)
    expect((await error(loose)).message).toContain("step 'add' does not fit its schema:\n  a: ")
  })

  it("retries while the error asks for it, with the number of attempts recorded", async () => {
    let tries = 0
    const keys: Array<string> = []
    const flaky = (_: unknown, { key, attempt }: StepContext): Result<number, Declined> => {
      keys.push(`${key} ${attempt}`)
      return ++tries < 3 ? err(new Declined()) : ok(tries)
    }
    const flow = seq("retry").step("s", flaky, { retry: { times: 5, backoff: "1 millis", jitter: false, while: (e) => e._tag === "Declined" } })
    expect((await run(flow, undefined, { id: "k" }))._unsafeUnwrap()).toEqual({ s: 3 })
    expect(keys).toEqual(["k/s 1", "k/s 2", "k/s 3"])
    tries = -10
    expect(await error(seq("stop").step("s", flaky, { retry: { times: 2, backoff: 1, while: () => false } }))).toBeInstanceOf(Declined)
    expect(tries).toBe(-9)
    expect(await error(seq("out").step("s", flaky, { retry: { times: 2, backoff: 1 } }))).toBeInstanceOf(Declined)
    expect(tries).toBe(-6)
  })

  it("interrupts an attempt that takes too long, and tells the work through its signal", async () => {
    let aborted = false
    const flow = seq("slow").step("s", async (_, { signal }) => {
      signal.addEventListener("abort", () => (aborted = true))
      await sleep(5000, undefined, { signal })
    }, { timeout: "20 millis", retry: { times: 1, backoff: 1 } })
    expect(await error(flow)).toMatchObject({ _tag: "StepTimedOut", path: "s", milliseconds: 20 })
    expect(aborted).toBe(true)
    let finalized = false
    const effect = seq("fx").step("s", () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => (finalized = true))), { timeout: 10 })
    expect((await error(effect)).message).toContain("did not finish within 10 ms")
    expect(finalized).toBe(true)
  })

  it("refuses an output that cannot be recorded, and says where it is", async () => {
    const failed = await error(seq("bad").step("s", () => ({ list: [{ fn: () => 1 }] }) as never))
    expect(failed).toMatchObject({ _tag: "NotStorable", path: "s", at: "list[0].fn", reason: "a function" })
    expect(failed.message).toBe("'s' gave a value that cannot be recorded: list[0].fn is a function. Return plain data, or give the step a codec")
    expect((await error(seq("bad").step("s", () => Symbol("x") as never))).message).toContain("recorded: it is a symbol")
    expect(
      await error(
        seq("bad").step("s", () => {
          throw new Error("")
        }),
      ),
    ).toMatchObject({ _tag: "StepThrew" })
  })

  it("lets a bug of Heddle's own surface, not hide", async () => {
    const codec = {
      encode: () => {
        throw new TypeError("encode is broken")
      },
      decode: (x: string) => new URL(x),
    }
    expect(await error(seq("codec").step("s", () => new URL("https://a.example"), { codec }))).toBeInstanceOf(TypeError)
  })
})

describe("scope", () => {
  it("is lexical: blocks see what is outside, their names stay inside, updates are seen after", async () => {
    const seen: Array<ReadonlyArray<string>> = []
    const flow = seq("scope").step("outer", () => 1)
      .loop("block", { times: 1 }, (b) => b.step("inner", (scope) => void seen.push(Object.keys(scope).sort())).update("outer", ({ outer }) => outer + 1))
      .step("after", (scope) => void seen.push(Object.keys(scope).sort()))
      .returns(({ outer }) => outer)
    expect(await value(flow)).toBe(2)
    expect(seen).toEqual([["index", "input", "outer"], ["block", "input", "outer"]])
  })

  it("a flow is immutable and can be extended twice from one point", async () => {
    const base = seq("base").step("a", () => 1)
    const left = base.step("b", ({ a }) => a + 1)
    const right = base.step("b", ({ a }) => a + 10)
    expect([await value(left), await value(right), await value(base)]).toEqual([{ a: 1, b: 2 }, { a: 1, b: 11 }, { a: 1 }])
    expect(Object.isFrozen(base.ir) && Object.isFrozen(base.ir.body) && Object.isFrozen(base.ir.body.nodes) && Object.isFrozen(base.ir.body.nodes[0])).toBe(
      true,
    )
    expect("then" in base).toBe(false)
    expect(await Promise.resolve(base)).toBe(base)
  })
})

describe("when and match", () => {
  it("two guards must both hold", async () => {
    const flow = (a: boolean, b: boolean) => seq("two").when(() => a).when(() => b).step("s", () => 1)
    expect([await value(flow(true, true)), await value(flow(false, true)), await value(flow(true, false))]).toEqual([{ s: 1 }, { s: undefined }, {
      s: undefined,
    }])
  })

  it("guards exactly the next node", async () => {
    const flow = (yes: boolean) =>
      seq("g").when(() => yes).step("a", () => 1).step("b", () => 2).when(() => yes).update("b", () => 3)
        .when(() => yes).loop({ times: 2 }, (b) => b.update("b", ({ b }) => b + 1))
    expect(await value(flow(true))).toEqual({ a: 1, b: 5 })
    expect(await value(flow(false))).toEqual({ a: undefined, b: 2 })
  })

  it("chooses a block, or none", async () => {
    const flow = (n: number) =>
      seq("c").step("n", () => n)
        .when("size", ({ n }) => n > 5, (b) => b.step("x", () => "big"), (b) => b.step("y", () => "small"))
        .when("only", ({ n }) => n > 5, (b) => b.step("z", () => "yes"))
        .when(({ n }) => n > 5, (b) => b.update("n", () => 100))
    expect(await value(flow(9))).toEqual({ n: 100, size: { x: "big" }, only: { z: "yes" } })
    expect(await value(flow(1))).toEqual({ n: 1, size: { y: "small" }, only: undefined })
  })

  it("matches literals, tags, types, kinds and booleans, with the value narrowed", async () => {
    const by = (shape: object) => (b: any) => b.step("got", ({ matched }: any) => ({ ...shape, ...matched })).returns(({ got }: any) => got)
    const match = (on: unknown, cases: Record<string, any>) => (seq("m") as any).match("m", () => on, cases).returns(({ m }: any) => m)
    expect(await value(match("a", { a: (b: any) => b.step("x", ({ matched }: any) => matched) }))).toEqual({ x: "a" })
    expect(await value(match({ _tag: "A", n: 1 }, { A: by({ by: "tag" }) }))).toEqual({ _tag: "A", n: 1, by: "tag" })
    expect(await value(match({ type: "A" }, { A: by({ by: "type" }) }))).toEqual({ type: "A", by: "type" })
    expect(await value(match({ kind: "A" }, { A: by({ by: "kind" }) }))).toEqual({ kind: "A", by: "kind" })
    expect(await value(match(true, { true: by({ by: "boolean" }), false: by({}) }))).toEqual({ by: "boolean" })
    const unnamed = seq("u").step("n", () => 0).match(() => "a" as "a" | "b", { a: (b) => b.update("n", () => 1), b: (b) => b.update("n", () => 2) })
    expect(await value(unnamed)).toEqual({ n: 1 })
  })

  it("a value without a case is a typed error", async () => {
    const flow = seq("none").match("m", () => "c" as "a" | "b", { a: (b) => b.step("x", () => 1), b: (b) => b.step("x", () => 1) })
    expect(await error(flow)).toMatchObject({
      _tag: "NoCase",
      path: "m",
      label: "c",
      cases: ["a", "b"],
      message: expect.stringContaining("has no case for \"c\"; its cases: a, b"),
    })
    expect((await error((seq("none") as any).match("m", () => ({}), { a: (b: any) => b }))).message).toContain("no _tag, type or kind")
  })

  it("a condition that throws names the place", async () => {
    for (
      const flow of [
        seq("t").when(() => {
          throw new Error("odd")
        }).step("s", () => 1),
        seq("t").when("s", () => {
          throw new Error("odd")
        }, (b) => b.step("x", () => 1)),
        seq("t").loop("s", {
          times: () => {
            throw new Error("odd")
          },
        }, (b) => b.step("x", () => 1)),
        seq("t").loop("s", {
          over: () => {
            throw new Error("odd")
          },
        }, (b) => b.step("x", () => 1)),
        seq("t").each("s", (): Array<number> => {
          throw new Error("odd")
        }, (b) => b.step("x", () => 1)),
      ] as Array<any>
    ) expect((await error(flow)).message).toContain("a function of the scope at 's' threw: odd")
    expect(
      await error(
        seq("t").returns((): number => {
          throw new Error("odd")
        }),
      ),
    ).toMatchObject({ _tag: "ConditionThrew", path: "" })
  })
})

describe("loop", () => {
  const counting = () => seq("n").step("n", () => 0)

  it("goes on while, until, a number of times, or over items", async () => {
    expect(await value(counting().loop("l", { while: ({ n }) => n < 3, max: 10 }, (b) => b.update("n", ({ n }) => n + 1).step("s", ({ index }) => index))))
      .toEqual({ n: 3, l: { s: 2 } })
    expect(await value(counting().loop("l", { while: () => false, max: 10 }, (b) => b.step("s", () => 1)))).toEqual({ n: 0, l: undefined })
    expect(await value(counting().loop("l", { until: ({ n, index }) => n + index >= 4, max: 10 }, (b) => b.update("n", ({ n }) => n + 1)))).toEqual({
      n: 3,
      l: {},
    })
    expect(await value(counting().loop("l", { times: ({ n }) => n + 2, collect: "all" }, (b) => b.step("s", ({ index }) => index).returns(({ s }) => s))))
      .toEqual({ n: 0, l: [0, 1] })
    expect(await value(counting().loop("l", { times: () => 0, collect: "all" }, (b) => b.step("s", ({ index }) => index)))).toEqual({ n: 0, l: [] })
    expect(await value(counting().loop("l", { over: () => new Set(["a", "b"]), collect: "all" }, (b) => b.step("s", ({ item }) => item).returns(({ s }) => s))))
      .toEqual({ n: 0, l: ["a", "b"] })
    expect(await value(counting().loop("l", { over: () => [1, 2, 3], max: 2, collect: "all" }, (b) => b.step("s", ({ item }) => item).returns(({ s }) => s))))
      .toEqual({ n: 0, l: [1, 2] })
    expect(await value(counting().loop("l", { over: (): Array<number> => [] }, (b) => b.step("s", ({ item }) => item)))).toEqual({ n: 0, l: undefined })
  })

  it("is not exhausted by its items, and does not drain an endless source", async () => {
    const over = (max: number) =>
      seq("o").loop("l", { over: () => [1, 2, 3], max, atMax: "fail", collect: "all" }, (b) => b.step("s", ({ item }) => item).returns(({ s }) => s))
    expect(await value(over(3))).toEqual({ l: [1, 2, 3] })
    expect(await error(over(2))).toMatchObject({ _tag: "LoopExhausted", max: 2 })
    const endless = function*() {
      for (let i = 0;; i++) yield i
    }
    expect(await value(seq("e").loop("l", { over: endless, max: 2, collect: "all" }, (b) => b.step("s", ({ item }) => item).returns(({ s }) => s)))).toEqual({
      l: [0, 1],
    })
  })

  it("keeps the last, all, none, the first or the last passes", async () => {
    const kept = async (collect: any) =>
      ((await value(seq("k").loop("l", { times: 4, collect }, (b) => b.step("s", ({ index }) => index).returns(({ s }) => s)))) as any).l
    expect(await kept("last")).toBe(3)
    expect(await kept("all")).toEqual([0, 1, 2, 3])
    expect(await kept("none")).toBeUndefined()
    expect(await kept({ first: 2 })).toEqual([0, 1])
    expect(await kept({ last: 2 })).toEqual([2, 3])
  })

  it("breaks and continues, also from inside a choice; such passes are not collected, their updates stay", async () => {
    const flow = counting().loop("l", { times: 6, collect: "all" }, (b) =>
      b.update("n", ({ n }) => n + 1)
        .when(({ index }) => index === 1, (c) => c.continue(() => true))
        .match("m", ({ index }) => (index === 4 ? "stop" : "go") as "stop" | "go", { stop: (c) => c.break(() => true), go: (c) => c.step("x", () => 1) })
        .continue(({ index }) => index === 2)
        .returns(({ n }) => n))
    expect(await value(flow)).toEqual({ n: 5, l: [1, 4] })
    expect(await value(seq("none").loop("l", { times: 3 }, (b) => b.continue(() => true).step("s", () => 1)))).toEqual({ l: undefined })
    expect(
      await value(
        seq("p").loop("l", { times: 3, collect: "all" }, (b) =>
          b.protect((c) => c.break(({ index }) => index === 1).step("f", () => err(new Declined())), {
            catch: { Declined: () => 1 },
          }).step("s", () => 1)),
      ),
    ).toEqual({ l: [{ s: 1 }] })
  })

  it("ends at max, or fails there if asked to", async () => {
    const loop = (atMax: "end" | "fail") => counting().loop({ until: ({ n }) => n > 99, max: 3, atMax }, (b) => b.update("n", ({ n }) => n + 1))
    expect(await value(loop("end"))).toEqual({ n: 3 })
    expect((await error(loop("fail"))).message).toBe("loop 'loop#1' made 3 passes and its condition still asks for more. Raise max, or end with atMax: \"end\"")
    expect(await value(counting().loop({ until: ({ n }) => n === 3, max: 3, atMax: "fail" }, (b) => b.update("n", ({ n }) => n + 1)))).toEqual({ n: 3 })
    expect(await error(counting().loop({ while: ({ n }) => n < 9, max: 2, atMax: "fail" }, (b) => b.update("n", ({ n }) => n + 1)))).toMatchObject({
      _tag: "LoopExhausted",
      max: 2,
    })
  })
})

describe("each and parallel", () => {
  it("each never runs more than its concurrency, and keeps the order of the items or of their ends", async () => {
    let [running, most] = [0, 0]
    const flow = (ordered: boolean) =>
      seq("e").each("l", () => [30, 10, 20], (b) =>
        b.step("s", async ({ item }) => {
          most = Math.max(most, ++running)
          await sleep(item)
          running--
          return item
        }).returns(({ s }) => s), { concurrency: 2, ordered })
    expect(await value(flow(true))).toEqual({ l: [30, 10, 20] })
    expect(most).toBe(2)
    expect(await value(flow(false))).toEqual({ l: [10, 30, 20] })
  })

  it("forks start from one scope and do not see each other's changes", async () => {
    const flow = seq("iso").step("n", () => 1)
      .parallel("f", {
        a: (b) => b.update("n", ({ n }) => n + 1).step("seen", ({ n }) => n),
        b: (b) => b.step("waited", () => sleep(5)).step("seen", ({ n }) => n),
      })
    expect(await value(flow)).toEqual({ n: 2, f: { a: { seen: 2 }, b: { waited: undefined, seen: 1 } } })
  })

  it("failFast interrupts the others at the first error", async () => {
    let interrupted = 0
    const slow = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
    const flow = seq("ff").parallel("f", {
      a: (b) => b.step("s", slow),
      b: (b) => b.step("s", slow),
      c: (b) => b.step("s", async () => sleep(5).then(() => err(new Declined()))),
    })
    expect(await error(flow)).toBeInstanceOf(Declined)
    expect(interrupted).toBe(2)
  })

  it("optional forks may fail; required ones may not", async () => {
    const flow = (optional: ReadonlyArray<"a" | "b">) =>
      seq("o").parallel("f", { a: (b) => b.step("s", () => err(new Declined())), b: (b) => b.step("s", () => 1) }, { optional })
    expect(await value(flow(["a"]))).toEqual({ f: { a: undefined, b: { s: 1 } } })
    expect(await error(flow(["b"]))).toBeInstanceOf(Declined)
  })

  it("waitAll lets all end and fails with every error", async () => {
    let ended = 0
    const flow = (optional: ReadonlyArray<"a" | "b" | "c">) =>
      seq("w").parallel("f", {
        a: (b) => b.step("s", () => err(new Declined())),
        b: (b) => b.step("s", () => err(new Lost("gone"))),
        c: (b) => b.step("s", () => sleep(5).then(() => ++ended)),
      }, { failure: "waitAll", optional })
    const failed = await error(flow([]))
    expect(failed).toMatchObject({ _tag: "JoinFailed", path: "f", failures: [{ fork: "a" }, { fork: "b" }] })
    expect(failed.message).toBe("'f': 2 failed:\n  a: Declined {\"_tag\":\"Declined\"}\n  b: gone")
    expect(ended).toBe(1)
    expect(await value(flow(["a", "b"]))).toEqual({ f: { a: undefined, b: undefined, c: { s: 2 } } })
  })

  it("atLeast succeeds if enough did", async () => {
    const flow = (n: number) =>
      seq("al").each("l", () => [1, 2, 3], (b) => b.step("s", ({ item }) => (item === 2 ? err(new Declined()) : ok(item))).returns(({ s }) => s), {
        failure: atLeast(n),
      })
    expect(await value(flow(2))).toEqual({ l: [1, undefined, 3] })
    expect(await error(flow(3))).toMatchObject({ _tag: "JoinFailed", failures: [{ fork: "[1]" }] })
    const unordered = seq("u").each("l", () => [1, 2, 3], (b) => b.step("s", ({ item }) => (item === 1 ? err("no") : ok(item))).returns(({ s }) => s), {
      failure: atLeast(1),
      ordered: false,
    })
    expect(await value(unordered)).toEqual({ l: [2, 3, undefined] })
  })

  it("first takes the first success and interrupts the rest", async () => {
    let interrupted = 0
    const flow = seq("f").step("n", () => 0).parallel("r", {
      a: (b) => b.step("s", () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))).update("n", () => 1),
      b: (b) => b.step("s", () => err(new Declined())),
      c: (b) => b.step("s", () => sleep(5).then(() => "c")).update("n", () => 3),
    }, { failure: "first" })
    expect(await value(flow)).toEqual({ n: 3, r: { fork: "c", value: { s: "c" } } })
    expect(interrupted).toBe(1)
    expect(await error(seq("n").each("l", () => [1, 2], (b) => b.step("s", ({ item }) => err(item)), { failure: "first" }))).toMatchObject({
      _tag: "JoinFailed",
      failures: [{ error: 1 }, { error: 2 }],
    })
    expect(await value(seq("e").each("l", () => [1, 2], (b) => b.step("s", ({ item }) => item).returns(({ s }) => s), { failure: "first" }))).toEqual({ l: 1 })
  })

  it("merges what several forks updated, by policy", async () => {
    const merged = async (before: any, a: any, b: any, policy: any) =>
      ((await value(
        seq("m").step("x", () => before).parallel({ a: (c) => c.update("x", () => a), b: (c) => c.update("x", () => b) }).merge({ x: policy }),
      )) as any).x
    expect(await merged(10, 2, 3, merge.sum)).toBe(5)
    expect(await merged(0, 2, 3, merge.max)).toBe(3)
    expect(await merged(0, 2, 3, merge.min)).toBe(2)
    expect(await merged(0, 2, 3, merge.average)).toBe(2.5)
    expect(await merged(["z"], ["a"], ["b", "a"], merge.append)).toEqual(["a", "b", "a"])
    expect(await merged([], [1, { k: 1 }], [1, { k: 1 }, null, 2], merge.union)).toEqual([1, { k: 1 }, null, 2])
    expect(await merged(new Set(), new Set([1]), new Set([1, 2]), merge.union)).toEqual(new Set([1, 2]))
    expect(await merged({}, { a: 1, n: { x: 1 } }, { b: 2, n: { y: 2 }, a: 9 }, merge.deep)).toEqual({ a: 9, b: 2, n: { x: 1, y: 2 } })
    expect(await merged({}, { n: { x: 1 } }, { n: { y: 2 } }, merge.shallow)).toEqual({ n: { y: 2 } })
    expect(await merged(0, 1, 2, merge.first)).toBe(1)
    expect(await merged(0, 1, 2, merge.last)).toBe(2)
    expect(await merged(5, 1, 2, merge.custom((values: ReadonlyArray<number>, from: number) => from * 100 + values.length))).toBe(502)
    const hostile = merge.deep.combine([{ safe: 1 }, JSON.parse("{\"__proto__\":{\"polluted\":true}}")], {}) as object
    expect(({} as any).polluted).toBeUndefined()
    expect(Object.getPrototypeOf(hostile)).toBe(Object.prototype)
    expect(merge.deep.combine([Object.create(null), { a: 1 }], {})).toEqual({ a: 1 })
    const each = seq("me").step("sum", () => 0).each(() => [1, 2, 3], (b) => b.update("sum", ({ item }) => item)).merge({ sum: merge.sum })
    expect(await value(each)).toEqual({ sum: 6 })
    expect(
      await error(
        seq("t").step("x", () => 0).parallel({ a: (c) => c.update("x", () => 1), b: (c) => c.update("x", () => 2) }).merge({
          x: merge.custom((): number => {
            throw new Error("odd")
          }),
        }),
      ),
    ).toMatchObject({ _tag: "ConditionThrew" })
    expect(
      await error(
        (seq("t").step("x", () => 0) as any).parallel({ a: (c: any) => c.update("x", () => 1), b: (c: any) => c.update("x", () => 2) }).merge({
          x: merge.custom(() => () => 1),
        }),
      ),
    ).toMatchObject({ _tag: "NotStorable" })
  })
})

describe("protect", () => {
  it("handles errors by tag; others pass; updates of a failed block are not seen", async () => {
    const flow = (fail: () => Result<number, any>) =>
      seq("p").step("n", () => 0).protect("s", (b) => b.update("n", () => 5).step("s", fail).returns(({ s }) => s), {
        catch: { Declined: (_e: unknown, { n }: { n: number }) => Effect.succeed(`handled ${n}`) } as any,
      })
    expect(await value(flow(() => ok(1)))).toEqual({ n: 5, s: 1 })
    expect(await value(flow(() => err(new Declined())))).toEqual({ n: 0, s: "handled 0" })
    expect((await error(flow(() => err(new Lost("x"))))).message).toBe("x")
    expect(await error(flow(() => err("untagged")))).toBe("untagged")
    expect(await error(flow(() => err({ _tag: "toString" })))).toEqual({ _tag: "toString" })
  })

  it("an error that drags the world along is caught all the same", async () => {
    const [a, b]: Array<Record<string, unknown>> = [{}, {}]
    Object.assign(a!, { b, b2: b })
    Object.assign(b!, { a, a2: a })
    const nasty = [
      { req: a },
      JSON.parse("{\"body\":{\"__proto__\":1}}"),
      Object.defineProperty({}, "bad", {
        enumerable: true,
        get: () => {
          throw new Error("getter")
        },
      }),
    ]
    for (const more of nasty) {
      const failing = () =>
        Effect.fail(Object.defineProperties(Object.assign(new Error("boom"), { _tag: "Rich" as const }), Object.getOwnPropertyDescriptors(more)))
      expect(await value(seq("p").protect("p", (x) => x.step("s", failing), { catch: { Rich: (e) => e.message } }))).toEqual({ p: "boom" })
    }
  })

  it("catchAll, and the engine's own errors", async () => {
    const flow = seq("p").protect("s", (b) => b.step("slow", () => sleep(500), { timeout: 5 }), {
      catchAll: { StepTimedOut: (e) => e.milliseconds, StepThrew: () => 0 },
    })
    expect(await value(flow)).toEqual({ s: 5 })
  })
})

describe("flows in flows", () => {
  const child = seq("child", { input: z.object({ n: z.number() }), output: z.number() }).step("m", ({ input }) => input.n + 1).returns(({ m }) => m)

  it("has its own scope, takes what it needs, gives its output", async () => {
    const plain = seq("plain", { input: z.object({ n: z.number() }) }).step("double", ({ input }) => input.n * 2)
    expect(
      await value(seq("p", { input: z.object({ n: z.number() }) }).step(child).step(plain).step("again", nest(child, ({ child }) => ({ n: child }))), { n: 1 }),
    ).toEqual({
      child: 2,
      plain: { double: 2 },
      again: 3,
    })
  })

  it("checks its schemas at the step", async () => {
    const wrong = seq("w").step("c", nest(child, () => ({ n: "x" }) as never))
    expect(await error(wrong)).toMatchObject({ _tag: "InputInvalid", path: "c", flow: "child" })
    const out = seq("bad", { output: z.string() as never }).returns(() => 1 as never)
    expect(await error(seq("o").step("c", nest(out, () => undefined as never)))).toMatchObject({ _tag: "OutputInvalid", path: "c" })
    expect(
      await error(
        seq("t").step(
          "c",
          nest(child, (): { n: number } => {
            throw new Error("odd")
          }),
        ),
      ),
    ).toMatchObject({ _tag: "ConditionThrew", path: "c" })
  })

  it("retries as a whole", async () => {
    let tries = 0
    const flaky = seq("flaky").step("s", () => (++tries < 2 ? err("no") : ok(tries)))
    expect(await value(seq("r").step("c", nest(flaky, () => undefined), { retry: { times: 3, backoff: 1 } }))).toEqual({ c: { s: 2 } })
  })
})

describe("schemas", () => {
  it.each([
    ["zod", z.object({ n: z.number(), list: z.array(z.object({ ok: z.boolean() })) })],
    ["valibot", v.object({ n: v.number(), list: v.array(v.object({ ok: v.boolean() })) })],
    ["arktype", type({ n: "number", list: type({ ok: "boolean" }).array() })],
    ["effect", Schema.toStandardSchemaV1(Schema.Struct({ n: Schema.Finite, list: Schema.Array(Schema.Struct({ ok: Schema.Boolean })) }))],
  ])("%s checks the input and names the place", async (_name, schema) => {
    const flow = seq("s", { input: schema as never }).returns(({ input }: any) => input.n)
    expect(await value(flow, { n: 1, list: [] })).toBe(1)
    expect(await error(flow, { n: 1, list: [{ ok: true }, { ok: "yes" }] })).toMatchObject({ _tag: "InputInvalid", path: "", issues: [{ path: "list[1].ok" }] })
  })

  it("a schema that gives no path names the whole value", async () => {
    const never = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: () => ({ issues: [{ message: "never" }, { message: "deep", path: [{ key: "a" }, Symbol.for("s")] }] }),
      },
    } as const
    expect(await error(seq("s", { input: never as never }), 1)).toMatchObject({ issues: [{ path: "", message: "never" }, { path: "a.Symbol(s)" }] })
  })

  it("parses input and output, also asynchronously", async () => {
    const flow = seq("s", { input: z.object({ n: z.string().transform(async (text) => Number(text)) }), output: z.string().toUpperCase() }).returns((
      { input },
    ) => `n${input.n}`)
    expect(await value(flow, { n: "4" })).toBe("N4")
    expect((await error(flow, 3)).message).toContain("the input of flow 's' does not fit its schema:\n  (the value): ")
    const wrong = seq("w", { output: z.number() as never }).returns(() => "x" as never)
    expect((await error(wrong)).message).toContain("the output of flow 'w' does not fit")
  })
})
