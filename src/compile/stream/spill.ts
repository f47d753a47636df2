/** Chunks that find no room wait in a file, so that a source that cannot wait is read on. */
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Chunk } from "../../../dsl/ir/stream.ts"
import { StreamOverflowed } from "../../model/stream-error.ts"
import { decodeValue, encodeValue } from "../../model/value.ts"
import { inTime } from "./grace.ts"

/** Most bytes that wait in a file. */
const mostSpilled = 1024 ** 3
/** Each record is its length in bytes, and its text. */
const head = 4

/** The same chunks, in order: the source is read at once, and of what nobody has taken yet no more than `room` items are kept in memory. */
export function spilled(
  chunks: AsyncIterable<Chunk>,
  { buffer, bytes }: Room,
  path: string,
  signal: AbortSignal,
  most = mostSpilled,
): { readonly chunks: AsyncIterable<Chunk>; /** Nothing more is read; what was read is still given. */ readonly stop: () => void } {
  const waiting = new Spill({ buffer, bytes }, path, most)
  return { chunks: given(waiting, chunks, signal), stop: () => waiting.end() }
}

const given = (waiting: Spill, chunks: AsyncIterable<Chunk>, signal: AbortSignal): AsyncIterable<Chunk> => ({
  async *[Symbol.asyncIterator]() {
    const source = chunks[Symbol.asyncIterator]()
    const end = () => waiting.end()
    signal.addEventListener("abort", end)
    void waiting.fill(source)
    try {
      for (let chunk = await waiting.take(); chunk !== undefined; chunk = await waiting.take()) yield chunk
      if (waiting.failure !== undefined) throw waiting.failure.cause
    } finally {
      signal.removeEventListener("abort", end)
      waiting.end()
      await inTime(source.return?.())
      await waiting.close()
    }
  },
})

/** How many items, and bytes of them as JSON, are kept in memory. */
interface Room {
  readonly buffer: number
  readonly bytes: number
}

class Spill {
  isOver = false
  /** Why nothing more comes. */
  failure: { readonly cause: unknown } | undefined
  readonly #room: Room
  readonly #path: string
  readonly #most: number
  readonly #memory: Array<Chunk> = []
  #items = 0
  #bytes = 0
  #file: { readonly handle: FileHandle; readonly folder: string } | undefined
  /** Records in the file that nobody has taken, where they begin and where they end. */
  #unread = 0
  #begin = 0
  #end = 0
  #wake: (() => void) | undefined
  #writing: Promise<void> | undefined

  constructor(room: Room, path: string, most: number) {
    this.#room = room
    this.#path = path
    this.#most = most
  }

  async fill(source: AsyncIterator<Chunk>): Promise<void> {
    try {
      while (!this.isOver) {
        const { done, value } = await source.next()
        // what comes after it was over was not read
        if (done === true || this.isOver) return
        this.#writing = this.#put(value)
        await this.#writing
        this.#wake?.()
      }
    } catch (cause) {
      this.failure = { cause }
    } finally {
      this.end()
    }
  }

  /** Nothing more is taken in. */
  end(): void {
    this.isOver = true
    this.#wake?.()
  }

  async #put(chunk: Chunk): Promise<void> {
    // what comes behind something in the file has to wait there too
    if (this.#unread === 0 && this.#items < this.#room.buffer && this.#bytes < this.#room.bytes) {
      this.#memory.push(chunk)
      this.#items += chunk.items.length
      this.#bytes += this.#weighs(chunk)
      return
    }
    this.#file ??= await made()
    const text = Buffer.from(encodeValue(chunk), "utf8")
    const record = Buffer.allocUnsafe(head + text.length)
    record.writeUInt32LE(text.length)
    text.copy(record, head)
    this.#rewind()
    if (this.#end + record.length > this.#most) {
      throw new StreamOverflowed({ path: this.#path, what: "bytes in the file that its items wait in", most: this.#most })
    }
    await this.#file.handle.write(record, 0, record.length, this.#end)
    this.#end += record.length
    this.#unread++
  }

  #weighs({ items }: Chunk): number {
    return this.#room.bytes === Number.POSITIVE_INFINITY ? 0 : Buffer.byteLength(encodeValue(items))
  }

  /** A file that was read to its end is written from its beginning again. */
  #rewind(): void {
    if (this.#unread === 0) this.#begin = this.#end = 0
  }

  /** The next chunk, as soon as there is one; `undefined`: none will come. */
  async take(): Promise<Chunk | undefined> {
    while (true) {
      const chunk = this.#memory.shift()
      if (chunk !== undefined) {
        this.#items -= chunk.items.length
        this.#bytes -= this.#weighs(chunk)
        return chunk
      }
      if (this.#unread > 0) return this.#recall()
      if (this.isOver) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async #recall(): Promise<Chunk> {
    const { handle } = this.#file!
    const length = Buffer.allocUnsafe(head)
    await handle.read(length, 0, head, this.#begin)
    const text = Buffer.allocUnsafe(length.readUInt32LE())
    await handle.read(text, 0, text.length, this.#begin + head)
    this.#begin += head + text.length
    this.#unread--
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written above
    return decodeValue(text.toString("utf8")) as Chunk
  }

  async close(): Promise<void> {
    await this.#writing?.catch(() => undefined)
    if (this.#file === undefined) return
    await this.#file.handle.close()
    await rm(this.#file.folder, { recursive: true, force: true })
  }
}

/** A file that nobody else can read. */
const made = async (): Promise<{ readonly handle: FileHandle; readonly folder: string }> => {
  const folder = await mkdtemp(join(tmpdir(), "heddle-stream-"))
  return { handle: await open(join(folder, "items"), "wx+", 0o600), folder }
}
