/** Pools: who gets which member, and what becomes of those that break. */
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Fiber, Stream } from "effect"
import { nest, openHeddle, seq } from "heddle"
import { agent, type MemberChange, type ModelRequest, Pool, pooled, type PoolOptions, scripted } from "heddle/agents"
import { describe, expect, it, vi } from "vitest"
import { z } from "zod"
import { Member } from "../../src/builtin/agents/pool/member.ts"

const go = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
/** A pool of numbers that says what was made and released. */
const numbers = <E = never>(options: Partial<PoolOptions<number, E>>) => {
  const [made, released]: [Array<number>, Array<number>] = [[], []]
  const changes: Array<MemberChange> = []
  const make = (nr: number) => Effect.acquireRelease(Effect.sync(() => (made.push(nr), nr)), () => Effect.sync(() => released.push(nr)))
  const pool = new Pool<number, E>("n", { size: 1, make, onChange: (change) => changes.push(change), ...options })
  return { pool, made, released, changes, states: (nr: number) => changes.filter((change) => change.nr === nr).map(({ to }) => to).join(" ") }
}
const held = (ms: number) => (nr: number) => Effect.as(Effect.sleep(ms), nr)
const times = <A, E>(n: number, each: () => Effect.Effect<A, E>) => Effect.forEach(Array.from({ length: n }), each, { concurrency: "unbounded" })

describe("a pool", () => {
  it("makes no more members than it may, gives each to no more than it may, and releases all", async () => {
    for (const perMember of [1, 2]) {
      const { pool, made, released } = numbers({ size: 3, perMember })
      const [now, most] = [new Map<number, number>(), { members: 0, each: 0 }]
      await go(times(40, () =>
        pool.use((nr) => {
          now.set(nr, (now.get(nr) ?? 0) + 1)
          most.each = Math.max(most.each, now.get(nr)!)
          most.members = Math.max(most.members, pool.stats.members.length)
          return Effect.ensuring(Effect.sleep(2), Effect.sync(() => now.set(nr, now.get(nr)! - 1)))
        })))
      expect([most, made.length, pool.stats.waiting]).toEqual([{ members: 3, each: perMember }, 3, 0])
      await go(pool.close)
      expect(released.sort()).toEqual([1, 2, 3])
      expect(pool.stats).toEqual({ members: [], waiting: 0, made: 3, gone: 3 })
    }
  })

  it("keeps its bounds under random failures, interruptions, pauses and illness", async () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31))
    let state = seed
    const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
    for (const perMember of [1, 3]) {
      let [alive, most, given] = [0, 0, 0]
      const users = new Map<number, number>()
      const pool = new Pool<number, string>("r", {
        size: { min: 1, max: 4 },
        perMember,
        make: (nr) =>
          Effect.acquireRelease(
            Effect.suspend(() => random() < 0.1 ? Effect.fail("make") : Effect.sync(() => (most = Math.max(most, ++alive), nr))),
            () => Effect.sync(() => alive--),
          ).pipe(Effect.delay(Math.floor(random() * 3))),
        healthy: () => Effect.delay(Effect.suspend(() => random() < 0.1 ? Effect.fail("ill") : Effect.succeed(random() < 0.9)), 1),
        checkAfter: 0,
        recover: () => Effect.delay(Effect.suspend(() => random() < 0.5 ? Effect.fail("no") : Effect.void), 1),
        maxUses: 15,
        strategy: perMember === 1 ? "random" : "least-busy",
      })
      const one = Effect.suspend(() => {
        const work = pool.use((nr) => {
          given = Math.max(given, (users.set(nr, (users.get(nr) ?? 0) + 1), users.get(nr)!))
          return Effect.ensuring(
            Effect.delay(Effect.suspend(() => random() < 0.2 ? Effect.fail("use") : Effect.void), Math.floor(random() * 4)),
            Effect.sync(() => users.set(nr, users.get(nr)! - 1)),
          )
        })
        return random() < 0.2 ? Effect.timeout(work, Math.ceil(random() * 5)) : work
      })
      const pausing = Effect.forEach(Array.from({ length: 30 }), () => {
        const nr = pool.stats.members[0]?.nr ?? 0
        return pool.pause(nr).pipe(Effect.delay(2), Effect.andThen(Effect.delay(pool.resume(nr), 3)))
      })
      await go(Effect.all([times(300, () => Effect.exit(one)), pausing], { concurrency: "unbounded" }))
      expect([most <= 4, given <= perMember, pool.stats.waiting, [...users.values()].every((n) => n === 0)], `seed ${seed}`).toEqual([true, true, 0, true])
      await go(pool.close)
      expect([alive, pool.stats.members.length], `seed ${seed}`).toEqual([0, 0])
    }
  })

  it("chooses as it is told", async () => {
    const order = async (strategy: PoolOptions<number, never>["strategy"]) => {
      const { pool } = numbers({ size: 3, ...(strategy === undefined ? {} : { strategy }) })
      await go(times(3, () => pool.use(held(5))))
      const got: Array<number> = []
      for (let i = 0; i < 4; i++) got.push(await go(pool.use(held(1))))
      await go(pool.close)
      return got
    }
    const [robin, recent] = [await order(undefined), await order("most-recent")]
    expect([new Set(robin).size, new Set(recent).size]).toEqual([3, 1])
    expect(await order((free) => free.findIndex(({ nr }) => nr === 2))).toEqual([2, 2, 2, 2])
    expect((await order(() => 99)).length).toBe(4)
    expect((await order("random")).every((nr) => nr <= 3)).toBe(true)
    const { pool } = numbers({ size: 2, perMember: 2, strategy: "least-busy" })
    const two = await go(times(4, () => pool.use(held(5))))
    expect(two.toSorted()).toEqual([1, 1, 2, 2])
  })

  it("replaces what broke, and mends what can be mended", async () => {
    const broken = numbers({ size: 1, breaks: (error) => error === "bad" })
    const fails = (error: string) => broken.pool.use(() => Effect.fail(error))
    expect([await go(Effect.flip(fails("fine"))), await go(broken.pool.use(held(0)))]).toEqual(["fine", 1])
    expect([await go(Effect.flip(fails("bad"))), await go(broken.pool.use(held(0)))]).toEqual(["bad", 2])
    expect([broken.released, broken.states(1)]).toEqual([
      [1],
      "initializing ready running ready running ready running error terminating terminated",
    ])
    const died = numbers({ size: 1 })
    await go(Effect.exit(died.pool.use(() => Effect.die("oops"))))
    expect(died.released).toEqual([1])
    const interrupted = numbers({ size: 1 })
    await go(Effect.exit(Effect.timeout(interrupted.pool.use(held(1000)), 5)))
    expect([interrupted.released, interrupted.pool.stats.members.map(({ state }) => state)]).toEqual([[], ["ready"]])
    const mended = numbers({ size: 1, recover: () => Effect.void })
    await go(Effect.exit(mended.pool.use(() => Effect.fail("bad"))))
    expect([await go(mended.pool.use(held(0))), mended.states(1)]).toEqual([1, "initializing ready running error recovering ready running ready"])
    const lost = numbers({ size: 1, recover: () => Effect.fail("no") })
    await go(Effect.exit(lost.pool.use(() => Effect.fail("bad"))))
    expect(lost.states(1)).toBe("initializing ready running error recovering error terminating terminated")
    const shared = numbers({ size: 1, perMember: 2 })
    await go(Effect.all([shared.pool.use(held(10)), Effect.exit(shared.pool.use(() => Effect.fail("bad")))], { concurrency: "unbounded" }))
    expect([shared.released, await go(shared.pool.use(held(0)))]).toEqual([[1], 2])
    const never = numbers<string>({ size: 1, make: () => Effect.fail("no") })
    expect(await go(Effect.flip(never.pool.use(held(0))))).toBe("no")
    expect([never.states(1), never.pool.stats.members]).toEqual(["initializing error terminating terminated", []])
  })

  it("asks how a member is before it gives it", async () => {
    const well = new Set([1, 2])
    const { pool, released } = numbers({ size: 2, healthy: (nr) => well.has(nr) ? Effect.succeed(true) : Effect.die("gone"), checkAfter: 0 })
    expect(await go(pool.use(held(1)))).toBe(1)
    await sleep(2)
    expect(await go(pool.use(held(1)))).toBe(1)
    well.delete(1)
    await sleep(2)
    expect([await go(pool.use(held(1))), released]).toEqual([2, [1]])
    // however many are ill, a new one is made
    const hopeless = numbers({ size: { max: 3 }, healthy: () => Effect.succeed(false), checkAfter: 0 })
    await go(times(3, () => hopeless.pool.use(held(3))))
    await sleep(2)
    expect(await go(hopeless.pool.use(held(0)))).toBe(4)
    expect(hopeless.released).toEqual([1, 2, 3])
    const ill = numbers({ size: 1, healthy: () => Effect.succeed(false), checkAfter: 0, recover: () => Effect.void })
    await go(ill.pool.use(held(0)))
    expect(await go(ill.pool.use(held(0)))).toBe(1)
  })

  it("lets go what is old, used up or idle, and keeps its least", async () => {
    const old = numbers({ size: 1, maxAge: 20 })
    await go(old.pool.use(held(0)))
    await sleep(40)
    expect(await go(old.pool.use(held(0)))).toBe(2)
    const worn = numbers({ size: 1, maxUses: 2 })
    expect([await go(worn.pool.use(held(0))), await go(worn.pool.use(held(0))), await go(worn.pool.use(held(0)))]).toEqual([1, 1, 2])
    const idle = numbers({ size: { min: 1, max: 3 }, idle: 30 })
    await go(times(3, () => idle.pool.use(held(5))))
    await expect.poll(() => idle.pool.stats.members.length, { timeout: 2000 }).toBe(1)
    expect(idle.released.length).toBe(2)
    await go(idle.pool.close)
  })

  it("pauses members, which keep their place, and closes", async () => {
    const { pool } = numbers({ size: 2 })
    await go(times(2, () => pool.use(held(5))))
    await go(pool.pause(1))
    await go(pool.pause(77))
    expect(await go(times(3, () => pool.use(held(1))))).toEqual([2, 2, 2])
    const gate = Promise.withResolvers<void>()
    const using = Effect.runFork(pool.use(() => Effect.promise(() => gate.promise)))
    await sleep(5)
    await go(pool.pause(2))
    const waits = Effect.runFork(pool.use(held(0)))
    await sleep(10)
    expect([pool.stats.waiting, pool.stats.members.map(({ state }) => state)]).toEqual([1, ["paused", "running"]])
    gate.resolve()
    await go(Fiber.join(using))
    expect(pool.stats.members.map(({ state }) => state)).toEqual(["paused", "paused"])
    await go(pool.resume(1))
    expect(await go(Fiber.join(waits))).toBe(1)
    const last = Effect.runFork(pool.use(held(20)))
    await sleep(5)
    await go(pool.close)
    expect((await go(Effect.flip(pool.use(held(0))))).message).toBe("pool 'n' is closed: take members before it is")
    expect(await go(Fiber.join(last))).toBe(1)
    expect(pool.stats.members).toEqual([])
    // one that breaks while it is paused frees its place
    const one = numbers({ size: 1 })
    const breaking = Effect.runFork(Effect.exit(one.pool.use(() => Effect.delay(Effect.fail("bad"), 20))))
    await sleep(5)
    await go(one.pool.pause(1))
    await go(Fiber.join(breaking))
    expect(await go(one.pool.use(held(0)))).toBe(2)
  })

  it("loses no place to what throws, hangs or takes long to go", async () => {
    let throws = true
    const made = numbers({
      make: (nr) => {
        if (throws) throw new Error("no")
        return Effect.succeed(nr)
      },
    })
    expect((await go(Effect.exit(made.pool.use(held(0)))))._tag).toBe("Failure")
    throws = false
    expect(await go(made.pool.use(held(0)))).toBe(2)
    const picky = numbers({
      breaks: () => {
        throw new Error("no")
      },
      onChange: () => {
        throw new Error("no")
      },
    })
    const complaints = vi.spyOn(console, "error").mockImplementation(() => undefined)
    await go(Effect.exit(picky.pool.use(() => Effect.fail("bad"))))
    expect([await go(picky.pool.use(held(0))), complaints.mock.calls.length > 0]).toEqual([2, true])
    complaints.mockRestore()
    const hangs = numbers({ recover: () => Effect.never, patience: 20 })
    await go(Effect.exit(hangs.pool.use(() => Effect.fail("bad"))))
    expect(await go(hangs.pool.use(held(0)))).toBe(2)
    // one that takes long to go has its place until it is gone
    let [alive, most] = [0, 0]
    const slow = new Pool("slow", {
      size: 1,
      make: () => Effect.acquireRelease(Effect.sync(() => void (most = Math.max(most, ++alive))), () => Effect.delay(Effect.sync(() => alive--), 20)),
    })
    await go(times(3, () => Effect.exit(slow.use(() => Effect.fail("bad")))))
    expect([most, alive]).toEqual([1, 0])
    // a paused one that somebody has keeps only its own place
    const two = numbers({ size: 2, perMember: 1 })
    const using = Effect.runFork(two.pool.use(held(40)))
    await sleep(5)
    await go(two.pool.pause(1))
    expect(await go(Effect.timeout(two.pool.use(held(0)), 30))).toBe(2)
    // whoever waits is told that it is closed
    const waiting = Effect.runFork(Effect.flip(times(2, () => two.pool.use(held(1000)))))
    await sleep(5)
    await go(two.pool.close)
    expect((await go(Fiber.join(waiting)))._tag).toBe("PoolClosed")
    await go(Fiber.join(using))
  })

  it("has at least one member, and says which state follows which", () => {
    expect(() => new Pool("x", { size: 0, make: () => Effect.void })).toThrow("pool 'x': size is a whole number from 1, not 0")
    expect(() => new Pool("x", { size: 1, perMember: 1.5, make: () => Effect.void })).toThrow("perMember")
    expect(() => new Member(1, () => undefined).move("terminated")).toThrow("a member that is initializing cannot be terminated")
  })
})

it("agents share a fleet of models: no endpoint is asked more at once than it may be", async () => {
  const busy = [0, 0, 0]
  let most = 0
  const fleet = new Pool("fleet", {
    size: 3,
    make: (nr) =>
      Effect.succeed({
        name: `m${nr}`,
        turn: (request: ModelRequest) => {
          most = Math.max(most, ++busy[nr - 1]!)
          const turn = scripted(() => ({ text: `from ${nr}` })).turn(request)
          return Stream.ensuring(Stream.unwrap(Effect.as(Effect.sleep(5), turn)), Effect.sync(() => busy[nr - 1]!--))
        },
      }),
  })
  const clerk = agent("clerk", { input: z.object({ n: z.number() }), model: pooled(fleet) })
  const flow = seq("f").each("all", () => [1, 2, 3, 4, 5, 6, 7, 8, 9], (b) => b.step("ask", nest(clerk, ({ item }) => ({ n: item }))), { concurrency: 9 })
  const heddle = (await openHeddle())._unsafeUnwrap()
  const all = (await heddle.run(flow, undefined))._unsafeUnwrap()
  expect(new Set(JSON.stringify(all).match(/from \d/g)).size).toBeGreaterThan(1)
  expect([most, fleet.stats.made <= 3]).toEqual([1, true])
  await go(fleet.close)
  const failed = (await heddle.run(seq("g").step("ask", nest(clerk, () => ({ n: 1 }))), undefined))._unsafeUnwrapErr()
  expect(failed.message).toContain("pool 'fleet' is closed")
  await heddle.close()
})

it("an engine tells of its members as events, until that is ended", async () => {
  await using heddle = (await openHeddle())._unsafeUnwrap()
  const told: Array<string> = []
  heddle.listen(({ kind, data, session, run }) => void told.push(`${kind} ${data} ${session}${run}`))
  const pool = new Pool("fleet", { size: 1, make: (nr) => Effect.succeed(nr) })
  const end = heddle.watch(pool)
  await go(pool.use(() => Effect.void))
  expect(told[0]).toBe("pool.changed {\"pool\":\"fleet\",\"nr\":1,\"from\":\"uninitialized\",\"to\":\"initializing\"} undefined")
  expect(told.map((one) => /"to":"(\w+)"/.exec(one)![1])).toEqual(["initializing", "ready", "running", "ready"])
  end()
  await go(pool.close)
  expect(told).toHaveLength(4)
})
