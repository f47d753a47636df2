/** Killing a run at every point at which it writes, and resuming it. */
import * as Cause from "effect/Cause"
import { Clock } from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Layer } from "effect/Layer"
import type { AnyFlow, InputOf, ServicesOf } from "../../dsl/flow/flow.ts"
import { makeHeddle } from "../engine/heddle.ts"
import { eventPath } from "../model/event.ts"
import { encodeError } from "../compile/record.ts"
import { encodeValue } from "../model/value.ts"
import { memoryStore } from "../store/memory/store.ts"
import type { Store } from "../store/store.ts"
import { jumpingClock } from "./clock.ts"
import { launch, type SignalOf } from "./harness.ts"
import { mocked, type Mocks, watched } from "./mock.ts"

/** What a run writes, and so where it can be killed: before the write, or after it and before anybody knows. */
export const crashPoints = [
  "runs.create",
  "runs.claim",
  "events.append",
  "events.transact",
  "events.commit",
  "signals.send",
  "flows.save",
  "states.commit",
  "sessions.create",
  "sessions.touch",
  "artifacts.put",
  "blobs.write",
  "blobs.seal",
] as const
export type CrashPoint = (typeof crashPoints)[number]

export interface CrashOptions<F extends AnyFlow> {
  readonly mocks?: Mocks<F>
  readonly signals?: ReadonlyArray<SignalOf<F>>
  readonly layer?: Layer<ServicesOf<F>>
  /** What the flow reads of its session: the run belongs to one with this context. */
  readonly session?: unknown
  /** Kill the resumed run once more, at each of its own points; default 1. */
  readonly kills?: 1 | 2
  /** Makes the store of each run; default: in memory. */
  readonly store?: () => Store["Service"]
  /** Called before every undisturbed or killed run, to put the outside world back. */
  readonly reset?: () => void
}
/** One kill that did harm. */
export interface Harm {
  readonly at: string
  readonly what: string
}
export interface CrashReport {
  /** Runs that were killed. */
  readonly points: number
  /** Resumed runs that ended otherwise than the undisturbed one. */
  readonly wrong: ReadonlyArray<Harm>
  /** Steps that were recorded before the kill and worked again after it. */
  readonly repeated: ReadonlyArray<Harm>
  /** Steps that worked again because the kill came before their record: the price of at-least-once. */
  readonly again: number
}

/** When a process dies: before its n-th write (`lost`), or right after it and before anybody knows (`written`). */
export type Fate = "lost" | "written"

/** A store whose n-th write is the last thing that happens: `die` is told where, and nothing comes back from the store any more. */
export function mortalStore(
  store: Store["Service"],
  at: number,
  fate: Fate,
  die: (point: CrashPoint) => Effect.Effect<unknown>,
): { readonly store: Store["Service"]; readonly writes: () => number } {
  let writes = 0
  const deadly =
    <Args extends ReadonlyArray<any>, A, E>(point: CrashPoint, write: (...args: Args) => Effect.Effect<A, E>) => (...args: Args): Effect.Effect<A, E> =>
      Effect.suspend(() => {
        if (++writes !== at) return writes < at || at < 1 ? write(...args) : Effect.never
        const dying = Effect.andThen(die(point), Effect.never)
        return fate === "lost" ? dying : Effect.andThen(write(...args), dying)
      })
  const { runs, events, signals, flows, states, sessions, artifacts, blobs } = store
  const mortal: Store["Service"] = {
    ...store,
    runs: { ...runs, create: deadly("runs.create", runs.create), claim: deadly("runs.claim", runs.claim), release: () => Effect.void },
    events: {
      ...events,
      append: deadly("events.append", events.append),
      transact: deadly("events.transact", events.transact),
      commit: deadly("events.commit", events.commit),
    },
    signals: { ...signals, send: deadly("signals.send", signals.send) },
    flows: { ...flows, save: deadly("flows.save", flows.save) },
    states: { ...states, commit: deadly("states.commit", states.commit) },
    sessions: { ...sessions, create: deadly("sessions.create", sessions.create), touch: deadly("sessions.touch", sessions.touch) },
    artifacts: { ...artifacts, put: deadly("artifacts.put", artifacts.put) },
    blobs: { ...blobs, write: deadly("blobs.write", blobs.write), seal: deadly("blobs.seal", blobs.seal) },
  }
  return { store: mortal, writes: () => writes }
}

/**
 * Runs `flow` undisturbed, then once for each of its writes with a kill before it and one after it, resumes, and compares: the end must be
 * the same, and no step that was recorded may work again. In memory; `npm run test:crash` of Heddle itself does it with real processes.
 *
 * @example
 * const report = await crashEverywhere(order, { n: 1 })
 * expect(report).toMatchObject({ wrong: [], repeated: [] })
 */
export async function crashEverywhere<F extends AnyFlow>(flow: F, input: InputOf<F>, options: CrashOptions<F> = {}): Promise<CrashReport> {
  const { mocks, signals = [], layer, session, kills = 1, store: made = memoryStore, reset = () => undefined } = options
  let worked: Array<string> = []
  const prepared = watched(mocks === undefined ? flow : mocked(flow, mocks), ({ path }) => void worked.push(path))

  // a signal is sent again by whoever resumes, and is the same one
  const sent = signals.map((signal) => ({ id: signal.name, ...signal }))
  const attempt = (store: Store["Service"]): Effect.Effect<string, unknown> => {
    const ran = launch(makeHeddle(store), prepared, input, { id: "run", signals: sent, layer, session })
    return Effect.map(Effect.exit(Effect.provideService(ran, Clock, jumpingClock(Date.now()))), endOf)
  }
  /** Kills at the n-th write; `undefined` if the run has fewer. */
  const killed = async (store: Store["Service"], at: number, fate: Fate): Promise<string | undefined> => {
    const dead = Deferred.makeUnsafe<string>()
    const mortal = mortalStore(store, at, fate, (point) => Deferred.succeed(dead, `${point} ${fate}`))
    const fiber = Effect.runFork(attempt(mortal.store))
    const first = await Effect.runPromise(Effect.raceFirst(Effect.as(Fiber.await(fiber), undefined), Deferred.await(dead)))
    await Effect.runPromise(Fiber.interrupt(fiber))
    return first
  }
  const recorded = async (store: Store["Service"]): Promise<ReadonlySet<string>> => {
    const found = await Effect.runPromise(Effect.option(store.runs.get("run")))
    const events = found._tag === "None" ? [] : await Effect.runPromise(store.events.since(found.value, 0))
    return new Set(events.filter(({ kind }) => kind === "step.completed").map(eventPath))
  }

  reset()
  const expected = await Effect.runPromise(attempt(made()))
  const report = { points: 0, wrong: [] as Array<Harm>, repeated: [] as Array<Harm>, again: 0 }
  /** Resumes what is left in `store` and compares. */
  const check = async (store: Store["Service"], at: string, done: ReadonlySet<string>): Promise<void> => {
    const before = new Set(worked.splice(0))
    const end = await Effect.runPromise(attempt(store))
    report.points++
    if (end !== expected) report.wrong.push({ at, what: `${end}, expected ${expected}` })
    for (const path of worked) {
      if (done.has(path)) report.repeated.push({ at, what: path })
      else if (before.has(path)) report.again++
    }
  }
  const each = async (kill: (at: number, fate: Fate) => Promise<boolean>): Promise<void> => {
    for (let at = 1;; at++) {
      const more = [await kill(at, "lost"), await kill(at, "written")]
      if (!more.includes(true)) return
    }
  }
  await each(async (first, fate) => {
    reset()
    worked = []
    const store = made()
    const at = await killed(store, first, fate)
    if (at === undefined) return false
    await check(store, `${at} ${first}`, await recorded(store))
    if (kills === 1) return true
    await each(async (second, secondFate) => {
      reset()
      worked = []
      const twice = made()
      await killed(twice, first, fate)
      const then = await killed(twice, second, secondFate)
      if (then === undefined) return false
      await check(twice, `${at} ${first}, ${then} ${second}`, await recorded(twice))
      return true
    })
    return true
  })
  return report
}

/** How a run ended, as text that can be compared. */
const endOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return `output ${encodeValue(exit.value)}`
  // stacks differ from one run to the next
  return `error ${encodeError(Cause.squash(exit.cause)).replaceAll(/"stack":(null|"(?:[^"\\]|\\.)*")/g, "")}`
}
