/** A boundary: when its block fails, what was done inside is undone, then the error is handled or goes on. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ProtectNode } from "../../dsl/ir/node.ts"
import { CompensationFailed, isStoreError, ProtectTimedOut, tagOf } from "../model/error.ts"
import { errorOf } from "../services/recorded.ts"
import { compensate, isUndoable } from "./compensate.ts"
import { standingOf } from "./standing.ts"
import { limited } from "./deadline.ts"
import { inside, open } from "./enter.ts"
import { hooksAt } from "./hooks-at.ts"
import type { Frame, Updates } from "./frame.ts"
import type { CompileNode, Outcome, Run } from "./program.ts"
import { encodeError, encodeUpdates, readUpdates } from "./record.ts"
import { settle } from "./settle.ts"
import { bounded } from "./spend.ts"

export const compileProtect: CompileNode<ProtectNode> = (node, compileBlock) => {
  const block = compileBlock(node.body)
  const undoable = isUndoable(node.body)
  const milliseconds = node.timeout === undefined ? undefined : Duration.toMillis(node.timeout)
  const handlerOf = (tag: string | undefined) => (tag !== undefined && Object.hasOwn(node.handlers, tag) ? node.handlers[tag] : node.fallback)

  return (frame, path, past) => {
    const { run } = frame
    const undo = (error: unknown): Run<void> =>
      undoable || (node.rollback && run.journal.stateful) ?
        Effect.flatMap(
          compensate(run, path, node.rollback),
          (failures) => failures.length === 0 ? Effect.void : Effect.fail(new CompensationFailed({ run: run.id, error, failures })),
        ) :
        Effect.void
    const handle = (error: unknown, updates: Updates | undefined): Run<Outcome> =>
      Effect.flatMap(undo(error), () => Effect.map(settle(path, () => handlerOf(tagOf(error))!(error, frame.scope)), (value) => ({ value, updates })))
    const failOn = (error: unknown): Run<never> =>
      Effect.flatMap(undo(error), () => {
        // the run cannot be resumed inside: what it did there is undone
        run.journal.undone.mark(error)
        return Effect.fail(error)
      })

    if (past?.caught !== undefined) {
      const { caught } = past
      return Effect.flatMap(readUpdates(run.journal, caught), (updates) => handle(errorOf(caught), updates))
    }
    if (past?.failed !== undefined) return failOn(errorOf(past.failed))

    return Effect.flatMap(open(frame, path, { ...frame.scope }, block, past), (own: Frame) => {
      const tried = Effect.map(bounded(frame, path, node.budget, inside(own, block)), ({ outcome, jump, updates }): Outcome => ({ ...outcome, jump, updates }))
      const timed = milliseconds === undefined ?
        tried :
        limited(frame, { kind: "protect.started", name: node.name, past, milliseconds }, () => new ProtectTimedOut({ path, milliseconds }), tried)
      return Effect.catch(timed, (error: unknown) => {
        if (isStoreError(error)) return Effect.fail(error)
        const data = (more: string) => `{"error":${encodeError(error)}${more}}`
        if (handlerOf(tagOf(error)) !== undefined) {
          const updates = node.rollback ? undefined : own.updates
          const kept = updates === undefined ? "" : `,"updates":${JSON.stringify(encodeUpdates(updates))}`
          const caught = run.journal.append("protect.caught", frame.path, node.name, data(`,"tag":${JSON.stringify(tagOf(error) ?? "error")}${kept}`))
          return Effect.flatMap(
            caught,
            () => Effect.andThen(hooksAt(run, "protect.caught", path, () => ({ scope: frame.scope, error })), handle(error, updates)),
          )
        }
        if (!undoable) return Effect.fail(error)
        return Effect.flatMap(
          run.journal.effects(),
          (events) =>
            standingOf(events, path, false).length === 0 ?
              Effect.fail(error) :
              Effect.flatMap(run.journal.append("protect.failed", frame.path, node.name, data("")), () => failOn(error)),
        )
      })
    })
  }
}
