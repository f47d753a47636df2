/** A flow as boxes and arrows, drawn once for all languages that have them. */
import { type EncodedBlock, type EncodedFlow, type EncodedNode, innerPrefix } from "../../dsl/ir/encode.ts"
import { again, arm, body, caught, detail, guard, hasOther, verb } from "./label.ts"

/** Where an arrow comes from, and what stands at it. */
export interface Exit {
  readonly from: string
  readonly label?: string | undefined
  /** It is left by an error, or undone. */
  readonly dotted?: boolean
}
export type Figure = "end" | "box" | "choice" | "jump" | "wait" | "point"
type Words = ReadonlyArray<string | undefined>

/** What a language can draw; `depth` is how many frames are around it, and the drawing itself. */
export interface Pen {
  /** Draws what stands for the node at `path`, if it does, and gives the name by which arrows find it. */
  readonly figure: (figure: Figure, words: Words, depth: number, path?: string) => string
  /** What undoes a figure. */
  readonly undo: (of: string, words: Words, depth: number) => string
  readonly arrow: (exit: Exit, to: string, depth: number) => void
  /** A frame around all that is drawn until it is closed; its name, if arrows can leave it. */
  readonly frame: (words: Words, depth: number, path: string) => string | undefined
  readonly close: (depth: number) => void
}

/** `changed`: what has become of what is at a path. */
export function draw(flow: EncodedFlow, pen: Pen, changed: (path: string) => string | undefined = () => undefined): void {
  const start = pen.figure("end", [flow.name, flow.description], 1)
  const exits = new Chart(pen, changed).block(flow.body, [{ from: start }], 1, "")
  const end = pen.figure("end", [flow.returns ? "returns" : "end"], 1)
  for (const exit of exits) pen.arrow(exit, end, 1)
}

class Chart {
  readonly #pen: Pen
  readonly #changed: (path: string) => string | undefined
  /** The loops around: where their next pass begins, and what leaves them. */
  readonly #loops: Array<{ readonly first: string; readonly breaks: Array<Exit> }> = []

  constructor(pen: Pen, changed: (path: string) => string | undefined) {
    this.#pen = pen
    this.#changed = changed
  }

  block(nodes: EncodedBlock, entry: ReadonlyArray<Exit>, depth: number, prefix: string): ReadonlyArray<Exit> {
    return nodes.reduce((exits, node) => this.#guarded(node, exits, depth, prefix + node.name), entry)
  }

  #guarded(node: EncodedNode, entry: ReadonlyArray<Exit>, depth: number, path: string): ReadonlyArray<Exit> {
    const condition = guard(node)
    if (condition === undefined) return this.#drawn(node, entry, depth, path)
    const asked = this.#pen.figure("choice", [condition], depth)
    this.#connect(entry, asked, depth)
    return [...this.#drawn(node, [{ from: asked, label: "yes" }], depth, path), { from: asked, label: "no" }]
  }

  #drawn(node: EncodedNode, entry: ReadonlyArray<Exit>, depth: number, path: string): ReadonlyArray<Exit> {
    if (node.blocks.length > 0 && node.kind !== "when") return this.#framed(node, entry, depth, path)
    const { kind } = node
    const id = this.#pen.figure(
      kind === "when" ? "choice" : kind === "jump" || kind === "wait" ? kind : "box",
      [node.name, detail(node), node.description],
      depth,
      path,
    )
    this.#connect(entry, id, depth)
    const undo = node.text["compensate"]
    if (undo !== undefined) this.#pen.arrow({ from: id, label: "undo", dotted: true }, this.#pen.undo(id, [`undo: ${body(undo)}`], depth), depth)
    if (kind === "when") {
      const arms = node.blocks.flatMap(({ label, block }) => {
        const into = innerPrefix(node, path, label)
        return this.block(block, [{ from: id, label: arm(label, this.#changed(into.slice(0, -1))) }], depth, into)
      })
      return hasOther(node) ? arms : [...arms, { from: id, label: "no" }]
    }
    if (kind !== "jump") return [{ from: id }]
    const around = this.#loops.at(-1)!
    const jumps = { from: id, label: "yes" }
    if (node.shape["to"] === "break") around.breaks.push(jumps)
    else this.#pen.arrow(jumps, around.first, depth)
    return [{ from: id, label: "no" }]
  }

  #framed(node: EncodedNode, entry: ReadonlyArray<Exit>, depth: number, path: string): ReadonlyArray<Exit> {
    const frame = this.#pen.frame([`${verb(node)} ${node.name}`, detail(node)], depth, path)
    const first = this.#pen.figure("point", [], depth + 1)
    const loop = { first, breaks: new Array<Exit>() }
    if (node.kind === "loop") this.#loops.push(loop)
    const ends = node.blocks.flatMap(({ label, block }) =>
      this.block(block, [{ from: first, label: node.kind === "parallel" ? label : undefined }], depth + 1, innerPrefix(node, path, label))
    )
    if (node.kind === "loop") {
      this.#loops.pop()
      this.#connect(ends.map(again), first, depth + 1)
    }
    this.#pen.close(depth)
    this.#connect(entry, first, depth)
    return [...ends, ...loop.breaks, ...caught(node).map((tag) => ({ from: frame ?? first, label: `catch ${tag}`, dotted: true }))]
  }

  #connect(exits: ReadonlyArray<Exit>, to: string, depth: number): void {
    for (const exit of exits) this.#pen.arrow(exit, to, depth)
  }
}
