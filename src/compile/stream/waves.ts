/** Chunks on their way through the stages. While work is done for the items of one, the next ones are on theirs; each stage takes them in order. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { after, type Run } from "../program.ts"
import type { Items } from "./op.ts"
import { own } from "./ops.ts"
import { type Also, type Pipe, run as asRun } from "./pipe.ts"

/** What the stages remember behind one wave and before the next. */
export interface Cut {
  readonly stages: ReadonlyArray<unknown>
  readonly counts: ReadonlyMap<string, number>
}
/** A chunk, or what the time brings. */
export interface Wave {
  readonly items: Items
  /** Number of the stage it enters at. */
  readonly enters: number
  readonly also?: Also
  /** It is recorded how far the stream has come once this has arrived. */
  readonly marks: boolean
  /** It has left the station of this number, but for the work that is done there. */
  readonly left?: (station: number) => unknown
  /** What comes of it, in the order in which waves were sent; with what the stages remembered where others are on their way behind it. */
  readonly arrive: (out: Items, cut: Cut | undefined) => Run<void>
}

export class Waves {
  readonly #pipe: Pipe
  readonly #counts: ReadonlyMap<string, number>
  /** Most items on their way; 0: one wave after the other. */
  #most: number
  readonly #left: () => void
  #items = 0
  readonly #fibers = new Set<Fiber.Fiber<void, unknown>>()
  /** For each station, when the last wave that was sent has left it. */
  #last: ReadonlyArray<Deferred.Deferred<void>> = []
  #failure: Exit.Exit<never, unknown> | undefined
  /** Told when the next of them is over. */
  #bell = Deferred.makeUnsafe<void>()

  constructor(pipe: Pipe, counts: ReadonlyMap<string, number>, most: number, left: () => void) {
    this.#pipe = pipe
    this.#counts = counts
    this.#most = most
    this.#left = left
  }

  /** More than one may be on its way. */
  get overlaps(): boolean {
    return this.#most > 0
  }
  get underWay(): number {
    return this.#fibers.size
  }

  /** From now on one goes after the other. */
  queue(): void {
    this.#most = 0
  }

  /** Sends one; where waves do not overlap, it has arrived then. */
  send(wave: Wave): Run<void> {
    if (this.#most === 0) return after(this.settled(), () => this.#alone(wave))
    return Effect.suspend(() => {
      const before = this.#last
      const mine = this.#pipe.stations.map(() => Deferred.makeUnsafe<void>())
      this.#last = mine
      this.#items += wave.items.length
      return Effect.map(Effect.forkChild(this.#ride(wave, before, mine)), (fiber) => {
        this.#fibers.add(fiber)
        fiber.addObserver((exit) => {
          this.#fibers.delete(fiber)
          this.#items -= wave.items.length
          if (Exit.isFailure(exit)) this.#failure ??= Exit.failCause(exit.cause)
          const bell = this.#bell
          this.#bell = Deferred.makeUnsafe()
          Deferred.doneUnsafe(bell, Effect.void)
          this.#left()
        })
      })
    })
  }

  #alone({ items, enters, also, arrive }: Wave): Run<void> {
    return after(asRun(this.#pipe.pass(items, enters, this.#pipe.end, also)), (out) => arrive(out, undefined))
  }

  #ride(wave: Wave, before: ReadonlyArray<Deferred.Deferred<void>>, mine: ReadonlyArray<Deferred.Deferred<void>>): Run<void> {
    const { items: given, enters, also, marks, left, arrive } = wave
    const pipe = this.#pipe
    return Effect.gen({ self: this }, function*() {
      const stages: Array<unknown> = []
      const counts = new Map<string, number>()
      let items = given
      for (const [nr, { from, to, work, names }] of pipe.stations.entries()) {
        if (before[nr] !== undefined) yield* Deferred.await(before[nr])
        const leave = () => {
          if (marks) {
            stages.push(...pipe.save(from, work === undefined ? to : to + 1).map(own))
            for (const [key, count] of this.#counts) if (names.includes(key.split("[", 1)[0]!)) counts.set(key, count)
          }
          if (work !== undefined) Deferred.doneUnsafe(mine[nr]!, Effect.void)
          left?.(nr)
        }
        if (enters <= to) items = yield* asRun(pipe.pass(items, Math.max(from, enters), to, also))
        if (work === undefined || enters > to) leave()
        else items = yield* work.push(items, leave)
      }
      yield* arrive(items, marks ? { stages, counts } : undefined)
      Deferred.doneUnsafe(mine.at(-1)!, Effect.void)
    })
  }

  /** Waits until one more of so many items may be sent; fails where one on its way has. To be asked when it is needed, not before. */
  room(items: number): Run<void> {
    if (this.#failure !== undefined) return this.#failure
    if (this.#fibers.size === 0 || this.#items + items <= this.#most) return Effect.void
    return Effect.flatMap(Deferred.await(this.#bell), () => this.room(items))
  }

  /** Waits until none is on its way: there is never room for so many beside others. */
  settled(): Run<void> {
    return this.room(Number.POSITIVE_INFINITY)
  }

  /** Interrupts those on their way. */
  get stopped(): Effect.Effect<void> {
    return Effect.suspend(() => Fiber.interruptAll(this.#fibers))
  }
}
