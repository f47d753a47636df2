/** `heddle.json`: which files are checked, and how much each rule counts. */
import { existsSync, readFileSync } from "node:fs"
import { CliError, exitCode } from "../exit-codes.ts"
import type { Rules } from "./findings.ts"
import { doubtful } from "./rules.ts"

export interface CheckConfig {
  readonly files: ReadonlyArray<string>
  readonly rules: Rules
}
const levels = new Set<unknown>(["off", "warning", "error"])

/** The project's own settings; none where there is no file. */
export function configIn(file: string): CheckConfig {
  if (!existsSync(file)) return { files: [], rules: {} }
  const wrong = (what: string) => new CliError(exitCode.usage, `${file}: ${what}`, `{ "check": { "files": ["src/flows.ts"], "rules": { "unnamed": "off" } } }`)
  let given: unknown
  try {
    given = JSON.parse(readFileSync(file, "utf8"))
  } catch {
    throw wrong("it is not JSON")
  }
  const { files = [], rules = {}, ...more } = (given as { readonly check?: { readonly files?: unknown; readonly rules?: unknown } } | null)?.check ?? {}
  if (!Array.isArray(files) || !files.every((one) => typeof one === "string")) throw wrong("check.files is no list of files")
  if (typeof rules !== "object" || rules === null) throw wrong("check.rules is no object")
  const [unknown] = Object.keys(more)
  if (unknown !== undefined) throw wrong(`check.${unknown} is nothing that can be set: files, rules`)
  for (const [rule, level] of Object.entries(rules)) {
    if (!Object.hasOwn(doubtful, rule)) throw wrong(`there is no rule '${rule}': ${Object.keys(doubtful).join(", ")}`)
    if (!levels.has(level)) throw wrong(`check.rules.${rule} is ${JSON.stringify(level)}: use off, warning or error`)
  }
  return { files: files as ReadonlyArray<string>, rules: rules as Rules }
}
