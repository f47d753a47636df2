/** A block for every item, several at once; the output is a list of theirs. */
import * as Effect from "effect/Effect"
import type { EachNode } from "../../dsl/ir/node.ts"
import { ItemsChanged } from "../model/error.ts"
import { dataOf } from "../services/recorded.ts"
import { type Ended, firstOutcome, type Fork, isWon, join, mergeUpdates, slotOf } from "./join.ts"
import { ask } from "./ask.ts"
import type { CompileNode, Outcome } from "./program.ts"

export const compileEach: CompileNode<EachNode> = (node, compileBlock) => {
  const block = compileBlock(node.body)
  return (frame, path, past) =>
    Effect.gen(function*() {
      const items = yield* ask(path, () => Array.from(node.items(frame.scope)))
      if (past?.started === undefined) yield* frame.run.journal.append("each.started", frame.path, node.name, `{"count":${items.length}}`)
      else {
        const { count = 0 } = dataOf(past.started)
        if (count !== items.length) return yield* new ItemsChanged({ path, recorded: count, found: items.length })
      }
      const forks = items.map((item, index): Fork => ({ label: `[${index}]`, scope: { ...frame.scope, item, index }, block, required: true }))
      const ended = yield* join(node, frame, path, forks, past)
      const [winner] = ended
      if (node.failure === "first" && winner !== undefined && isWon(winner)) return firstOutcome(winner, false)
      const updates = yield* mergeUpdates(node, frame, path, ended)
      return { ...list(node, node.ordered ? ended : [...ended].sort(byEnd)), updates }
    })
}

const list = (node: EachNode, ended: ReadonlyArray<Ended>): Outcome => {
  const slots = ended.map((one) => slotOf(node, one))
  return { value: slots.map(({ value }) => value), ref: { r: slots.map(({ ref }) => ref) } }
}
/** In the order in which they were recorded; failed ones last. */
const byEnd = (a: Ended, b: Ended): number => endOf(a) - endOf(b)
const endOf = (ended: Ended): number => (isWon(ended) ? ended.seq : Number.MAX_SAFE_INTEGER)
