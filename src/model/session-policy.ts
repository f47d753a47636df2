/** Policies as callers without types, and documents from elsewhere, may give them. */
import { fromInput, type Input as Duration, toMillis } from "effect/Duration"
import type { SessionPolicy } from "./session.ts"

const amounts: ReadonlySet<string> = new Set(["steps", "iterations", "tokens", "cost", "bytes", "runs", "artifacts", "artifactBytes"])
const isTime = (value: unknown): boolean => fromInput(value as Duration)._tag === "Some" && toMillis(value as Duration) > 0

/** What is wrong with a policy, if something is. */
export function policyProblem(policy: object): string | undefined {
  for (const [name, value] of Object.entries(policy) as ReadonlyArray<[string, unknown]>) {
    if (value === undefined) continue
    if (amounts.has(name)) {
      if (!(typeof value === "number" && value >= 0)) return `${name} is ${JSON.stringify(value)}: use a number from 0`
    } else if (name === "duration" || name === "idle") {
      if (!isTime(value)) return `${name} is ${JSON.stringify(value)}: use a duration, like "1 hour"`
    } else if (name === "rate") {
      const { limit, per } = Object(value) as Partial<NonNullable<SessionPolicy["rate"]>>
      if (!(typeof limit === "number" && limit >= 1 && isTime(per))) return "rate is { limit, per }: a number from 1 and a duration"
    } else return `'${name}' is nothing a policy bounds: is it misspelt?`
  }
  return undefined
}
