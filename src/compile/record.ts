/** Writing outcomes as event data, and reading them back. */
import * as Effect from "effect/Effect"
import { NotStorable } from "../model/error.ts"
import type { Ref, RunEvent } from "../model/event.ts"
import { encodeValue, Unstorable } from "../model/value.ts"
import { dataOf, type Journal } from "../services/journal.ts"
import type { Slot, Updates } from "./frame.ts"
import type { Outcome, Run } from "./program.ts"

/** The outcome as JSON text; values inside are encoded once, never as strings in strings. */
export function encodeOutcome(outcome: Outcome, keepsOutput: boolean, encode: (value: unknown) => string = encodeValue): string {
  const parts: Array<string> = []
  if (keepsOutput) parts.push(outcome.ref === undefined ? `"output":${encode(outcome.value)}` : `"ref":${JSON.stringify(outcome.ref)}`)
  if (outcome.updates !== undefined) parts.push(`"updates":${JSON.stringify(encodeUpdates(outcome.updates))}`)
  if (outcome.signal !== undefined) parts.push(`"signal":"${outcome.signal}"`)
  if (outcome.attempts !== undefined) parts.push(`"attempts":${outcome.attempts}`)
  return `{${parts.join(",")}}`
}

export const encodeUpdates = (updates: Updates): Record<string, Ref> => Object.fromEntries(Array.from(updates, ([name, { ref }]) => [name, ref]))

/** A value that no event carries, to be written where it is referred to. */
export const inlineRef = (value: unknown): Ref => (value === undefined ? null : { v: JSON.parse(encodeValue(value)) })

/** Encoding that fails becomes an error that names the node. */
export function storable<A>(path: string, encode: () => A): Effect.Effect<A, NotStorable> {
  try {
    return Effect.succeed(encode())
  } catch (cause) {
    if (cause instanceof Unstorable) return Effect.fail(new NotStorable({ path, at: cause.at, reason: cause.reason }))
    throw cause
  }
}

/** An error as it is written: never refused, whatever it carries. */
export const encodeError = (error: unknown): string => encodeValue(error, true)

/** The updates an event carries, with their values. */
export function readUpdates(journal: Journal, event: RunEvent): Run<Updates | undefined> {
  const { updates } = dataOf(event)
  if (updates === undefined) return Effect.succeed(undefined)
  return Effect.map(
    Effect.forEach(Object.entries(updates), ([name, ref]) => Effect.map(journal.value(ref), (value): [string, Slot] => [name, { value, ref }])),
    (entries) => new Map(entries),
  )
}
