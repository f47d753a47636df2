/** A run's input: JSON on the command line, `@file`, or `-` for stdin. */
import { readFileSync } from "node:fs"
import { messageOf } from "../model/error.ts"
import { CliError, exitCode } from "./exit-codes.ts"

/** The parsed input; `undefined` where none was given. */
export function readInput(
  given: string | undefined,
  called = "--input",
  remedy = "write it in single quotes, or put it into a file: --input @input.json",
): unknown {
  if (given === undefined) return undefined
  const [text, where] = given === "-" ?
    [read(0, "stdin"), "stdin"] :
    given.startsWith("@") ?
    [read(given.slice(1), given.slice(1)), given.slice(1)] :
    [given, called]
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CliError(
      exitCode.usage,
      `${where} is not JSON: ${pointed(text, cause)}`,
      remedy,
      cause,
    )
  }
}

function read(source: string | 0, name: string): string {
  try {
    return readFileSync(source, "utf8")
  } catch (cause) {
    throw new CliError(exitCode.usage, `cannot read the input from ${name}: ${messageOf(cause)}`)
  }
}

/** The parser's message with line and column. */
function pointed(text: string, cause: unknown): string {
  const message = messageOf(cause)
  const position = /position (\d+)/.exec(message)?.[1]
  if (position === undefined) return message
  const before = text.slice(0, Number(position))
  return `${message.replace(/ in JSON at position.*$/, "")} at line ${before.split("\n").length}, column ${before.length - before.lastIndexOf("\n")}`
}
