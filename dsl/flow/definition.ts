/** Work that is defined once and used in many flows. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { Effect } from "effect/Effect"
import type { FlowIR, Work } from "../ir/node.ts"
import type { AnyFlow, FailureOf, InputOf, OutputOf, ServicesOf, Types } from "./flow.ts"
import type { ErrorOf, NeedsOf, ValueOf } from "./work.ts"

/** Where a definition or a nested flow keeps its work; callables without it are plain functions. */
export const workOf: unique symbol = Symbol.for("heddle/work")

/** A step defined outside a flow: a function with a name, to be used as `.step(definition)` or called directly in tests. */
export interface StepDefinition<Name extends string, in Input, out Result> {
  (input: Input): Result
  readonly "~types": Types<Name, Input, ValueOf<Result>, ErrorOf<Result>, NeedsOf<Result>>
  readonly [workOf]: Work
}

interface Schemas<Input, Output> {
  /** Checks and parses what the step is given; any Standard Schema. */
  readonly input?: StandardSchemaV1<any, Input>
  /** Checks what the step gives back; any Standard Schema. */
  readonly output?: StandardSchemaV1<Output, any>
}

/**
 * Defines a step: each key of its input is read from the flow's scope, else from the fields of the run's input.
 *
 * @example
 * const shout = step("shout", ({ text }: { text: string }) => text.toUpperCase())
 */
export function step<const Name extends string, Input, Result>(
  name: Name,
  run: (input: Input) => Result,
  schemas: Schemas<NoInfer<Input>, NoInfer<ValueOf<Result>>> = {},
): StepDefinition<Name, Input, Result> {
  const work: Work = { from: "definition", call: run as Work extends { call: infer C } ? C : never, input: schemas.input, output: schemas.output }
  const definition = (input: Input): Result => run(input)
  Object.defineProperties(definition, { name: { value: name }, [workOf]: { value: Object.freeze(work) } })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `~types` exists for the compiler only
  return definition as StepDefinition<Name, Input, Result>
}

/** What a nested flow gives its step, as the compiler sees it. */
export type Nested<Scope, F extends AnyFlow> = (scope: Scope) => Effect<OutputOf<F>, FailureOf<F>, ServicesOf<F>>

/**
 * A flow as the work of a named step, with its input made from the scope.
 *
 * @example
 * const child = seq<{ n: number }>("child").returns(({ input }) => input.n + 1)
 * seq("parent").step("start", () => 1).step("next", nest(child, ({ start }) => ({ n: start })))
 */
export function nest<Scope, F extends AnyFlow>(flow: F, input: (scope: Scope) => InputOf<F>): Nested<Scope, F> {
  const work = { from: "flow", flow: flow.ir satisfies FlowIR, input }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a marker the builder recognises; it is never called
  return Object.freeze({ [workOf]: Object.freeze(work) }) as unknown as Nested<Scope, F>
}
