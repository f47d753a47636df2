/** Recording a step together with what it has changed of State. */
import { currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StepNode } from "../../dsl/ir/node.ts"
import { isStoreError } from "../model/error.ts"
import { StateConflict } from "../model/service-error.ts"
import type { Changes } from "../services/state-changes.ts"
import type { Frame, RunContext } from "./frame.ts"
import { hooksAt } from "./hooks-at.ts"
import type { Jump, Run } from "./program.ts"
import { encodeError } from "./record.ts"
import { threw } from "./settle.ts"

/** How often a step begins again because others have changed what it had read. */
const tries = 10

/** Others have changed what was read of State: whoever listens is told. */
export const conflicted = ({ journal }: RunContext, path: string, { scope, name: key }: StateConflict): void =>
  journal.notice("state.conflicted", path, () => JSON.stringify({ scope, key }))

/**
 * Writes the step's event and its changes, or neither. Where others have changed meanwhile what the step had read, it begins again with what
 * is there now, if it may run again.
 */
export const committed = (
  frame: Frame,
  path: string,
  { name, delivery }: Pick<StepNode, "name" | "delivery">,
  { data, changes, nr }: { readonly data: string; readonly changes: Changes; readonly nr: number },
  bind: (seq: number) => Jump,
  again: () => Run<Jump>,
): Run<Jump> => {
  const { journal, offers } = frame.run
  const written = Effect.flatMap(
    currentTimeMillis,
    (now) => journal.commit("step.completed", frame.path, name, data, changes.writes(now), (all) => changes.said(all)),
  )
  const failed = (failure: unknown): Run<never> =>
    Effect.andThen(journal.append("step.failed", frame.path, name, `{"error":${encodeError(failure)},"attempts":${nr}}`), Effect.fail(failure))
  return Effect.matchEffect(written, {
    onSuccess: (seq) => {
      offers.stateChanged()
      journal.notice("state.changed", path, () => JSON.stringify({ changed: changes.changed }))
      return Effect.succeed(bind(seq))
    },
    onFailure: (error): Run<Jump> => {
      if (error instanceof StateConflict) {
        const { scope, name: key } = error
        conflicted(frame.run, path, error)
        const asked = hooksAt(frame.run, "state.conflict", path, () => ({ scope: {}, key, of: scope.split(":")[0]! }))
        return Effect.flatMap(asked, () => {
          if (delivery !== "atLeastOnce" || nr >= tries) return failed(error)
          journal.notice("step.retried", path)
          // those who were faster are not met again at the same moment
          return Effect.flatMap(Effect.sleep(Math.random() * 2 ** nr), again)
        })
      }
      const failure = changes.failure === undefined ? error : threw(path, changes.failure)
      return isStoreError(failure) ? Effect.fail(failure) : failed(failure)
    },
  })
}
