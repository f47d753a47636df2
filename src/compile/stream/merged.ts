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

interface Open {
  readonly lane: string
  readonly chunks: AsyncIterator<Chunk>
}
/** What one of them has answered. */
type News = { readonly from: Open; readonly result: IteratorResult<Chunk> } | { readonly cause: unknown }

/** What has been answered, until somebody asks; a source that is silent keeps nothing of the others. */
class Answers {
  readonly #news: Array<News> = []
  #wake: (() => void) | undefined

  ask(from: Open): void {
    from.chunks.next().then((result) => this.#put({ from, result }), (cause: unknown) => this.#put({ cause }))
  }

  #put(news: News): void {
    this.#news.push(news)
    this.wake()
  }
  wake(): void {
    this.#wake?.()
  }

  /** The next answer; `undefined`: somebody has woken it instead. */
  async next(): Promise<News | undefined> {
    if (this.#news.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#news.shift()
  }
}

async function* together(sources: Sources, { from, size, signal }: Opening, lanes: Lanes | undefined): AsyncGenerator<LaneChunk> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was named below
  const at: Record<string, unknown> = { ...(from as Readonly<Record<string, unknown>> | undefined) }
  const answers = new Answers()
  const opened = new Set<Open>()
  const wake = () => answers.wake()
  signal.addEventListener("abort", wake)
  try {
    for (const [lane, source] of Object.entries(sources)) {
      const open = { lane, chunks: iterator(source.open({ from: at[lane], size, signal })) }
      opened.add(open)
      answers.ask(open)
    }
    while (opened.size > 0 && !signal.aborted) {
      const news = await answers.next()
      if (news === undefined) continue
      if ("cause" in news) throw news.cause
      const { from: open, result } = news
      const { lane, chunks } = open
      if (result.done === true) {
        opened.delete(open)
        yield* lanes === undefined ? [] : [{ items: [], next: { ...at }, lane, ended: true }]
        continue
      }
      at[lane] = result.value.next
      if (lanes?.isOver(lane) === true) {
        opened.delete(open)
        await inTime(chunks.return?.())
      } else answers.ask(open)
      yield { items: result.value.items, next: { ...at }, ...(lanes === undefined ? {} : { lane }) }
    }
  } finally {
    signal.removeEventListener("abort", wake)
    await inTime(Promise.all(Array.from(opened, async ({ chunks }) => await chunks.return?.())))
  }
}
const iterator = <Item>(chunks: AsyncIterable<Chunk<Item>> | Iterable<Chunk<Item>>): AsyncIterator<Chunk<Item>> =>
  Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : each(chunks)
async function* each<Item>(chunks: Iterable<Chunk<Item>>): AsyncGenerator<Chunk<Item>> {
  yield* chunks
}
