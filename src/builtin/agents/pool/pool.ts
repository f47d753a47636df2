/** Pools: a bounded number of things that are dear to make, shared by whoever needs one for a while. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Exit from "effect/Exit"
import type { Scope } from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { ModelFailed, PoolClosed } from "../error.ts"
import type { ModelShape } from "../model.ts"
import { Member, type MemberChange } from "./member.ts"
import type { PoolOptions, PoolStats } from "./options.ts"

/**
 * A pool of members: models, connections, browsers, workers.
 *
 * Never more than `size` members exist and never more than `size` times `perMember` have one; whoever waits is served in turn. Members are made when they are
 * needed. One that broke, is ill, too old or was used up is replaced, and what it held is released. A use inside a use of the same pool may wait for itself.
 *
 * @example
 * const fleet = new Pool("fleet", { size: 4, make: (nr) => Effect.succeed(openai({ baseUrl: `http://gpu-${nr}:8000/v1`, model: "qwen3" })) })
 * const clerk = agent("clerk", { input: z.object({ text: z.string() }), model: pooled(fleet) })
 */
export class Pool<A, E = never> {
  readonly name: string
  readonly #options: PoolOptions<A, E>
  readonly #permits: Semaphore.Semaphore
  readonly #members = new Set<Member<A>>()
  readonly #listeners = new Set<(change: MemberChange) => void>()
  readonly #max: number
  readonly #each: number
  readonly #idle: number
  readonly #min: number
  #waiting = 0
  #turn = 0
  #news = Latch.makeUnsafe()
  #made = 0
  #gone = 0
  #closed = false
  #trimming: NodeJS.Timeout | undefined

  constructor(name: string, options: PoolOptions<A, E>) {
    const { size, perMember = 1, idle = "5 minutes" } = options
    this.#idle = Duration.toMillis(idle)
    this.#each = perMember
    this.name = name
    this.#options = options
    this.#max = typeof size === "number" ? size : size.max
    this.#min = typeof size === "number" ? 0 : size.min ?? 0
    for (const [what, n] of [["size", this.#max], ["perMember", perMember]] as const) {
      if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`pool '${name}': ${what} is a whole number from 1, not ${n}`)
    }
    this.#permits = Semaphore.makeUnsafe(this.#max * perMember)
    if (options.onChange !== undefined) this.#listeners.add(options.onChange)
  }

  /** Tells `listener` of every change of a member's state; gives the function that ends it. `heddle.watch(pool)` makes events of them. */
  listen(listener: (change: MemberChange) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** A member, until the scope ends; if that ends with a failure that `breaks` it, the member is mended or replaced. */
  get take(): Effect.Effect<A, E | PoolClosed, Scope> {
    const queued = Effect.suspend(() => {
      this.#waiting++
      return Effect.ensuring(Semaphore.takeScoped(this.#permits, 1), Effect.sync(() => this.#waiting--))
    })
    const member = Effect.uninterruptibleMask((restore) => Effect.acquireRelease(this.#checkOut(restore), (one, exit) => this.#checkIn(one, exit)))
    return Effect.andThen(queued, Effect.map(member, ({ value }) => value!))
  }

  /** A member for as long as `work` takes. */
  use<B, E2, R>(work: (member: A) => Effect.Effect<B, E2, R>): Effect.Effect<B, E | E2 | PoolClosed, Exclude<R, Scope>> {
    return Effect.scoped(Effect.flatMap(this.take, work))
  }

  /** How it is. */
  get stats(): PoolStats {
    return { members: [...this.#members].map((one) => one.look()), waiting: this.#waiting, made: this.#made, gone: this.#gone }
  }

  /** Gives a member to nobody until it is resumed; whoever has it keeps it, and it keeps its place. */
  pause(nr: number): Effect.Effect<void> {
    return this.#hold(nr, true)
  }
  resume(nr: number): Effect.Effect<void> {
    return this.#hold(nr, false)
  }
  #hold(nr: number, held: boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      const member = [...this.#members].find((one) => one.nr === nr)
      if (member === undefined) return Effect.void
      member.held = held
      // one that is being made, used or mended is paused when it is given back; one that goes, goes
      if (member.busy === 0 && !member.leaving) member.move(held ? "paused" : "ready")
      return this.#resize()
    })
  }
  /** As many may have a member as there are places, but for those that a paused member keeps free. */
  #resize(): Effect.Effect<void> {
    const kept = [...this.#members].reduce((sum, { held, busy }) => sum + (held ? this.#each - busy : 0), 0)
    return this.#permits.resize(this.#closed ? Number.MAX_SAFE_INTEGER : this.#max * this.#each - kept)
  }

  /** No member is given any more; those that are free go now, the others when they are given back. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#closed = true
      clearTimeout(this.#trimming)
      const idle = [...this.#members].filter(({ busy, leaving }) => busy === 0 && !leaving)
      for (const member of this.#members) member.leaving = true
      this.#tell()
      // whoever waits is told
      return Effect.andThen(this.#resize(), Effect.forEach(idle, (member) => this.#drop(member), { discard: true }))
    })
  }

  #checkOut(restore: <B, E2>(effect: Effect.Effect<B, E2>) => Effect.Effect<B, E2>): Effect.Effect<Member<A>, E | PoolClosed> {
    return Effect.gen({ self: this }, function*() {
      // each may turn out to be ill or too old, and goes; a new one is taken as it is
      for (;;) {
        if (this.#closed) return yield* new PoolClosed({ pool: this.name })
        const member = this.#free() ?? this.#another()
        if (member === undefined) {
          // all are being made, mended or ended
          yield* restore(this.#news.await)
          continue
        }
        member.busy++
        // somebody else who shares it may have broken it meanwhile
        const asked = Effect.map(this.#usable(member), (is) => is && isGood(member))
        const usable = yield* Effect.onExit(restore(asked), (exit) => (Exit.isSuccess(exit) && exit.value ? Effect.void : this.#lose(member)))
        if (usable) {
          member.uses++
          member.turn = ++this.#turn
          member.usedAt = Date.now()
          member.move("running")
          return member
        }
      }
    })
  }

  /** A member that may be given, as the strategy chooses; those that are through go meanwhile. */
  #free(): Member<A> | undefined {
    const { strategy = "round-robin" } = this.#options
    const free = [...this.#members].filter((one) => isGood(one) && one.busy < this.#each && !one.held)
    // none shares one while another may be made
    if (free.length === 0 || (free.every(({ busy }) => busy > 0) && this.#members.size < this.#max)) return undefined
    if (typeof strategy === "function") return free[strategy(free.map((one) => one.look()))] ?? free[0]!
    if (strategy === "random") return free[Math.floor(Math.random() * free.length)]!
    return free.reduce((best, one) => (better[strategy](one, best) ? one : best))
  }
  #another(): Member<A> | undefined {
    if (this.#members.size >= this.#max) return undefined
    const nr = ++this.#made
    const member = new Member<A>(nr, (from, to) => {
      this.#tell()
      for (const listener of this.#listeners) {
        try {
          listener({ pool: this.name, nr, from, to })
        } catch (error) {
          console.error("a listener of a pool threw", error)
        }
      }
    })
    this.#members.add(member)
    return member
  }
  /** Whoever waits for a member to share looks again. */
  #tell(): void {
    const before = this.#news
    this.#news = Latch.makeUnsafe()
    before.openUnsafe()
  }

  /** Makes it, or looks whether it is still good. */
  #usable(member: Member<A>): Effect.Effect<boolean, E> {
    const { make, healthy, checkAfter = "30 seconds", maxAge = Duration.infinity, maxUses = Number.POSITIVE_INFINITY } = this.#options
    if (member.state === "initializing") return Effect.as(member.make(Effect.suspend(() => make(member.nr))), true)
    const now = Date.now()
    if (now - member.madeAt > Duration.toMillis(maxAge) || member.uses >= maxUses) {
      member.leaving = true
      return Effect.succeed(false)
    }
    if (healthy === undefined || now - member.checkedAt < Duration.toMillis(checkAfter)) return Effect.succeed(true)
    member.checkedAt = now
    const well = this.#bounded(() => healthy(member.value!))
    return Effect.flatMap(well, (exit) => (Exit.isSuccess(exit) && exit.value) ? Effect.succeed(true) : this.#mend(member))
  }

  /** It is broken: whether it could be mended. */
  #mend(member: Member<A>): Effect.Effect<boolean> {
    const { recover } = this.#options
    return Effect.suspend(() => {
      if (!isGood(member)) return Effect.succeed(false)
      member.move("error")
      if (recover === undefined) return Effect.succeed(false)
      member.move("recovering")
      return Effect.map(this.#bounded(() => recover(member.value!)), (exit) => {
        member.move(Exit.isSuccess(exit) ? "ready" : "error")
        return Exit.isSuccess(exit)
      })
    })
  }

  /** What is asked of a member may take only so long, also where nothing else is interrupted. */
  #bounded<B>(work: () => Effect.Effect<B, unknown>): Effect.Effect<Exit.Exit<B, unknown>> {
    return Effect.exit(Effect.timeout(Effect.interruptible(Effect.suspend(work)), this.#options.patience ?? "30 seconds"))
  }

  #checkIn(member: Member<A>, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      member.usedAt = Date.now()
      return Exit.isFailure(exit) && !Exit.hasInterrupts(exit) && this.#breaks(errorIn(exit)) ?
        Effect.flatMap(this.#mend(member), (mended) => (mended ? this.#giveBack(member) : this.#lose(member))) :
        this.#giveBack(member)
    })
  }

  #breaks(error: unknown): boolean {
    const { breaks = () => true } = this.#options
    try {
      return breaks(error)
    } catch {
      return true
    }
  }

  #giveBack(member: Member<A>): Effect.Effect<void> {
    member.busy--
    this.#tell()
    if (member.busy === 0) {
      if (member.leaving) return this.#drop(member)
      member.move(member.held ? "paused" : "ready")
      this.#trimLater()
    }
    return member.held ? this.#resize() : Effect.void
  }

  /** It is given to nobody any more, and goes when the last one has given it back. */
  #lose(member: Member<A>): Effect.Effect<void> {
    member.leaving = true
    return this.#giveBack(member)
  }
  #drop(member: Member<A>): Effect.Effect<void> {
    member.leaving = true
    if (member.state === "initializing") member.move("error")
    // it has its place until it is gone
    const gone = Effect.suspend(() => {
      this.#members.delete(member)
      this.#gone++
      this.#tell()
      return this.#resize()
    })
    return Effect.andThen(member.end(), gone)
  }

  #trimLater(): void {
    if (this.#trimming !== undefined || this.#members.size <= this.#min) return
    this.#trimming = setTimeout(() => {
      this.#trimming = undefined
      Effect.runFork(this.#trim())
    }, this.#idle)
    this.#trimming.unref()
  }
  #trim(): Effect.Effect<void> {
    const before = Date.now() - this.#idle
    const idle = [...this.#members].filter(({ state, usedAt }) => state === "ready" && usedAt <= before).sort((a, b) => a.usedAt - b.usedAt)
    const going = idle.slice(0, Math.max(0, this.#members.size - this.#min))
    return Effect.andThen(Effect.forEach(going, (member) => this.#drop(member), { discard: true }), Effect.sync(() => this.#trimLater()))
  }
}

/** It may be given. */
const isGood = ({ state, leaving }: Member<unknown>): boolean => (state === "ready" || state === "running") && !leaving
type Given = Pick<Member<unknown>, "busy" | "turn">
const better: Readonly<Record<"round-robin" | "least-busy" | "most-recent", (a: Given, b: Given) => boolean>> = {
  "round-robin": (a, b) => a.turn < b.turn,
  "least-busy": (a, b) => a.busy < b.busy || (a.busy === b.busy && a.turn < b.turn),
  "most-recent": (a, b) => a.turn > b.turn,
}
const errorIn = (exit: Exit.Failure<unknown, unknown>): unknown => exit.cause.reasons.map((reason) => (reason._tag === "Fail" ? reason.error : reason))[0]

/** A model whose turns are each taken by a member of the pool. */
export const pooled = <Own extends ModelShape>(pool: Pool<Own>): ModelShape => ({
  name: pool.name,
  turn: (request) =>
    Stream.unwrap(
      Effect.map(
        Effect.mapError(pool.take, ({ message }) => new ModelFailed({ model: pool.name, kind: "invalid", reason: message })),
        ({ turn }) => turn(request),
      ),
    ),
})
