/** Comments that say why a finding is all right: `// heddle-ignore wait-forever: a person answers, however late`. */
import type { Finding } from "./findings.ts"

const comment = /\/\/\s*heddle-ignore\s+([\w-]+)\s*(?::\s*(.*\S))?\s*$/

/** The findings that no comment explains; comments that explain nothing are findings themselves. */
export function suppressed(findings: ReadonlyArray<Finding>, texts: ReadonlyMap<string, string>): ReadonlyArray<Finding> {
  const left = new Set(findings)
  const own: Array<Finding> = []
  for (const [file, text] of texts) {
    const lines = text.split("\n")
    for (const [i, line] of lines.entries()) {
      const found = comment.exec(line)
      if (found === null) continue
      const [, rule, reason] = found
      const place = { file, line: i + 1, column: line.indexOf("//") + 1 }
      // at the end of its line, or on a line of its own before what it is about
      const about = line.slice(0, line.indexOf("//")).trim() === "" ? next(lines, i) : i + 1
      // a call may begin on one line and say its name on the next
      const opens = /\(\s*$/.test(String(lines.at(about - 1)))
      const isAbout = (at: number) => at === about || (opens && at === about + 1)
      const explained = findings.filter((one) => one.file === file && isAbout(one.line) && one.rule === rule && one.level === "warning")
      if (reason === undefined) own.push({ ...place, level: "error", rule: "ignore-without-reason", message: `say why: // heddle-ignore ${rule}: …` })
      else if (explained.length === 0) {
        own.push({ ...place, level: "warning", rule: "ignore-nothing", message: `nothing here is found by '${rule}': remove the comment` })
      } else for (const one of explained) left.delete(one)
    }
  }
  return [...left, ...own]
}
/** The line behind comments, counted from 1. */
const next = (lines: ReadonlyArray<string>, from: number): number => {
  const found = lines.findIndex((line, i) => i > from && !/^\s*(\/\/|\/?\*|$)/.test(line))
  return found + 1
}
