/** Driving runs to their end in this process, over crashes of others, waits and takeovers. */
import * as Cause from "effect/Cause"
import { currentTimeMillis } from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { encodedText } from "../../dsl/ir/encode.ts"
import { fingerprint } from "../../dsl/ir/fingerprint.ts"
import type { Budget } from "../../dsl/ir/limit.ts"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { isUndoable } from "../compile/compensate.ts"
import { encodeError } from "../compile/record.ts"
import { standingOf } from "../compile/standing.ts"
import { RunCancelled, RunConflict, RunQuarantined, StepThrew, StoreFailed, tagOf } from "../model/error.ts"
import { comings } from "../model/event.ts"
import { hasStopped, isDriven, type RunRecord } from "../model/run.ts"
import { Journal, type Keeping } from "../services/journal.ts"
import { Meter } from "../services/budgets.ts"
import type { Hooks } from "../services/hooks.ts"
import { telling } from "../services/recorded.ts"
import { StateNews } from "../services/state-watch.ts"
import { isTraced } from "../services/tracing.ts"
import { childId } from "./child.ts"
import { create } from "./create.ts"
import { drive, type Driven, type Driving, type Fresh } from "./drive.ts"
import type { Live, LiveRuns } from "./live.ts"
import { adopt } from "./migrate.ts"
import { nextOf, type Settling } from "./next.ts"
import { owner } from "./owner.ts"
import { mayGoOn, SessionMeters } from "./session-meter.ts"
import { Tenure } from "./tenure.ts"
import { tied } from "./ties.ts"

type Any<A> = Effect.Effect<A, any, any>

export class Conductor {
  readonly keeping: Omit<Keeping, "durability">
  readonly live: LiveRuns
  readonly hooks: Hooks
  readonly stateNews = new StateNews()
  /** The budget of all runs that are driven here together. */
  readonly meters: ReadonlyArray<Meter>
  /** What sessions have left. */
  readonly sessionMeters: SessionMeters
  readonly #poisoned: number
  readonly #saved = new Set<string>()
  /** Another list whenever it changes. */
  #news: ReadonlyArray<() => void> = []

  constructor(keeping: Omit<Keeping, "durability">, live: LiveRuns, hooks: Hooks, poisoned: number, budget: Budget | undefined) {
    this.meters = budget === undefined ? [] : [new Meter("the engine", budget)]
    this.keeping = keeping
    this.live = live
    this.hooks = hooks
    this.#poisoned = poisoned
    this.sessionMeters = new SessionMeters(keeping.store)
  }

  get #store() {
    return this.keeping.store
  }

  /** Tells when a run may have become due through this process; gives the function that ends it. */
  onNews(tell: () => void): () => void {
    this.#news = [...this.#news, tell]
    return () => void (this.#news = this.#news.filter((one) => one !== tell))
  }

  /** A run may have become due. */
  news(id: string): void {
    this.live.ring(id)
    for (const tell of this.#news) tell()
  }

  /** The structure of `flow` is kept, so that a later version can be compared with it. */
  save(flow: FlowIR): Any<string> {
    const print = fingerprint(flow)
    if (this.#saved.has(print)) return Effect.succeed(print)
    return Effect.map(this.#store.flows.save(print, encodedText(flow)), () => (this.#saved.add(print), print))
  }

  /** Drives a run that is ours in a fiber of its own; everybody who asks for it meanwhile waits for the same end. */
  conduct(flow: FlowIR, run: RunRecord, fresh: Fresh | undefined, how: Settling): Any<Driven> {
    return Effect.uninterruptibleMask((restore) => {
      const here: Live = {
        flow,
        run,
        done: Deferred.makeUnsafe(),
        stopping: undefined,
        leaving: false,
        fiber: undefined,
        waiting: undefined,
        bells: new Set(),
        budgets: undefined,
      }
      this.live.add(here)
      const driving = new Tenure(this, here, how)
      // a step may ask for its own run to stop before the fork has given its fiber
      const tenure = Effect.withFiber<Driven, unknown, any>((fiber) => {
        here.fiber = fiber as Fiber.Fiber<Driven, unknown>
        driving.traced = isTraced(fiber)
        const { session } = run
        if (session === undefined) return this.#tenure(flow, run, fresh, driving)
        return Effect.flatMap(this.sessionMeters.of(session), (bounds) => {
          driving.bounded = bounds
          const used = Effect.suspend(() => Effect.ignore(this.#store.sessions.touch(session, Date.now())))
          return Effect.tapError(Effect.tap(this.#tenure(flow, run, fresh, driving), used), () => used)
        })
      })
      return Effect.flatMap(Effect.forkChild(tenure, { startImmediately: true }), (fiber) =>
        Effect.onExit(
          restore(Effect.flatMap(Fiber.await(fiber), (exit): Any<Driven> => {
            if (!Exit.isFailure(exit) || !Cause.hasInterruptsOnly(exit.cause)) return exit
            return here.stopping === undefined ? this.#interruptedItself(flow, run, driving) : Effect.fail(here.stopping)
          })),
          (exit) => {
            const end = (told: Exit.Exit<Driven, unknown>) =>
              Effect.sync(() => {
                this.live.delete(here)
                driving.bounded.leave()
                this.news(run.id)
                Deferred.doneUnsafe(here.done, Exit.succeed(told))
              })
            return Exit.isSuccess(exit) ? end(exit) : Effect.flatMap(this.#leave(here, fiber, exit), end)
          },
        ))
    })
  }

  /**
   * A run that stopped before its end was interrupted, or could not be written: it is free for whoever comes, once its finalizers have ended, unless
   * somebody has asked for it to stop meanwhile, which those who wait are told.
   */
  #leave(here: Live, fiber: Fiber.Fiber<Driven, unknown>, exit: Exit.Failure<Driven, unknown>): Effect.Effect<Exit.Exit<Driven, unknown>> {
    const released = Effect.suspend((): Effect.Effect<Exit.Exit<Driven, unknown>> =>
      Effect.as(Effect.ignore(this.#store.runs.release(here.run, Date.now())), exit)
    )
    if (!Exit.hasInterrupts(exit)) return Cause.squash(exit.cause) instanceof StoreFailed ? released : Effect.succeed(exit)
    here.leaving = true
    return Effect.flatMap(Fiber.interrupt(fiber), () => (here.stopping === undefined ? released : Effect.succeed(Exit.fail(here.stopping))))
  }

  /** Nobody asked for it: a step has interrupted the run, and would do so for ever. */
  #interruptedItself(flow: FlowIR, run: RunRecord, driving: Driving): Any<Driven> {
    const error = new StepThrew({ path: "", cause: new Error("a step interrupted its own run") })
    const data = `{"error":${encodeError(error)}}`
    return Effect.gen({ self: this }, function*() {
      const journal = yield* Journal.end(run, driving)
      if (isUndoable(flow.body)) {
        yield* journal.append("run.compensating", "", "", data, { status: "compensating" })
        return yield* drive(flow, run, undefined, driving)
      }
      yield* journal.append("run.failed", "", "", data, { status: "failed", due: undefined })
      return yield* error
    })
  }

  /** Drives a run that has just been created, to its end. */
  begin(flow: FlowIR, run: RunRecord, input: unknown, how: Settling): Any<unknown> {
    return Effect.flatMap(
      this.conduct(flow, run, { input }, how),
      (driven) => ("output" in driven ? Effect.succeed(driven.output) : this.settle(flow, run.id, how, true)),
    )
  }

  /** Drives until the run ends or waits, and writes that it waits. */
  #tenure(flow: FlowIR, run: RunRecord, fresh: Fresh | undefined, driving: Driving): Any<Driven> {
    return Effect.flatMap(drive(flow, run, fresh, driving), (driven): Any<Driven> => {
      if ("output" in driven) return Effect.succeed(driven)
      const { waits, until, left } = driven.suspended
      return Effect.gen({ self: this }, function*() {
        const journal = yield* Journal.end(run, driving)
        journal.spending.stamp = driving.stamp
        const data = JSON.stringify(until === undefined ? {} : { until })
        yield* journal.append("run.suspended", comings, "", data, { status: "suspended", due: until, waits, left })
        // what happened to a child before that was written could not wake this run
        const now = Date.now()
        for (const id of driven.suspended.children) {
          const child = yield* this.#store.runs.get(id)
          const moves = hasStopped(child.status) || (child.due !== undefined && child.due <= now)
          if (moves) yield* this.#store.runs.nudge(run.id, now)
        }
        return driven
      })
    })
  }

  /** Sees the run to its end: drives it where nobody does, waits where somebody else does or where it waits itself. */
  settle(flow: FlowIR, id: string, asked: Settling, waiting = false): Any<unknown> {
    return telling(Effect.gen({ self: this }, function*() {
      let how = asked
      let patient = waiting
      while (true) {
        const { rung } = this.live
        const here = this.live.get(id)
        if (here !== undefined) {
          const exit = yield* Deferred.await(here.done)
          // whoever began it may have been interrupted: then it is for those who wait to go on
          if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) continue
          const driven = yield* exit
          if ("output" in driven) return driven.output
          patient = true
          continue
        }
        const run = yield* this.#store.runs.get(id)
        if (run.flow !== flow.name) return yield* new RunConflict({ run: id, differs: "flow" })
        const now = yield* currentTimeMillis
        const next = yield* nextOf(flow, run, how, this.keeping, patient, now)
        if (next !== "take" && next !== "wait") return next.output
        if (next === "wait") yield* this.live.sleep(run, now, rung)
        else {
          const exit = yield* Effect.exit(Effect.flatMap(this.claim(flow, run, how.within), (claimed) => this.conduct(flow, claimed, undefined, how)))
          const taken = Exit.isFailure(exit) && tagOf(Cause.squash(exit.cause)) === "RunTakenOver"
          if (!(patient && taken && how.within === undefined)) {
            const driven = yield* exit
            if ("output" in driven) return driven.output
            how = { ...asked, retries: false, unpauses: false }
          }
        }
        patient = true
      }
    }))
  }

  /** Gives the run to this process, if there is room for it: counts the deaths of its owners, and brings it to the flow as it is now. */
  claim(flow: FlowIR, run: RunRecord, within?: Settling["within"]): Any<RunRecord> {
    return Effect.gen({ self: this }, function*() {
      const { store } = this.keeping
      if (run.session !== undefined && run.status !== "compensating") yield* mayGoOn(store, run.session)
      const adoption = yield* adopt(flow, run, this.keeping)
      const died = isDriven(run.status) && run.owner !== "" && run.owner !== owner
      const retried = run.status === "quarantined" ? { crashes: 0 } : {}
      const crashed = died ? yield* crashesOf(run, store.events.head(run)) : retried
      const status = run.status === "compensating" ? "compensating" : "running"
      const claimed = yield* store.runs.claim(run, { owner, lease: this.live.lease, status, within, ...crashed })
      if (died && claimed.crashes >= this.#poisoned) {
        const journal = yield* Journal.end(claimed, this.keeping)
        const { crashes } = claimed
        yield* journal.append("run.quarantined", "", "", `{"count":${crashes}}`, { status: "quarantined", due: undefined })
        return yield* new RunQuarantined({ run: run.id, crashes })
      }
      if (adoption === undefined) return claimed
      yield* this.save(flow)
      yield* adoption(claimed)
      return { ...claimed, version: flow.version, fingerprint: fingerprint(flow) }
    })
  }

  /** Undoes what a completed run has done, because the run that started it is undone. */
  undo(flow: FlowIR, id: string, onlyState: boolean): Any<void> {
    return Effect.gen({ self: this }, function*() {
      const run = yield* this.#store.runs.get(id)
      if (onlyState && standingOf(yield* this.#store.events.since(run, 0), "", true).length === 0) return
      if (run.status === "cancelled" || run.status === "compensated") return
      if (run.status === "completed") {
        const claimed = yield* this.#store.runs.claim(run, { owner, lease: this.live.lease, status: run.status })
        const journal = yield* Journal.end(claimed, this.keeping)
        const data = JSON.stringify({ reason: "the run that started it was undone", cancelled: true })
        yield* journal.append("run.compensating", "", "", data, { status: "compensating", due: Date.now() })
      }
      yield* this.finishUndoing(flow, id)
    })
  }

  /** Sees a run that is being undone because it was cancelled to its end. */
  finishUndoing(flow: FlowIR, id: string): Any<void> {
    const undone = this.settle(flow, id, { durability: "sync", onSuspend: "return", retries: false, unpauses: false })
    return Effect.catchIf(Effect.asVoid(undone), (error) => error instanceof RunCancelled, () => Effect.void)
  }

  /** Leaves a run of another flow for a worker, on behalf of `run`; asked again, it is the same one. */
  spawn(run: RunRecord, flow: FlowIR, input: unknown, key: string): Any<void> {
    const id = childId(run.id, flow.name, key)
    const creating = create(this, flow, input, { ...tied(run), id, origin: run.id, at: Date.now() })
    return Effect.map(creating, () => this.news(id))
  }

  /** Cancels a child that its parent has given up. */
  giveUp!: (id: string, flow: FlowIR) => Effect.Effect<unknown, unknown>
}

/** How often its owners died in a row without getting on. */
const crashesOf = (run: RunRecord, head: Any<number>): Any<{ readonly crashes: number; readonly crashedAt: number }> =>
  // the one event more is that it was resumed
  Effect.map(head, (seq) => ({ crashes: seq > run.crashedAt + 1 ? 1 : run.crashes + 1, crashedAt: seq }))
