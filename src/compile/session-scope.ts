/** What a flow reads first: its input, and its session's context where it asks for that. */
import * as Effect from "effect/Effect"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { walk } from "../../dsl/ir/walk.ts"
import { InputInvalid } from "../model/error.ts"
import type { Journal } from "../services/journal.ts"
import type { Run } from "./program.ts"
import { validate } from "./schema.ts"

const known = new WeakMap<FlowIR, boolean>()
/** The flow, or one inside it, reads its session's context. */
export const readsSession = (flow: FlowIR): boolean => {
  const found = known.get(flow) ??
    (flow.session !== undefined ||
      [...walk(flow)].some(({ node }) => node.kind === "step" && node.work.from === "flow" && node.work.flow.session !== undefined))
  known.set(flow, found)
  return found
}

/** The names that are bound before the flow's first node. */
export const startScope = ({ name, session }: FlowIR, { session: context }: Journal, input: unknown): Run<Record<string, unknown>> => {
  if (session === undefined) return Effect.succeed({ input })
  const invalid = (issues: InputInvalid["issues"]) =>
    new InputInvalid({ flow: name, path: "", issues: issues.map(({ path, message }) => ({ path: path === "" ? "session" : `session.${path}`, message })) })
  if (context === undefined) {
    return Effect.fail(invalid([{ path: "", message: "the flow reads its session's context: start it with { session }" }]))
  }
  return Effect.mapBoth(validate(session, context.value), { onFailure: invalid, onSuccess: (parsed) => ({ input, session: parsed }) })
}
