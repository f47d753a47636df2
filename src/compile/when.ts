/** A choice: the decision is recorded before it is acted on, then only the chosen block runs. */
import * as Effect from "effect/Effect"
import type { WhenNode } from "../../dsl/ir/node.ts"
import { redact } from "../model/secret.ts"
import { NoCase } from "../model/error.ts"
import { dataOf } from "../services/recorded.ts"
import { enter } from "./enter.ts"
import { hooksAt, sentTo } from "./hooks-at.ts"
import { ask } from "./ask.ts"
import { after, type CompileNode, type Outcome, type Run } from "./program.ts"
import { inlineRef, stored } from "./record.ts"

export const compileWhen: CompileNode<WhenNode> = (node, compileBlock) => {
  const blocks = new Map(Object.entries(node.cases).map(([label, block]) => [label, compileBlock(block)]))
  const decide = (path: string, value: unknown): Effect.Effect<string, NoCase> => {
    const label = node.form === "if" ? (value ? "yes" : "no") : labelOf(value)
    // a `when` without its second block has nothing to do for `no`
    return blocks.has(label) || node.form === "if" ? Effect.succeed(label) : Effect.fail(new NoCase({ path, label: redact(label), cases: [...blocks.keys()] }))
  }
  return (frame, path, past) => {
    const run = (label: string, matched: unknown): Run<Outcome> => {
      const block = blocks.get(label)
      if (block === undefined) return Effect.succeed({ value: undefined })
      const scope = node.form === "match" ? { ...frame.scope, matched } : { ...frame.scope }
      return Effect.map(enter(frame, `${path}/${label}`, scope, block, past), ({ outcome, jump, updates }) => ({ ...outcome, jump, updates }))
    }
    if (past?.decided !== undefined) {
      const { chosen, ref } = dataOf(past.decided)
      if (ref === undefined) return run(chosen!, chosen)
      return Effect.flatMap(frame.run.journal.value(ref), (matched) => run(chosen!, matched))
    }
    const chose = (label: string, value: unknown): Run<Outcome> => {
      // the matched value is kept only where the label does not already say it
      const kept = node.form === "match" && typeof value !== "string" ? stored(path, () => `,"ref":${JSON.stringify(inlineRef(value))}`) : none
      return after(kept, (ref) => {
        const written = frame.run.journal.append("when.decided", frame.path, node.name, `{"chosen":${JSON.stringify(label)}${ref}}`)
        return after(written, () => run(label, value))
      })
    }
    return after(ask(path, () => node.on(frame.scope)), (value) =>
      after(decide(path, value), (chosen) => {
        if (frame.run.hooks === undefined) return chose(chosen, value)
        const cases = node.form === "if" ? ["yes", "no"] : [...blocks.keys()]
        const asked = hooksAt(frame.run, "when.decided", path, () => ({ scope: frame.scope, chosen, cases }))
        return Effect.flatMap(asked, (verdict) => chose(sentTo(verdict, chosen), value))
      }))
  }
}
const none = Effect.succeed("")

/** A value's label: itself, or its `_tag`, `type` or `kind`. */
function labelOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value)
  for (const key of ["_tag", "type", "kind"]) {
    const label: unknown = Reflect.get(value, key)
    if (typeof label === "string") return label
  }
  return "(no _tag, type or kind)"
}
