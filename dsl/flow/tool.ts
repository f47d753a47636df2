/** Tools: steps that models can call too. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { Input as Duration } from "effect/Duration"
import type { StepContext } from "../ir/node.ts"
import type { ToolInfo, ToolLevel } from "../ir/tool.ts"
import type { AnyMark } from "./mark.ts"
import { defined, type DefinitionOptions, type StepDefinition } from "./definition.ts"
import type { Absent, BareOf, Irreversible, TimeoutError } from "./step-verbs.ts"

/** A tool: to be used as `.step(tool)`, given to an agent, or called in tests, with a step context where it reads one. */
export interface ToolDefinition<Name extends string, in Input, out Result, out Marks extends AnyMark = never, out Failure = never>
  extends StepDefinition<Name, Input, Result, Marks, Failure>
{
  readonly tool: ToolInfo
}

export interface ToolOptions<Name extends string, Input, Result, Effects, Undone, Timeout>
  extends Omit<DefinitionOptions<Name, Input, Result, Effects, Undone, Timeout>, "input" | "description">
{
  /** For models and people: what it does, in a sentence or two. */
  readonly description: string
  /** Checks and parses what it is given; any Standard Schema. Models see it as JSON Schema. */
  readonly input: StandardSchemaV1<any, Input>
  /** JSON Schema of the input, where the schema's library gives none (zod 4.2+, arktype and Effect Schema do). */
  readonly parameters?: Readonly<Record<string, unknown>>
  /** How much harm it can do; default `restricted`. Agents take privileged tools only with an approval, or where they allow them. */
  readonly level?: ToolLevel
  /** Capabilities that it needs, as `noun.verb`; a flow with `capabilities` refuses tools that need others. */
  readonly needs?: ReadonlyArray<string>
  /** A person has to approve a model's call before it happens: always, or where this holds of its input. */
  readonly approval?: boolean | ((input: Input) => boolean)
}

/**
 * Defines a tool: a step with a schema, a level and the capabilities it needs.
 *
 * @example
 * const add = tool("add", { description: "Adds two numbers.", input: z.object({ a: z.number(), b: z.number() }), level: "safe" }, ({ a, b }) => a + b)
 * seq("sum", { input: z.object({ a: z.number(), b: z.number() }) }).step(add)
 */
export function tool<
  const Name extends string,
  Input,
  Result,
  const Effects extends string | Irreversible = never,
  Undone = Absent,
  Timeout extends Duration = never,
>(
  name: Name,
  options: ToolOptions<Name, Input, NoInfer<Result>, Effects, Undone, Timeout>,
  run: (input: Input, step: StepContext) => Result,
): ToolDefinition<Name, Input, Result, BareOf<Name, Effects, Undone>, TimeoutError<Timeout>> {
  const { description, input, parameters, level = "restricted", needs = [], approval = false } = options
  const info: ToolInfo = Object.freeze({ name, description, level, needs: Object.freeze([...needs]), input, parameters, approval })
  return Object.defineProperty(defined(name, run, options as DefinitionOptions<any, any, any, any, any, any>, { tool: info }), "tool", { value: info }) as never
}
