/** What a run has spent, as its journal says it: found again when it goes on, said with every event while it does. */
import * as Effect from "effect/Effect"
import type { StoreFailed } from "../model/error.ts"
import { eventPath } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import type { Store } from "../store/store.ts"
import type { Stamp } from "./budgets.ts"
import { dataOf } from "./recorded.ts"

/** How many events are read at once to find the newest that says it. */
const lookBack = 64

export class Spending {
  /** What was spent before this process drove the run. */
  spent: Stamp = {}
  /** What is spent by now, where something is bounded. */
  stamp: (() => Stamp) | undefined
  /** Where it was last said what is spent. */
  #saidAt: ReadonlyArray<string> = []

  /** Finds what was spent so far: the newest event up to number `before` that says it, looking back at most `most` times at `back` of them. */
  recall(store: Store["Service"], run: RunRecord, before: number, most = Number.POSITIVE_INFINITY, back = lookBack): Effect.Effect<void, StoreFailed> {
    const from = Math.max(0, before - back)
    return Effect.flatMap(store.events.since(run, from, before - from), (events) => {
      const said = events.filter((event) => dataOf(event).spent !== undefined)
      this.#saidAt = said.map(eventPath)
      // what others write into a journal, to pause a run or to migrate it, says nothing of it
      if (said.length === 0 && from > 0 && most > 1) return this.recall(store, run, from, most - 1, back)
      this.spent = said.length === 0 ? {} : dataOf(said.at(-1)!).spent!
      return Effect.void
    })
  }

  /** Something inside `path` has said what is spent: what was counted when it began is in there. */
  isCountedIn(path: string): boolean {
    return this.#saidAt.some((at) => at.startsWith(`${path}/`))
  }

  /** An event's data, saying what is spent. */
  stamped(data: string): string {
    return this.stamp === undefined ? data : `${data.slice(0, -1)}${data === "{}" ? "" : ","}"spent":${JSON.stringify(this.stamp())}}`
  }
}
