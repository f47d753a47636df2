/** A copy of a flow with other steps: for tests that replace, watch or break them. */
import type { Block, FlowIR, Node, StepNode } from "./node.ts"
import { childPrefix } from "./walk.ts"

/** `flow` with what `change` makes of each step; paths are as written, without pass numbers. */
export function rewrite(flow: FlowIR, change: (step: StepNode, path: string) => StepNode): FlowIR {
  const block = (given: Block, prefix: string): Block => ({ ...given, nodes: given.nodes.map((node) => rewritten(node, prefix + node.name)) })
  const blocks = (given: Readonly<Record<string, Block>>, path: string) =>
    Object.fromEntries(Object.entries(given).map(([label, inner]) => [label, block(inner, childPrefix(path, label))]))
  const inside = (given: Block, path: string) => block(given, childPrefix(path, undefined))
  const rewritten = (node: Node, path: string): Node => {
    switch (node.kind) {
      case "step": {
        const changed = change(node, path)
        const { work } = changed
        if (work.from !== "flow" || work.as === "run") return changed
        return { ...changed, work: { ...work, flow: { ...work.flow, body: inside(work.flow.body, path) } } }
      }
      case "when":
        return { ...node, cases: blocks(node.cases, path) }
      case "parallel":
        return { ...node, forks: blocks(node.forks, path) }
      case "loop":
      case "each":
      case "protect":
        return { ...node, body: inside(node.body, path) }
      case "stream": {
        const { nodes, ...rest } = node.body
        // the work of its stages are steps
        const steps = nodes.map((step) => rewritten(step, childPrefix(path, undefined) + step.name)) as ReadonlyArray<StepNode>
        return { ...node, body: { ...rest, nodes: steps } }
      }
      case "jump":
      case "wait":
        return node
    }
  }
  return { ...flow, body: block(flow.body, "") }
}
