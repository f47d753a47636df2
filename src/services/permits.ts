/** Who may go on now: permits that keys share in turns, and rates. One pool for each limit value of this process. */
import type { Clock } from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Limit, Permits, Rate } from "../../dsl/ir/limit.ts"
import { Recent } from "../store/recent.ts"

/** A limit, for whom and how soon. */
export interface Claim {
  readonly limit: Limit
  readonly key: string
  readonly priority: number
}

/** Runs `work` once all claims let it, in their order, and gives back what it held; `waits` is told whom it waits for. */
export const within = <A, E, R>(claims: ReadonlyArray<Claim>, work: Effect.Effect<A, E, R>, waits: (limit: Limit) => void): Effect.Effect<A, E, R> =>
  claims.reduceRight(
    (inner, { limit, key, priority }) => (limit.kind === "permits" ? held(limit, key, priority, inner, waits) : paced(limit, key, inner, waits)),
    work,
  )

/** One that holds a permit, or waits for it. */
interface Ticket {
  readonly key: string
  readonly priority: number
  holds: boolean
  /** Where it waits. */
  queue: Set<Ticket>
  /** Tells it that it holds one now. */
  go: (() => void) | undefined
}

/** The permits of one value. */
export class Pool {
  readonly #limit: Permits
  #running = 0
  readonly #byKey = new Map<string, number>()
  /** Those that wait, by priority and key; the key that comes first in its map is the one whose turn it is. */
  readonly #queues = new Map<number, Map<string, Set<Ticket>>>()

  constructor(limit: Permits) {
    this.#limit = limit
  }

  /** How many hold a permit now. */
  get running(): number {
    return this.#running
  }

  /** Takes a permit if there is one: then nobody waits who could have it. */
  enter(ticket: Ticket): boolean {
    if (this.#running >= this.#limit.permits || this.#of(ticket.key) >= this.#limit.perKey) return false
    this.#hold(ticket)
    return true
  }

  /** Waits for its turn. */
  queue(ticket: Ticket): void {
    const keys = this.#queues.get(ticket.priority) ?? new Map<string, Set<Ticket>>()
    this.#queues.set(ticket.priority, keys)
    ticket.queue = (keys.get(ticket.key) ?? new Set<Ticket>()).add(ticket)
    keys.set(ticket.key, ticket.queue)
    this.#next()
  }

  /** Gives the permit back, or waits no longer. */
  leave(ticket: Ticket): void {
    if (!ticket.holds) {
      ticket.queue.delete(ticket)
      return
    }
    ticket.holds = false
    this.#running--
    const left = this.#of(ticket.key) - 1
    if (left === 0) this.#byKey.delete(ticket.key)
    else this.#byKey.set(ticket.key, left)
    this.#next()
  }

  #of(key: string): number {
    return this.#byKey.get(key) ?? 0
  }

  #hold(ticket: Ticket): void {
    ticket.holds = true
    this.#running++
    this.#byKey.set(ticket.key, this.#of(ticket.key) + 1)
  }

  /** Lets in whoever is next: the lowest priority, and there the key whose turn it is. */
  #next(): void {
    for (const priority of [...this.#queues.keys()].sort((a, b) => a - b)) {
      const keys = this.#queues.get(priority)!
      for (const [key, own] of keys) {
        if (own.size === 0) {
          keys.delete(key)
          continue
        }
        if (this.#running >= this.#limit.permits) return
        if (this.#of(key) >= this.#limit.perKey) continue
        const ticket = own.values().next().value!
        own.delete(ticket)
        // it is the others' turn before this key comes again
        keys.delete(key)
        if (own.size > 0) keys.set(key, own)
        this.#hold(ticket)
        // not from in here: what it does at once may end, and come back to these queues
        queueMicrotask(ticket.go!)
      }
      if (keys.size === 0) this.#queues.delete(priority)
    }
  }
}

/** Where nobody waits. */
const nowhere = new Set<Ticket>()

const pools = new WeakMap<Permits, Pool>()
/** The pool of a limit: the same for everybody in this process who is given the value. */
export const poolOf = (limit: Permits): Pool => {
  const pool = pools.get(limit) ?? new Pool(limit)
  pools.set(limit, pool)
  return pool
}

const held = <A, E, R>(
  limit: Permits,
  key: string,
  priority: number,
  work: Effect.Effect<A, E, R>,
  waits: (limit: Limit) => void,
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    const pool = poolOf(limit)
    const ticket: Ticket = { key, priority, holds: false, queue: nowhere, go: undefined }
    const use = Effect.ensuring(restore(work), Effect.sync(() => pool.leave(ticket)))
    if (pool.enter(ticket)) return use
    waits(limit)
    const waiting = Effect.callback<void>((resume) => {
      ticket.go = () => resume(Effect.void)
      pool.queue(ticket)
    })
    return Effect.flatMap(Effect.onInterrupt(restore(waiting), () => Effect.sync(() => pool.leave(ticket))), () => use)
  })

/** When the next one of each key is expected, in milliseconds of a clock. */
type Paces = Recent<string, { next: number }>
const paces = new WeakMap<Rate, WeakMap<Clock, Paces>>()
/** Keys of one rate that are remembered; one that was not heard of for longest has its whole burst again. */
const remembered = 10_000
const pacesOf = (limit: Rate, clock: Clock): Paces => {
  const byClock = paces.get(limit) ?? new WeakMap<Clock, Paces>()
  const keys = byClock.get(clock) ?? new Recent<string, { next: number }>(remembered)
  paces.set(limit, byClock.set(clock, keys))
  return keys
}

const paced = <A, E, R>(limit: Rate, key: string, work: Effect.Effect<A, E, R>, waits: (limit: Limit) => void): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => {
    // a clock that is set must not stop anybody
    const now = Number(clock.monotonicTimeNanosUnsafe() / 1000n) / 1000
    const keys = pacesOf(limit, clock)
    const pace = keys.get(key) ?? { next: 0 }
    keys.set(key, pace)
    const gap = Duration.toMillis(limit.per) / limit.limit
    // the generic cell rate algorithm: each one moves the time at which the next is expected, a burst may be ahead of it
    const expected = Math.max(pace.next, now)
    const wait = expected - gap * (limit.burst - 1) - now
    const next = pace.next = expected + gap
    if (wait <= 0) return work
    waits(limit)
    // only the last place can be given back: those behind it have theirs already
    const giveBack = Effect.sync(() => void (pace.next === next && (pace.next -= gap)))
    return Effect.andThen(Effect.onInterrupt(Effect.sleep(wait), () => giveBack), work)
  })
