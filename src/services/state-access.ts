/** State for steps: with promises for functions, with Effects for those that are. */
import * as Effect from "effect/Effect"
import type { StateAccess, StateKey, StateListOptions, StateSetOptions } from "../../dsl/ir/state.ts"
import { asker } from "./asker.ts"
import { CurrentStep, stateView, type Viewing } from "./current-step.ts"
import type { StateView } from "./state.ts"

export function stateAccess(view: StateView): StateAccess {
  const ask = asker()
  return {
    get: (key) => ask(view.get(key)),
    set: (key, value, options) => ask(view.set(key, value, options)),
    delete: (key) => ask(view.delete(key)),
    update: (key, change) => ask(view.update(key, change)),
    increment: (key, by) => ask(view.increment(key, by)),
    compareAndSet: (key, expected, next) => ask(view.compareAndSet(key, expected, next)),
    list: (key, options) => ask(view.list(key, options)),
  }
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every context is one of the engine's
const here = <A, E>(use: (view: StateView) => Effect.Effect<A, E>) => Effect.flatMap(CurrentStep, (step) => use((step as Viewing)[stateView]))

/**
 * State for steps that are Effects; functions have the same as `state` of their second argument.
 *
 * @example
 * const turns = state("turns", { scope: "session", initial: 0 })
 * seq("chat").step("turn", () => State.increment(turns))
 */
export const State = {
  get: <Value, Empty>(key: StateKey<Value, Empty>) => here((view) => view.get(key)),
  set: <Value>(key: StateKey<Value, any>, value: NoInfer<Value>, options?: StateSetOptions) => here((view) => view.set(key, value, options)),
  delete: (key: StateKey) => here((view) => view.delete(key)),
  update: <Value, Empty>(key: StateKey<Value, Empty>, change: (value: Value | Empty) => NoInfer<Value>) => here((view) => view.update(key, change)),
  increment: (key: StateKey<number, any>, by?: number) => here((view) => view.increment(key, by)),
  compareAndSet: <Value, Empty>(key: StateKey<Value, Empty>, expected: NoInfer<Value | Empty>, next: NoInfer<Value>) =>
    here((view) => view.compareAndSet(key, expected, next)),
  list: <Value>(key: StateKey<Value, any>, options?: StateListOptions) => here((view) => view.list(key, options)),
} as const
