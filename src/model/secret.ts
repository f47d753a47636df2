/** Texts that are written nowhere. A secret belongs to the process, not to one engine: whoever writes looks here. */
import { createRequire } from "node:module"
import type * as Redacteds from "effect/Redacted"

const known = new Set<string>()
let pattern: RegExp | undefined
/** What is written where a secret was. */
export const mask = "[redacted]"
/** A shorter one would be found in words that are none. */
const shortest = 8

/**
 * Keeps a text out of everything that Heddle writes in this process from now on: events, inputs, outputs, state, signals, errors, spans, log lines, the
 * terminal. `[redacted]` stands in its place, also where it is written as URL, JSON or base64. Names and ids are not looked at.
 *
 * What a step gives, or fails with, is redacted before anybody gets it, so that a live run and a resumed one see the same: read a secret in the
 * step that uses it, with `Redacted.value(key)`. Bytes of artifacts are kept as they are.
 *
 * @throws RangeError for a text of less than 8 characters
 * @example
 * const key = secret(process.env.API_KEY ?? "no key is set")
 * const model = openai({ baseUrl, model: "gpt-5-mini", apiKey: key })
 */
export function secret(text: string): Redacteds.Redacted {
  if (text.length < shortest) throw new RangeError(`a secret has at least ${shortest} characters: a shorter one is found in words that are none`)
  for (const form of formsOf(text.toWellFormed())) known.add(form)
  const longestFirst = Array.from(known).sort((a, b) => b.length - a.length)
  pattern = new RegExp(longestFirst.map((form) => form.replaceAll(/[^A-Za-z0-9]/gu, (sign) => `\\u{${sign.codePointAt(0)!.toString(16)}}`)).join("|"), "gu")
  // the user's copy of it, which alone can open it; loaded by those who have secrets
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a module
  const { make } = createRequire(import.meta.url)("effect/Redacted") as typeof Redacteds
  return make(text)
}

/** How it may be written: as it is, within JSON, within JSON within JSON, within a URL, as bytes, as base64. */
const formsOf = (text: string): ReadonlyArray<string> => {
  const quoted = JSON.stringify(text).slice(1, -1)
  const urls = [encodeURIComponent(text), new URLSearchParams({ "": text }).toString().slice(1)]
  const small = urls.map((one) => one.replaceAll(/%[0-9A-F]{2}/g, (sign) => sign.toLowerCase()))
  return [text, quoted, JSON.stringify(quoted).slice(1, -1), ...urls, ...small, Buffer.from(text).toString("latin1"), ...packed(text)]
}

/** The base64 of a text within other bytes: whatever comes before it, what it alone decides is one of three texts. */
const packed = (text: string): ReadonlyArray<string> =>
  [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
    const [from, to] = [Math.ceil(before * 8 / 6), Math.floor(bytes.length * 8 / 6)]
    return [bytes.toString("base64").slice(from, to), bytes.toString("base64url").slice(from, to)]
  })

/** The text without secrets. */
export const redact = (text: string): string => (pattern === undefined ? text : text.replace(pattern, mask))
/** There are secrets to look for. */
export const hasSecrets = (): boolean => pattern !== undefined
