/** An array as a source: its places are its indexes. */
import type { Chunk, Source } from "../../../dsl/ir/stream.ts"

export const inArray = (all: ReadonlyArray<unknown>): Source => ({
  source: "seekable",
  name: "array",
  onResume: "fail",
  open: ({ from, size }) => slices(all, typeof from === "number" ? from : 0, size),
})

function* slices(all: ReadonlyArray<unknown>, from: number, size: number): Generator<Chunk> {
  for (let at = from; at < all.length; at += size) yield { items: all.slice(at, at + size), next: Math.min(at + size, all.length) }
}
