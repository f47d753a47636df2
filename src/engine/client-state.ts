/** State for programs without Effect. */
import * as Effect from "effect/Effect"
import type { Stream } from "effect/Stream"
import type { ResultAsync } from "neverthrow"
import type { StateKey, StateListOptions, StateMember, StateScope, StateSetOptions } from "../../dsl/ir/state.ts"
import type { StoreFailed } from "../model/error.ts"
import { stateAccess } from "../services/state-access.ts"
import type { PlacedState, StateSnapshot } from "../services/placed-state.ts"
import type { StateError } from "../services/state-scope.ts"
import type { StateAccess } from "../../dsl/ir/state.ts"

/** How a client does things, as long as it is open. */
export interface Doing {
  readonly do: <A, E>(effect: Effect.Effect<A, E>) => ResultAsync<A, E | StoreFailed>
  readonly read: <A, E>(stream: Stream<A, E>) => AsyncIterable<A>
}
type Asked<A> = ResultAsync<A, StateError>

/** Every method does what a step's `state` does, and writes at once. */
export class ClientState {
  readonly #state: PlacedState
  readonly #client: Doing

  constructor(state: PlacedState, client: Doing) {
    this.#state = state
    this.#client = client
  }

  get<Value, Empty>(key: StateKey<Value, Empty>): Asked<Value | Empty> {
    return this.#client.do(this.#state.get(key))
  }
  set<Value>(key: StateKey<Value, any>, value: NoInfer<Value>, options?: StateSetOptions): Asked<void> {
    return this.#client.do(this.#state.set(key, value, options))
  }
  delete(key: StateKey): Asked<void> {
    return this.#client.do(this.#state.delete(key))
  }
  update<Value, Empty>(key: StateKey<Value, Empty>, change: (value: Value | Empty) => NoInfer<Value>): Asked<Value> {
    return this.#client.do(this.#state.update(key, change))
  }
  increment(key: StateKey<number, any>, by?: number): Asked<number> {
    return this.#client.do(this.#state.increment(key, by))
  }
  compareAndSet<Value, Empty>(key: StateKey<Value, Empty>, expected: NoInfer<Value | Empty>, next: NoInfer<Value>): Asked<boolean> {
    return this.#client.do(this.#state.compareAndSet(key, expected, next))
  }
  list<Value>(key: StateKey<Value, any>, options?: StateListOptions): Asked<ReadonlyArray<StateMember<Value>>> {
    return this.#client.do(this.#state.list(key, options))
  }
  /**
   * Several changes, all of them or none; done again, at most 10 times, if others change meanwhile what it has read.
   *
   * @throws what `work` throws, as a rejected promise
   * @example
   * await heddle.state({ user: "ada" }).transaction(async (state) => {
   *   const left = await state.get(credit)
   *   await state.set(credit, left - 5)
   *   await state.increment(spent, 5)
   * })
   */
  transaction<A>(work: (state: StateAccess) => Promise<A>): Asked<A> {
    return this.#client.do(this.#state.transaction((view) => Effect.promise(() => work(stateAccess(view)))))
  }
  /** The value now, and again whenever it is another, from any process; values in between may be left out. */
  watch<Value, Empty>(key: StateKey<Value, Empty>): AsyncIterable<Value | Empty> {
    return this.#client.read(this.#state.watch(key))
  }
  /** Everything that is kept in a scope of this place; `of`: the agent, the tool, the name of the custom scope. */
  snapshot(scope: StateScope, of?: string): Asked<StateSnapshot> {
    return this.#client.do(this.#state.snapshot(scope, of))
  }
  /** Makes a scope what it was when `snapshot` was taken: what was written since is gone. */
  restore(snapshot: StateSnapshot): Asked<void> {
    return this.#client.do(this.#state.restore(snapshot))
  }
}
