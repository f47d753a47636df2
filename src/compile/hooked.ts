/** Hooks around a node: asked before it, after it and when it fails; every decision that their types allow is obeyed here. */
import { currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Node, Values } from "../../dsl/ir/node.ts"
import { HookFailed, isStoreError } from "../model/error.ts"
import type { Deciding, Verdict } from "../services/hooks.ts"
import type { Frame } from "./frame.ts"
import { hooksAt } from "./hooks-at.ts"
import { isDone } from "../services/done.ts"
import { after, type Body, type Outcome, type Run } from "./program.ts"
import { flowRetried } from "./step.ts"

type Kind = Exclude<Node["kind"], "jump">
type Last = Verdict<unknown>["decided"]

/** `body` with hooks before it, after it and where it fails. */
export function hooked(node: Node, body: Body): Body {
  if (node.kind === "jump") return body
  return (frame, path, past) => (frame.run.hooks?.surround(node.kind, path) === true ? around(node, body, frame, path, past) : body(frame, path, past))
}

/** Why the step is not to be run again, or its output not to be replaced. */
const impossible = (node: Node, decision: Deciding | undefined, outcome: Outcome | undefined): string | undefined => {
  if (decision?.does === "retry" && node.kind === "step" && node.delivery === "atMostOnce") return "the step runs at most once"
  const changes = decision?.does === "retry" || decision?.does === "replace"
  return changes && outcome?.seq !== undefined ? "the step is a transaction, which is done and recorded" : undefined
}

const around = (node: Extract<Node, { readonly kind: Kind }>, body: Body, frame: Frame, path: string, past: Parameters<Body>[2]): Run<Outcome> => {
  const { run } = frame
  const { kind } = node
  const again = new Map<NonNullable<Last>["hook"], number>()
  const checked = (last: Last, outcome?: Outcome): Run<Deciding | undefined> => {
    const reason = impossible(node, last?.decision, outcome)
    if (last === undefined || reason === undefined) return Effect.succeed(last?.decision)
    return Effect.fail(new HookFailed({ path, hook: last.hook.name, point: last.hook.point, cause: new Error(reason) }))
  }
  /** The step is to run again, if this hook may ask for it once more. */
  const retries = (last: Last): Run<boolean> =>
    Effect.gen(function*() {
      if (last?.decision.does !== "retry") return false
      const tries = (again.get(last.hook) ?? 0) + 1
      again.set(last.hook, tries)
      if (tries > last.decision.times) return false
      yield* Effect.sleep(last.decision.delay)
      run.journal.notice("step.retried", path)
      if (node.kind === "step" && node.work.from === "flow") yield* flowRetried(frame, path, node.name, tries + 1)
      return true
    })
  const recovered = (error: unknown, scope: Values): Run<Outcome> =>
    Effect.gen(function*() {
      if (isStoreError(error)) return yield* Effect.fail(error)
      const errored = yield* hooksAt(run, `${kind}.error`, path, () => ({ scope, error }))
      const decision = yield* checked(errored?.decided)
      if (decision?.does === "replace") return { value: decision.value }
      if (yield* retries(errored?.decided)) return yield* attempt({})
      return yield* Effect.fail(error)
    })
  const ended = (outcome: Outcome, scope: Values, first: Deciding | undefined, isKept: boolean): Run<Outcome> => {
    if (outcome.jump !== undefined) return Effect.succeed(outcome)
    return after(hooksAt(run, `${kind}.after`, path, () => ({ scope, output: outcome.value })), (told) => {
      if (told?.decided === undefined && first?.does !== "cache") return Effect.succeed(outcome)
      return Effect.gen(function*() {
        const last = yield* checked(told?.decided, outcome)
        if (last?.does === "replace") return { ...outcome, value: last.value, ref: undefined }
        if (yield* retries(told?.decided)) return yield* attempt({})
        if (first?.does === "cache" && !isKept) run.hooks!.engine.keep(first, outcome.value, yield* currentTimeMillis)
        return outcome
      })
    })
  }
  const attempt = (known: Parameters<Body>[2]): Run<Outcome> =>
    after(hooksAt(run, `${kind}.before`, path, () => ({ scope: frame.scope })), (before) => {
      const first = before?.decided?.decision
      const scope = before?.told.scope ?? frame.scope
      const own = scope === frame.scope ? frame : frame.reading({ ...scope })
      const work = (kept: { readonly value: unknown } | undefined): Run<Outcome> => {
        const worked = kept === undefined ? body(own, path, known) : Effect.succeed({ value: kept.value })
        const settled = isDone(worked) ? worked : Effect.catch(worked, (error) => recovered(error, scope))
        return after(settled, (outcome) => ended(outcome, scope, first, kept !== undefined))
      }
      if (first?.does === "cache") return Effect.flatMap(currentTimeMillis, (now) => work(run.hooks!.engine.recall(first.key, now)))
      return work(first?.does === "replace" ? first : undefined)
    })
  return attempt(past)
}
