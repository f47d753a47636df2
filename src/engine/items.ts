/** Items that a run's streams emit or have left out, for whoever reads them: in any process, as they come or from an index on. */
import * as Stream from "effect/Stream"
import type { RunNotFound, StoreFailed } from "../model/error.ts"
import type { EventData } from "../model/event.ts"
import { decodeValue, revive } from "../model/value.ts"
import { dataOf } from "../services/recorded.ts"
import type { Conductor } from "./conduct.ts"
import { follow } from "./follow.ts"

/** One item that a stream of a run has emitted. */
export interface Emitted<Item = unknown> {
  readonly run: string
  /** Of the stream. */
  readonly path: string
  /** 0, 1, 2 … in each stream; after a rewind they come again. */
  readonly index: number
  readonly item: Item
}
export interface ItemsOptions {
  /** Only those of the stream at this path; default all. */
  readonly path?: string | undefined
  /** Only items with this index or a higher one; default 0. */
  readonly from?: number | undefined
  /** Wait for items to come, until the run has stopped; default true. Otherwise it ends with what is there. */
  readonly live?: boolean | undefined
}

/** One item that a stage with `failure: "reject"` has left out. */
export interface Rejected {
  readonly run: string
  /** Of the stream. */
  readonly path: string
  readonly stage: string
  /** Where the item was worked on: `rows/parse[7]`. */
  readonly at: string
  readonly item: unknown
  readonly error: unknown
}
type Reading<A> = Stream.Stream<A, StoreFailed | RunNotFound>

/** What the checkpoints of a run's streams tell. */
const told = <A>(
  conductor: Conductor,
  id: string,
  { path, live = true }: Omit<ItemsOptions, "from">,
  read: (data: EventData, path: string) => ReadonlyArray<A>,
): Reading<A> =>
  Stream.flatMap(
    follow(conductor, id, { kinds: ["stream.checkpointed"], live }),
    ({ data, path: of }) => (path !== undefined && of !== path ? Stream.empty : Stream.fromIterable(read(dataOf({ data: data! }), of))),
  )

export const itemsOf = (conductor: Conductor, id: string, { from = 0, ...which }: ItemsOptions = {}): Reading<Emitted> =>
  told(conductor, id, which, ({ sent }, path) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the stream has written it so
    const items = revive(sent?.items ?? []) as ReadonlyArray<unknown>
    return items.map((item, i) => ({ run: id, path, index: sent!.from + i, item })).filter(({ index }) => index >= from)
  })

export const rejectedOf = (conductor: Conductor, id: string, options: Omit<ItemsOptions, "from"> = {}): Reading<Rejected> =>
  told(conductor, id, options, ({ saved }, path) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the stream has written it so
    const { rejects = [] } = revive(saved) as { readonly rejects?: ReadonlyArray<Omit<Rejected, "run" | "path">> }
    return rejects.map(({ error, ...one }) => ({ run: id, path, ...one, error: decodeValue(JSON.stringify(error)) }))
  })
