/** Writing Markdown: what comes from authors stays text, whatever it says. */
import type { Uses } from "../model.ts"

/** Text that Markdown takes for nothing else. */
export const plain = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- they do not belong into pages
  text.replaceAll(/[\u0000-\u0008\u000B-\u001F]/g, " ").replaceAll(/[\\`*_{}[\]#|~]/g, (one) => `\\${one}`).replaceAll(/[<>&]/g, (one) =>
    `&#${one.codePointAt(0)};`)

/** Text between backticks. */
export function code(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim()
  if (line === "") return ""
  const ticks = "`".repeat(Math.max(0, ...(line.match(/`+/g) ?? []).map((found) => found.length)) + 1)
  const space = line.startsWith("`") || line.endsWith("`") ? " " : ""
  return `${ticks}${space}${line}${space}${ticks}`
}
/** The same in a cell of a table. */
export const cell = (text: string): string =>
  text.replaceAll(/(\\*)\|/g, (found, escapes: string) => (escapes.length % 2 === 1 ? found : `${escapes}\\|`)).replaceAll("\n", " ")

export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  // a column that says nothing is left out
  const shown = head.flatMap((_, i) => (i === 0 || rows.some((row) => row[i] !== "") ? [i] : []))
  const line = (cells: ReadonlyArray<string>) => `| ${shown.map((i) => cells[i]).join(" | ")} |`
  return [line(head), `|${shown.map(() => " --- |").join("")}`, ...rows.map((row) => line(row.map(cell)))].join("\n")
}
export const fence = (language: string, text: string): string => {
  const ticks = "`".repeat(Math.max(3, ...(text.match(/`+/g) ?? []).map((found) => found.length + 1)))
  return `${ticks}${language}\n${text}\n${ticks}`
}
export const section = (title: string, ...parts: ReadonlyArray<string | undefined>): string | undefined => {
  const said = parts.filter((part) => part !== undefined && part !== "")
  return said.length === 0 ? undefined : [`## ${title}`, ...said].join("\n\n")
}

/** A type short enough for a table. */
export const short = (type: string, most = 70): string => (type.length <= most ? type : `${type.slice(0, most - 1)}…`)

/** Where other pages are. */
export interface Links {
  /** The page of a flow or an agent of this name, seen from a flow's page. */
  readonly flow: (name: string) => string | undefined
  /** A place in the source; `undefined`: it is named and not linked. */
  readonly source: (file: string, line: number) => string | undefined
}
export const linked = ({ flow }: Links, { kind, name }: Pick<Uses, "kind" | "name">): string => {
  const page = kind === "tool" ? undefined : flow(name)
  return page === undefined ? `${kind} ${code(name)}` : `${kind} [${plain(name)}](${page})`
}
