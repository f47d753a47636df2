/** Writing outcomes as event data, and reading them back. */
import * as Effect from "effect/Effect"
import { messageOf, NotStorable, tagOf } from "../model/error.ts"
import type { Ref, RunEvent } from "../model/event.ts"
import { redact } from "../model/secret.ts"
import { encodeValue, Unstorable } from "../model/value.ts"
import { withoutSecrets } from "../model/without-secrets.ts"
import { type Journal } from "../services/journal.ts"
import { dataOf } from "../services/recorded.ts"
import type { Slot, Updates } from "./frame.ts"
import type { Outcome, Run } from "./program.ts"

/** The outcome as a resumed run will see it. */
export function asRecorded(outcome: Outcome): Outcome {
  const value = withoutSecrets(outcome.value)
  return value === outcome.value ? outcome : { ...outcome, value }
}

/** The outcome as JSON text; values inside are encoded once, never as strings in strings. */
export function encodeOutcome(outcome: Outcome, keepsOutput: boolean, encode: (value: unknown) => string = encodeValue): string {
  const bare = outcome.updates === undefined && outcome.jump === undefined && outcome.attempts === undefined && outcome.child === undefined &&
    outcome.takes === undefined
  if (bare) return `{${output(outcome, keepsOutput, encode)}}`
  const parts: Array<string> = []
  if (keepsOutput) parts.push(output(outcome, keepsOutput, encode))
  if (outcome.updates !== undefined) parts.push(`"updates":${JSON.stringify(encodeUpdates(outcome.updates))}`)
  if (outcome.jump !== undefined) parts.push(`"jump":"${outcome.jump}"`)
  if (outcome.attempts !== undefined) parts.push(`"attempts":${outcome.attempts}`)
  if (outcome.takes !== undefined) parts.push(`"received":${JSON.stringify(outcome.takes)}`)
  if (outcome.child !== undefined) parts.push(`"child":${JSON.stringify(outcome.child)}`)
  return `{${parts.join(",")}}`
}

const output = ({ value, ref }: Outcome, keepsOutput: boolean, encode: (value: unknown) => string): string =>
  keepsOutput ? ref === undefined ? `"output":${encode(value)}` : `"ref":${JSON.stringify(ref)}` : ""

export const encodeUpdates = (updates: Updates): Record<string, Ref> => Object.fromEntries(Array.from(updates, ([name, { ref }]) => [name, ref]))

/** A value that no event carries, to be written where it is referred to. */
export const inlineRef = (value: unknown): Ref => (value === undefined ? null : { v: JSON.parse(encodeValue(value)) })

/** The encoded text, or the failure that names the node whose value cannot be recorded. */
export function storable<A>(path: string, encode: () => A): A | Effect.Effect<never, NotStorable> {
  try {
    return encode()
  } catch (cause) {
    if (cause instanceof Unstorable) return Effect.fail(new NotStorable({ path, at: redact(cause.at), reason: cause.reason }))
    throw cause
  }
}

/** `storable` where a sequence of effects wants it. */
export const stored = (path: string, encode: () => string): Effect.Effect<string, NotStorable> => {
  const text = storable(path, encode)
  return typeof text === "string" ? Effect.succeed(text) : text
}

/** An error as it is written: never refused, whatever it carries. */
export const encodeError = (error: unknown): string => {
  try {
    return encodeValue(error, true)
  } catch {
    // a getter that throws, or too much text: what it says of itself must do
    const bare = new Error(messageOf(error))
    return encodeValue(Object.assign(bare, { _tag: tagOf(error) }), true)
  }
}

/** The updates an event carries, with their values. */
export function readUpdates(journal: Journal, event: RunEvent): Run<Updates | undefined> {
  const { updates } = dataOf(event)
  if (updates === undefined) return Effect.succeed(undefined)
  return Effect.map(
    Effect.forEach(Object.entries(updates), ([name, ref]) => Effect.map(journal.value(ref), (value): [string, Slot] => [name, { value, ref }])),
    (entries) => new Map(entries),
  )
}
