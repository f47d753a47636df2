/** Keeps everything in this process: for tests, first steps, and flows that need no journal. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RunNotFound, RunTakenOver } from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import { Store } from "./store.ts"

interface Kept {
  run: RunRecord
  readonly events: Array<RunEvent>
  /** Made when somebody asks for a block, which only a resumed run does; covers the first `indexed` events. */
  readonly byParent: Map<string, Array<RunEvent>>
  indexed: number
}

/** The events that belong directly to a block. */
function under(kept: Kept | undefined, parent: string): ReadonlyArray<RunEvent> {
  if (kept === undefined) return []
  for (; kept.indexed < kept.events.length; kept.indexed++) {
    const event = kept.events[kept.indexed]!
    const siblings = kept.byParent.get(event.parent)
    if (siblings === undefined) kept.byParent.set(event.parent, [event])
    else siblings.push(event)
  }
  return kept.byParent.get(parent) ?? []
}

/** A new, empty store. */
export const memoryStore = (): Store["Service"] => {
  const kept = new Map<string, Kept>()
  const known = (id: string) =>
    Effect.suspend(() => {
      const found = kept.get(id)
      return found === undefined ? Effect.fail(new RunNotFound({ run: id })) : Effect.succeed(found)
    })
  return Store.of({
    name: "memory",
    shared: false,
    runs: {
      create: (given) =>
        Effect.sync(() => {
          const found = kept.get(given.id)
          if (found !== undefined) return { created: false, run: found.run }
          const now = Date.now()
          const run: RunRecord = { ...given, status: "running", fence: 1, createdAt: now, updatedAt: now }
          kept.set(given.id, { run, events: [], byParent: new Map(), indexed: 0 })
          return { created: true, run }
        }),
      get: (id) => Effect.map(known(id), ({ run }) => run),
      list: ({ flow, status, limit = 50 }) =>
        Effect.sync(() =>
          [...kept.values()].toReversed().map(({ run }) => run)
            .filter((run) => (flow === undefined || run.flow === flow) && (status === undefined || run.status === status))
            .slice(0, limit)
        ),
      claim: (id, fence, owner) =>
        Effect.flatMap(known(id), (found) => {
          if (found.run.fence !== fence || (found.run.status !== "running" && found.run.status !== "failed")) return Effect.fail(new RunTakenOver({ run: id }))
          found.run = { ...found.run, owner, fence: fence + 1, status: "running", updatedAt: Date.now() }
          return Effect.succeed(found.run)
        }),
    },
    events: {
      append: ({ id, fence }, append, _durability, status) => {
        const found = kept.get(id)
        if (found === undefined || found.run.fence !== fence) return Effect.fail(new RunTakenOver({ run: id }))
        const event: RunEvent = { ...append, at: Date.now() }
        found.events.push(event)
        if (status !== undefined) found.run = { ...found.run, status, updatedAt: event.at }
        return Effect.void
      },
      under: ({ id }, parent) => Effect.sync(() => under(kept.get(id), parent).slice()),
      last: ({ id }, parent, kind) => Effect.sync(() => under(kept.get(id), parent).findLast((event) => event.kind === kind)),
      at: ({ id }, seq) => Effect.sync(() => kept.get(id)?.events[seq - 1]),
      since: ({ id }, seq) => Effect.sync(() => kept.get(id)?.events.slice(seq) ?? []),
      head: ({ id }) => Effect.sync(() => kept.get(id)?.events.length ?? 0),
    },
  })
}

/** A `Store` that lives as long as the layer. */
export const layerMemory: Layer.Layer<Store> = Layer.sync(Store, memoryStore)
