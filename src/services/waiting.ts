/** Who of a run waits: when everybody does, there is nothing left to do, and the run can leave memory. */
import type { Clock } from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** What a part of a run waits for. */
export interface Blocked {
  readonly signal?: string
  /** Milliseconds since 1970. */
  readonly until?: number | undefined
  /** The id of a run of its own. */
  readonly child?: string
  /** Ids of signals of that name that it has looked at, and that are for others. */
  readonly left?: ReadonlySet<string>
}
/** What a whole run waits for. */
export interface Suspension {
  readonly waits: ReadonlyArray<string>
  readonly until: number | undefined
  readonly children: ReadonlyArray<string>
  readonly left: ReadonlyArray<string>
}
/** Forks that run at once: those that run, and those that have not begun. */
export interface Lanes {
  readonly most: number
  running: number
  queued: number
  /** One of them has decided how all end. */
  decided: boolean
}

/** A wait that ends sooner than this, in milliseconds, is not worth leaving memory. */
const linger = 1000

interface Entry extends Blocked {
  readonly bell: Deferred.Deferred<void>
}

export class Waiting {
  readonly #clock: Clock
  readonly #lanes = new Set<Lanes>()
  readonly #blocked = new Set<Entry>()
  readonly #deadlines = new Set<{ readonly until: number }>()
  #rung = 0
  readonly #idle = Deferred.makeUnsafe<Suspension>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get now(): number {
    return this.#clock.currentTimeMillisUnsafe()
  }

  /** Done when every part of the run waits. */
  get idle(): Effect.Effect<Suspension> {
    return Deferred.await(this.#idle)
  }

  /** The run is about to leave memory. */
  get isIdle(): boolean {
    return Deferred.isDoneUnsafe(this.#idle)
  }

  /** To be taken before looking for what is waited for. */
  get rung(): number {
    return this.#rung
  }

  /** Waits until something may have happened since `rung` was taken: a signal, a child's end, the time. */
  block(blocked: Blocked, rung: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#rung !== rung) return Effect.void
      const entry: Entry = { ...blocked, bell: Deferred.makeUnsafe() }
      this.#blocked.add(entry)
      this.#check()
      const news = Deferred.await(entry.bell)
      const ended = blocked.until === undefined ?
        news :
        Effect.timeoutOrElse(news, { duration: Math.max(0, blocked.until - this.now), orElse: () => Effect.void })
      return Effect.ensuring(ended, Effect.sync(() => this.#blocked.delete(entry)))
    })
  }

  /** Whoever waits looks again. */
  ring(): void {
    this.#rung++
    // a copy: who wakes may wait again at once
    for (const { bell } of Array.from(this.#blocked)) Deferred.doneUnsafe(bell, Effect.void)
  }

  /** Runs `count` forks, at most `most` at once, as parts of the run of their own. */
  split<A, E, R>(count: number, most: number, forks: (lanes: Lanes) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const lanes = { most, running: 0, queued: count, decided: false }
      this.#lanes.add(lanes)
      return Effect.ensuring(forks(lanes), Effect.sync(() => this.#lanes.delete(lanes)))
    })
  }

  /** Runs one of them; if it fails, the join ends. */
  lane<A, E, R>(lanes: Lanes, fork: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      lanes.running++
      lanes.queued--
      return Effect.onExit(fork(), (exit) =>
        Effect.sync(() => {
          lanes.running--
          if (Exit.isFailure(exit)) lanes.decided = true
          this.#check()
        }))
    })
  }

  /** `work` must not go on beyond `until`, so the run has to be looked after then. */
  before<A, E, R>(until: number, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const deadline = { until }
    this.#deadlines.add(deadline)
    return Effect.ensuring(work, Effect.sync(() => this.#deadlines.delete(deadline)))
  }

  #check(): void {
    if (this.#blocked.size === 0) return
    let parts = 1
    // a join none of whose forks runs just now is about to start one or to end: that counts as a part at work
    for (const { running, queued, most, decided } of this.#lanes) {
      if (decided) return
      parts += Math.max(1, Math.min(most, running + queued)) - 1
    }
    if (this.#blocked.size < parts) return
    const times = [...this.#blocked, ...this.#deadlines].flatMap(({ until }) => until ?? [])
    const until = times.length === 0 ? undefined : Math.min(...times)
    if (until !== undefined && until - this.now <= linger) return
    const waits = [...new Set([...this.#blocked].flatMap(({ signal }) => signal ?? []))]
    const children = [...this.#blocked].flatMap(({ child }) => child ?? [])
    // whoever puts one back rings, so that by now all have looked at what one of them has left
    const left = [...new Set([...this.#blocked].flatMap((one) => [...one.left ?? []]))]
    Deferred.doneUnsafe(this.#idle, Effect.succeed({ waits, until, children, left }))
  }
}
