/** A copy of a flow whose every step notes its path before it works. */
import type { Block, FlowIR, Node, StepContext, Values } from "../../dsl/ir/node.ts"

export function logged<F extends { readonly ir: FlowIR }>(flow: F, note: (path: string) => void): F {
  const block = (given: Block): Block => ({ ...given, nodes: given.nodes.map(node) })
  const blocks = (given: Readonly<Record<string, Block>>) => Object.fromEntries(Object.entries(given).map(([label, inner]) => [label, block(inner)]))
  const node = (given: Node): Node => {
    switch (given.kind) {
      case "step": {
        const { work } = given
        if (work.from === "transaction") {
          return { ...given, work: { ...work, call: (sql, scope, step) => (note(step.path), work.call(sql, scope, step)) } }
        }
        if (work.from === "flow") return { ...given, work: { ...work, flow: { ...work.flow, body: block(work.flow.body) } } }
        const call = (scope: Values, step: StepContext) => {
          note(step.path)
          return work.call(scope, step)
        }
        return { ...given, work: { ...work, call } }
      }
      case "when":
        return { ...given, cases: blocks(given.cases) }
      case "parallel":
        return { ...given, forks: blocks(given.forks) }
      case "loop":
      case "each":
      case "protect":
        return { ...given, body: block(given.body) }
      case "jump":
      case "wait":
        return given
    }
  }
  return { ...flow, ir: { ...flow.ir, body: block(flow.ir.body) } }
}
