/** Tools as data: steps that say what they are for, what they may touch, and what they are given. */
import type { StandardSchemaV1 } from "@standard-schema/spec"

/** How much harm a tool can do: none; to what it was given; to everything its process may do. */
export type ToolLevel = "safe" | "restricted" | "privileged"

/** What is known of a tool beside its work. */
export interface ToolInfo {
  readonly name: string
  /** For models and people: what it does, in a sentence or two. */
  readonly description: string
  readonly level: ToolLevel
  /** Capabilities that it needs, as `noun.verb`: `files.read`, `net.fetch`, `process.run`. */
  readonly needs: ReadonlyArray<string>
  readonly input: StandardSchemaV1
  /** JSON Schema of its input, where its schema does not give one. */
  readonly parameters: Readonly<Record<string, unknown>> | undefined
  /** A person has to approve a call before it happens: always, or where this holds of its input. */
  readonly approval: boolean | ((input: never) => boolean)
}

/** What grants a capability: its own name, all of its noun (`files.*`), or `*`. */
export const grants = (granted: string, need: string): boolean =>
  granted === need || granted === "*" || (granted.endsWith(".*") && need.startsWith(granted.slice(0, -1)))
/** What a tool needs and a flow does not grant. */
export const notGranted = ({ needs }: Pick<ToolInfo, "needs">, granted: ReadonlyArray<string>): ReadonlyArray<string> =>
  needs.filter((need) => !granted.some((grant) => grants(grant, need)))
