/** One call of an author's work, and trying it again. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { type Spending, spendingItems } from "../../dsl/ir/limit.ts"
import type { RetryPolicy, StepNode } from "../../dsl/ir/node.ts"
import type { ArtifactAccess } from "../../dsl/ir/artifact.ts"
import type { StateAccess } from "../../dsl/ir/state.ts"
import { isStoreError, LimitExceeded, StepTimedOut } from "../model/error.ts"
import type { ArtifactView } from "../services/artifacts.ts"
import { artifactAccess } from "../services/artifact-access.ts"
import { artifactView, CurrentStep, stateView, type Viewing } from "../services/current-step.ts"
import type { Budgets } from "../services/budgets.ts"
import { isDone } from "../services/done.ts"
import { stateAccess } from "../services/state-access.ts"
import type { StateView } from "../services/state.ts"
import { Changes } from "../services/state-changes.ts"
import type { RunContext } from "./frame.ts"
import type { Run } from "./program.ts"

/** What it knows of its run. */
export interface Running extends Pick<RunContext, "id" | "offers"> {
  /** Counts what it charges; gives the error where that is too much. */
  readonly charges: Pick<Budgets, "spend">
}

/** What one call is told. */
export class Context implements Viewing {
  readonly run: string
  readonly path: string
  readonly attempt: number
  readonly #of: string
  readonly #running: Running
  #abort: AbortController | undefined
  #changes: Changes | undefined
  #view: StateView | undefined
  #state: StateAccess | undefined
  #artifacts: ArtifactView | undefined

  constructor(running: Running, path: string, tries: number, of = "") {
    this.run = running.id
    this.#running = running
    this.path = path
    this.attempt = tries
    this.#of = of
  }
  get key(): string {
    return `${this.run}/${this.path}${this.#of}`
  }
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    return this.#abort.signal
  }
  get [stateView](): StateView {
    return this.#view ??= this.#running.offers.state(this.#changes = new Changes(), this.path)
  }
  get state(): StateAccess {
    return this.#state ??= stateAccess(this[stateView])
  }
  get [artifactView](): ArtifactView {
    return this.#artifacts ??= this.#running.offers.artifacts(this)
  }
  get artifacts(): ArtifactAccess {
    return artifactAccess(this[artifactView])
  }
  /** What it has changed of State, now that it is over. */
  get changes(): Changes | undefined {
    this.#changes?.close()
    return this.#changes?.none === false ? this.#changes : undefined
  }
  /** What a hook has had it given, in place of what its scope says. */
  given: unknown
  /** What it has charged is too much: whatever it makes of it, it has failed. */
  exceeded: LimitExceeded | undefined
  get charge(): (spending: Spending) => void {
    return (spending) => this.#charge(spending)
  }
  #charge(spending: Spending): void {
    for (const item of spendingItems) {
      const amount = spending[item]
      if (amount === undefined || amount === 0) continue
      if (!(amount > 0)) throw new RangeError(`charge: ${item} is ${String(amount)}, and must be a number from 0`)
      this.exceeded ??= this.#running.charges.spend(this.path, item, amount)
    }
    if (this.exceeded !== undefined) throw this.exceeded
  }
  get progress(): (news: unknown) => void {
    return (news) => this.#running.offers.progress(this.path, news)
  }
  abort(): void {
    this.#abort?.abort()
  }
}

/** Runs what `call` begins, with its context as a service; an interruption aborts its signal. */
export const attempt = (context: Context, call: (context: Context) => Run<unknown>): Run<unknown> => {
  const run = call(context)
  // plain values, by far the most, need neither the service nor an interruption handler
  return isDone(run) ? run : Effect.onInterrupt(Effect.provideService(run, CurrentStep, context), () => Effect.sync(() => context.abort()))
}

/** What an author said about trying again. */
export type Policy = Pick<StepNode, "retry" | "timeout">

/**
 * `once` with a retry and a timeout around every attempt; it is told the number of the attempt, from 1. What is `around` an attempt
 * does not count for its timeout.
 */
export function repeated<A>(
  path: string,
  { retry, timeout }: Policy,
  once: (tries: number) => Run<A>,
  around: (attempt: Run<A>) => Run<A> = (attempt) => attempt,
): Run<A> {
  const limit = timeout === undefined ? undefined : Duration.toMillis(timeout)
  return Effect.suspend(() => {
    let tries = 0
    const tried = Effect.suspend(() => once(++tries))
    const limited = around(
      limit === undefined ? tried : Effect.timeoutOrElse(tried, {
        duration: limit,
        orElse: () => Effect.fail(new StepTimedOut({ path, milliseconds: limit })),
      }),
    )
    return retry === undefined ? limited : Effect.retry(limited, {
      schedule: scheduleOf(retry),
      // what is spent stays spent; and nobody can do anything about the store
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- typed as the step's own errors where the author wrote it
      while: (error: unknown) => !isStoreError(error) && !(error instanceof LimitExceeded) && (retry.while === undefined || retry.while(error as never)),
    })
  })
}

const scheduleOf = ({ times, backoff, maxBackoff, jitter }: RetryPolicy) => {
  const waits = Schedule.min([Schedule.exponential(backoff), Schedule.spaced(maxBackoff)])
  return Schedule.upTo(jitter ? Schedule.jittered(waits) : waits, { times })
}
