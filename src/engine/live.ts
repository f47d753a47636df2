/** The runs that go on in this process, and those somebody here waits for: their leases, and news of them from other processes. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { existsSync, realpathSync } from "node:fs"
import { resolve } from "node:path"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { RunCancelled, RunPaused, RunTakenOver } from "../model/error.ts"
import type { RunRecord } from "../model/run.ts"
import type { Budgets } from "../services/budgets.ts"
import type { Waiting } from "../services/waiting.ts"
import type { Store } from "../store/store.ts"
import type { Driven } from "./drive.ts"
import { owner } from "./owner.ts"

/** A run that goes on in this process. */
export interface Live {
  readonly flow: FlowIR
  readonly run: RunRecord
  /** How it ended. */
  readonly done: Deferred.Deferred<Exit.Exit<Driven, unknown>>
  /** Why it is interrupted, if on request. */
  stopping: RunCancelled | RunPaused | RunTakenOver | undefined
  /** It is interrupted as a whole, by whoever drives it. */
  leaving: boolean
  fiber: Fiber.Fiber<Driven, unknown> | undefined
  waiting: Waiting | undefined
  /** Parts of the run that want to know when something was sent to it. */
  readonly bells: Set<() => void>
  budgets: Budgets | undefined
}

/** How often a process looks whether another one has changed what it drives or waits for, in milliseconds. */
const lookInterval = 250

/** What everybody in this process knows of one store: whoever opens a file a second time meets the runs of the first. */
interface Shared {
  readonly runs: Map<string, Live>
  readonly sleepers: Map<string, Set<Deferred.Deferred<void>>>
  /** How often anything has rung: who has read a run and then waits for news knows whether there was some meanwhile. */
  rung: number
}
const byStore = new Map<string, Shared>()
const sharedOf = (store: Store["Service"]): Shared => {
  // one file, whatever it is called
  const name = store.shared ? (existsSync(store.name) ? realpathSync(store.name) : resolve(store.name)) : undefined
  const shared = (name === undefined ? undefined : byStore.get(name)) ?? { runs: new Map<string, Live>(), sleepers: new Map(), rung: 0 }
  if (name !== undefined) byStore.set(name, shared)
  return shared
}

export class LiveRuns {
  readonly #store: Store["Service"]
  readonly #lease: number
  readonly #runs = new Map<string, Live>()
  /** How many here wait for each run. */
  readonly #sleeping = new Map<string, number>()
  readonly #shared: Shared
  #timer: NodeJS.Timeout | undefined
  #renewed = 0
  /** What the store gave when it was last looked at. */
  #seen: unknown

  constructor(store: Store["Service"], lease: number) {
    this.#store = store
    this.#lease = lease
    this.#shared = sharedOf(store)
  }

  /** Runs that go on here. */
  get size(): number {
    return this.#shared.runs.size
  }

  /** Until when a run that is claimed now is this process's. */
  get lease(): number {
    return Date.now() + this.#lease
  }

  get(id: string): Live | undefined {
    return this.#shared.runs.get(id)
  }

  add(live: Live): void {
    this.#runs.set(live.run.id, live)
    this.#shared.runs.set(live.run.id, live)
    this.#tick()
  }

  /** The run has stopped; whoever waits for it, or started it, looks again. */
  delete(live: Live): void {
    this.#runs.delete(live.run.id)
    this.#shared.runs.delete(live.run.id)
    this.ring(live.run.id)
    if (live.run.parent !== undefined) this.ring(live.run.parent)
  }

  /** Something happened to the run. */
  ring(id: string): void {
    this.#shared.rung++
    const here = this.#shared.runs.get(id)
    here?.waiting?.ring()
    here?.bells.forEach((bell) => bell())
    for (const bell of Array.from(this.#shared.sleepers.get(id) ?? [])) Deferred.doneUnsafe(bell, Effect.void)
  }

  /** To be taken before a run is read. */
  get rung(): number {
    return this.#shared.rung
  }

  /** Waits until something may have happened to the run since `rung` was taken, at the latest until it is due. */
  sleep(run: RunRecord, now: number, rung: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#shared.rung !== rung) return Effect.void
      const bell = Deferred.makeUnsafe<void>()
      const { sleepers } = this.#shared
      const bells = sleepers.get(run.id) ?? new Set()
      sleepers.set(run.id, bells.add(bell))
      this.#sleeping.set(run.id, (this.#sleeping.get(run.id) ?? 0) + 1)
      this.#tick()
      this.#keepAlive()
      const news = Deferred.await(bell)
      const ended = run.due === undefined ? news : Effect.timeoutOrElse(news, { duration: Math.max(1, run.due - now), orElse: () => Effect.void })
      return Effect.ensuring(
        ended,
        Effect.sync(() => {
          bells.delete(bell)
          if (bells.size === 0) sleepers.delete(run.id)
          const left = this.#sleeping.get(run.id)! - 1
          if (left > 0) this.#sleeping.set(run.id, left)
          else this.#sleeping.delete(run.id)
          this.#keepAlive()
        }),
      )
    })
  }

  /** One timer for all; none while there is nothing to look after. */
  #tick(): void {
    if (!this.#store.shared || this.#timer !== undefined) return
    this.#renewed = Date.now()
    this.#timer = setInterval(() => this.#look(), lookInterval)
    this.#timer.unref()
  }

  /** Whoever waits for another process's news keeps this one alive; runs that go on here have something that does, or end. */
  #keepAlive(): void {
    if (this.#sleeping.size > 0) this.#timer?.ref()
    else this.#timer?.unref()
  }

  #look(): void {
    if (this.#runs.size === 0 && this.#sleeping.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    const now = Date.now()
    if (this.#runs.size > 0 && now - this.#renewed >= this.#lease / 3) {
      this.#renewed = now
      Effect.runFork(Effect.ignore(this.#store.runs.renew([...this.#runs.keys()], owner, now + this.#lease)))
    }
    const ids = [...this.#runs.keys(), ...this.#sleeping.keys()]
    const looked = Effect.map(this.#store.runs.look(ids, this.#seen), ({ version, runs }) => {
      this.#seen = version
      runs.forEach((run) => this.#compare(run))
    })
    Effect.runFork(Effect.ignore(looked))
  }

  #compare(run: RunRecord): void {
    const here = this.#runs.get(run.id)
    if (here !== undefined && run.fence !== here.run.fence && here.fiber !== undefined) {
      const { id } = run
      const reason = "by another process"
      here.stopping ??= run.status === "cancelled" || run.status === "compensating" ?
        new RunCancelled({ run: id, reason }) :
        run.status === "paused" ?
        new RunPaused({ run: id, reason }) :
        new RunTakenOver({ run: id })
      here.fiber.interruptUnsafe()
    }
    this.ring(run.id)
  }
}
