/** Files as sources: by line or record, from any place that was named. */
import { type FileHandle, open } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Csv from "effect/encoding/Csv"
import * as Stream from "effect/Stream"
import type { StepThrew } from "../../../dsl/flow/failure.ts"
import type { Chunk, Opening, Source } from "../../../dsl/ir/stream.ts"

/** A source that goes on from any place. */
export interface Seekable<out Item, out Failure = StepThrew> extends Source<Item, Failure> {
  readonly source: "seekable"
}
export interface LinesOptions {
  /** Most bytes of one line, default 1 MiB; a longer one fails the stream. */
  readonly longest?: number
}
const block = 256 * 1024
/** What may stand for a new line inside a record. */
type Ends = (bytes: Buffer, from: number) => number

/**
 * The lines of a text file (UTF-8), without their ends; its places are bytes. What is appended later is not waited for.
 *
 * @example
 * seq<{ file: string }>("count").stream("lines", ({ input }) => lines(input.file), (s) => s.filter((line) => line !== ""))
 */
export const lines = (file: string, { longest = 1024 * 1024 }: LinesOptions = {}): Seekable<string> => ({
  source: "seekable",
  name: file,
  onResume: "fail",
  open: (opening) => chunks(file, opening, longest, () => (bytes, from) => bytes.indexOf(10, from), (texts) => texts),
})

/**
 * The values of a file with one JSON value a line; empty lines are left out.
 *
 * @example
 * seq("load").stream("rows", () => ndjson<{ id: number }>("rows.ndjson"), (s) => s.map(({ id }) => id).collect())
 */
export const ndjson = <Item = unknown>(file: string, options?: LinesOptions): Seekable<Item> => {
  const text = lines(file, options)
  return {
    ...text,
    async *open(opening) {
      for await (const { items, next } of text.open(opening)) {
        yield { items: items.filter((line) => line.trim() !== "").map((line) => parsed(file, line) as Item), next }
      }
    },
  }
}
const parsed = (file: string, line: string): unknown => {
  try {
    // a file of UTF-8 may begin with its mark
    return JSON.parse(line.replace(/^\uFEFF/, ""))
  } catch (cause) {
    throw new SyntaxError(`${file}: '${line.slice(0, 80)}' is not JSON`, { cause })
  }
}

/**
 * The records of a CSV file as objects of text, by the names in its first line; a field in quotes may have line breaks.
 *
 * @example
 * seq("load").stream("rows", () => csv("people.csv"), (s) => s.map(({ name }) => name).collect())
 */
export const csv = (
  file: string,
  { longest = 1024 * 1024, separator = "," }: LinesOptions & { readonly separator?: string } = {},
): Seekable<Readonly<Record<string, string>>> => ({
  source: "seekable",
  name: file,
  onResume: "fail",
  async *open(opening) {
    let names: ReadonlyArray<string> | undefined
    const rows = (texts: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> =>
      Effect.runSync(Stream.runCollect(
        Stream.make(texts.map((text) => `${text}\n`).join("")).pipe(
          Stream.pipeThroughChannel(Csv.decodeString({ headers: false, delimiter: separator, ignoreEmptyLines: true, maxRecordSize: longest })),
        ),
      ))
    const records = (at: Opening) => chunks(file, at, longest, quoted, rows)
    // its names stand at its beginning, wherever it goes on
    for await (const { items, next } of records({ ...opening, from: undefined, size: 1 })) {
      names = items[0]
      // an empty line is no record
      if (names === undefined) continue
      opening = { ...opening, from: opening.from ?? next }
      break
    }
    if (names === undefined) return
    const known = names
    for await (const { items, next } of records(opening)) {
      yield { items: items.map((fields) => Object.fromEntries(known.map((name, i) => [name, fields[i] ?? ""]))), next }
    }
  },
})

/** The end of a record: a line break outside of quotes. */
const quoted = (): Ends => {
  let inside = false
  let looked = 0
  return (bytes, from) => {
    for (let i = Math.max(from, looked); i < bytes.length; i++) {
      if (bytes[i] === 0x22) inside = !inside
      else if (bytes[i] === 0x0A && !inside) {
        looked = i + 1
        return i
      }
    }
    looked = bytes.length
    return -1
  }
}

/** A file's records in chunks; `make` gives what finds their ends, which is asked for growing places of one block after the other. */
async function* chunks<Item>(
  file: string,
  { from, size, signal }: Opening,
  longest: number,
  make: () => Ends,
  read: (texts: ReadonlyArray<string>) => ReadonlyArray<Item>,
): AsyncGenerator<Chunk<Item>> {
  const handle = await open(file, "r")
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was named below
    const place = (from as Place | undefined) ?? 0
    let at = typeof place === "number" ? place : await lineEnd(handle, place.behind)
    // one block for the whole file: the beginning of a record that is not whole yet is moved to its front
    let buffer = Buffer.allocUnsafe(block)
    let rest = 0
    let ends = make()
    for (let texts: Array<string> = []; !signal.aborted;) {
      if (rest === buffer.length) buffer = Buffer.concat([buffer, Buffer.allocUnsafe(buffer.length)])
      const { bytesRead } = await handle.read(buffer, rest, buffer.length - rest, at + rest)
      const bytes = buffer.subarray(0, rest + bytesRead)
      let begin = 0
      for (let end = ends(bytes, 0); end >= 0; end = ends(bytes, begin)) {
        if (end - begin > longest) throw tooLong(file, longest)
        texts.push(textOf(bytes, begin, end))
        begin = end + 1
        if (texts.length < size) continue
        yield { items: read(texts), next: at + begin }
        texts = []
      }
      rest = bytes.length - begin
      if (rest > longest) throw tooLong(file, longest)
      bytes.copyWithin(0, begin)
      at += begin
      // what finds ends has looked at the rest already
      ends = make()
      if (bytesRead > 0) continue
      if (rest > 0) texts.push(textOf(buffer, 0, rest))
      // where more is written later, its line has ended there
      if (texts.length > 0) yield { items: read(texts), next: rest > 0 ? { behind: at + rest } : at }
      return
    }
  } finally {
    await handle.close()
  }
}

/** A byte at which a line begins, or that lies behind the last one, which had no end. */
type Place = number | { readonly behind: number }
/** Where the line ends that had no end when it was read up to here. */
const lineEnd = async (handle: FileHandle, at: number): Promise<number> => {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(2), 0, 2, at)
  const written = buffer.toString("latin1", 0, bytesRead)
  return at + (written.startsWith("\n") ? 1 : written === "\r\n" ? 2 : 0)
}

const tooLong = (file: string, longest: number): RangeError => new RangeError(`${file}: a line has more than ${longest} bytes`)
const textOf = (bytes: Buffer, begin: number, end: number): string => bytes.toString("utf8", begin, end > begin && bytes[end - 1] === 0x0D ? end - 1 : end)
