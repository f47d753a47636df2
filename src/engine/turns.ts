/** Whose turn it is: how many runs of one flow, session or correlation a worker drives at once. */
import type { RunRecord } from "../model/run.ts"
import type { Without } from "../store/store.ts"
import type { WorkerOptions } from "./worker.ts"

type Bounds = Pick<WorkerOptions, "perFlow" | "perSession" | "perCorrelation">

/** Runs of one kind that are driven, by what they have in common. */
class Lane {
  readonly #most: number
  readonly #of: (run: RunRecord) => string | undefined
  readonly #running = new Map<string, number>()

  constructor(name: string, most: number | undefined, of: (run: RunRecord) => string | undefined) {
    if (most !== undefined && !(Number.isSafeInteger(most) && most >= 1)) throw new RangeError(`${name} is ${most}: use a whole number from 1`)
    this.#most = most ?? Number.POSITIVE_INFINITY
    this.#of = of
  }

  get bounded(): boolean {
    return this.#most !== Number.POSITIVE_INFINITY
  }
  get full(): ReadonlyArray<string> {
    return Array.from(this.#running).flatMap(([key, count]) => (count >= this.#most ? [key] : []))
  }
  hasRoom(run: RunRecord): boolean {
    const key = this.#of(run)
    return key === undefined || (this.#running.get(key) ?? 0) < this.#most
  }
  count(run: RunRecord, by: 1 | -1): void {
    const key = this.#of(run)
    if (key === undefined || !this.bounded) return
    const now = (this.#running.get(key) ?? 0) + by
    if (now === 0) this.#running.delete(key)
    else this.#running.set(key, now)
  }
}

export class Turns {
  readonly #flows: Lane
  readonly #sessions: Lane
  readonly #correlations: Lane

  /** @throws RangeError for a bound that is no whole number from 1 */
  constructor({ perFlow, perSession, perCorrelation }: Bounds) {
    this.#flows = new Lane("perFlow", perFlow, ({ flow }) => flow)
    this.#sessions = new Lane("perSession", perSession, ({ session }) => session)
    this.#correlations = new Lane("perCorrelation", perCorrelation, ({ correlation }) => correlation)
  }

  get #lanes(): ReadonlyArray<Lane> {
    return [this.#flows, this.#sessions, this.#correlations]
  }

  /** Those that have to wait, whoever comes; `undefined` where none ever has to. */
  get full(): Without | undefined {
    if (!this.#lanes.some(({ bounded }) => bounded)) return undefined
    return { flows: this.#flows.full, sessions: this.#sessions.full, correlations: this.#correlations.full }
  }

  /** Lets it in, if there is room for it everywhere. A run that is a step of another never has to wait. */
  take(run: RunRecord): boolean {
    if (run.parent !== undefined) return true
    if (!this.#lanes.every((lane) => lane.hasRoom(run))) return false
    for (const lane of this.#lanes) lane.count(run, 1)
    return true
  }

  over(run: RunRecord): void {
    if (run.parent === undefined) { for (const lane of this.#lanes) lane.count(run, -1) }
  }
}
