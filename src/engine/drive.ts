/** One run from where it is to its end. First runs and resumed ones take the same way. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { compile } from "../compile/compile.ts"
import { Frame } from "../compile/frame.ts"
import type { Outcome, Run } from "../compile/program.ts"
import { encodeError, encodeOutcome, stored } from "../compile/record.ts"
import { validate } from "../compile/schema.ts"
import { FlowChanged, InputInvalid, OutputInvalid, RunCancelled, tagOf } from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import { decodeValue, encodeValue, revive } from "../model/value.ts"
import { dataOf, errorOf, Journal } from "../services/journal.ts"
import type { Listeners } from "../services/listeners.ts"
import type { Durability, Store } from "../store/store.ts"
import { fingerprint } from "../../dsl/ir/fingerprint.ts"

export interface Driving {
  readonly store: Store["Service"]
  readonly listeners: Listeners
  readonly durability: Durability
  /** No other run goes on in this process. */
  readonly alone: () => boolean
}

/** The run's flow is still the one it was started with. */
export const unchanged = (flow: FlowIR, run: RunRecord): Effect.Effect<void, FlowChanged> => {
  const current = fingerprint(flow)
  return run.fingerprint === current && run.version === flow.version ? Effect.void : Effect.fail(
    new FlowChanged({
      run: run.id,
      flow: flow.name,
      started: `version ${run.version} (${run.fingerprint})`,
      current: `version ${flow.version} (${current})`,
    }),
  )
}

/** Runs `flow` for `run` from the frontier of its journal; a fresh run brings its parsed input. Ends with the run's output. */
export function drive(flow: FlowIR, run: RunRecord, fresh: Fresh | undefined, { store, listeners, durability, alone }: Driving): Run<unknown> {
  return Effect.gen(function*() {
    const head = fresh === undefined ? yield* store.events.head(run) : 0
    const failed = fresh === undefined ? yield* store.events.last(run, "", "run.failed") : undefined
    const journal = new Journal(store, run, flow, durability, listeners, head, alone, failed?.seq)
    const input = fresh === undefined ? yield* recordedInput(flow, run, store) : fresh.input
    yield* fresh === undefined ? journal.begin("run.resumed", "{}") : journal.begin("run.started", startedData(run, fresh.input))
    return yield* Effect.matchCauseEffect(program(flow, run, journal, input, fresh !== undefined), {
      onSuccess: (outcome) => complete(flow, journal, outcome),
      onFailure: (cause) => fail(journal, cause),
    })
  })
}

/** A run's input as the flow's schema makes it. */
export const parseInput = (flow: FlowIR, input: unknown): Effect.Effect<unknown, InputInvalid> =>
  Effect.mapError(validate(flow.input, input), (issues) => new InputInvalid({ flow: flow.name, path: "", issues }))

/** What a run that has just been created is given. */
export interface Fresh {
  readonly input: unknown
}

/** A schema may parse differently each time (a default of now, a new id): what it made of the input is recorded, where it can be and differs. */
const startedData = (run: RunRecord, input: unknown): string => {
  try {
    const encoded = encodeValue(input)
    return encoded === run.input ? "{}" : `{"output":${encoded}}`
  } catch {
    return "{}"
  }
}
const recordedInput = (flow: FlowIR, run: RunRecord, store: Store["Service"]): Run<unknown> =>
  Effect.flatMap(store.events.last(run, "", "run.started"), (event) => {
    const { output } = event === undefined ? {} : dataOf(event)
    if (output !== undefined) return Effect.succeed(revive(output))
    return parseInput(flow, decodeValue(run.input))
  })

const program = (flow: FlowIR, run: RunRecord, journal: Journal, input: unknown, fresh: boolean): Run<Outcome> => {
  const block = compile(flow.body)
  return Effect.flatMap(fresh ? Effect.succeed(undefined) : journal.under(""), (recorded) => {
    const frame = new Frame({ id: run.id, flow: flow.name, journal }, "", { input }, block.own, recorded)
    return Effect.flatMap(block.run(frame), () => block.output(frame))
  })
}

const complete = (flow: FlowIR, journal: Journal, { value, ref }: Outcome): Run<unknown> =>
  Effect.matchCauseEffect(
    Effect.flatMap(
      Effect.mapError(validate(flow.output, value), (issues) => new OutputInvalid({ flow: flow.name, path: "", issues })),
      (output) =>
        Effect.map(stored("", () => encodeOutcome(flow.output === undefined ? { value: output, ref } : { value: output }, true)), (data) => ({ output, data })),
    ),
    {
      onSuccess: ({ output, data }) => Effect.as(journal.append("run.completed", "", "", data, "completed"), output),
      onFailure: (cause) => fail(journal, cause),
    },
  )

/** A failure ends the run and is recorded; an interruption leaves it to be resumed. */
const fail = (journal: Journal, cause: Cause.Cause<unknown>): Run<never> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
  const error = Cause.squash(cause)
  // errors of the store itself cannot be written to it
  if (storeErrors.has(tagOf(error))) return Effect.failCause(cause)
  return Effect.flatMap(journal.append("run.failed", "", "", `{"error":${encodeError(error)}}`, "failed"), () => Effect.failCause(cause))
}
const storeErrors: ReadonlySet<string | undefined> = new Set(["StoreFailed", "RunTakenOver"])

/** How a run ended, read from its journal. */
export const ending = (flow: FlowIR, store: Store["Service"], run: RunRecord, listeners: Listeners): Run<unknown> =>
  Effect.gen(function*() {
    const journal = new Journal(store, run, flow, "sync", listeners, 0)
    const event = yield* lastEnd(store, run)
    if (event?.kind === "run.completed") return yield* journal.output(event)
    if (event?.kind === "run.failed") return yield* Effect.fail(errorOf(event))
    return yield* new RunCancelled({ run: run.id, reason: event === undefined ? "" : dataOf(event).reason! })
  })
const ends: ReadonlyArray<RunEvent["kind"]> = ["run.completed", "run.failed", "run.cancelled"]
const lastEnd = (store: Store["Service"], run: RunRecord) =>
  Effect.map(
    Effect.forEach(ends, (kind) => store.events.last(run, "", kind)),
    (found) => found.filter((event) => event !== undefined).sort((a, b) => b.seq - a.seq)[0],
  )
