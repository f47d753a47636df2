/** Signals of one run, each given to one of its waits. */
import * as Effect from "effect/Effect"
import type { StoreFailed } from "../model/error.ts"
import type { RunRecord } from "../model/run.ts"
import type { SignalRecord } from "../model/signal.ts"
import type { Store } from "../store/store.ts"

export class Picks {
  readonly #store: Store["Service"]
  readonly #run: RunRecord
  /** Those that a wait has picked and not yet recorded. */
  readonly #picked = new Set<string>()

  constructor(store: Store["Service"], run: RunRecord) {
    this.#store = store
    this.#run = run
  }

  /** The oldest signal of this name that nobody has received; no other wait of this run is given it meanwhile. */
  pick(name: string, misfits: ReadonlySet<string>): Effect.Effect<SignalRecord | undefined, StoreFailed> {
    return Effect.map(this.#store.signals.waiting(this.#run, name), (signals) => {
      const found = signals.find(({ id }) => !this.#picked.has(id) && !misfits.has(id))
      if (found !== undefined) this.#picked.add(found.id)
      return found
    })
  }

  /** One of this name is there; it stays. */
  has(name: string): Effect.Effect<boolean, StoreFailed> {
    return Effect.map(this.#store.signals.waiting(this.#run, name), (signals) => signals.length > 0)
  }

  /** Leaves a signal that was picked to other waits. */
  putBack(id: string): void {
    this.#picked.delete(id)
  }
}
