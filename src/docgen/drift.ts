/** Where pages that are kept no longer say what the code says. */

export interface Difference {
  readonly file: string
  /** What differs, under which heading. */
  readonly what: string
}
/** Most differences that are named of one file. */
const most = 8

/** What differs between a file and what it should be. */
export function differences(file: string, kept: string | undefined, made: string): ReadonlyArray<Difference> {
  if (kept === made) return []
  if (kept === undefined) return [{ file, what: "is missing" }]
  const named = file.endsWith(".md") ? said(kept, made) : []
  if (named.length === 0) return [{ file, what: "is not what it would be now" }]
  const more = named.length - most
  return [...named.slice(0, most).map((what) => ({ file, what })), ...(more > 0 ? [{ file, what: `and ${more} more` }] : [])]
}

/** Rows of tables are told by their first cell, other lines by all of them; diagrams say it in another way. */
function said(kept: string, made: string): ReadonlyArray<string> {
  const [before, now] = [linesOf(kept), linesOf(made)]
  const gone = [...before].filter(([key]) => !now.has(key)).map(([, { heading, name }]) => `${heading}: ${name} is there no more`)
  const fresh = [...now].filter(([key]) => !before.has(key)).map(([, { heading, name }]) => `${heading}: ${name} is not there yet`)
  const changed = [...now].flatMap(([key, { heading, name, cells }]) => {
    const was = before.get(key)?.cells ?? cells
    // a column that says nothing is left out
    return [...new Set([...was.keys(), ...cells.keys()])].flatMap((column) => {
      const [then, today] = [was.get(column) || "nothing", cells.get(column) || "nothing"]
      return then === today ? [] : [`${heading}: ${name} says ${then}, and should say ${today}`]
    })
  })
  return [...changed, ...gone, ...fresh].map(spoken)
}

interface Line {
  readonly heading: string
  readonly name: string
  /** By the heads of their columns. */
  readonly cells: ReadonlyMap<string, string>
}
/** Without what keeps it text in Markdown. */
const spoken = (text: string): string => text.replaceAll(/\\([\\`*_{}[\]#|~])/g, "$1")
function linesOf(text: string): ReadonlyMap<string, Line> {
  const found = new Map<string, Line>()
  let heading = "the page"
  let inDiagram = false
  let columns: ReadonlyArray<string> | undefined
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (line.startsWith("```")) inDiagram = line === "```mermaid"
    const title = /^#+ (.*)$/.exec(line)?.[1]
    if (title !== undefined) heading = title
    if (!line.startsWith("|")) columns = undefined
    // of a diagram, what stands at its arrows: cases, catches
    const label = inDiagram ? /\|"(.*)"\|/.exec(line)?.[1] : undefined
    if (label !== undefined) found.set(`the diagram\n${label}`, { heading: "the diagram", name: `'${label}'`, cells: new Map() })
    if (line === "" || inDiagram) continue
    if (!line.startsWith("|")) {
      found.set(`${heading}\n${line}`, { heading, name: short(line), cells: new Map() })
      continue
    }
    const [name = "", ...cells] = line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim())
    if (columns === undefined) columns = cells
    else if (!/^-+$/.test(name)) found.set(`${heading}\n${name}`, { heading, name, cells: new Map(cells.map((cell, i) => [columns![i]!, short(cell)])) })
  }
  return found
}
const short = (text: string): string => (text.length > 160 ? `${text.slice(0, 159)}…` : text)
