/** A recorded run as a regression test: its steps give what they gave then, and everything else must happen as it did. */
import * as Effect from "effect/Effect"
import type { AnyFlow } from "../../dsl/flow/flow.ts"
import type { Call } from "../../dsl/ir/node.ts"
import { rewrite } from "../../dsl/ir/rewrite.ts"
import type { Heddle } from "../engine/heddle.ts"
import { eventPath, type RunEvent } from "../model/event.ts"
import { decodeValue, revive } from "../model/value.ts"
import { dataOf } from "../services/recorded.ts"
import { differences, type SentSignal, testFlow, told } from "./harness.ts"
import { withIR } from "./mock.ts"

/** What a run was given, what its steps gave, and what happened: plain JSON, to be committed beside the test. */
export interface Fixture {
  readonly flow: string
  /** Encoded. */
  readonly input: string
  readonly signals: ReadonlyArray<{ readonly name: string; readonly data: string }>
  /** What each step came to, by path: `{ output }` or `{ error }`, encoded as in the journal. */
  readonly steps: Readonly<Record<string, ReadonlyArray<{ readonly output?: unknown; readonly error?: unknown }>>>
  /** `kind path` of every event but those that depend on when it ran. */
  readonly events: ReadonlyArray<string>
}

const comesAndGoes = /^run\.(started|suspended|resumed|paused|migrated|rewound|forked)/
const lasting = (events: ReadonlyArray<RunEvent>): ReadonlyArray<string> => told(events).filter((one) => !comesAndGoes.test(one))

/** A fixture of a run that is over. */
export function recordFixture(heddle: Heddle["Service"], id: string): Promise<Fixture> {
  return Effect.runPromise(Effect.gen(function*() {
    const run = yield* heddle.get(id)
    const events = yield* heddle.events(id)
    const steps: Record<string, Array<{ output?: unknown; error?: unknown }>> = {}
    for (const event of events.filter(({ kind }) => kind === "step.completed" || kind === "step.failed")) {
      const { output, error, ref } = dataOf(event)
      if (ref !== undefined) continue
      ;(steps[eventPath(event)] ??= []).push(event.kind === "step.failed" ? { error } : { output })
    }
    const signals = (yield* heddle.signals(id)).filter(({ taken }) => taken !== undefined).map(({ name, data }) => ({ name, data }))
    return { flow: run.flow, input: run.input, signals, steps, events: lasting(events) }
  }))
}

/**
 * Runs `flow` on a fixture and gives what is different from then; an empty list means that the flow still does what it did.
 *
 * No step works: each gives what was recorded at its path. Conditions, loops, forks and handlers are the flow's own.
 */
export async function replayFixture(flow: AnyFlow, fixture: Fixture): Promise<ReadonlyArray<string>> {
  const left = new Map(Object.entries(fixture.steps).map(([path, calls]) => [path, [...calls]]))
  const unknown: Array<string> = []
  const replaying = withIR(
    flow,
    rewrite(flow.ir, (node) => {
      if (node.work.from === "flow" && node.work.as === "inline") return node
      const call: Call = (_scope, { path }) => {
        const next = left.get(path)?.shift()
        if (next === undefined) unknown.push(`step '${path}' has no record`)
        if (next === undefined || !("error" in next)) return revive(next?.output)
        return Effect.fail(revive(next.error))
      }
      return { ...node, work: { from: "function", call }, retry: undefined, timeout: undefined }
    }),
  )
  const signals: ReadonlyArray<SentSignal> = fixture.signals.map(({ name, data }, i) => ({ name, payload: decodeValue(data), id: `s${i}` }))
  const tested = await testFlow(replaying, decodeValue(fixture.input) as never, { signals })
  const never = [...left].flatMap(([path, calls]) => (calls.length === 0 ? [] : [`step '${path}' did not run`]))
  return [...unknown, ...never, ...differences(fixture.events, lasting(tested.events), "events")]
}
