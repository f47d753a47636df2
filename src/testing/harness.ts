/** Running a flow in a test: in memory, on a clock that jumps, with mocks, signals and services; and what can be asked of it afterwards. */
import * as Cause from "effect/Cause"
import { Clock, currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Layer } from "effect/Layer"
import type { Decision, Hook, HookPoint } from "../../dsl/ir/hook.ts"
import type { AnyFlow, FailureOf, InputOf, NeedsIn, OutputOf, ServicesOf } from "../../dsl/flow/flow.ts"
import type { PayloadOf, SignalNames } from "../../dsl/flow/mark.ts"
import type { StepContext } from "../../dsl/ir/node.ts"
import { type Heddle, makeHeddle } from "../engine/heddle.ts"
import { open } from "../engine/serve.ts"
import { trace, type TraceNode } from "../engine/trace.ts"
import { type RunError, RunSuspended } from "../model/error.ts"
import { eventPath, type RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import { Journal } from "../services/journal.ts"
import { Listeners } from "../services/listeners.ts"
import { memoryStore } from "../store/memory/store.ts"
import type { Store } from "../store/store.ts"
import { jumpingClock } from "./clock.ts"
import { mocked, type Mocks, watched } from "./mock.ts"

export interface SentSignal {
  readonly name: string
  readonly payload?: unknown
  readonly id?: string
}
/** The signals that `F` waits for, with the payloads it waits for. */
export type SignalOf<F extends AnyFlow> = {
  readonly [Name in SignalNames<NeedsIn<F>>]:
    & { readonly name: Name; readonly id?: string }
    & (undefined extends PayloadOf<NeedsIn<F>, Name> ? { readonly payload?: PayloadOf<NeedsIn<F>, Name> } : { readonly payload: PayloadOf<NeedsIn<F>, Name> })
}[SignalNames<NeedsIn<F>>]
export interface TestOptions<F extends AnyFlow> {
  readonly id?: string
  readonly mocks?: Mocks<F>
  /** Sent before the run begins, in this order. */
  readonly signals?: ReadonlyArray<SignalOf<F>>
  /** The services that the flow's steps ask for. */
  readonly layer?: Layer<ServicesOf<F>>
  /** When the test's clock begins; default: now. It jumps over waits, delays and timeouts; `real` lets time pass as it does. */
  readonly clock?: Date | "real"
  /** Go on with runs of an earlier test. */
  readonly store?: Store["Service"]
  /** What the flow reads of its session: the run belongs to one with this context. */
  readonly session?: unknown
  /** Asked beside those of the flow. */
  readonly hooks?: ReadonlyArray<Hook>
}

/** One decision of a hook, or why it had none. */
export interface HookEffect {
  readonly path: string
  readonly hook: string
  readonly point: HookPoint
  readonly decision?: Decision["does"]
  readonly reason?: string
}

/** How a run of a test ended, and all that happened in it. */
export interface Tested<Output, Failure> {
  readonly result: { readonly ok: true; readonly value: Output } | { readonly ok: false; readonly error: Failure | RunError }
  readonly run: RunRecord
  readonly events: ReadonlyArray<RunEvent>
  readonly trace: ReadonlyArray<TraceNode>
  /** Every call of a step, also those that failed. */
  readonly calls: ReadonlyArray<Pick<StepContext, "path" | "attempt" | "key">>
  /** What hooks decided, and those that failed. */
  readonly hooks: ReadonlyArray<HookEffect>
  /** What is recorded of the flow's own names. */
  readonly state: Readonly<Record<string, unknown>>
  readonly store: Store["Service"]
}

/**
 * Runs `flow` to its end, or until it waits for a signal that was not sent.
 *
 * @example
 * const tested = await testFlow(order, { n: 1 }, { mocks: { charge: { id: "c1" } }, signals: [{ name: "approval", payload: { by: "Ada" } }] })
 * expect(tested.result).toEqual({ ok: true, value: "paid" })
 */
export async function testFlow<F extends AnyFlow>(flow: F, input: InputOf<F>, options: TestOptions<F> = {}): Promise<Tested<OutputOf<F>, FailureOf<F>>> {
  const { id = "test", mocks, signals = [], layer, clock = new Date(), store = memoryStore(), hooks, session } = options
  const calls: Array<StepContext> = []
  const prepared = watched(mocks === undefined ? flow : mocked(flow, mocks), (step) => void calls.push(step))
  const heddle = makeHeddle(store, { hooks })
  const effects: Array<HookEffect> = []
  heddle.listen(({ kind, path, data }) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the engine's own notices
    if (kind.startsWith("hook.")) effects.push({ path, ...JSON.parse(data!) as Omit<HookEffect, "path"> })
  })
  const ran: Effect.Effect<OutputOf<F>, FailureOf<F> | RunError> = launch(heddle, prepared, input, {
    id,
    signals,
    layer,
    session,
  })
  const exit = await Effect.runPromiseExit(clock === "real" ? ran : Effect.provideService(ran, Clock, jumpingClock(clock.getTime())))
  const run = await Effect.runPromise(Effect.orElseSucceed(store.runs.get(id), () => undefined))
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a run that was not created has not succeeded
  if (run === undefined) throw Cause.squash((exit as Exit.Failure<never, unknown>).cause)
  const events = await Effect.runPromise(store.events.since(run, 0))
  return {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the error is what the flow's type says
    result: Exit.isSuccess(exit) ? { ok: true, value: exit.value } : { ok: false, error: Cause.squash(exit.cause) as FailureOf<F> },
    run,
    events,
    trace: trace(events),
    hooks: effects,
    calls: calls.map(({ path, attempt, key }) => ({ path, attempt, key })),
    state: await Effect.runPromise(stateOf(store, run, prepared)),
    store,
  }
}

/** Sends the signals, then sees the run to its end, or to a signal that was not sent. */
export function launch(
  heddle: Heddle["Service"],
  given: AnyFlow,
  input: unknown,
  { id, signals, layer, session: context }: {
    readonly id: string
    readonly signals: ReadonlyArray<SentSignal>
    readonly layer: Layer<any> | undefined
    /** The context of the session it belongs to. */
    readonly session: unknown
  },
): Effect.Effect<any, any> {
  const flow = open(given)
  const session = context === undefined ? undefined : "test"
  const ran = Effect.gen(function*() {
    if (session !== undefined) yield* Effect.catchTag(heddle.sessions.create({ id: session, context }), "SessionRefused", () => Effect.void)
    if (signals.length > 0) yield* heddle.start(flow, input, { id, session })
    for (const { name, payload, id: signal } of signals) yield* heddle.signal(flow, id, name as never, payload as never, { id: signal })
    return yield* untilSignal(heddle, flow, id, heddle.run(flow, input, { id, session, onSuspend: "return" }))
  })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the flow needs is in the layer, as its type has asked for
  return (layer === undefined ? ran : Effect.provide(ran, layer)) as Effect.Effect<any, any>
}

/** Sees a run through all its waits for a time; one for a signal that does not come ends it with `RunSuspended`. */
const untilSignal = (
  heddle: Heddle["Service"],
  flow: ReturnType<typeof open>,
  id: string,
  run: Effect.Effect<any, any, any>,
): Effect.Effect<any, any, any> =>
  Effect.catchIf(run, (error): error is RunSuspended => error instanceof RunSuspended && error.until !== undefined, ({ until = 0 }) =>
    Effect.andThen(
      Effect.flatMap(currentTimeMillis, (now) => Effect.sleep(Math.max(0, until - now))),
      untilSignal(heddle, flow, id, heddle.resume(flow, id, { onSuspend: "return" })),
    ))

/** What is recorded of the flow's own names, read as a resumed run would. */
const stateOf = (store: Store["Service"], run: RunRecord, { ir }: AnyFlow): Effect.Effect<Readonly<Record<string, unknown>>, unknown> =>
  Effect.gen(function*() {
    const journal = yield* Journal.open(run, ir, { store, listeners: new Listeners(), durability: "sync" })
    const state: Record<string, unknown> = {}
    for (const [name, { completed }] of yield* journal.under("")) if (completed !== undefined) state[name] = yield* journal.output(completed)
    return state
  })

/** `kind path` of every event, for comparing runs. */
export const told = (events: ReadonlyArray<RunEvent>): ReadonlyArray<string> => events.map((event) => `${event.kind} ${eventPath(event)}`.trim())

/** Where two values differ, as `path: a → b`; empty where they do not. */
export function differences(a: unknown, b: unknown, path = ""): ReadonlyArray<string> {
  if (Object.is(a, b)) return []
  const at = path === "" ? "(value)" : path
  const isObject = (value: unknown): value is object => typeof value === "object" && value !== null
  if (!isObject(a) || !isObject(b) || Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return [`${at}: ${shown(a)} → ${shown(b)}`]
  if (a instanceof Date) return a.getTime() === (b as Date).getTime() ? [] : [`${at}: ${shown(a)} → ${shown(b)}`]
  if (a instanceof Map) return differences([...a], [...b as Map<unknown, unknown>], path)
  if (a instanceof Set) return differences([...a], [...b as Set<unknown>], path)
  const [left, right] = [a, b] as ReadonlyArray<Readonly<Record<string, unknown>>>
  const keys = new Set([...Object.keys(left!), ...Object.keys(right!)])
  return [...keys].flatMap((key) => differences(left![key], right![key], Array.isArray(a) ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`))
}
const shown = (value: unknown): string => {
  const text = typeof value === "bigint" ? `${value}n` : JSON.stringify(value)
  return text === undefined ? String(value) : text.length > 80 ? `${text.slice(0, 79)}…` : text
}
