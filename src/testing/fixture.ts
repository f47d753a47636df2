/** A recorded run, to be run again: what it was given, what its steps gave, what happened. */
import * as Effect from "effect/Effect"
import type { ResultAsync } from "neverthrow"
import type { Client } from "../engine/client.ts"
import type { Heddle } from "../engine/heddle.ts"
import { eventPath, type RunEvent } from "../model/event.ts"
import { encodeValue } from "../model/value.ts"
import { dataOf } from "../services/recorded.ts"
import { told } from "./harness.ts"

/** What a run was given, what its steps gave, and what happened: plain JSON, to be committed beside the test. */
export interface Fixture {
  readonly flow: string
  /** Encoded. */
  readonly input: string
  readonly signals: ReadonlyArray<{ readonly name: string; readonly data: string }>
  /** What each step came to, by path: `{ output }` or `{ error }`, encoded as in the journal. */
  readonly steps: Readonly<Record<string, ReadonlyArray<{ readonly output?: unknown; readonly error?: unknown }>>>
  /** What the run gave back, encoded; not there if it failed. */
  readonly output?: string
  /** The session's context as the run knew it, encoded. */
  readonly session?: string
  /** `kind path` of every event but those that depend on when it ran. */
  readonly events: ReadonlyArray<string>
}

const comesAndGoes = /^run\.(started|suspended|resumed|paused|migrated|rewound|forked)/
export const lasting = (events: ReadonlyArray<RunEvent>): ReadonlyArray<string> => told(events).filter((one) => !comesAndGoes.test(one))

/** Where runs are: the service, or a client. */
export type Runs = Pick<Heddle["Service"], Looking> | Pick<Client<any>, Looking>
type Looking = "get" | "events" | "signals" | "output" | "list"
/** What either of them gives. */
export const looked = async <A>(asked: Effect.Effect<A, unknown> | ResultAsync<A, unknown>): Promise<A> => {
  if (Effect.isEffect(asked)) return Effect.runPromise(asked)
  const result = await asked
  if (result.isErr()) throw result.error
  return result.value
}

/** A fixture of a run that is over. */
export async function recordFixture(heddle: Runs, id: string): Promise<Fixture> {
  const run = await looked(heddle.get(id))
  const events = await looked(heddle.events(id))
  const steps: Record<string, Array<{ output?: unknown; error?: unknown }>> = {}
  for (const event of events.filter(({ kind }) => kind === "step.completed" || kind === "step.failed")) {
    const { output, error, ref } = dataOf(event)
    if (ref !== undefined) continue
    ;(steps[eventPath(event)] ??= []).push(event.kind === "step.failed" ? { error } : { output })
  }
  const signals = (await looked(heddle.signals(id))).filter(({ taken }) => taken !== undefined).map(({ name, data }) => ({ name, data }))
  const output = run.status === "completed" ? { output: encodeValue(await looked(heddle.output(id))) } : {}
  const known = events.flatMap((event) => (event.kind === "run.started" ? [dataOf(event).session] : [])).find((session) => session !== undefined)
  const session = known === undefined ? {} : { session: JSON.stringify(known) }
  return { flow: run.flow, input: run.input, signals, steps, events: lasting(events), ...output, ...session }
}
