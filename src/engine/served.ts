/** Which flows a set of flows can run. */
import type { FlowIR } from "../../dsl/ir/node.ts"
import { childOf, walk } from "../../dsl/ir/walk.ts"

/** Flows by name, with those that run as their children. */
export function served(flows: ReadonlyArray<FlowIR>): ReadonlyMap<string, FlowIR> {
  const byName = new Map<string, FlowIR>()
  const add = (flow: FlowIR): void => {
    if (byName.get(flow.name) === flow) return
    byName.set(flow.name, flow)
    for (const { node } of walk(flow)) {
      const child = childOf(node)
      if (child !== undefined) add(child)
    }
  }
  flows.forEach(add)
  return byName
}
