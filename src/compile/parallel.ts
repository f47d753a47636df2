/** Named forks at once; the output is a record of theirs. */
import * as Effect from "effect/Effect"
import type { ParallelNode } from "../../dsl/ir/node.ts"
import { type Ended, firstOutcome, type Fork, isWon, join, mergeUpdates, slotOf } from "./join.ts"
import type { CompileNode, Outcome, Run } from "./program.ts"

export const compileParallel: CompileNode<ParallelNode> = (node, compileBlock) => {
  const blocks = Object.entries(node.forks).map(([label, block]) => ({ label, block: compileBlock(block), required: !node.optional.includes(label) }))
  return (frame, path, past) =>
    Effect.flatMap(join(node, frame, path, blocks.map((fork): Fork => ({ ...fork, scope: { ...frame.scope } })), past), (ended) => {
      const [winner] = ended
      if (node.failure === "first" && winner !== undefined && isWon(winner)) return Effect.succeed(firstOutcome(winner, true))
      return Effect.map(mergeUpdates(node, frame, path, ended), (updates) => ({ ...record(node, ended), updates }))
    }) satisfies Run<Outcome>
}

const record = (node: ParallelNode, ended: ReadonlyArray<Ended>): Outcome => {
  const slots = ended.map((one) => [one.label, slotOf(node, one)] as const)
  return {
    value: Object.fromEntries(slots.map(([label, { value }]) => [label, value])),
    ref: { r: Object.fromEntries(slots.map(([label, { ref }]) => [label, ref])) },
  }
}
