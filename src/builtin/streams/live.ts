/** Sources that are asked again and again, that others push, or that other runs are. */
import * as Duration from "effect/Duration"
import * as Stream from "effect/Stream"
import type { StepThrew } from "../../../dsl/flow/failure.ts"
import type { Chunk, Source } from "../../../dsl/ir/stream.ts"
import { inTime } from "../../compile/stream/grace.ts"
import { sourceOfAll } from "../../compile/stream/merged.ts"
import { SourceFailed } from "../../compile/stream/source-failed.ts"
import type { EventPattern } from "../../model/event.ts"
import type { Notice } from "../../services/notice.ts"
import type { Seekable } from "./lines.ts"

/** What a page of a source has. */
export interface Page<out Item, out Cursor> {
  readonly items: ReadonlyArray<Item>
  /** Where the next page begins; plain data. */
  readonly cursor: Cursor
  /** Nothing more will come. */
  readonly done?: boolean
}

/**
 * What `ask` gives, page after page; its places are the cursors, with whether it has said that it is done. An empty page is asked for again `every` so often (default 1 second).
 *
 * @example
 * seq("sync").stream("rows", () => poll((from: number | undefined) => ({ items: [from ?? 0], cursor: (from ?? 0) + 1, done: from === 9 })), (s) => s.collect())
 */
export const poll = <Item, Cursor>(
  ask: (from: Cursor | undefined, signal: AbortSignal) => Page<Item, Cursor> | Promise<Page<Item, Cursor>>,
  { every = 1000, name = "poll" }: { readonly every?: Duration.Input; readonly name?: string } = {},
): Seekable<Item> => ({
  source: "seekable",
  name,
  onResume: "fail",
  async *open({ from, signal }) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was a place
    let { cursor, done } = (from ?? { cursor: undefined, done: false }) as { readonly cursor: Cursor | undefined; readonly done: boolean }
    while (!done && !signal.aborted) {
      const page = await ask(cursor, signal)
      ;({ cursor, done = false } = page)
      if (page.items.length > 0 || done) yield { items: page.items, next: { cursor, done } }
      else await rest(Duration.toMillis(every), signal)
    }
  },
})
/** Longest time that a timer of Node can wait. */
const longest = 2 ** 31 - 1
const rest = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", over)
      resolve()
    }
    const timer = setTimeout(over, Math.min(milliseconds, longest))
    if (signal.aborted) over()
    else signal.addEventListener("abort", over)
  })

/** A source that is gone with the process that reads it. */
export interface Live<out Item, out Failure> extends Source<Item, Failure> {
  readonly source: "live"
}
/** What is pushed or can be read once: an iterable, a web or Node stream, an Effect Stream. */
type Pushed<Item, Failure> = Iterable<Item> | AsyncIterable<Item> | ReadableStream<Item> | Stream.Stream<Item, Failure>

/**
 * A source that cannot go on where it was. A resumed run fails with `StreamLost`, or, with `onResume: "reopen"`, opens it again and goes on with what
 * comes then: items that were read and not yet recorded are lost. `onResume: "keep"` records what is read before it goes through, at the price of a write for
 * each chunk, and reads nothing ahead, whatever `buffer` and `overflow` say: a resumed run begins with what was read, then opens the source again. A function is given a signal that is aborted when nobody reads any more: hand it to whatever waits.
 *
 * @example
 * seq("listen").stream("ticks", () => live(async function*() { yield 1; yield 2 }), (s) => s.collect())
 */
export const live = <Item, Failure = never, const OnResume extends Source["onResume"] = "fail">(
  from: Pushed<Item, Failure> | ((signal: AbortSignal) => Pushed<Item, Failure>),
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the default is what the type says where nothing is given
  { name = "live", onResume = "fail" as OnResume }: { readonly name?: string; readonly onResume?: OnResume } = {},
): Live<Item, Failure | StepThrew> & { readonly onResume: OnResume } => ({
  source: "live",
  name,
  onResume,
  async *open({ size, signal }): AsyncGenerator<Chunk<Item>> {
    const given = typeof from === "function" ? from(signal) : from
    if (Stream.isStream(given)) {
      const typed = Stream.mapError(given, (error) => new SourceFailed(error))
      // what has been read of a chunk is to be recorded as a whole
      const most = onResume === "keep" ? Number.POSITIVE_INFINITY : size
      for await (const items of untilAborted(Stream.toAsyncIterable(Stream.chunks(typed)), signal)) {
        for (let at = 0; at < items.length; at += most) yield { items: items.slice(at, at + most), next: null }
      }
    } else if (Symbol.asyncIterator in given) {
      for await (const item of untilAborted(given, signal)) yield { items: [item], next: null }
    } else for (const item of given) yield { items: [item], next: null }
  },
})

/** The same, until nobody reads any more, also where the next item never comes. */
async function* untilAborted<Item>(all: AsyncIterable<Item>, signal: AbortSignal): AsyncGenerator<Item> {
  const items = all[Symbol.asyncIterator]()
  let stop: () => void
  const over = () => stop()
  signal.addEventListener("abort", over)
  try {
    while (!signal.aborted) {
      const { done, value } = await new Promise<IteratorResult<Item>>((resolve, reject) => {
        stop = () => resolve({ done: true, value: undefined })
        items.next().then(resolve, reject)
      })
      if (done === true) return
      yield value
    }
  } finally {
    signal.removeEventListener("abort", over)
    if (signal.aborted) give(all)
    await inTime(items.return?.())
  }
}
/** What belongs to a Node stream that nobody reads any more is given back at once. */
const give = (all: AsyncIterable<unknown>): void => {
  if ("destroy" in all && typeof all.destroy === "function") all.destroy()
}

/** Whoever can follow runs: a client, or the `Heddle` service's runtime. */
interface Follows {
  readonly follow: (id: string, options: { readonly after?: number; readonly kinds?: ReadonlyArray<EventPattern> }) => AsyncIterable<Notice>
}

/**
 * The kept events of another run, from its beginning until it has stopped; its places are their numbers.
 *
 * @example
 * seq<{ run: string }>("watch").stream("events", ({ input }) => eventsOf(heddle, input.run, { kinds: ["step.completed"] }), (s) => s.collect())
 */
export const eventsOf = (heddle: Follows, run: string, { kinds }: { readonly kinds?: ReadonlyArray<EventPattern> } = {}): Seekable<Notice> => ({
  source: "seekable",
  name: run,
  onResume: "fail",
  async *open({ from, signal }) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it was a number of an event
    const after = (from as number | undefined) ?? 0
    const events = heddle.follow(run, { after, ...(kinds === undefined ? {} : { kinds }) })
    for await (const notice of untilAborted(events, signal)) yield { items: [notice], next: notice.seq }
  },
})

type Sources = Readonly<Record<string, Source<any, any>>>
type OneOf<S extends Sources> = S[keyof S]
type ItemOf<S extends Sources> = OneOf<S> extends infer One ? One extends Source<infer Item, any> ? Item : never : never
type FailureOf<S extends Sources> = OneOf<S> extends infer One ? One extends Source<any, infer Failure> ? Failure : never : never
/** Seekable where all of them are. */
type Merged<S extends Sources> = OneOf<S> extends Seekable<any, any> ? Seekable<ItemOf<S>, FailureOf<S>> : Live<ItemOf<S>, FailureOf<S>>

/**
 * Items of several sources as they come; its place is that of each. With a live one among them it is live itself: a resumed run goes on with the seekable ones
 * where they were, and opens the live ones again if all of them say so (`onResume: "reopen"`). What is done again after a crash may come in another order.
 *
 * @throws TypeError for one with `onResume: "keep"`: several are read ahead
 *
 * @example
 * seq("both").stream("rows", () => merged({ a: poll(() => ({ items: [1], cursor: 1, done: true })), b: poll(() => ({ items: ["b"], cursor: 1, done: true })) }), (s) => s.collect())
 */
export const merged = <const S extends Sources>(sources: S): Merged<S> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what its sources are, it is
  sourceOfAll(sources, Object.keys(sources).join(" + ")) as Merged<S>
