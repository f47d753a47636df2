import { Service } from "effect/Context"
import type { StepContext } from "../../dsl/ir/node.ts"
import type { ArtifactView } from "./artifacts.ts"
import type { StateView } from "./state.ts"

/** Where a step keeps its views of State and of artifacts, for steps that are Effects. */
export const stateView: unique symbol = Symbol("state")
export const artifactView: unique symbol = Symbol("artifacts")
/** What the engine's own contexts have beside what is in their type. */
export interface Viewing extends StepContext {
  readonly [stateView]: StateView
  readonly [artifactView]: ArtifactView
}

/**
 * The step that is running, for steps that are Effects: run, path, attempt and the idempotency key.
 *
 * Functions get the same as their second argument.
 *
 * @example
 * seq("pay").step("charge", () => Effect.gen(function*() { return (yield* CurrentStep).key }))
 */
export class CurrentStep extends Service<CurrentStep, StepContext>()("heddle/CurrentStep") {}
