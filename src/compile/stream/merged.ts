/** Several sources as one: items as they come, and as its place that of each. */
import type { Chunk, Opening, Source } from "../../../dsl/ir/stream.ts"
import { inTime } from "./grace.ts"

type Sources = Readonly<Record<string, Source>>

/** A chunk of one of several sources that are told apart. */
export interface LaneChunk extends Chunk {
  /** The name of its source. */
  readonly lane?: string
  /** Nothing more comes from it. */
  readonly ended?: boolean
}
/** For whoever tells them apart. */
export interface Lanes {
  /** Nobody wants more of it. */
  readonly isOver: (lane: string) => boolean
}

/** @throws TypeError for one that is kept: several are read ahead */
export const sourceOfAll = (sources: Sources, name: string, lanes?: Lanes): Source => {
  const lives = Object.values(sources).filter(({ source }) => source === "live")
  const kept = lives.find(({ onResume }) => onResume === "keep")
  if (kept !== undefined) {
    throw new TypeError(`several sources are read ahead, and '${kept.name}' is to be kept: give it a stream of its own, or onResume: "reopen"`)
  }
  return {
    source: lives.length === 0 ? "seekable" : "live",
    name,
    onResume: lives.every(({ onResume }) => onResume !== "fail") ? "reopen" : "fail",
    open: (opening) => together(sources, opening, lanes),
  }
}

async function* together(sources: Sources, { from, size, signal }: Opening, lanes: Lanes | undefined): AsyncGenerator<LaneChunk> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was named below
  const at: Record<string, unknown> = { ...(from as Readonly<Record<string, unknown>> | undefined) }
  const opened = Object.entries(sources).map(([lane, source]) => [lane, iterator(source.open({ from: at[lane], size, signal }))] as const)
  const next = (lane: string, chunks: AsyncIterator<Chunk>) => chunks.next().then((result) => ({ lane, chunks, result }))
  const coming = new Map(opened.map(([lane, chunks]) => [lane, next(lane, chunks)]))
  try {
    while (coming.size > 0) {
      const { lane, chunks, result } = await Promise.race(coming.values())
      coming.delete(lane)
      const of = lanes === undefined ? {} : { lane }
      if (lanes !== undefined && result.done === true) yield { items: [], next: { ...at }, lane, ended: true }
      if (result.done === true) continue
      if (lanes?.isOver(lane) !== true) coming.set(lane, next(lane, chunks))
      at[lane] = result.value.next
      yield { items: result.value.items, next: { ...at }, ...of }
    }
  } finally {
    for (const left of coming.values()) left.catch(() => undefined)
    await inTime(Promise.all(opened.map(async ([, chunks]) => await chunks.return?.())))
  }
}
const iterator = <Item>(chunks: AsyncIterable<Chunk<Item>> | Iterable<Chunk<Item>>): AsyncIterator<Chunk<Item>> =>
  Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : each(chunks)
async function* each<Item>(chunks: Iterable<Chunk<Item>>): AsyncGenerator<Chunk<Item>> {
  yield* chunks
}
