/** Reading documents that somebody else may have written: everything is checked before it is believed. */
import { createHash } from "node:crypto"
import * as Effect from "effect/Effect"
import { BundleInvalid } from "../model/error.ts"
import { isRunId } from "../model/run.ts"
import { limits, revive, Unstorable } from "../model/value.ts"

/** Most entries of a list. */
const longest = 1_000_000

/** What a document says of its content, so that a damaged one is not taken for whole. */
export const digest = (content: object): string => createHash("sha256").update(JSON.stringify(content)).digest("hex")

/** What `checked` makes of a document's content; `checked` throws `Wrong`. */
export function untrusted<A>(text: string, format: string, checked: (content: Readonly<Record<string, unknown>>) => A): Effect.Effect<A, BundleInvalid> {
  const invalid = (at: string, reason: string) => Effect.fail(new BundleInvalid({ at, reason }))
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return invalid("", "not JSON")
  }
  try {
    const whole = record(parsed, "")
    if (whole["format"] !== format) return invalid("format", `not ${format}: it was not made by heddle export, or by a newer one`)
    const { format: _format, sha256, ...content } = whole
    if (sha256 !== digest(content)) return invalid("sha256", "the content is not what was exported")
    return Effect.succeed(checked(content))
  } catch (cause) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- whatever is read is checked first, and says what is wrong
    const { at, message } = cause as Wrong
    return invalid(at, message)
  }
}

/** What is wrong, and where. */
export class Wrong extends Error {
  readonly at: string
  constructor(at: string, reason: string) {
    super(reason)
    this.at = at
  }
}
export const record = (value: unknown, at: string): Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Wrong(at, "not an object")
  return value as Readonly<Record<string, unknown>>
}
export const string = (value: unknown, at: string): string => {
  if (typeof value !== "string") throw new Wrong(at, "not a string")
  return value
}
export const whole = (value: unknown, at: string): number => {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw new Wrong(at, "not a whole number")
  return value
}
export const list = (value: unknown, at: string): ReadonlyArray<unknown> => {
  if (!Array.isArray(value)) throw new Wrong(at, "not a list")
  if (value.length > longest) throw new Wrong(at, `more than ${longest}`)
  return value
}
/** JSON that our codec reads: depth, size, markers it knows, no keys that attack prototypes. */
export const encoded = (value: unknown, at: string): string => {
  const text = string(value, at)
  if (text.length > limits.bytes) throw new Wrong(at, "too large")
  try {
    const json: unknown = JSON.parse(text)
    harmless(json, at, 0)
    revive(json)
  } catch (cause) {
    if (cause instanceof Wrong) throw cause
    throw new Wrong(at, cause instanceof Unstorable ? cause.reason : "not an encoded value")
  }
  return text
}
const harmless = (value: unknown, at: string, depth: number): void => {
  if (depth > limits.depth * 2) throw new Wrong(at, "nested too deep")
  if (typeof value !== "object" || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === "__proto__") throw new Wrong(at, "a key that attacks prototypes")
    harmless(inner, at, depth + 1)
  }
}
export const runId = (value: unknown, at: string): string => {
  const text = string(value, at)
  if (!isRunId(text)) throw new Wrong(at, "not an id")
  return text
}
