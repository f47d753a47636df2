/** News of State: what is written here is heard of at once, what other processes write is looked for. */
import { currentTimeMillis } from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { StateKey } from "../../dsl/ir/state.ts"
import { encodeValue } from "../model/value.ts"
import type { Store } from "../store/store.ts"
import { readState } from "./state-value.ts"
import type { StateView } from "./state.ts"
import type { StateError } from "./state-scope.ts"

export class StateNews {
  #bell = Deferred.makeUnsafe<void>()

  /** Something was written. */
  readonly tell = (): void => {
    const bell = this.#bell
    this.#bell = Deferred.makeUnsafe()
    Deferred.doneUnsafe(bell, Effect.void)
  }

  /** Done when something is written after this was asked. */
  get next(): Effect.Effect<void> {
    return Deferred.await(this.#bell)
  }
}

/** How often is looked whether another process has written, or a value is over, in milliseconds. */
const lookInterval = 250

/** The value of a key now, and again whenever it is another; values in between may be left out. */
export function watch<Value, Empty>(
  store: Store["Service"],
  news: StateNews,
  view: StateView,
  key: StateKey<Value, Empty>,
): Stream.Stream<Value | Empty, StateError> {
  return Stream.unwrap(Effect.map(view.reading(key), (scope) => {
    let seen: string | undefined | null = null
    const next = Effect.gen(function*() {
      while (true) {
        // asked for before it is read: what is written meanwhile is not missed
        const later = news.next
        const now = yield* currentTimeMillis
        const entry = yield* store.states.get(scope, key.name)
        const value = readState(key, entry, now)
        const text = value === undefined ? undefined : encodeValue(value)
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the key's schema, or whoever wrote it, has checked it
        if (text !== seen) return (seen = text, value as Value | Empty)
        yield* Effect.timeoutOrElse(later, { duration: lookInterval, orElse: () => Effect.void })
      }
    })
    return Stream.fromEffectRepeat(next)
  }))
}
