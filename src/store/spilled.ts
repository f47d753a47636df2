/** Large event data is kept as content, found by its hash: once, compressed, and out of the way of the journal. */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import { StoreFailed } from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import { readWhole, writeWhole } from "./content.ts"
import type { Store } from "./store.ts"

/** Event data longer than this, in characters, is kept as content. */
export const inline = 256 * 1024

const opening = "{\"blob\":\""
/** The hash of the content that event data refers to. */
export const blobIn = (data: string): string | undefined => (data.startsWith(opening) ? data.slice(opening.length, opening.length + 64) : undefined)

/** The same store, whose events carry large data elsewhere. */
export function spilled(store: Store["Service"]): Store["Service"] {
  const { events } = store
  const read = (event: RunEvent): Effect.Effect<RunEvent, StoreFailed> => {
    const hash = blobIn(event.data)
    if (hash === undefined) return Effect.succeed(event)
    return Effect.flatMap(readWhole(store, hash), (bytes) =>
      bytes === undefined ?
        Effect.fail(
          new StoreFailed({ store: store.name, operation: "read", reason: `the content ${hash} of event ${event.seq} is missing`, cause: undefined }),
        ) :
        Effect.succeed({ ...event, data: `${Buffer.from(bytes).toString("utf8").slice(0, -1)}${event.data.slice(opening.length + hash.length + 1)}` }))
  }
  const readAll = (found: Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed>) =>
    Effect.flatMap(found, (all) => (all.some(({ data }) => blobIn(data) !== undefined) ? Effect.forEach(all, read) : Effect.succeed(all)))
  const readOne = (found: Effect.Effect<RunEvent | undefined, StoreFailed>) =>
    Effect.flatMap(found, (event) => (event === undefined ? Effect.succeed(event) : read(event)))
  return {
    ...store,
    runs: {
      ...store.runs,
      adopt: (run, past) =>
        Effect.flatMap(
          Effect.forEach(past.events, (event) => Effect.map(kept(store, event.data), (data) => ({ ...event, data }))),
          (all) => store.runs.adopt(run, { ...past, events: all }),
        ),
    },
    events: {
      ...events,
      append: (run, event, acknowledge, change) =>
        event.data.length <= inline ?
          events.append(run, event, acknowledge, change) :
          // what refers to content is not held back: nobody must take the content for forgotten meanwhile
          Effect.flatMap(kept(store, event.data), (data) => events.append(run, { ...event, data }, acknowledge === "exit" ? "async" : acknowledge, change)),
      commit: (run, event, writes, data, said, change) => Effect.flatMap(kept(store, data), (short) => events.commit(run, event, writes, short, said, change)),
      under: (run, parent) => readAll(events.under(run, parent)),
      last: (run, parent, kind) => readOne(events.last(run, parent, kind)),
      at: (run, seq) => readOne(events.at(run, seq)),
      since: (run, seq, limit) => readAll(events.since(run, seq, limit)),
    },
  }
}

/** What the event is to carry: its data, or where that is kept. */
const kept = (store: Store["Service"], data: string): Effect.Effect<string, StoreFailed> => {
  if (data.length <= inline) return Effect.succeed(data)
  const bytes = Buffer.from(data, "utf8")
  const hash = createHash("sha256").update(bytes).digest("hex")
  return Effect.as(writeWhole(store, hash, bytes), `${opening}${hash}"}`)
}
