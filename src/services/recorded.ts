/** What events say of the nodes they are about. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { messageOf, StoreFailed } from "../model/error.ts"
import type { EventData, EventKind, RunEvent } from "../model/event.ts"
import { decodeValue } from "../model/value.ts"

/** What is recorded of one node of a block. */
export interface Known {
  completed?: RunEvent
  failed?: RunEvent
  guard?: RunEvent
  decided?: RunEvent
  started?: RunEvent
  caught?: RunEvent
  retried?: RunEvent
}
/** What is recorded of a block, by the names of its nodes. */
export type Recorded = ReadonlyMap<string, Known>

/** What an event means for its node. */
export const roles: Readonly<Partial<Record<EventKind, keyof Known>>> = {
  "step.completed": "completed",
  "when.completed": "completed",
  "loop.completed": "completed",
  "jump.completed": "completed",
  "each.completed": "completed",
  "parallel.completed": "completed",
  "stream.completed": "completed",
  "protect.completed": "completed",
  "fork.completed": "completed",
  "wait.completed": "completed",
  "step.migrated": "completed",
  "fork.failed": "failed",
  "protect.failed": "failed",
  "step.started": "started",
  "stream.started": "started",
  "protect.started": "started",
  "wait.started": "started",
  "guard.decided": "guard",
  "when.decided": "decided",
  "loop.started": "started",
  "each.started": "started",
  "protect.caught": "caught",
  "flow.retried": "retried",
}

/** What was written, read; @throws StoreFailed where somebody has changed it. */
export function readable<A>(event: Partial<RunEvent>, read: () => A): A {
  try {
    return read()
  } catch (cause) {
    const reason = `event ${String(event.seq)} cannot be read, the journal is damaged: ${messageOf(cause)}`
    throw new StoreFailed({ store: "journal", operation: "read", reason, cause })
  }
}
/** A record that cannot be read is a failure of the store, not of the flow. */
export const telling = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | StoreFailed, R> =>
  Effect.catchCause(work, (cause): Effect.Effect<never, E | StoreFailed> => {
    const error = Cause.squash(cause)
    return error instanceof StoreFailed ? Effect.fail(error) : Effect.failCause(cause)
  })

/** What an event says. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by `Outcome.encode` and its siblings only
export const dataOf = (event: Pick<RunEvent, "data">): EventData => readable(event, () => JSON.parse(event.data) as EventData)
/** A reference leads to an event that is not there. */
export const missing = (store: string, run: string, seq: number): StoreFailed =>
  new StoreFailed({ store, operation: "read", reason: `event ${seq} of run '${run}' is missing: the journal is damaged`, cause: undefined })
/** The error that an event carries. */
export const errorOf = (event: Pick<RunEvent, "data">): unknown => {
  const { error } = dataOf(event)
  return readable(event, () => decodeValue(JSON.stringify(error)))
}
