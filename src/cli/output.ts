/** What a person sees: data on stdout, progress and errors on stderr, colours only on a terminal that wants them. */
import { inspect, styleText } from "node:util"
import * as errors from "../model/error.ts"
import { errorPage, messageOf, tagOf } from "../model/error.ts"
import { redact } from "../model/secret.ts"
import { asJson } from "../model/value.ts"
import { SourceRefused } from "../docgen/source/refused.ts"
import { CliError, codeOf, type ExitCode, exitCode } from "./exit-codes.ts"

type Format = Parameters<typeof styleText>[0]
const paint = (stream: NodeJS.WriteStream, format: Format, text: string): string =>
  stream.isTTY && !process.env["NO_COLOR"] ? styleText(format, text, { stream, validateStream: false }) : text
export const style = {
  out: (format: Format, text: string): string => paint(process.stdout, format, text),
  err: (format: Format, text: string): string => paint(process.stderr, format, text),
}

/** Text from flows and files without control characters, which a terminal would obey. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
export const clean = (text: string): string => text.replaceAll(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g, "\uFFFD")

/** Text on one line of at most `width` characters. */
export const short = (text: string, width: number): string => {
  const line = clean(text).replaceAll(/\s+/g, " ")
  return line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line
}

export const print = (text: string): void => void process.stdout.write(`${redact(text)}\n`)
/** One JSON value on a line of its own. */
export const printJson = (value: unknown): void => print(escaped(JSON.stringify(value, asJson)))
/** JSON that says the same without what a terminal would obey. */
const escaped = (json: string): string =>
  json.replaceAll(/[\u007F-\u009F\u202A-\u202E\u2066-\u2069]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`)
export const say = (text: string): void => void process.stderr.write(`${redact(text)}\n`)

/** What was used, for people: `1234567 tokens, 0.3 cost`. */
export const amounts = (used: object): string =>
  Object.entries(used as Readonly<Record<string, number>>)
    .flatMap(([item, amount]) => (amount === 0 ? [] : [`${Number(amount.toFixed(6))} ${item}`])).join(", ")

export const duration = (milliseconds: number | undefined): string =>
  milliseconds === undefined ?
    "" :
    milliseconds < 1000 ?
    `${milliseconds} ms` :
    milliseconds < 60_000 ?
    `${(milliseconds / 1000).toFixed(1)} s` :
    `${(milliseconds / 60_000).toFixed(1)} min`

export interface Shown {
  readonly json: boolean
  readonly debug: boolean
}

/** Shows why a command ended; gives its exit code. Stacks only with `--debug`. */
export function showError(error: unknown, { json, debug }: Shown): ExitCode {
  const tag = tagOf(error)
  const code = error instanceof CliError ? error.code : error instanceof SourceRefused ? exitCode.usage : codeOf(tag)
  const message = messageOf(error)
  if (json) printJson({ ok: false, code, error: { tag: tag ?? null, message, ...(tag === undefined ? {} : { error }) } })
  else {
    say(`${style.err("red", "✗")} ${clean(message)}`)
    const hint = error instanceof CliError || error instanceof SourceRefused ? error.hint : undefined
    if (hint !== undefined) say(style.err("dim", `  ${clean(hint)}`))
    if (tag !== undefined && engineTags.has(tag)) say(style.err("dim", `  ${errorPage(tag)}`))
  }
  if (debug) say(clean(inspect(error)))
  return code
}
/** Each error class of ours is exported under its tag. */
const engineTags = new Set(Object.keys(errors))
