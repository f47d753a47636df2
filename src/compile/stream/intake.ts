/** What comes into a stream: chunks of its source, as the buffer has room and as hooks let them through. */
import * as Effect from "effect/Effect"
import type { StreamNode } from "../../../dsl/ir/node.ts"
import type { Chunk, Source } from "../../../dsl/ir/stream.ts"
import { StreamOverflowed } from "../../model/stream-error.ts"
import { ask } from "../ask.ts"
import type { Frame } from "../frame.ts"
import { hooksAt } from "../hooks-at.ts"
import type { Run } from "../program.ts"
import { threw } from "../settle.ts"
import type { Items } from "./op.ts"
import { Buffered, Direct, type Got, type Reader } from "./reader.ts"
import { SourceFailed } from "./source-failed.ts"
import { spilled } from "./spill.ts"

export class Intake {
  readonly #node: StreamNode
  readonly #frame: Frame
  readonly #path: string
  readonly #now: () => number
  readonly #abort = new AbortController()
  #reader: Reader = new Direct([])
  /** Ends what reads ahead into a file. */
  #stops: (() => void) | undefined
  /** The buffer has filled up, or has room again, since hooks were asked. */
  #presses: Array<boolean> = []

  constructor(node: StreamNode, frame: Frame, path: string, now: () => number) {
    this.#node = node
    this.#frame = frame
    this.#path = path
    this.#now = now
  }

  /** Aborted when nobody reads any more. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Opens the source at a place; `keeps`: nothing is read that nobody waits for. */
  open(source: Source, from: unknown, size: number, keeps: boolean): Run<void> {
    return Effect.map(ask(this.#path, () => source.open({ from, size, signal: this.signal })), (chunks) => {
      this.#reader = Symbol.iterator in chunks ? new Direct(chunks) : this.#buffered(chunks, size, keeps)
    })
  }

  #buffered(chunks: AsyncIterable<Chunk>, size: number, keeps: boolean): Reader {
    const { buffer, bytes, overflow } = this.#node
    const spill = overflow === "spill" && !keeps ? spilled(chunks, { buffer, bytes }, this.#path, this.signal) : undefined
    const given = spill?.chunks ?? chunks
    this.#stops = spill?.stop
    const bounds = { buffer, bytes, overflow: keeps ? "ask" as const : overflow === "spill" ? "suspend" as const : overflow, size }
    return new Buffered(given, bounds, this.#now, (on) => this.#pressed(on))
  }

  #pressed(on: boolean): void {
    if (this.#frame.run.hooks !== undefined) this.#presses.push(on)
    this.#frame.run.journal.notice("stream.pressed", this.#path, () => JSON.stringify({ on, buffered: this.#reader.buffered }))
  }

  /** The next chunk; waits at most until a time, in milliseconds since 1970. */
  next(until: number): Run<Got> {
    return Effect.mapError(this.#reader.next(until), (cause) => failed(this.#path, cause))
  }

  /** The items as hooks let them through; `index`: how many came before. */
  asked(items: Items, index: number): Run<Items> {
    const { run, scope } = this.#frame
    if (run.hooks === undefined || items.length === 0) return Effect.succeed(items)
    const presses = this.#presses
    this.#presses = []
    const { buffered } = this.reader
    const told = Effect.forEach(presses, (on) => hooksAt(run, "stream.pressed", this.#path, () => ({ scope, on, buffered })), { discard: true })
    return Effect.andThen(
      told,
      Effect.map(hooksAt(run, "stream.chunk", this.#path, () => ({ scope, items, index })), (verdict) => {
        const decision = verdict?.decided?.decision
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its point says what takes the items' place
        return decision?.does === "skip" ? [] : decision?.does === "replace" ? decision.value as Items : items
      }),
    )
  }

  get reader(): Reader {
    return this.#reader
  }

  /** Whoever waits for the next chunk looks again. */
  wake(): void {
    this.#reader.wake()
  }

  /** Reads no more; what was read is still given. */
  stop(): void {
    if (this.#stops === undefined) this.#reader.stop()
    else this.#stops()
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#reader.close().catch(() => undefined)
  }
}

/** What a source fails with: a typed error of its own, a file that is full, or whatever it has thrown. */
const failed = (path: string, cause: unknown): unknown =>
  cause instanceof SourceFailed ? cause.error : cause instanceof StreamOverflowed ? cause : threw(path, cause)
