/** State from outside of runs: at a place, with what steps cannot do: several changes at once, watching, copies. */
import * as Effect from "effect/Effect"
import type { Stream } from "effect/Stream"
import type { StateKey, StateScope } from "../../dsl/ir/state.ts"
import type { StoreFailed } from "../model/error.ts"
import type { StateEntry } from "../model/state-entry.ts"
import type { Store } from "../store/store.ts"
import { type StateNews, watch } from "./state-watch.ts"
import { StateView } from "./state.ts"
import type { Place, StateError } from "./state-scope.ts"

/** All values of one scope, as they were at one moment. */
export interface StateSnapshot {
  readonly scope: string
  readonly entries: ReadonlyArray<Pick<StateEntry, "name" | "value" | "version" | "until">>
}

export class PlacedState extends StateView {
  readonly #store: Store["Service"]
  readonly #news: StateNews

  constructor(store: Store["Service"], news: StateNews, place: Place) {
    super(store, place, undefined, news.tell)
    this.#store = store
    this.#news = news
  }

  /** The value now, and again whenever it is another, from any process; values in between may be left out. */
  watch<Value, Empty>(key: StateKey<Value, Empty>): Stream<Value | Empty, StateError> {
    return watch(this.#store, this.#news, this, key)
  }

  /** Everything that is kept in a scope of this place; `of`: the agent, the tool, the name of the custom scope. */
  snapshot(scope: StateScope, of?: string): Effect.Effect<StateSnapshot, StateError> {
    return Effect.flatMap(
      this.scope({ name: "all", scope, of }),
      (name) =>
        Effect.map(this.#store.states.list(name, "", Number.MAX_SAFE_INTEGER), (entries) => ({
          scope: name,
          entries: entries.map(({ name, value, version, until }) => ({ name, value, version, until })),
        })),
    )
  }

  /** Makes a scope what it was when `snapshot` was taken: what was written since is gone. */
  restore({ scope, entries }: StateSnapshot): Effect.Effect<void, StateError> {
    return Effect.gen({ self: this }, function*() {
      const wanted = new Map(entries.map((entry) => [entry.name, entry]))
      const there = yield* this.#store.states.list(scope, "", Number.MAX_SAFE_INTEGER)
      const names = new Set([...there.map(({ name }) => name), ...wanted.keys()])
      yield* this.#store.states.commit([...names].map((name) => ({ scope, name, expected: undefined, next: () => wanted.get(name) })))
      this.#news.tell()
    })
  }

  /** Deletes what is over, in every scope; gives how many values. */
  get expire(): Effect.Effect<number, StoreFailed> {
    return Effect.suspend(() => this.#store.states.expire(Date.now()))
  }
}
