/** Whose turn it is: how many runs of one flow, session or correlation are driven at once. */
import type { RunRecord } from "../model/run.ts"
import type { Within, Without } from "./store.ts"

/** Runs that are driven, by what they have in common. */
class Lane {
  readonly #most: number
  readonly #of: (run: RunRecord) => string | undefined
  #running = new Map<string, number>()

  constructor(name: string, most: number | undefined, of: (run: RunRecord) => string | undefined) {
    if (most !== undefined && !(Number.isSafeInteger(most) && most >= 1)) throw new RangeError(`${name} is ${most}: use a whole number from 1`)
    this.#most = most ?? Number.POSITIVE_INFINITY
    this.#of = of
  }

  get isBounded(): boolean {
    return this.#most !== Number.POSITIVE_INFINITY
  }
  get full(): ReadonlyArray<string> {
    return Array.from(this.#running).flatMap(([key, count]) => (count >= this.#most ? [key] : []))
  }
  hasRoom(run: RunRecord): boolean {
    const key = this.#of(run)
    return key === undefined || (this.#running.get(key) ?? 0) < this.#most
  }
  add(run: RunRecord): void {
    const key = this.#of(run)
    if (key !== undefined && this.isBounded) this.#running.set(key, (this.#running.get(key) ?? 0) + 1)
  }
  clear(): void {
    this.#running.clear()
  }
}

export class Turns {
  readonly #lanes: readonly [flows: Lane, sessions: Lane, correlations: Lane]

  /** @throws RangeError for a bound that is no whole number from 1 */
  constructor({ perFlow, perSession, perCorrelation }: Within) {
    this.#lanes = [
      new Lane("perFlow", perFlow, ({ flow }) => flow),
      new Lane("perSession", perSession, ({ session }) => session),
      new Lane("perCorrelation", perCorrelation, ({ correlation }) => correlation),
    ]
  }

  /** Somebody may have to wait. */
  get isBounded(): boolean {
    return this.#lanes.some((lane) => lane.isBounded)
  }

  /** Counts anew: these are driven. */
  begin(driven: Iterable<RunRecord>): this {
    for (const lane of this.#lanes) lane.clear()
    for (const run of driven) this.#add(run)
    return this
  }

  /** What has to wait, whoever comes. */
  get full(): Without {
    const [flows, sessions, correlations] = this.#lanes.map(({ full }) => full)
    return { flows: flows!, sessions: sessions!, correlations: correlations! }
  }

  /** Lets it in, if there is room for it everywhere. A run that is a step of another never has to wait. */
  take(run: RunRecord): boolean {
    const may = run.parent !== undefined || this.#lanes.every((lane) => lane.hasRoom(run))
    if (may) this.#add(run)
    return may
  }

  #add(run: RunRecord): void {
    if (run.parent === undefined) { for (const lane of this.#lanes) lane.add(run) }
  }
}
