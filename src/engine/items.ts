/** Items that a run's streams emit, for whoever reads them: in any process, as they come or from an index on. */
import * as Stream from "effect/Stream"
import type { RunNotFound, StoreFailed } from "../model/error.ts"
import { revive } from "../model/value.ts"
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

export const itemsOf = (
  conductor: Conductor,
  id: string,
  { path, from = 0, live = true }: ItemsOptions = {},
): Stream.Stream<Emitted, StoreFailed | RunNotFound> =>
  Stream.flatMap(follow(conductor, id, { kinds: ["stream.checkpointed"], live }), (notice) => {
    const { data = "{}" } = notice
    const { sent } = dataOf({ data })
    if (sent === undefined || (path !== undefined && notice.path !== path)) return Stream.empty
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the stream has written it so
    const items = revive(sent.items) as ReadonlyArray<unknown>
    return Stream.fromIterable(
      items.map((item, i) => ({ run: id, path: notice.path, index: sent.from + i, item })).filter(({ index }) => index >= from),
    )
  })
