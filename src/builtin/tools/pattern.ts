/** Patterns that somebody else wrote, in time that grows with the text and not beyond. */
import { RE2JS } from "re2js"
import { messageOf } from "../../model/error.ts"
import { refuse } from "./error.ts"

export interface Found {
  readonly at: number
  readonly text: string
  readonly groups: ReadonlyArray<string | undefined>
}
export interface Pattern {
  readonly test: (text: string) => boolean
  readonly all: (text: string) => ReadonlyArray<Found>
  /** `$1` to `$9`, `$&` and `$$` mean what they do in JavaScript. */
  readonly replace: (text: string, by: string) => string
}
const flagsOf: Readonly<Record<string, number>> = { i: RE2JS.CASE_INSENSITIVE, s: RE2JS.DOTALL, m: RE2JS.MULTILINE }
/** One search is linear; to find all is not, so matches and time are bounded too. Cost: characters times the size of the pattern's program. */
const bounds = { program: 5000, cost: 2_000_000, matches: 10_000, milliseconds: 50, output: 1_000_000 } as const

/** @throws ToolRefused for a pattern that is none, or costs too much */
export function pattern(tool: string, source: string, flags = ""): Pattern {
  const bits = Array.from(flags, (flag) => flagsOf[flag] ?? refuse(tool, "pattern", `there is no flag '${flag}': i, s, m`)).reduce((all, bit) => all | bit, 0)
  const compiled = compile(tool, source, bits)
  if (compiled.programSize() > bounds.program) refuse(tool, "pattern", "the pattern is too large")
  const fitting = (text: string): string =>
    text.length * compiled.programSize() > bounds.cost ? refuse(tool, "too-much", "this text is too long for this pattern") : text
  const all = (text: string): ReadonlyArray<Found> => {
    const found: Array<Found> = []
    const end = performance.now() + bounds.milliseconds
    for (const matcher = compiled.matcher(fitting(text)); matcher.find();) {
      if (found.length >= bounds.matches || performance.now() > end) refuse(tool, "too-much", "the pattern matches too often, or takes too long")
      const groups = Array.from({ length: matcher.groupCount() }, (_, i) => matcher.group(i + 1) ?? undefined)
      found.push({ at: matcher.start(), text: matcher.group()!, groups })
    }
    return found
  }
  return {
    test: (text) => compiled.test(fitting(text)),
    all,
    replace: (text, by) => {
      const parts: Array<string> = []
      let [done, length] = [0, 0]
      for (const { at, text: whole, groups } of all(text)) {
        const next = by.replace(/\$([1-9&$])/g, (_, key: string) => (key === "$" ? "$" : key === "&" ? whole : groups[Number(key) - 1] ?? ""))
        parts.push(text.slice(done, at), next)
        length += at - done + next.length
        done = at + whole.length
        if (length > bounds.output) refuse(tool, "too-much", `the result is longer than ${bounds.output} characters`)
      }
      return `${parts.join("")}${text.slice(done)}`
    },
  }
}

const compile = (tool: string, source: string, bits: number): RE2JS => {
  try {
    return RE2JS.compile(source, bits)
  } catch (cause) {
    return refuse(tool, "pattern", messageOf(cause))
  }
}
