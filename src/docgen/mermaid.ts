/** A flow as a Mermaid flowchart. */
import type { EncodedFlow } from "../../dsl/ir/encode.ts"
import { draw, type Exit, type Figure, type Pen } from "./chart.ts"
import type { Changes } from "./diagram/layout.ts"
import type { Change } from "./diagram/shapes.ts"

/** Mermaid reads quotes, brackets and `#` in labels; entities keep them text. */
const escape = (text: string): string => text.replaceAll(/[&<>"'#[\](){}|`\\]/g, (character) => `#${character.codePointAt(0)};`)
const label = (lines: ReadonlyArray<string | undefined>): string => lines.filter(Boolean).map((line) => escape(line!)).join("<br/>")

const around: Readonly<Record<Figure, readonly [string, string]>> = {
  end: ["([\"", "\"])"],
  box: ["[\"", "\"]"],
  choice: ["{\"", "\"}"],
  jump: ["{{\"", "\"}}"],
  wait: ["{{\"", "\"}}"],
  point: ["((", " ))"],
}

class Mermaid implements Pen {
  readonly lines: Array<string> = ["flowchart TD"]
  readonly #changes: Changes
  #next = 0

  constructor(changes: Changes) {
    this.#changes = changes
  }

  figure(figure: Figure, words: ReadonlyArray<string | undefined>, depth: number, path?: string): string {
    const id = this.#id(path)
    const [before, behind] = around[figure]
    this.#add(depth, `${id}${before}${label(words)}${behind}`)
    return id
  }
  undo(of: string, words: ReadonlyArray<string | undefined>, depth: number): string {
    this.#add(depth, `${of}_undo["${label(words)}"]`)
    return `${of}_undo`
  }
  arrow({ from, label: text, dotted = false }: Exit, to: string, depth: number): void {
    const arrow = dotted ? "-.->" : "-->"
    this.#add(depth, text === undefined ? `${from} ${arrow} ${to}` : `${from} ${arrow}|"${escape(text)}"| ${to}`)
  }
  frame(words: ReadonlyArray<string | undefined>, depth: number, path: string): string {
    const id = this.#id(path)
    this.#add(depth, `subgraph ${id}["${label(words)}"]`)
    return id
  }
  close(depth: number): void {
    this.#add(depth, "end")
  }

  /** The next name; says what has become of the node that it stands for. */
  #id(path: string | undefined): string {
    const id = `n${this.#next++}`
    const change = path === undefined ? undefined : this.#changes.get(path)
    if (change !== undefined) this.#add(1, `class ${id} ${change}`)
    return id
  }
  #add(depth: number, line: string): void {
    this.lines.push(`${"  ".repeat(depth)}${line}`)
  }
}

/** The text of the diagram of a flow. */
export function mermaid(flow: EncodedFlow, changes: Changes = new Map()): string {
  const pen = new Mermaid(changes)
  draw(flow, pen, (path) => changes.get(path))
  const used = new Set(changes.values())
  return [...pen.lines, ...Object.entries(styles).flatMap(([change, style]) => (used.has(change as Change) ? [`  classDef ${change} ${style}`] : []))].join(
    "\n",
  )
}

const styles: Readonly<Record<Change, string>> = {
  added: "stroke:#1a7f37,stroke-width:3px",
  removed: "stroke:#b3261e,stroke-width:3px,stroke-dasharray:6 4",
  changed: "stroke:#9a6700,stroke-width:3px",
  migrated: "stroke:#7a4fb5,stroke-width:3px",
}
