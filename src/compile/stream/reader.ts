/** Reading a source: at once where it has its items at hand, else ahead of the stages into a buffer that is bounded. */
import * as Effect from "effect/Effect"
import type { Chunk } from "../../../dsl/ir/stream.ts"

/** Nothing more comes. */
export const ended = Symbol("ended")
/** Nothing has come in time. */
export const late = Symbol("late")
export type Got = Chunk | typeof ended | typeof late

export interface Reader {
  /** The next chunk; waits at most until a time, in milliseconds since 1970. */
  readonly next: (until: number) => Effect.Effect<Got, unknown>
  /** How many items wait. */
  readonly buffered: number
  readonly dropped: number
  readonly close: () => Promise<void>
}

/** Items that are there already. */
export class Direct implements Reader {
  readonly #chunks: Iterator<Chunk>
  readonly buffered = 0
  readonly dropped = 0
  constructor(chunks: Iterable<Chunk>) {
    this.#chunks = chunks[Symbol.iterator]()
  }
  readonly next = (): Effect.Effect<Got, unknown> => {
    try {
      const { done, value } = this.#chunks.next()
      return Effect.succeed(done === true ? ended : value)
    } catch (cause) {
      return Effect.fail(cause)
    }
  }
  readonly close = async (): Promise<void> => {
    this.#chunks.return?.()
  }
}

type Overflow = "suspend" | "dropOldest" | "dropNewest"

/** Reads on its own, as far as there is room. */
export class Buffered implements Reader {
  readonly #chunks: AsyncIterator<Chunk>
  readonly #most: number
  readonly #overflow: Overflow
  readonly #now: () => number
  /** Told when the buffer has filled up, and when it has room again. */
  readonly #pressed: (on: boolean) => void
  readonly #held: Array<Chunk> = []
  #items = 0
  #dropped = 0
  #end: typeof ended | { readonly cause: unknown } | undefined
  #isFull = false
  #closed = false
  /** Who waits for something to come, and who for room. */
  #hungry: (() => void) | undefined
  #roomless: (() => void) | undefined

  constructor(chunks: AsyncIterable<Chunk>, most: number, overflow: Overflow, now: () => number, pressed: (on: boolean) => void) {
    this.#chunks = chunks[Symbol.asyncIterator]()
    this.#most = most
    this.#overflow = overflow
    this.#now = now
    this.#pressed = pressed
    void this.#read()
  }

  get buffered(): number {
    return this.#items
  }
  get dropped(): number {
    return this.#dropped
  }

  readonly next = (until: number): Effect.Effect<Got, unknown> =>
    Effect.suspend(() => {
      const got = this.#take()
      if (got !== undefined) return got
      const come = Effect.callback<void>((resume) => {
        this.#hungry = () => resume(Effect.void)
        return Effect.sync(() => (this.#hungry = undefined))
      })
      const waited = until === Number.POSITIVE_INFINITY ?
        Effect.as(come, true) :
        Effect.timeoutOrElse(Effect.as(come, true), { duration: Math.max(0, until - this.#now()), orElse: () => Effect.succeed(false) })
      return Effect.flatMap(waited, (isThere): Effect.Effect<Got, unknown> => (isThere ? this.next(until) : Effect.succeed(late)))
    })

  #take(): Effect.Effect<Got, unknown> | undefined {
    const chunk = this.#held.shift()
    if (chunk !== undefined) {
      this.#items -= chunk.items.length
      if (this.#isFull && this.#items < this.#most) this.#press(false)
      this.#wake("#roomless")
      return Effect.succeed(chunk)
    }
    return this.#end === undefined ? undefined : this.#end === ended ? Effect.succeed(ended) : Effect.fail(this.#end.cause)
  }

  #press(on: boolean): void {
    this.#isFull = on
    this.#pressed(on)
  }

  #wake(who: "#hungry" | "#roomless"): void {
    const wake = who === "#hungry" ? this.#hungry : this.#roomless
    if (who === "#hungry") this.#hungry = undefined
    else this.#roomless = undefined
    wake?.()
  }

  async #read(): Promise<void> {
    try {
      while (!this.#closed) {
        const { done, value } = await this.#chunks.next()
        if (done === true) break
        this.#offer(value)
        this.#wake("#hungry")
        while (this.#overflow === "suspend" && this.#items >= this.#most && !this.#closed) {
          await new Promise<void>((resolve) => (this.#roomless = resolve))
        }
      }
      this.#end ??= ended
    } catch (cause) {
      this.#end = { cause }
    }
    this.#wake("#hungry")
  }

  #offer(chunk: Chunk): void {
    const { items, next } = chunk
    if (this.#overflow === "dropNewest" && this.#items + items.length > this.#most) {
      const room = Math.max(0, this.#most - this.#items)
      this.#dropped += items.length - room
      this.#hold({ items: items.slice(0, room), next })
    } else this.#hold(chunk)
    while (this.#overflow === "dropOldest" && this.#items > this.#most) {
      const [first] = this.#held
      const over = Math.min(this.#items - this.#most, first!.items.length)
      this.#held[0] = { items: first!.items.slice(over), next: first!.next }
      if (over === first!.items.length && this.#held.length > 1) this.#held.shift()
      this.#items -= over
      this.#dropped += over
    }
    if (!this.#isFull && this.#items >= this.#most) this.#press(true)
  }

  #hold(chunk: Chunk): void {
    this.#held.push(chunk)
    this.#items += chunk.items.length
  }

  readonly close = async (): Promise<void> => {
    this.#closed = true
    this.#wake("#roomless")
    await this.#chunks.return?.()
  }
}
