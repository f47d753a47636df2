/** A flow for Graphviz: blocks are clusters. */
import type { EncodedBlock, EncodedFlow, EncodedNode } from "../../dsl/ir/encode.ts"
import { again, body, caught, detail, guard, hasOther, verb } from "./label.ts"

const quote = (text: string): string => `"${text.replaceAll("\\", "\\\\").replaceAll("\"", "\\\"").replaceAll("\n", "\\n")}"`

interface Exit {
  readonly from: string
  readonly label?: string
  readonly dotted?: boolean
}

/** The text of the diagram of a flow in the DOT language. */
export function dot(flow: EncodedFlow): string {
  const drawing = new Drawing()
  const start = drawing.node(flow.name, "shape=oval, style=filled", 1)
  const exits = drawing.block(flow.body, [{ from: start }], 1)
  drawing.connect(exits, drawing.node(flow.returns ? "returns" : "end", "shape=oval, style=filled", 1), 1)
  return [`digraph ${quote(flow.name)} {`, "  node [shape=box, style=rounded, fontname=\"sans-serif\"]", ...drawing.lines, "}"].join("\n")
}

class Drawing {
  readonly lines: Array<string> = []
  /** The loops around: where their next pass begins, and what leaves them. */
  readonly #loops: Array<{ readonly first: string; readonly breaks: Array<Exit> }> = []
  #next = 0

  node(text: string, attributes: string, depth: number): string {
    const id = `n${this.#next++}`
    this.#add(depth, `${id} [label=${quote(text)}${attributes === "" ? "" : `, ${attributes}`}]`)
    return id
  }
  connect(exits: ReadonlyArray<Exit>, to: string, depth: number): void {
    for (const { from, label, dotted = false } of exits) {
      const attributes = [...(label === undefined ? [] : [`label=${quote(label)}`]), ...(dotted ? ["style=dashed"] : [])]
      this.#add(depth, `${from} -> ${to}${attributes.length === 0 ? "" : ` [${attributes.join(", ")}]`}`)
    }
  }
  block(nodes: EncodedBlock, entry: ReadonlyArray<Exit>, depth: number): ReadonlyArray<Exit> {
    return nodes.reduce((exits, node) => this.#guarded(node, exits, depth), entry)
  }

  #guarded(node: EncodedNode, entry: ReadonlyArray<Exit>, depth: number): ReadonlyArray<Exit> {
    const condition = guard(node)
    if (condition === undefined) return this.#drawn(node, entry, depth)
    const asked = this.node(condition, "shape=diamond", depth)
    this.connect(entry, asked, depth)
    return [...this.#drawn(node, [{ from: asked, label: "yes" }], depth), { from: asked, label: "no" }]
  }

  #drawn(node: EncodedNode, entry: ReadonlyArray<Exit>, depth: number): ReadonlyArray<Exit> {
    const text = [node.name, detail(node)].filter(Boolean).join("\n")
    if (node.blocks.length === 0 || node.kind === "when") {
      const id = this.node(text, node.kind === "when" || node.kind === "jump" ? "shape=diamond" : node.kind === "wait" ? "shape=hexagon" : "", depth)
      this.connect(entry, id, depth)
      const undo = node.text["compensate"]
      if (undo !== undefined) this.connect([{ from: id, label: "undo", dotted: true }], this.node(`undo: ${body(undo)}`, "style=dashed", depth), depth)
      if (node.kind === "jump") {
        const around = this.#loops.at(-1)!
        if (node.shape["to"] === "break") around.breaks.push({ from: id, label: "yes" })
        else this.connect([{ from: id, label: "yes" }], around.first, depth)
        return [{ from: id, label: "no" }]
      }
      const arms = node.blocks.flatMap(({ label, block }) => this.block(block, [{ from: id, label }], depth))
      return node.blocks.length === 0 ? [{ from: id }] : hasOther(node) ? arms : [...arms, { from: id, label: "no" }]
    }
    this.#add(depth, `subgraph cluster_${this.#next} { label=${quote(`${verb(node)} ${text}`)}`)
    const first = this.node("", "shape=point", depth + 1)
    const loop = { first, breaks: new Array<Exit>() }
    if (node.kind === "loop") this.#loops.push(loop)
    const ends = node.blocks.flatMap(({ label, block }) => this.block(block, [node.kind === "parallel" ? { from: first, label } : { from: first }], depth + 1))
    if (node.kind === "loop") {
      this.#loops.pop()
      this.connect(ends.map(again), first, depth + 1)
    }
    this.#add(depth, "}")
    this.connect(entry, first, depth)
    return [...ends, ...loop.breaks, ...caught(node).map((tag) => ({ from: first, label: `catch ${tag}`, dotted: true }))]
  }

  #add(depth: number, line: string): void {
    this.lines.push(`${"  ".repeat(depth)}${line}`)
  }
}
