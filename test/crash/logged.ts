/** A copy of a flow whose every step, and every compensation, notes its path before it works. */
import type { AnyFlow } from "heddle"
import { rewrite } from "../../dsl/ir/rewrite.ts"
import { watched, withIR } from "../../src/testing/mock.ts"

export function logged<F extends AnyFlow>(flow: F, note: (path: string) => void): F {
  const noting = rewrite(flow.ir, (node) => {
    const { compensate } = node
    if (typeof compensate !== "object") return node
    const undo = (output: never, scope: never, step: any) => (note(`undo ${step.path}`), compensate.undo(output, scope, step))
    return { ...node, compensate: { ...compensate, undo } }
  })
  return watched(withIR(flow, noting), ({ path }) => note(path))
}
