/** A boundary: an error with a handler is recorded, then handled; none of the block's updates are seen. */
import * as Effect from "effect/Effect"
import type { ProtectNode } from "../../dsl/ir/node.ts"
import { tagOf } from "../model/error.ts"
import { dataOf, errorOf } from "../services/journal.ts"
import { enter } from "./enter.ts"
import type { CompileNode, Outcome, Run } from "./program.ts"
import { encodeError } from "./record.ts"
import { settle } from "./settle.ts"

export const compileProtect: CompileNode<ProtectNode> = (node, compileBlock) => {
  const block = compileBlock(node.body)
  return (frame, path, past) => {
    const handle = (tag: string, error: unknown): Run<Outcome> =>
      Effect.map(settle(path, () => node.handlers[tag]!(error, frame.scope)), (value) => ({ value }))
    if (past?.caught !== undefined) return handle(dataOf(past.caught).tag!, errorOf(past.caught))
    const tried = Effect.map(enter(frame, path, { ...frame.scope }, block, past), ({ outcome, signal, updates }): Outcome => ({ ...outcome, signal, updates }))
    return Effect.catch(tried, (error: unknown) => {
      const tag = tagOf(error)
      if (tag === undefined || !Object.hasOwn(node.handlers, tag)) return Effect.fail(error)
      const caught = frame.run.journal.append("protect.caught", frame.path, node.name, `{"tag":${JSON.stringify(tag)},"error":${encodeError(error)}}`)
      return Effect.flatMap(caught, () => handle(tag, error))
    })
  }
}
