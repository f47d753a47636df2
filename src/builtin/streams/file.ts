/** A file as the end of a stream. */
import { fdatasyncSync } from "node:fs"
import { mkdir, open, truncate } from "node:fs/promises"
import { dirname } from "node:path"
import type { Sink } from "../../../dsl/ir/stream.ts"

/**
 * Writes each item as a line of a file, text as it is and everything else as JSON; gives the number of bytes.
 *
 * What was written behind the last checkpoint is cut off when a resumed run goes on, so that the file has each line once. The file belongs to the run:
 * it is emptied when the stream begins.
 *
 * @example
 * seq("save").stream("rows", () => [1, 2, 3], (s) => s.map((n) => ({ n })).to(linesTo("rows.ndjson")))
 */
export const linesTo = (file: string): Sink<unknown, number> => ({
  name: file,
  async open(saved) {
    await mkdir(dirname(file), { recursive: true })
    const handle = await open(file, saved === undefined ? "w" : "r+")
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what `save` gave
    let bytes = (saved as number | undefined) ?? 0
    await truncate(file, bytes)
    return {
      async write(items) {
        const text = items.map((item) => `${lineOf(item)}\n`).join("")
        const { bytesWritten } = await handle.write(text, bytes)
        bytes += bytesWritten
      },
      // what is behind the place that is recorded may be lost with the machine, what is before it not
      save: () => {
        fdatasyncSync(handle.fd)
        return bytes
      },
      async close() {
        await handle.sync()
        await handle.close()
        return bytes
      },
      abandon: () => void handle.close(),
    }
  },
})

/** An item as a line of text. */
export const lineOf = (item: unknown): string => {
  const text: string | undefined = typeof item === "string" ? item : JSON.stringify(item)
  if (text === undefined) throw new TypeError(`an item is ${typeof item}, which is no line: map it to text, or to what JSON has`)
  return text
}
