/** A flow as a tree for the terminal. */
import { type EncodedBlock, type EncodedFlow, type EncodedNode, isLabelled } from "../../dsl/ir/encode.ts"
import { detail, guard, verb } from "./label.ts"

const signs: Readonly<Record<string, string>> = {
  step: "●",
  flow: "▣",
  when: "◇",
  match: "◇",
  loop: "↻",
  each: "⇉",
  parallel: "∥",
  stream: "≋",
  protect: "◈",
  wait: "⧖",
  break: "⤓",
  continue: "↷",
}

/** How a line is dressed: plain, or with a terminal's colours. */
export interface Style {
  readonly dim: (text: string) => string
  readonly bold: (text: string) => string
}
const plain: Style = { dim: (text) => text, bold: (text) => text }

interface Line {
  readonly head: string
  readonly rest: string
}

/** The lines of the diagram of a flow. */
export function unicode(encoded: EncodedFlow, style: Style = plain): ReadonlyArray<string> {
  const lines = [...block(encoded.body, "", encoded.returns)]
  const width = Math.min(48, Math.max(0, ...lines.map(({ head }) => head.length)))
  return [
    `${style.bold(encoded.name)}  ${style.dim(`version ${encoded.version}`)}${encoded.description === undefined ? "" : `  ${encoded.description}`}`,
    ...lines.map(({ head, rest }) => (rest === "" ? head : `${head.padEnd(width)}  ${style.dim(rest)}`)),
  ]
}

function* block(nodes: EncodedBlock, indent: string, returns: boolean): Generator<Line> {
  const last = nodes.length - (returns ? 0 : 1)
  for (const [i, node] of nodes.entries()) yield* drawn(node, indent, i === last)
  if (returns) yield { head: `${indent}└─ ◀ returns`, rest: "" }
}

function* drawn(node: EncodedNode, indent: string, isLast: boolean): Generator<Line> {
  const condition = guard(node)
  const kind = verb(node)
  const about = [kind === "step" ? "" : kind, detail(node), condition === undefined ? "" : `when ${condition}`, node.description ?? ""]
  yield { head: `${indent}${isLast ? "└─" : "├─"} ${condition === undefined ? "" : "? "}${signs[kind]} ${node.name}`, rest: about.filter(Boolean).join(" · ") }
  const below = `${indent}${isLast ? "   " : "│  "}`
  const labelled = isLabelled(node)
  for (const [i, { label, block: inner, returns }] of node.blocks.entries()) {
    if (!labelled) {
      yield* block(inner, below, returns)
      continue
    }
    const end = i === node.blocks.length - 1
    yield { head: `${below}${end ? "└─" : "├─"} ${label}`, rest: "" }
    yield* block(inner, `${below}${end ? "   " : "│  "}`, returns)
  }
}
