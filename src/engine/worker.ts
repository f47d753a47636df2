/** Drives whatever is due: new runs, woken ones, those whose owner died. */
import * as Cause from "effect/Cause"
import { currentTimeMillis } from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { FlowIR } from "../../dsl/ir/node.ts"
import type { RunRecord } from "../model/run.ts"
import type { Conductor } from "./conduct.ts"
import { served } from "./served.ts"
import { RunSuspended, RunTakenOver } from "../model/error.ts"
import { Turns } from "../store/turns.ts"

export interface WorkerOptions {
  /** Runs driven at once, default 10. */
  readonly concurrency?: number | undefined
  /**
   * At most so many runs of one flow, of one session, of one `correlation` are driven at once, by this worker and all others of the store; default: all. Those
   * that are too many wait, and others pass them.
   */
  readonly perFlow?: number | undefined
  readonly perSession?: number | undefined
  readonly perCorrelation?: number | undefined
  /** How often to look for work of other processes, in milliseconds, default 250. */
  readonly poll?: number | undefined
  /** How long `stop` waits for what is going on, in milliseconds, default 10,000; then it is interrupted and given up to other workers. */
  readonly grace?: number | undefined
}
export interface Worker {
  /** Takes no more work, lets what goes on end within the grace, and gives the rest up to others. */
  readonly stop: Effect.Effect<void>
  /** Runs it drives now. */
  readonly running: () => number
  /** Done when it has stopped. */
  readonly done: Effect.Effect<void>
}

/** Each once. */
const byId = (runs: ReadonlyArray<RunRecord>): Iterable<RunRecord> => new Map(runs.map((run) => [run.id, run])).values()

/**
 * Starts one; it works until it is stopped.
 *
 * @throws RangeError for a bound that is no whole number from 1
 */
export function startWorker(conductor: Conductor, flows: ReadonlyArray<FlowIR>, options: WorkerOptions): Effect.Effect<Worker> {
  const { concurrency = 10, poll = 250, grace = 10_000, perFlow, perSession, perCorrelation } = options
  if (!(Number.isSafeInteger(concurrency) && concurrency >= 1)) throw new RangeError(`concurrency is ${concurrency}: use a whole number from 1`)
  const { store } = conductor.keeping
  const known = served(flows)
  const names = [...known.keys()]
  const fibers = new Map<string, { readonly run: RunRecord; readonly fiber: Fiber.Fiber<unknown> }>()
  const turns = new Turns({ perFlow, perSession, perCorrelation })
  const within = turns.isBounded ? { perFlow, perSession, perCorrelation } : undefined
  // runs that cannot be driven here just now are not asked for again at once
  const later = new Map<string, number>()
  const state = { stopping: false }
  let bell = Deferred.makeUnsafe<void>()
  const ring = Effect.sync(() => Deferred.doneUnsafe(bell, Effect.void))

  const driveOne = (run: RunRecord): Effect.Effect<void> => {
    const flow = known.get(run.flow)!
    const how = { durability: "sync", onSuspend: "return", retries: false, unpauses: false, within } as const
    return Effect.ensuring(
      Effect.matchCauseEffect(conductor.settle(flow, run.id, how) as Effect.Effect<unknown, unknown>, {
        onSuccess: () => Effect.void,
        // how a run ends is in its journal; one that cannot be driven here, or not yet, is left alone for a while
        onFailure: (cause) =>
          Effect.sync(() => {
            const error = Cause.squash(cause)
            if (!(error instanceof RunSuspended)) later.set(run.id, Date.now() + (error instanceof RunTakenOver ? poll : 1000))
          }),
      }),
      Effect.andThen(Effect.sync(() => fibers.delete(run.id)), ring),
    )
  }

  const isFree = (run: RunRecord, now: number): boolean => !fibers.has(run.id) && conductor.live.get(run.id) === undefined && (later.get(run.id) ?? 0) <= now

  const look = Effect.gen(function*() {
    const free = concurrency - fibers.size
    if (free <= 0) return poll
    const now = yield* currentTimeMillis
    for (const [id, until] of later) if (until <= now) later.delete(id)
    for (let refused = true; refused && fibers.size < concurrency;) {
      refused = false
      if (within !== undefined) turns.begin(byId([...(yield* store.runs.driven(now)), ...Array.from(fibers.values(), ({ run }) => run)]))
      const without = within === undefined ? undefined : turns.full
      const due = yield* store.runs.due(names, now, free + fibers.size + later.size + conductor.live.size, without)
      for (const run of due) {
        if (fibers.size >= concurrency || !isFree(run, now)) continue
        // it must not hide others: they are asked for again, without its kind
        if (turns.take(run)) fibers.set(run.id, { run, fiber: yield* Effect.forkDetach(driveOne(run)) })
        else refused = true
      }
    }
    const next = yield* store.runs.nextDue(names)
    // runs of this process come by the bell or in time, those of others by looking
    const wait = next === undefined ? Number.POSITIVE_INFINITY : Math.max(next > now ? next - now : poll, 1)
    return store.shared ? Math.min(poll, wait) : wait
  })

  return Effect.gen(function*() {
    const loop = Effect.gen(function*() {
      while (!state.stopping) {
        bell = Deferred.makeUnsafe()
        // a store that fails for a moment, a lock for instance, is asked again
        const wait = yield* Effect.orElseSucceed(look, () => poll)
        const rung = Deferred.await(bell)
        yield* wait === Number.POSITIVE_INFINITY ? rung : Effect.timeoutOrElse(rung, { duration: wait, orElse: () => Effect.void })
      }
    })
    const unlisten = conductor.onNews(() => Deferred.doneUnsafe(bell, Effect.void))
    const fiber = yield* Effect.forkDetach(Effect.ensuring(loop, Effect.sync(unlisten)))
    const stop = Effect.gen(function*() {
      if (state.stopping) return
      state.stopping = true
      yield* ring
      yield* Fiber.await(fiber)
      const all = Array.from(fibers.values(), ({ fiber }) => fiber)
      yield* Effect.timeoutOrElse(Effect.forEach(all, (one) => Fiber.await(one), { concurrency: "unbounded", discard: true }), {
        duration: grace,
        orElse: () => Effect.forEach(all, (one) => Fiber.interrupt(one), { concurrency: "unbounded", discard: true }),
      })
    })
    return { stop, running: () => fibers.size, done: Fiber.join(fiber) }
  })
}
