/** A flow as a Mermaid flowchart. */
import { type EncodedBlock, type EncodedFlow, type EncodedNode, innerPrefix } from "../../dsl/ir/encode.ts"
import type { Changes } from "./diagram/layout.ts"
import type { Change } from "./diagram/shapes.ts"
import { again, body, caught, detail, guard, verb } from "./label.ts"

/** Mermaid reads quotes, brackets and `#` in labels; entities keep them text. */
const escape = (text: string): string => text.replaceAll(/[&<>"'#[\](){}|`\\]/g, (character) => `#${character.codePointAt(0)};`)
const label = (...lines: ReadonlyArray<string | undefined>): string => lines.filter(Boolean).map((line) => escape(line!)).join("<br/>")

/** Where edges come from: a node, and what to write on the edge. */
interface Exit {
  readonly from: string
  readonly label: string | undefined
  /** It is left by an error. */
  readonly dotted?: boolean
}

class Drawing {
  readonly lines: Array<string> = ["flowchart TD"]
  readonly #changes: Changes
  /** The loops around: where their next pass begins, and what leaves them. */
  readonly loops: Array<{ readonly first: string; readonly breaks: Array<Exit> }> = []
  #next = 0

  constructor(changes: Changes) {
    this.#changes = changes
  }

  id(): string {
    return `n${this.#next++}`
  }
  add(depth: number, line: string): void {
    this.lines.push(`${"  ".repeat(depth)}${line}`)
  }
  /** Says what has become of a node. */
  mark(id: string, path: string): void {
    const change = this.#changes.get(path)
    if (change !== undefined) this.add(1, `class ${id} ${change}`)
  }
  connect(depth: number, exits: ReadonlyArray<Exit>, to: string): void {
    for (const { from, label: text, dotted = false } of exits) {
      const arrow = dotted ? "-.->" : "-->"
      this.add(depth, text === undefined ? `${from} ${arrow} ${to}` : `${from} ${arrow}|"${escape(text)}"| ${to}`)
    }
  }
}

/** The text of the diagram of a flow. */
export function mermaid(encoded: EncodedFlow, changes: Changes = new Map()): string {
  const drawing = new Drawing(changes)
  const start = drawing.id()
  drawing.add(1, `${start}(["${label(encoded.name, encoded.description)}"])`)
  const exits = block(drawing, encoded.body, [{ from: start, label: undefined }], 1, "")
  const end = drawing.id()
  drawing.add(1, `${end}(["${encoded.returns ? "returns" : "end"}"])`)
  drawing.connect(1, exits, end)
  const used = new Set(changes.values())
  for (const [change, style] of Object.entries(styles)) if (used.has(change as Change)) drawing.add(1, `classDef ${change} ${style}`)
  return drawing.lines.join("\n")
}

const styles: Readonly<Record<Change, string>> = {
  added: "stroke:#1a7f37,stroke-width:3px",
  removed: "stroke:#b3261e,stroke-width:3px,stroke-dasharray:6 4",
  changed: "stroke:#9a6700,stroke-width:3px",
  migrated: "stroke:#7a4fb5,stroke-width:3px",
}

const block = (drawing: Drawing, nodes: EncodedBlock, entry: ReadonlyArray<Exit>, depth: number, prefix: string): ReadonlyArray<Exit> =>
  nodes.reduce((exits, node) => drawn(drawing, node, exits, depth, prefix + node.name), entry)

function drawn(drawing: Drawing, node: EncodedNode, entry: ReadonlyArray<Exit>, depth: number, path: string): ReadonlyArray<Exit> {
  const condition = guard(node)
  if (condition === undefined) return shape(drawing, node, entry, depth, path)
  const question = drawing.id()
  drawing.add(depth, `${question}{"${label(condition)}"}`)
  drawing.connect(depth, entry, question)
  return [...shape(drawing, node, [{ from: question, label: "yes" }], depth, path), { from: question, label: "no" }]
}

function shape(drawing: Drawing, node: EncodedNode, entry: ReadonlyArray<Exit>, depth: number, path: string): ReadonlyArray<Exit> {
  const id = drawing.id()
  drawing.mark(id, path)
  const text = label(node.name, detail(node), node.description)
  if (node.blocks.length === 0) {
    drawing.add(depth, node.kind === "jump" || node.kind === "wait" ? `${id}{{"${text}"}}` : `${id}["${text}"]`)
    drawing.connect(depth, entry, id)
    if (node.text["compensate"] !== undefined) {
      const undo = `${id}_undo`
      drawing.add(depth, `${undo}["${label(`undo: ${body(node.text["compensate"])}`)}"]`)
      drawing.connect(depth, [{ from: id, label: "undo", dotted: true }], undo)
    }
    if (node.kind !== "jump") return [{ from: id, label: undefined }]
    const around = drawing.loops.at(-1)!
    if (node.shape["to"] === "break") around.breaks.push({ from: id, label: "yes" })
    else drawing.connect(depth, [{ from: id, label: "yes" }], around.first)
    return [{ from: id, label: "no" }]
  }
  if (node.kind === "when") {
    drawing.add(depth, `${id}{"${text}"}`)
    drawing.connect(depth, entry, id)
    const arms = node.blocks.flatMap(({ label: arm, block: inner }) => block(drawing, inner, [{ from: id, label: arm }], depth, innerPrefix(node, path, arm)))
    return node.shape["form"] === "if" && node.blocks.length === 1 ? [...arms, { from: id, label: "no" }] : arms
  }
  drawing.add(depth, `subgraph ${id}["${label(`${verb(node)} ${node.name}`, detail(node))}"]`)
  const first = drawing.id()
  drawing.add(depth + 1, `${first}(( ))`)
  const loop = { first, breaks: [] as Array<Exit> }
  if (node.kind === "loop") drawing.loops.push(loop)
  const ends = node.blocks.flatMap(({ label: fork, block: inner }) =>
    block(
      drawing,
      inner,
      [{ from: first, label: node.kind === "parallel" ? fork : undefined }],
      depth + 1,
      innerPrefix(node, path, fork),
    )
  )
  if (node.kind === "loop") {
    drawing.loops.pop()
    drawing.connect(depth + 1, ends.map(again), first)
  }
  drawing.add(depth, "end")
  drawing.connect(depth, entry, first)
  return [...ends, ...loop.breaks, ...caught(node).map((tag) => ({ from: id, label: `catch ${tag}`, dotted: true }))]
}
