/** Whose turn it is: how many runs of one flow, session or correlation a worker drives at once. */
import type { RunRecord } from "../model/run.ts"
import type { WorkerOptions } from "./worker.ts"

type Bounds = Pick<WorkerOptions, "perFlow" | "perSession" | "perCorrelation">

export class Turns {
  readonly #bounds: Bounds
  readonly #running = new Map<string, number>()

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  /** Somebody may have to wait while there is room for others. */
  get bounded(): boolean {
    return Object.values(this.#bounds).some((most) => most !== undefined)
  }

  /** What a run counts in, and how many there may be. A run that is a step of another never has to wait for that. */
  #counts({ flow, session, correlation, parent }: RunRecord): ReadonlyArray<readonly [of: string, most: number]> {
    if (parent !== undefined) return []
    const { perFlow, perSession, perCorrelation } = this.#bounds
    const all = [["flow", flow, perFlow], ["session", session, perSession], ["correlation", correlation, perCorrelation]] as const
    return all.flatMap(([kind, of, most]) => (of === undefined || most === undefined ? [] : [[`${kind} ${of}`, most] as const]))
  }

  /** Lets it in, if there is room for it everywhere. */
  take(run: RunRecord): boolean {
    const counts = this.#counts(run)
    if (counts.some(([of, most]) => (this.#running.get(of) ?? 0) >= most)) return false
    for (const [of] of counts) this.#running.set(of, (this.#running.get(of) ?? 0) + 1)
    return true
  }

  over(run: RunRecord): void {
    for (const [of] of this.#counts(run)) {
      const left = this.#running.get(of)! - 1
      if (left === 0) this.#running.delete(of)
      else this.#running.set(of, left)
    }
  }
}
