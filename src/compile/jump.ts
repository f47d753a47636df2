/** `.break` and `.continue`: tells the loop around it to leave this pass. */
import * as Effect from "effect/Effect"
import type { JumpNode } from "../../dsl/ir/node.ts"
import { ask } from "./ask.ts"
import type { CompileNode } from "./program.ts"

export const compileJump: CompileNode<JumpNode> = (node) => (frame, path) =>
  Effect.map(ask(path, () => node.condition(frame.scope)), (holds) => ({ value: undefined, jump: holds ? node.to : undefined }))
