/** The codecs that a flow's steps have. */
import type { FlowIR, ValueCodec } from "../../dsl/ir/node.ts"
import { walk } from "../../dsl/ir/walk.ts"

const known = new WeakMap<FlowIR, ReadonlyMap<string, ValueCodec>>()
/** The codecs of a flow's steps by their paths as written. */
export const codecsOf = (flow: FlowIR): ReadonlyMap<string, ValueCodec> => {
  let codecs = known.get(flow)
  if (codecs === undefined) {
    codecs = new Map(Array.from(walk(flow)).flatMap(({ path, node }) => (node.kind === "step" && node.codec !== undefined ? [[path, node.codec]] : [])))
    known.set(flow, codecs)
  }
  return codecs
}
