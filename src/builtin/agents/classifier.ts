/** Agents that choose a label, so that a `match` over it is exhaustive. */
import type { LimitExceeded } from "../../../dsl/flow/failure.ts"
import { schemaOf } from "../schema.ts"
import { type Agent, agent, type AgentOptions } from "./agent.ts"
import type { AgentFailed, ModelFailed } from "./error.ts"
import type { Model, ModelShape } from "./model.ts"

export interface ClassifierOptions<Input, Label extends string, Own>
  extends Omit<AgentOptions<Input, Label, never, Own, "tell">, "output" | "outputSchema" | "tools" | "onToolError" | "allow">
{
  /** The labels, each with what it is for; what a `match` over the output has to handle. */
  readonly labels: Readonly<Record<Label, string>>
}

/**
 * An agent that answers with one of its labels.
 *
 * @example
 * const kind = classifier("kind", { input: z.object({ text: z.string() }), labels: { bug: "something is broken", question: "somebody asks" } })
 * seq("triage", { input: z.object({ text: z.string() }) }).step(kind)
 *   .match(({ kind }) => kind, { bug: (b) => b.step("fix", () => 1), question: (b) => b.step("answer", () => 2) })
 */
export function classifier<const Name extends string, Input, const Label extends string, Own extends ModelShape = never>(
  name: Name,
  { labels, instructions, ...options }: ClassifierOptions<Input, Label, Own>,
): Agent<Name, Input, Label, AgentFailed | ModelFailed | LimitExceeded, [Own] extends [never] ? Model : never> {
  const all: ReadonlyArray<string> = Object.keys(labels)
  const listed = Object.entries(labels).map(([label, about]) => `- ${label}: ${String(about)}`).join("\n")
  const told = (input: Input): string => {
    const own = typeof instructions === "function" ? instructions(input) : instructions
    return `${own === undefined ? "" : `${own}\n\n`}Choose the one label that fits best:\n${listed}\nAnswer with JSON: {"label": "…"}.`
  }
  // providers want an object at the root
  const output = schemaOf((value) => {
    const { label } = Object(value) as { readonly label?: unknown }
    const found = all.find((one) => one === label)
    return found === undefined ? { at: "label", wrong: `it is none of ${all.join(", ")}` } : { value: found as Label }
  })
  const outputSchema = { type: "object", properties: { label: { type: "string", enum: all } }, required: ["label"], additionalProperties: false }
  return agent(name, { ...options, instructions: told, output, outputSchema })
}
