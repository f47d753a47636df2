/** Reading a source: at once where it has its items at hand, else ahead of the stages into a buffer that is bounded. */
import * as Effect from "effect/Effect"
import type { Chunk, StreamShape } from "../../../dsl/ir/stream.ts"
import { encodeValue } from "../../model/value.ts"
import { inTime, tidy } from "./grace.ts"
import type { LaneChunk } from "./merged.ts"

/** Nothing more comes. */
export const ended = Symbol("ended")
/** Nothing has come in time. */
export const late = Symbol("late")
export type Got = LaneChunk | typeof ended | typeof late

export interface Reader {
  /** The next chunk; waits at most until a time, in milliseconds since 1970. */
  readonly next: (until: number) => Effect.Effect<Got, unknown>
  /** How many items wait. */
  readonly buffered: number
  readonly dropped: number
  /** How long the oldest of them has waited, in milliseconds. */
  readonly lag: number
  /** Reads no more; what it has read is still given. */
  readonly stop: () => void
  /** Whoever waits for the next chunk is told that nothing has come. */
  readonly wake: () => void
  readonly close: () => Promise<void>
}

/** Items that are there already. */
export class Direct implements Reader {
  readonly #chunks: Iterator<Chunk>
  readonly buffered = 0
  readonly dropped = 0
  readonly lag = 0
  constructor(chunks: Iterable<Chunk>) {
    this.#chunks = chunks[Symbol.iterator]()
  }
  #stopped = false
  readonly next = (): Effect.Effect<Got, unknown> => {
    if (this.#stopped) return Effect.succeed(ended)
    try {
      const { done, value } = this.#chunks.next()
      return Effect.succeed(done === true ? ended : value)
    } catch (cause) {
      return Effect.fail(cause)
    }
  }
  readonly stop = (): void => {
    this.#stopped = true
  }
  readonly wake = (): void => {
    // it never waits
  }
  readonly close = async (): Promise<void> => {
    this.#chunks.return?.()
  }
}

/** How long nothing but a source and its stages may go on, in milliseconds. */
const longestTurn = 8

interface Held extends LaneChunk {
  readonly bytes: number
  /** When it was read. */
  readonly came: number
}

/** Reads on its own, as far as there is room. */
export class Buffered implements Reader {
  readonly #chunks: AsyncIterator<Chunk>
  readonly #most: number
  readonly #size: number
  readonly #mostBytes: number
  readonly #overflow: StreamShape["overflow"] | "ask"
  readonly #now: () => number
  /** Told when the buffer has filled up, and when it has room again. */
  readonly #pressed: (on: boolean) => void
  readonly #held: Array<Held> = []
  #items = 0
  #bytes = 0
  #dropped = 0
  #end: typeof ended | { readonly cause: unknown } | undefined
  #isFull = false
  #closed = false
  /** The source has been asked for more and has not answered. */
  #asks = false
  /** Somebody has woken it while nobody waited. */
  #woken = false
  /** Who waits for something to come, and who for room. */
  #hungry: ((isThere: boolean) => void) | undefined
  #roomless: (() => void) | undefined

  constructor(
    chunks: AsyncIterable<Chunk>,
    { buffer, bytes, overflow, size }: Pick<StreamShape, "buffer" | "bytes"> & {
      readonly size: number
      /** `ask`: nothing is read that nobody waits for. */
      readonly overflow: StreamShape["overflow"] | "ask"
    },
    now: () => number,
    pressed: (on: boolean) => void,
  ) {
    this.#chunks = chunks[Symbol.asyncIterator]()
    this.#most = buffer
    this.#size = size
    this.#mostBytes = bytes
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
  get lag(): number {
    const [oldest] = this.#held
    return oldest === undefined ? 0 : this.#now() - oldest.came
  }

  readonly next = (until: number): Effect.Effect<Got, unknown> =>
    Effect.suspend(() => {
      const got = this.#take()
      if (got !== undefined) return got
      if (this.#woken) return Effect.sync(() => (this.#woken = false, late))
      const come = Effect.callback<boolean>((resume) => {
        this.#hungry = (isThere) => resume(Effect.succeed(isThere))
        if (this.#overflow === "ask") this.#release()
        return Effect.sync(() => (this.#hungry = undefined))
      })
      const waited = until === Number.POSITIVE_INFINITY ?
        come :
        Effect.timeoutOrElse(come, { duration: Math.max(0, until - this.#now()), orElse: () => Effect.succeed(false) })
      return Effect.flatMap(waited, (isThere): Effect.Effect<Got, unknown> => (isThere ? this.next(until) : Effect.succeed(late)))
    })

  #take(): Effect.Effect<Got, unknown> | undefined {
    const chunk = this.#together()
    if (chunk !== undefined) {
      this.#items -= chunk.items.length
      this.#bytes -= chunk.bytes
      if (this.#isFull && !this.#hasNoRoom) this.#press(false)
      this.#release()
      return Effect.succeed(chunk)
    }
    return this.#end === undefined ? undefined : this.#end === ended ? Effect.succeed(ended) : Effect.fail(this.#end.cause)
  }

  /** What is there, as one chunk: those of sources that bring one item after the other are worked on together. */
  #together(): Held | undefined {
    let [count, size, bytes] = [0, 0, 0]
    const [first] = this.#held
    const goesWith = ({ items, lane, ended }: Held) => size + items.length <= this.#size && lane === first!.lane && ended === undefined
    while (count < this.#held.length && (count === 0 || goesWith(this.#held[count]!))) {
      size += this.#held[count]!.items.length
      bytes += this.#held[count]!.bytes
      count++
    }
    if (count <= 1) return this.#held.shift()
    const chunks = this.#held.splice(0, count)
    return { ...first!, items: chunks.flatMap(({ items }) => items), next: chunks.at(-1)!.next, bytes }
  }

  get #hasNoRoom(): boolean {
    return this.#items >= this.#most || this.#bytes >= this.#mostBytes
  }

  #press(on: boolean): void {
    this.#isFull = on
    this.#pressed(on)
  }

  #feed(isThere: boolean): void {
    const feed = this.#hungry
    this.#hungry = undefined
    feed?.(isThere)
  }
  #room(): Promise<void> {
    return new Promise((resolve) => (this.#roomless = resolve))
  }
  #release(): void {
    const release = this.#roomless
    this.#roomless = undefined
    release?.()
  }

  async #read(): Promise<void> {
    let turned = performance.now()
    try {
      while (!this.#closed) {
        while (this.#overflow === "ask" && this.#hungry === undefined && !this.#closed) await this.#room()
        if (this.#closed) break
        this.#asks = true
        const { done, value } = await this.#chunks.next()
        this.#asks = false
        // what comes after it was stopped was not read
        if (done === true || this.#closed) break
        this.#offer(value)
        this.#feed(true)
        // a source that answers at once leaves room for timers, signals and whatever else the process has to do
        if (performance.now() - turned > longestTurn) {
          await new Promise((resolve) => setImmediate(resolve))
          turned = performance.now()
        }
        while (this.#overflow === "suspend" && this.#hasNoRoom && !this.#closed) {
          await this.#room()
        }
      }
      this.#end ??= ended
    } catch (cause) {
      this.#end ??= { cause }
    }
    this.#feed(true)
  }

  #offer(chunk: LaneChunk): void {
    const { items, next } = chunk
    if (this.#overflow === "dropNewest" && this.#items + items.length > this.#most) {
      const room = Math.max(0, this.#most - this.#items)
      this.#dropped += items.length - room
      const last = this.#held.at(-1)
      // what is dropped has been read all the same
      if (room === 0 && last !== undefined) this.#held[this.#held.length - 1] = { ...last, next }
      else this.#hold({ ...chunk, items: items.slice(0, room) })
    } else this.#hold(chunk)
    while (this.#overflow === "dropOldest" && this.#items > this.#most) {
      // that a source has ended is never dropped
      const at = this.#held.findIndex((held) => held.items.length > 0)
      const first = this.#held[at]!
      const over = Math.min(this.#items - this.#most, first.items.length)
      this.#held[at] = { ...first, items: first.items.slice(over), bytes: 0 }
      if (over === first.items.length && this.#held.length > at + 1) this.#held.splice(at, 1)
      this.#items -= over
      this.#dropped += over
    }
    if (!this.#isFull && this.#hasNoRoom) this.#press(true)
  }

  #hold(chunk: LaneChunk): void {
    // what an item weighs is what it has as JSON
    const bytes = this.#mostBytes === Number.POSITIVE_INFINITY ? 0 : Buffer.byteLength(encodeValue(chunk.items))
    this.#held.push({ ...chunk, bytes, came: this.#now() })
    this.#items += chunk.items.length
    this.#bytes += bytes
  }

  readonly stop = (): void => {
    this.#closed = true
    this.#end ??= ended
    this.#feed(true)
    this.#release()
  }
  readonly wake = (): void => {
    this.#woken = this.#hungry === undefined
    this.#feed(false)
  }
  readonly close = async (): Promise<void> => {
    this.#closed = true
    this.#release()
    const returned = this.#chunks.return?.()
    await inTime(returned, this.#asks ? undefined : tidy)
  }
}
