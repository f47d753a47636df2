/** One run from where it is to where it stops: its end, or a wait. First runs and resumed ones take the same way. */
import * as Cause from "effect/Cause"
import { currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { asAgent } from "../compile/by-name.ts"
import { compensate, isUndoable } from "../compile/compensate.ts"
import { compile } from "../compile/compile.ts"
import { Frame, type RunContext } from "../compile/frame.ts"
import { hooksAt } from "../compile/hooks-at.ts"
import { after, type Outcome, type Run } from "../compile/program.ts"
import { encodeError, encodeOutcome, stored } from "../compile/record.ts"
import { validate } from "../compile/schema.ts"
import { standingOf } from "../compile/standing.ts"
import { readsSession, startScope } from "../compile/session-scope.ts"
import { tooMuch } from "../compile/spend.ts"
import { CompensationFailed, InputInvalid, isStoreError, OutputInvalid, RunCancelled, StoreFailed } from "../model/error.ts"
import type { RunRecord } from "../model/run.ts"
import { withoutSecrets } from "../model/without-secrets.ts"
import { decodeValue, encodeValue, revive } from "../model/value.ts"
import { Journal, type Keeping } from "../services/journal.ts"
import { dataOf, errorOf, type Recorded } from "../services/recorded.ts"
import type { Budgets, Counting, Deadline, Stamp } from "../services/budgets.ts"
import type { Hooks } from "../services/hooks.ts"
import type { StateNews } from "../services/state-watch.ts"
import { inRunSpan } from "../services/tracing.ts"
import { type Suspension, Waiting } from "../services/waiting.ts"
import type { Store } from "../store/store.ts"
import { budgetsOf, canWait, Context, isBounded } from "./context.ts"

export interface Driving extends Keeping {
  readonly child: RunContext["child"]
  readonly undoChild: RunContext["undoChild"]
  readonly hooks: Hooks
  /** Somebody has provided a tracer. */
  readonly traced: boolean
  /** Has another flow started as a run of its own, once for each key. */
  readonly spawn: RunContext["spawn"]
  /** Budgets that all its spending counts in: the engine's, and those of the runs that started it. */
  readonly outer: ReadonlyArray<Counting>
  readonly stateNews: StateNews
  /** Whose session it is in. */
  readonly user: string | undefined
  /** When it has to be over. */
  readonly deadline: Deadline | undefined
  /** What is spent by now. */
  readonly stamp: (() => Stamp) | undefined
  /** Told what it may spend. */
  readonly bounds: (budgets: Budgets) => void
  /** Rings when something was sent to the run, until the function it gives is called. */
  readonly hears: (bell: () => void) => () => void
  /** Told who can be rung when something happens to the run. */
  readonly waits: (waiting: Waiting) => void
}
/** Where a run stopped. */
export type Driven = { readonly output: unknown } | { readonly suspended: Suspension }

/** Runs `flow` for `run` from the frontier of its journal; a fresh run brings its parsed input. */
export function drive(flow: FlowIR, run: RunRecord, fresh: Fresh | undefined, driving: Driving): Run<Driven> {
  if (fresh !== undefined) return onward(flow, run, new Journal(run, flow, driving, 0), fresh.input, true, driving)
  return Effect.gen(function*() {
    const journal = yield* Journal.open(run, flow, driving)
    yield* journal.recallSpent(isCounted(flow, run, driving))
    return yield* onward(flow, run, journal, yield* parsedInput(flow, run, driving.store), false, driving)
  })
}

/** To where it ends, or to where every part of it waits. */
const onward = (flow: FlowIR, run: RunRecord, journal: Journal, given: unknown, fresh: boolean, driving: Driving): Run<Driven> =>
  run.session === undefined || journal.session !== undefined || !readsSession(flow) ?
    traced(flow, run, journal, given, fresh, driving) :
    Effect.flatMap(driving.store.sessions.get(run.session), ({ context }) => {
      journal.session = { value: decodeValue(context) }
      return traced(flow, run, journal, given, fresh, driving)
    })

const traced = (flow: FlowIR, run: RunRecord, journal: Journal, given: unknown, fresh: boolean, driving: Driving): Run<Driven> =>
  driving.traced ?
    inRunSpan(run, journal.trace, (trace) => {
      journal.trace ??= trace
      return untilStop(flow, run, journal, given, fresh, driving)
    }) :
    untilStop(flow, run, journal, given, fresh, driving)

const untilStop = (flow: FlowIR, run: RunRecord, journal: Journal, given: unknown, fresh: boolean, driving: Driving): Run<Driven> => {
  const waits = canWait(flow)
  const bounded = isCounted(flow, run, driving)
  if (!waits && !bounded) return toEnd(flow, run, new Context(flow, run, journal, undefined, undefined, driving), given, fresh)
  return Effect.clockWith((clock) => {
    const waiting = waits ? new Waiting(clock) : undefined
    const budgets = bounded ? budgetsOf(flow, run, journal, driving, () => clock.currentTimeMillisUnsafe()) : undefined
    const ended = toEnd(flow, run, new Context(flow, run, journal, waiting, budgets, driving), given, fresh)
    if (waiting === undefined) return ended
    driving.waits(waiting)
    return Effect.raceFirst(ended, Effect.map(waiting.idle, (suspended): Driven => ({ suspended })))
  })
}

/** What a run of its own spends, the run that started it has to know, wherever either is driven. */
const isCounted = (flow: FlowIR, run: RunRecord, driving: Driving): boolean =>
  isBounded(flow) || driving.outer.length > 0 || driving.deadline !== undefined || run.parent !== undefined

const toEnd = (flow: FlowIR, run: RunRecord, context: Context, given: unknown, fresh: boolean): Run<Driven> => {
  const { journal, hooks, cancelled, budgets } = context
  const begin = (input: unknown) => {
    journal.input = input
    return journal.begun ? journal.begin("run.resumed", "{}") : journal.begin("run.started", startedData(run, input, journal))
  }
  /** How what is done here ends the run. */
  const ending = (whole: Run<Outcome>): Run<Driven> => {
    const duration = budgets?.left
    const body = duration === undefined ? whole : inTime(context, budgets!, duration, whole)
    return Effect.matchCauseEffect(cancelled === undefined ? body : Effect.raceFirst(body, cancelled), {
      onSuccess: (outcome) => Effect.map(complete(flow, context, outcome), (output): Driven => ({ output })),
      // what never began is refused, and says so
      onFailure: (cause) => journal.begun ? fail(flow, context, cause) : Effect.flatMap(begin(given), () => fail(flow, context, cause)),
    })
  }
  if (!journal.begun && hooks !== undefined) {
    return ending(Effect.flatMap(admitted(flow, context, given), (input) => Effect.flatMap(begin(input), () => program(flow, context, input, fresh))))
  }
  return Effect.flatMap(begin(given), () => {
    if (journal.compensating === undefined) return ending(program(flow, context, given, fresh))
    const { cancelled: stopped, reason = "" } = dataOf(journal.compensating)
    return undoAll(context, stopped === true ? new RunCancelled({ run: run.id, reason }) : errorOf(journal.compensating))
  })
}

/** `whole`, which may take only so long; somebody is told how it gets near to that. */
const inTime = (context: Context, budgets: Budgets, duration: number, whole: Run<Outcome>): Run<Outcome> => {
  const scope = { input: context.journal.input }
  const near = Effect.forEach(budgets.shares, ({ at, tell }) =>
    Effect.flatMap(
      currentTimeMillis,
      (now) =>
        Effect.andThen(
          Effect.sleep(at - now),
          Effect.suspend(() => {
            const warning = tell()
            return hooksAt(context, "limit.warned", "", () => ({ scope, ...warning }))
          }),
        ),
    ), { discard: true })
  const bounded = Effect.timeoutOrElse(whole, { duration, orElse: () => tooMuch(context, "", scope, budgets.outOfTime()) })
  return Effect.raceFirst(bounded, Effect.andThen(near, Effect.never))
}

/** The input of a new run, as hooks let it through. */
const admitted = (flow: FlowIR, run: RunContext, input: unknown): Run<unknown> =>
  Effect.flatMap(
    hooksAt(run, "run.before", "", () => ({ scope: { input }, input })),
    (verdict) => verdict === undefined || verdict.told.input === input ? Effect.succeed(input) : parseInput(flow, verdict.told.input),
  )

/** A run's input as the flow's schema makes it. */
export const parseInput = (flow: FlowIR, input: unknown): Effect.Effect<unknown, InputInvalid> =>
  Effect.map(parsed(flow, input), (value) => withoutSecrets(value))
const parsed = (flow: FlowIR, input: unknown): Effect.Effect<unknown, InputInvalid> =>
  flow.input === undefined ?
    Effect.succeed(input) :
    Effect.mapError(validate(flow.input, input), (issues) => new InputInvalid({ flow: flow.name, path: "", issues }))

/** What a run that has just been created is given. */
export interface Fresh {
  readonly input: unknown
}

/** A schema may parse differently each time (a default of now, a new id): what it made of the input is recorded, where it can be and differs. */
const startedData = (run: RunRecord, input: unknown, { trace, session }: Journal): string => {
  const parts = [
    ...changedInput(run, input),
    ...(session === undefined ? [] : [`"session":${encodeValue(session.value)}`]),
    ...(trace === undefined ? [] : [`"trace":${JSON.stringify(trace)}`]),
  ]
  return `{${parts.join(",")}}`
}
const changedInput = (run: RunRecord, input: unknown): ReadonlyArray<string> => {
  try {
    const encoded = encodeValue(input)
    return encoded === run.input ? [] : [`"output":${encoded}`]
  } catch {
    return []
  }
}
/** The input of a run as it is recorded: what the flow's schema has made of it, or, where that cannot be recorded, what was given. */
export const recordedInput = (run: RunRecord, store: Store["Service"]): Effect.Effect<{ readonly value: unknown; readonly parsed: boolean }, StoreFailed> =>
  Effect.map(store.events.last(run, "", "run.started"), (event) => {
    const { output } = event === undefined ? {} : dataOf(event)
    return output === undefined ? { value: decodeValue(run.input), parsed: false } : { value: revive(output), parsed: true }
  })
const parsedInput = (flow: FlowIR, run: RunRecord, store: Store["Service"]): Run<unknown> =>
  Effect.flatMap(recordedInput(run, store), ({ value, parsed }) => (parsed ? Effect.succeed(value) : parseInput(flow, value)))

const program = (flow: FlowIR, run: RunContext, input: unknown, fresh: boolean): Run<Outcome> => {
  const block = compile(flow.body)
  const from = (recorded: Recorded | undefined): Run<Outcome> => {
    const begun = (given: unknown) =>
      after(startScope(flow, run.journal, given), (scope) => {
        const frame = new Frame(run, "", scope, block.own, recorded)
        return Effect.flatMap(block.run(frame), () => block.output(frame))
      })
    return asAgent(flow, run, "", input, (given) => parseInput(flow, given), !fresh, begun)
  }
  return fresh ? from(undefined) : Effect.flatMap(run.journal.under(""), from)
}

const complete = (flow: FlowIR, run: RunContext, outcome: Outcome): Run<unknown> =>
  Effect.matchCauseEffect(
    Effect.flatMap(
      approved(run, outcome),
      ({ value, ref }) => recordable(flow, value, ref),
    ),
    {
      onSuccess: ({ output, data }) => Effect.as(run.journal.append("run.completed", "", "", data, { status: "completed" }), output),
      onFailure: (cause) => fail(flow, run, cause),
    },
  )

/** A run's outcome, as hooks let it through. */
const approved = (run: RunContext, outcome: Outcome): Run<Outcome> =>
  Effect.map(
    hooksAt(run, "run.after", "", () => ({ scope: { input: run.journal.input }, input: run.journal.input, output: outcome.value })),
    (verdict) => verdict?.decided?.decision.does === "replace" ? { value: verdict.decided.decision.value } : outcome,
  )

const recordable = (flow: FlowIR, value: unknown, ref: Outcome["ref"]): Run<{ readonly output: unknown; readonly data: string }> =>
  Effect.flatMap(
    Effect.mapError(validate(flow.output, withoutSecrets(value)), (issues) => new OutputInvalid({ flow: flow.name, path: "", issues })),
    (output) =>
      Effect.map(stored("", () => encodeOutcome(flow.output === undefined ? { value: output, ref } : { value: output }, true)), (data) => ({ output, data })),
  )

/** A failure ends the run and is recorded, after what was done is undone; an interruption leaves it to be resumed. */
const fail = (flow: FlowIR, run: RunContext, cause: Cause.Cause<unknown>): Run<never> => {
  const { journal } = run
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
  const error = Cause.squash(cause)
  if (isStoreError(error)) return Effect.failCause(cause)
  const stopped = error instanceof RunCancelled
  const ended = Effect.suspend(() => {
    const end = journal.undone.has(error) ? "compensated" : "failed"
    const written = stopped ? cancelled(journal, error) : journal.append(`run.${end}`, "", "", errorData(error), { status: end, due: undefined })
    return Effect.flatMap(written, () => Effect.failCause(cause))
  })
  const settled = !isUndoable(flow.body) ? ended : Effect.flatMap(
    journal.effects(),
    (events) => {
      if (standingOf(events, "", false).length === 0) return ended
      const data = stopped ? JSON.stringify({ cancelled: true, reason: error.reason }) : errorData(error)
      return Effect.flatMap(journal.append("run.compensating", "", "", data, { status: "compensating" }), () => undoAll(run, error))
    },
  )
  return stopped || run.hooks === undefined ?
    settled :
    Effect.andThen(hooksAt(run, "run.error", "", () => ({ scope: { input: journal.input }, input: journal.input, error })), settled)
}
const cancelled = (journal: Journal, { reason }: RunCancelled) => journal.append("run.cancelled", "", "", JSON.stringify({ reason }), { status: "cancelled" })
const errorData = (error: unknown): string => `{"error":${encodeError(error)}}`

/** Undoes everything the run did, and ends it with `error`. */
const undoAll = (run: RunContext, error: unknown): Run<never> =>
  Effect.flatMap(compensate(run, "", true), (failures): Run<never> => {
    const { journal } = run
    if (failures.length > 0) {
      const failed = new CompensationFailed({ run: run.id, error, failures })
      return Effect.flatMap(journal.append("run.failed", "", "", errorData(failed), { status: "failed", due: undefined }), () => Effect.fail(failed))
    }
    const written = error instanceof RunCancelled ?
      cancelled(journal, error) :
      journal.append("run.compensated", "", "", errorData(error), { status: "compensated" })
    return Effect.flatMap(written, () => Effect.fail(error))
  })

const ends = { completed: "run.completed", failed: "run.failed", cancelled: "run.cancelled", compensated: "run.compensated" } as const
/** How a run ended, read from its journal. */
export const ending = (flow: FlowIR, keeping: Keeping, run: RunRecord): Run<unknown> =>
  Effect.gen(function*() {
    const journal = new Journal(run, flow, keeping, 0)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only asked of runs that are over
    const event = yield* keeping.store.events.last(run, "", ends[run.status as keyof typeof ends])
    if (event === undefined) {
      const reason = `run '${run.id}' is ${run.status} and its journal does not say how: the journal is damaged`
      return yield* new StoreFailed({ store: keeping.store.name, operation: "read", reason, cause: undefined })
    }
    if (run.status === "completed") return yield* journal.output(event)
    if (run.status === "cancelled") return yield* new RunCancelled({ run: run.id, reason: dataOf(event).reason! })
    return yield* Effect.fail(errorOf(event))
  })
