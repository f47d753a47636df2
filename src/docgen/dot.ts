/** A flow for Graphviz: blocks are clusters. */
import type { EncodedFlow } from "../../dsl/ir/encode.ts"
import { draw, type Exit, type Figure, type Pen } from "./chart.ts"

const quote = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll("\"", "\\\"").replaceAll("\n", "\\n")}"`
const label = (lines: ReadonlyArray<string | undefined>): string => `label=${quote(lines.filter(Boolean).join("\n"))}`

const looks: Readonly<Record<Figure, ReadonlyArray<string>>> = {
  end: ["shape=oval", "style=filled"],
  box: [],
  choice: ["shape=diamond"],
  jump: ["shape=diamond"],
  wait: ["shape=hexagon"],
  point: ["shape=point"],
}

class Dot implements Pen {
  readonly lines: Array<string> = []
  #next = 0

  figure(figure: Figure, words: ReadonlyArray<string | undefined>, depth: number): string {
    return this.#node([label(words), ...looks[figure]], depth)
  }
  undo(_of: string, words: ReadonlyArray<string | undefined>, depth: number): string {
    return this.#node([label(words), "style=dashed"], depth)
  }
  arrow({ from, label: text, dotted = false }: Exit, to: string, depth: number): void {
    const attributes = [...(text === undefined ? [] : [label([text])]), ...(dotted ? ["style=dashed"] : [])]
    this.#add(depth, `${from} -> ${to}${attributes.length === 0 ? "" : ` [${attributes.join(", ")}]`}`)
  }
  /** Its arrows are those of its first point: a cluster has none. */
  frame(words: ReadonlyArray<string | undefined>, depth: number): undefined {
    this.#add(depth, `subgraph cluster_${this.#next} { ${label(words)}`)
  }
  close(depth: number): void {
    this.#add(depth, "}")
  }

  #node(attributes: ReadonlyArray<string>, depth: number): string {
    const id = `n${this.#next++}`
    this.#add(depth, `${id} [${attributes.join(", ")}]`)
    return id
  }
  #add(depth: number, line: string): void {
    this.lines.push(`${"  ".repeat(depth)}${line}`)
  }
}

/** The text of the diagram of a flow in the DOT language. */
export function dot(flow: EncodedFlow): string {
  const pen = new Dot()
  draw(flow, pen)
  return [`digraph ${quote(flow.name)} {`, "  node [shape=box, style=rounded, fontname=\"sans-serif\"]", ...pen.lines, "}"].join("\n")
}
