import { Service } from "effect/Context"
import type { StepContext } from "../../dsl/ir/node.ts"

/**
 * The step that is running, for steps that are Effects: run, path, attempt and the idempotency key.
 *
 * Functions get the same as their second argument.
 *
 * @example
 * seq("pay").step("charge", () => Effect.gen(function*() { return (yield* CurrentStep).key }))
 */
export class CurrentStep extends Service<CurrentStep, StepContext>()("heddle/CurrentStep") {}
