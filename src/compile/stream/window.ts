/** Items that belong together: so many, those of a time, those between pauses. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { WindowOf } from "../../../dsl/ir/stream.ts"
import type { Run } from "../program.ts"
import { threw } from "../settle.ts"
import { type Items, none, Plain } from "./op.ts"

type At = ((item: unknown) => number) | undefined

export const windowed = (of: WindowOf, path: string, now: () => number): Plain => {
  // oxlint-disable typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
  switch (of.by) {
    case "count":
      return new CountWindow(of.size, of.every)
    case "session":
      return new SessionWindow(Duration.toMillis(of.gap), of.at as At, path, now)
    case "time":
      return new TimeWindow(Duration.toMillis(of.span), Duration.toMillis(of.every), Duration.toMillis(of.late), of.at as At, path, now)
  }
  // oxlint-enable typescript/no-unsafe-type-assertion
}

class CountWindow extends Plain {
  #held: Array<unknown> = []
  /** How many are still to be left out before the next window begins. */
  #skip = 0
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
      this.#held.push(item)
      if (this.#held.length < this.#size) continue
      out.push(this.#held)
      this.#skip = Math.max(0, this.#every - this.#size)
      this.#held = this.#held.slice(this.#every)
    }
    return out
  }
  /** A last one that is not full, if it has what no window before it had. */
  override end(): Items {
    const fresh = this.#held.length > Math.max(0, this.#size - this.#every)
    const held = this.#held
    this.#held = []
    return fresh ? [held] : none
  }
  override save(): unknown {
    return { held: this.#held, skip: this.#skip }
  }
  override load(saved: unknown): void {
    const { held, skip } = saved as { readonly held: Items; readonly skip: number }
    this.#held = [...held]
    this.#skip = skip
  }
}

/** Windows by time: when items come, or when they say that they happened. */
class TimeWindow extends Plain {
  /** What is in each open window, by its beginning. */
  #open = new Map<number, Array<unknown>>()
  /** The latest time an item has told of. */
  #latest = Number.NEGATIVE_INFINITY
  readonly #span: number
  readonly #every: number
  readonly #late: number
  readonly #at: At
  readonly #path: string
  readonly #now: () => number

  constructor(span: number, every: number, late: number, at: At, path: string, now: () => number) {
    super()
    this.#span = span
    this.#every = every
    this.#late = late
    this.#at = at
    this.#path = path
    this.#now = now
  }

  push(items: Items): Items | Run<Items> {
    const out: Array<unknown> = []
    try {
      for (const item of items) {
        const at = this.#at === undefined ? this.#now() : this.#at(item)
        this.#latest = Math.max(this.#latest, at)
        out.push(...this.#closed(this.#latest))
        for (let begin = Math.floor(at / this.#every) * this.#every; begin > at - this.#span; begin -= this.#every) {
          // one that is closed does not open again
          if (begin + this.#span + this.#late <= this.#latest) continue
          const window = this.#open.get(begin)
          if (window === undefined) this.#open.set(begin, [item])
          else window.push(item)
        }
      }
    } catch (cause) {
      return Effect.fail(threw(this.#path, cause))
    }
    return out
  }

  #closed(now: number): ReadonlyArray<Items> {
    if (this.#open.size === 0) return []
    const over = [...this.#open.keys()].filter((begin) => begin + this.#span + this.#late <= now).sort((a, b) => a - b)
    return over.map((begin) => {
      const window = this.#open.get(begin)!
      this.#open.delete(begin)
      return window
    })
  }

  override get due(): number {
    return this.#at !== undefined || this.#open.size === 0 ? Number.POSITIVE_INFINITY : Math.min(...this.#open.keys()) + this.#span + this.#late
  }
  override tick(now: number): Items {
    return this.#closed(now)
  }
  override end(): Items {
    return this.#closed(Number.POSITIVE_INFINITY)
  }
  override save(): unknown {
    return { open: [...this.#open], latest: this.#latest }
  }
  override load(saved: unknown): void {
    const { open, latest } = saved as { readonly open: ReadonlyArray<readonly [number, Items]>; readonly latest: number }
    this.#open = new Map(open.map(([begin, items]) => [begin, [...items]]))
    this.#latest = latest
  }
}

/** A window lasts until nothing has come for a while. */
class SessionWindow extends Plain {
  #held: Array<unknown> = []
  #last = 0
  readonly #gap: number
  readonly #at: At
  readonly #path: string
  readonly #now: () => number

  constructor(gap: number, at: At, path: string, now: () => number) {
    super()
    this.#gap = gap
    this.#at = at
    this.#path = path
    this.#now = now
  }

  push(items: Items): Items | Run<Items> {
    const out: Array<unknown> = []
    try {
      for (const item of items) {
        const at = this.#at === undefined ? this.#now() : this.#at(item)
        if (this.#held.length > 0 && at - this.#last > this.#gap) {
          out.push(this.#held)
          this.#held = []
        }
        this.#held.push(item)
        this.#last = Math.max(at, this.#held.length === 1 ? at : this.#last)
      }
    } catch (cause) {
      return Effect.fail(threw(this.#path, cause))
    }
    return out
  }
  override get due(): number {
    return this.#at !== undefined || this.#held.length === 0 ? Number.POSITIVE_INFINITY : this.#last + this.#gap + 1
  }
  override end(): Items {
    if (this.#held.length === 0) return none
    const held = this.#held
    this.#held = []
    return [held]
  }
  override save(): unknown {
    return { held: this.#held, last: this.#last }
  }
  override load(saved: unknown): void {
    const { held, last } = saved as { readonly held: Items; readonly last: number }
    this.#held = [...held]
    this.#last = last
  }
}
