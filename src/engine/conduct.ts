/** Driving runs to their end in this process, over crashes of others, waits and takeovers. */
import * as Cause from "effect/Cause"
import { currentTimeMillis } from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { encodedText } from "../../dsl/ir/encode.ts"
import { fingerprint } from "../../dsl/ir/fingerprint.ts"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { after } from "../compile/program.ts"
import { encodeError, stored } from "../compile/record.ts"
import { RunConflict, RunOwned, RunPaused, RunQuarantined, RunSuspended, StepThrew, tagOf } from "../model/error.ts"
import { comings } from "../model/event.ts"
import { hasStopped, isDriven, type RunRecord } from "../model/run.ts"
import { encodeValue } from "../model/value.ts"
import { Journal, type Keeping } from "../services/journal.ts"
import type { Hooks } from "../services/hooks.ts"
import type { Durability } from "../store/store.ts"
import { childId, runChild } from "./child.ts"
import { drive, type Driven, ending, type Fresh, parseInput } from "./drive.ts"
import type { Live, LiveRuns } from "./live.ts"
import { adopt } from "./migrate.ts"
import { isAlive, owner } from "./owner.ts"

/** How far somebody goes to see a run end. */
export interface Settling {
  readonly durability: Durability
  /** When it waits: stay until it has ended, or fail with `RunSuspended`. */
  readonly onSuspend: "wait" | "return"
  /** Go on with a failed or quarantined run. */
  readonly retries: boolean
  /** Go on with a paused run. */
  readonly unpauses: boolean
}
type Any<A> = Effect.Effect<A, any, any>

export class Conductor {
  readonly keeping: Omit<Keeping, "durability">
  readonly live: LiveRuns
  readonly hooks: Hooks
  readonly #poisoned: number
  readonly #saved = new Set<string>()
  readonly #news = new Set<() => void>()

  constructor(keeping: Omit<Keeping, "durability">, live: LiveRuns, hooks: Hooks, poisoned: number) {
    this.keeping = keeping
    this.live = live
    this.hooks = hooks
    this.#poisoned = poisoned
  }

  get #store() {
    return this.keeping.store
  }

  /** Tells when a run may have become due through this process; gives the function that ends it. */
  onNews(tell: () => void): () => void {
    this.#news.add(tell)
    return () => void this.#news.delete(tell)
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
    this.#saved.add(print)
    return Effect.as(this.#store.flows.save(print, encodedText(flow)), print)
  }

  /** Drives a run that is ours in a fiber of its own; everybody who asks for it meanwhile waits for the same end. */
  conduct(flow: FlowIR, run: RunRecord, fresh: Fresh | undefined, how: Settling): Any<Driven> {
    const { durability } = how
    return Effect.suspend(() => {
      const here: Live = { flow, run, done: Deferred.makeUnsafe(), stopping: undefined, leaving: false, fiber: undefined, waiting: undefined }
      const { store, listeners } = this.keeping
      this.live.add(here)
      const driving = {
        store,
        listeners,
        durability,
        alone: () => this.live.size === 1,
        hooks: this.hooks,
        spawn: (other: FlowIR, input: unknown, key: string) => this.#spawn(run, other, input, key),
        child: (childFlow: FlowIR, input: unknown, path: string, generation: number) =>
          runChild(this, here, childFlow, input, generation === 0 ? path : `${path}#${generation}`, how),
        waits: (waiting: Live["waiting"]) => (here.waiting = waiting),
      }
      return Effect.flatMap(Effect.forkChild(this.#tenure(flow, run, fresh, driving), { startImmediately: true }), (fiber) => {
        here.fiber = fiber
        return Effect.onExit(
          Effect.flatMap(Fiber.await(fiber), (exit): Any<Driven> => {
            if (!Exit.isFailure(exit) || !Cause.hasInterruptsOnly(exit.cause)) return exit
            return here.stopping === undefined ? this.#interruptedItself(run, driving) : Effect.fail(here.stopping)
          }),
          (exit) => {
            const end = (told: Exit.Exit<Driven, unknown>) =>
              Effect.sync(() => {
                this.live.delete(here)
                this.news(run.id)
                Deferred.doneUnsafe(here.done, Exit.succeed(told))
              })
            return Exit.hasInterrupts(exit) ? Effect.flatMap(this.#leave(here, fiber, exit), end) : end(exit)
          },
        )
      })
    })
  }

  /**
   * Whoever drove it was interrupted. Its finalizers end before anybody else begins; then it is free for whoever waits for it, unless somebody
   * has asked for it to stop meanwhile, which those who wait are told.
   */
  #leave(here: Live, fiber: Fiber.Fiber<Driven, unknown>, exit: Exit.Exit<Driven, unknown>): Effect.Effect<Exit.Exit<Driven, unknown>> {
    here.leaving = true
    return Effect.flatMap(Fiber.interrupt(fiber), () =>
      here.stopping === undefined ?
        Effect.as(Effect.ignore(this.#store.runs.release(here.run, Date.now())), exit) :
        Effect.succeed(Exit.fail(here.stopping)))
  }

  /** Nobody asked for it: a step has interrupted the run, and would do so for ever. */
  #interruptedItself(run: RunRecord, keeping: Omit<Keeping, "durability">): Any<never> {
    const error = new StepThrew({ path: "", cause: new Error("a step interrupted its own run") })
    return Effect.gen({ self: this }, function*() {
      const journal = yield* Journal.end(run, keeping)
      yield* journal.append("run.failed", "", "", `{"error":${encodeError(error)}}`, { status: "failed", due: undefined })
      return yield* error
    })
  }

  /** Drives a run that has just been created, to its end. */
  begin(flow: FlowIR, run: RunRecord, input: unknown, how: Settling): Any<unknown> {
    return this.#stopped(flow, run.id, this.conduct(flow, run, { input }, how), how)
  }

  /** Drives until the run ends or waits, and writes that it waits. */
  #tenure(flow: FlowIR, run: RunRecord, fresh: Fresh | undefined, driving: Parameters<typeof drive>[3]): Any<Driven> {
    return Effect.flatMap(drive(flow, run, fresh, driving), (driven): Any<Driven> => {
      if ("output" in driven) return Effect.succeed(driven)
      const { waits, until } = driven.suspended
      return Effect.gen({ self: this }, function*() {
        const journal = yield* Journal.end(run, driving)
        const data = JSON.stringify(until === undefined ? {} : { until })
        yield* journal.append("run.suspended", comings, "", data, { status: "suspended", due: until, waits })
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
  settle(flow: FlowIR, id: string, how: Settling, patient = false): Any<unknown> {
    const again = (run: RunRecord): Any<unknown> =>
      Effect.flatMap(Effect.flatMap(currentTimeMillis, (now) => this.live.sleep(run, now)), () => this.settle(flow, id, how, true))
    return Effect.gen({ self: this }, function*() {
      const here = this.live.get(id)
      if (here !== undefined) {
        const exit = yield* Deferred.await(here.done)
        // whoever began it may have been interrupted: then it is for those who wait to go on
        if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* this.settle(flow, id, how, patient)
        return yield* this.#stopped(flow, id, exit, how)
      }
      const run = yield* this.#store.runs.get(id)
      if (run.flow !== flow.name) return yield* new RunConflict({ run: id, differs: "flow" })
      const now = yield* currentTimeMillis
      const isDue = run.due !== undefined && run.due <= now
      switch (run.status) {
        case "completed":
        case "cancelled":
        case "compensated":
          return yield* ending(flow, { ...this.keeping, durability: "sync" }, run)
        case "failed":
          if (!how.retries) return yield* ending(flow, { ...this.keeping, durability: "sync" }, run)
          break
        case "quarantined":
          if (!how.retries) return yield* new RunQuarantined({ run: id, crashes: run.crashes })
          break
        case "paused":
          if (!how.unpauses) return yield* new RunPaused({ run: id, reason: "" })
          break
        case "suspended":
          if (isDue) break
          // whoever asks for a run that this code could not go on with is told now, and not when the wait is over
          yield* adopt(flow, run, this.keeping)
          if (how.onSuspend === "return") return yield* new RunSuspended({ run: id, waits: run.waits, until: run.due })
          return yield* again(run)
        case "pending":
          if (!isDue) return yield* again(run)
          break
        case "running":
        case "compensating":
          if (run.owner !== "" && run.owner !== owner && run.due !== undefined && run.due > Date.now() && isAlive(run.owner)) {
            return yield* patient ? again(run) : new RunOwned({ run: id, owner: run.owner })
          }
      }
      const taken = this.#take(flow, run, how)
      return yield* patient ?
        Effect.catchIf(taken, (error) => tagOf(error) === "RunTakenOver", () => this.settle(flow, id, how, true)) :
        taken
    })
  }

  /** Makes the run ours and drives it. */
  #take(flow: FlowIR, run: RunRecord, how: Settling): Any<unknown> {
    return Effect.gen({ self: this }, function*() {
      const claimed = yield* this.claim(flow, run)
      return yield* this.#stopped(flow, run.id, this.conduct(flow, claimed, undefined, how), { ...how, retries: false, unpauses: false })
    })
  }

  #stopped(flow: FlowIR, id: string, conducted: Any<Driven>, how: Settling): Any<unknown> {
    return Effect.flatMap(conducted, (driven) => ("output" in driven ? Effect.succeed(driven.output) : this.settle(flow, id, how, true)))
  }

  /** Gives the run to this process: counts the deaths of its owners, and brings it to the flow as it is now. */
  claim(flow: FlowIR, run: RunRecord): Any<RunRecord> {
    return Effect.gen({ self: this }, function*() {
      const { store } = this.keeping
      const adoption = yield* adopt(flow, run, this.keeping)
      const died = isDriven(run.status) && run.owner !== "" && run.owner !== owner
      const retried = run.status === "quarantined" ? { crashes: 0 } : {}
      const crashed = died ? yield* crashesOf(run, store.events.head(run)) : retried
      const status = run.status === "compensating" ? "compensating" : "running"
      const claimed = yield* store.runs.claim(run, { owner, lease: this.live.lease, status, ...crashed })
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

  /** Leaves a run of another flow for a worker, on behalf of `run`; asked again, it is the same one. */
  #spawn(run: RunRecord, flow: FlowIR, input: unknown, key: string): Any<void> {
    const id = childId(run.id, flow.name, key)
    const creating = this.create(flow, input, { id, source: undefined, parent: undefined, origin: run.id, at: Date.now() })
    return Effect.map(creating, () => this.news(id))
  }

  /** Creates the run, or finds the one that has its id, and says which. */
  create(
    flow: FlowIR,
    input: unknown,
    more: Pick<RunRecord, "id" | "source" | "parent" | "origin"> & { readonly at?: number | undefined },
  ): Any<{ readonly created: boolean; readonly run: RunRecord; readonly parsed: unknown }> {
    const { at, ...given } = more
    return Effect.flatMap(
      parseInput(flow, input),
      (parsed) =>
        Effect.flatMap(
          after(stored("input", () => encodeValue(input)), (encoded) => Effect.map(this.save(flow), (print) => [encoded, print] as const)),
          ([encoded, print]) => {
            const { name, version } = flow
            const driven = at === undefined ?
              { status: "running" as const, owner, due: this.live.lease } :
              { status: "pending" as const, owner: "", due: at }
            const creating = this.#store.runs.create({ ...given, ...driven, flow: name, version, fingerprint: print, input: encoded })
            return Effect.flatMap(creating, ({ created, run }) => {
              if (!created && run.flow !== name) return Effect.fail(new RunConflict({ run: run.id, differs: "flow" }))
              if (!created && run.input !== encoded) return Effect.fail(new RunConflict({ run: run.id, differs: "input" }))
              return Effect.succeed({ created, run, parsed })
            })
          },
        ),
    )
  }

  /** Cancels a child that its parent has given up. */
  giveUp!: (id: string, flow: FlowIR) => Effect.Effect<unknown, unknown>
}

/** How often its owners died in a row without getting on. */
const crashesOf = (run: RunRecord, head: Any<number>): Any<{ readonly crashes: number; readonly crashedAt: number }> =>
  // the one event more is that it was resumed
  Effect.map(head, (seq) => ({ crashes: seq > run.crashedAt + 1 ? 1 : run.crashes + 1, crashedAt: seq }))
