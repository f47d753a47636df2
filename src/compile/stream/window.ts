/** Items that belong together: so many, those of a time, those between pauses. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { WindowOf } from "../../../dsl/ir/stream.ts"
import { StreamOverflowed } from "../../model/stream-error.ts"
import type { Run } from "../program.ts"
import { threw } from "../settle.ts"
import { Holding, type Items, none, Plain } from "./op.ts"

type At = ((item: unknown) => number) | undefined

export const windowed = (of: WindowOf, path: string, now: () => number): Plain => {
  // oxlint-disable typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
  const times = { path, at: of.by === "count" ? undefined : of.at as At, now }
  switch (of.by) {
    case "count":
      return new CountWindow(of.size, of.every)
    case "session":
      return new SessionWindow(Duration.toMillis(of.gap), times, of.most)
    case "time":
      return new TimeWindow(Duration.toMillis(of.span), Duration.toMillis(of.every), Duration.toMillis(of.late), times, of.most)
  }
  // oxlint-enable typescript/no-unsafe-type-assertion
}

class CountWindow extends Holding {
  /** How many are still to be left out before the next window begins. */
  #skip = 0
  /** How many of those that are held were in the window before. */
  #shared = 0
  readonly #size: number
  readonly #every: number
  constructor(size: number, every: number) {
    super()
    this.#size = size
    this.#every = every
  }
  push(items: Items): Items {
    const out: Array<unknown> = []
    for (const item of items) {
      if (this.#skip > 0) {
        this.#skip--
        continue
      }
      this.held.push(item)
      if (this.held.length < this.#size) continue
      out.push(this.held)
      this.#skip = Math.max(0, this.#every - this.#size)
      this.held = this.held.slice(this.#every)
      this.#shared = this.held.length
    }
    return out
  }
  /** A last one that is not full, if it has what no window before it had. */
  override end(): Items {
    const fresh = this.held.length > this.#shared
    const held = this.taken()
    return fresh ? [held] : none
  }
  override save(): unknown {
    return { held: this.held, skip: this.#skip, shared: this.#shared }
  }
  override load(saved: unknown): void {
    const { held, skip, shared } = saved as { readonly held: Items; readonly skip: number; readonly shared: number }
    this.held = [...held]
    this.#skip = skip
    this.#shared = shared
  }
}

/** The time of an item: when it comes, or when it says that it happened. */
interface Times {
  readonly path: string
  readonly at: At
  readonly now: () => number
}
/** Calls `put` with each item and its time, and gives what it gave out. */
function timed(items: Items, { path, at, now }: Times, put: (item: unknown, at: number, out: Array<unknown>) => void): Items | Run<Items> {
  const out: Array<unknown> = []
  try {
    for (const item of items) {
      const when = at === undefined ? now() : at(item)
      if (!Number.isFinite(when)) throw new TypeError(`at gives ${when} for an item, which is no time: leave such items out with .filter`)
      put(item, when, out)
    }
  } catch (cause) {
    return Effect.fail(cause instanceof StreamOverflowed ? cause : threw(path, cause))
  }
  return out
}
const overflowed = ({ path }: Times, most: number) => new StreamOverflowed({ path, what: "items in windows", most })

/** Windows by time: when items come, or when they say that they happened. */
class TimeWindow extends Plain {
  /** What is in each open window, by its beginning. */
  #open = new Map<number, Array<unknown>>()
  /** The latest time an item has told of. */
  #latest = Number.NEGATIVE_INFINITY
  readonly #span: number
  readonly #every: number
  readonly #late: number
  readonly #times: Times
  readonly #most: number
  /** Items in the open windows, those of several as often. */
  #held = 0
  /** Items that came when all their windows were closed. */
  #dropped = 0

  constructor(span: number, every: number, late: number, times: Times, most: number) {
    super()
    this.#most = most
    this.#span = span
    this.#every = every
    this.#late = late
    this.#times = times
  }

  push(items: Items): Items | Run<Items> {
    return timed(items, this.#times, (item, at, out) => {
      this.#latest = Math.max(this.#latest, at)
      out.push(...this.#closed(this.#latest))
      let [isLate, isTaken] = [false, false]
      for (let begin = Math.floor(at / this.#every) * this.#every; begin > at - this.#span; begin -= this.#every) {
        // one that is closed does not open again
        if (begin + this.#span + this.#late <= this.#latest) {
          isLate = true
          continue
        }
        isTaken = true
        if (++this.#held > this.#most) throw overflowed(this.#times, this.#most)
        const window = this.#open.get(begin)
        if (window === undefined) this.#open.set(begin, [item])
        else window.push(item)
      }
      if (isLate && !isTaken) this.#dropped++
    })
  }

  override get late(): number {
    return this.#dropped
  }

  #closed(now: number): ReadonlyArray<Items> {
    if (this.#open.size === 0) return []
    const over = [...this.#open.keys()].filter((begin) => begin + this.#span + this.#late <= now).sort((a, b) => a - b)
    return over.map((begin) => {
      const window = this.#open.get(begin)!
      this.#open.delete(begin)
      this.#held -= window.length
      return window
    })
  }

  override get due(): number {
    return this.#times.at !== undefined || this.#open.size === 0 ? Number.POSITIVE_INFINITY : Math.min(...this.#open.keys()) + this.#span + this.#late
  }
  override tick(now: number): Items {
    return this.#closed(now)
  }
  override end(): Items {
    return this.#closed(Number.POSITIVE_INFINITY)
  }
  override save(): unknown {
    return { open: [...this.#open], latest: this.#latest, dropped: this.#dropped }
  }
  override load(saved: unknown): void {
    const { open, latest, dropped } = saved as {
      readonly open: ReadonlyArray<readonly [number, Items]>
      readonly latest: number
      readonly dropped: number
    }
    this.#open = new Map(open.map(([begin, items]) => [begin, [...items]]))
    this.#latest = latest
    this.#dropped = dropped
    this.#held = open.reduce((sum, [, items]) => sum + items.length, 0)
  }
}

/** A window lasts until nothing has come for a while. */
class SessionWindow extends Holding {
  #last = 0
  readonly #gap: number
  readonly #times: Times
  readonly #most: number

  constructor(gap: number, times: Times, most: number) {
    super()
    this.#most = most
    this.#gap = gap
    this.#times = times
  }

  push(items: Items): Items | Run<Items> {
    return timed(items, this.#times, (item, at, out) => {
      if (this.held.length > 0 && at - this.#last > this.#gap) out.push(this.taken())
      if (this.held.push(item) > this.#most) throw overflowed(this.#times, this.#most)
      this.#last = Math.max(at, this.held.length === 1 ? at : this.#last)
    })
  }
  override get due(): number {
    return this.#times.at !== undefined || this.held.length === 0 ? Number.POSITIVE_INFINITY : this.#last + this.#gap + 1
  }
  override save(): unknown {
    return { held: this.held, last: this.#last }
  }
  override load(saved: unknown): void {
    const { held, last } = saved as { readonly held: Items; readonly last: number }
    this.held = [...held]
    this.#last = last
  }
}
