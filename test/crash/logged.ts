/** A copy of a flow whose every step, and every compensation, notes its path before it works. */
import type { Call, FlowIR } from "../../dsl/ir/node.ts"
import { rewrite } from "../../dsl/ir/rewrite.ts"

export function logged<F extends { readonly ir: FlowIR }>(flow: F, note: (path: string) => void): F {
  const ir = rewrite(flow.ir, (given) => {
    const { compensate } = given
    const node = typeof compensate !== "object" ? given : {
      ...given,
      compensate: { ...compensate, undo: (output: never, scope: never, step: any) => (note(`undo ${step.path}`), compensate.undo(output, scope, step)) },
    }
    const { work } = node
    if (work.from === "flow") return node
    if (work.from === "transaction") return { ...node, work: { ...work, call: (sql, scope, step) => (note(step.path), work.call(sql, scope, step)) } }
    const call: Call = (scope, step) => (note(step.path), work.call(scope, step))
    return { ...node, work: { ...work, call } }
  })
  return { ...flow, ir }
}
