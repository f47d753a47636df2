/** Undoing what finished steps did: last-first, one by one, each recorded, so that a crash in between repeats none that is done. */
import { currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Block, Compensation, Node, StepNode } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import { childOf, compensationOf, walkBlock } from "../../dsl/ir/walk.ts"
import { HookFailed, isStoreError } from "../model/error.ts"
import { StateConflict } from "../model/service-error.ts"
import { eventPath, type RunEvent } from "../model/event.ts"
import type { ChangedState, StateWrite } from "../model/state-entry.ts"
import { revive } from "../model/value.ts"
import type { Budgets } from "../services/budgets.ts"
import { dataOf } from "../services/recorded.ts"
import { Changes, undoing } from "../services/state-changes.ts"
import { standingOf } from "./standing.ts"
import { attempt, Context, repeated } from "./attempt.ts"
import { conflicted } from "./commit.ts"
import type { RunContext } from "./frame.ts"
import { hooksAt } from "./hooks-at.ts"
import type { Run } from "./program.ts"
import { encodeError } from "./record.ts"
import { settle } from "./settle.ts"
import { givenTo } from "./step.ts"

const known = new WeakMap<Block, boolean>()
/** Something in the block can be undone. */
export function isUndoable(block: Block): boolean {
  let found = known.get(block)
  if (found === undefined) {
    found = [...walkBlock(block, "")].some(({ node }) => canUndo(node))
    known.set(block, found)
  }
  return found
}

/** The step has a compensation, or is a run of its own whose steps have. */
export const canUndo = (node: Node): boolean => {
  const child = childOf(node)
  return compensationOf(node) !== undefined || (child !== undefined && isUndoable(child.body))
}

/** A compensation that failed for good. */
export interface Undone {
  readonly path: string
  readonly error: unknown
}

/** Undoes the finished steps inside `prefix` (`""`: the whole run), the newest first, with their changes of State or without; gives what could not be undone. */
export function compensate(run: RunContext, prefix: string, withState: boolean): Run<ReadonlyArray<Undone>> {
  return Effect.gen(function*() {
    const failures: Array<Undone> = []
    const standing = standingOf(yield* run.journal.effects(), prefix, withState)
    const steps = standing.length
    if (steps === 0) return failures
    const unlessFailed = <A>(asked: Run<A>) => Effect.catchIf(asked, (error) => error instanceof HookFailed, (error) => Effect.sync(() => ({ failed: error })))
    const before = yield* unlessFailed(hooksAt(run, "rollback.before", prefix, () => ({ scope: {}, steps })))
    // one that fails and must not: nothing could be undone
    if (before !== undefined && "failed" in before) return [{ path: prefix, error: before.failed }]
    if (before?.decided?.decision.does === "skip") return failures
    run.journal.notice("rollback.started", prefix, () => JSON.stringify({ count: steps }))
    for (const { event, undoes, state } of standing) {
      const path = eventPath(event)
      const node = run.node(writtenPath(path))
      const policy = compensationOf(node)
      const { child } = dataOf(event)
      const flow = childOf(node)
      const work = child !== undefined && flow !== undefined ?
        Effect.as(run.undoChild(flow, child, !undoes), undefined) :
        !undoes ?
        Effect.undefined :
        policy === undefined ?
        Effect.fail(new Error("the flow no longer says how to undo this step")) :
        Effect.catchDefect(undo(run, event, path, node as StepNode, policy), (defect) => Effect.fail(defect))
      if (undoes) run.journal.notice("compensation.started", path)
      const failure = yield* Effect.matchEffect(undone(run, path, event, state, work), {
        onSuccess: () => Effect.undefined,
        onFailure: (error) =>
          isStoreError(error) ?
            Effect.fail(error) :
            Effect.as(run.journal.appendSync("compensation.failed", event.parent, event.name, `{"of":${event.seq},"error":${encodeError(error)}}`), {
              path,
              error,
            }),
      })
      if (failure === undefined) continue
      failures.push(failure)
      if (policy?.onFailure === "stop") break
    }
    run.journal.notice("rollback.completed", prefix, () => JSON.stringify({ count: steps, failed: failures.length }))
    // what is undone is undone, whatever comes of the hook
    yield* unlessFailed(hooksAt(run, "rollback.after", prefix, () => ({ scope: {}, steps, failures })))
    return failures
  })
}

/** How often a compensation runs again because others have changed what it had read of State. */
const tries = 10
/** Undoes one step and records it; again, where others were faster. */
const undone = (run: RunContext, path: string, event: RunEvent, state: ReadonlyArray<ChangedState>, work: Run<Changes | undefined>, nr = 1): Run<unknown> => {
  const recorded = Effect.flatMap(
    hookedUndo(run, path, event, work),
    (changes) => Effect.mapError(recordUndone(run, event, state, changes), (error) => changes?.failure ?? error),
  )
  return Effect.catchIf(recorded, (error): error is StateConflict => error instanceof StateConflict, (error) => {
    conflicted(run, path, error)
    return nr === tries ? Effect.fail(error) : undone(run, path, event, state, work, nr + 1)
  })
}

/** It is undone: what the step has changed of State is as it was before, together with what its compensation has changed. */
const recordUndone = (run: RunContext, { parent, name, seq }: RunEvent, state: ReadonlyArray<ChangedState>, changes: Changes | undefined): Run<unknown> => {
  const { journal, offers } = run
  const data = `{"of":${seq}}`
  if (state.length === 0 && changes === undefined) return journal.appendSync("compensation.completed", parent, name, data)
  return Effect.flatMap(currentTimeMillis, (now) => {
    const own = changes?.writes(now) ?? []
    const isOwn = (undone: StateWrite): boolean => own.some((write) => write.scope === undone.scope && write.name === undone.name)
    const writes = [...undoing(state).filter((undone) => !isOwn(undone)), ...own]
    const written = journal.commit("compensation.completed", parent, name, data, writes, (all) => (changes ?? new Changes()).said(all))
    return Effect.tap(written, () => Effect.sync(offers.stateChanged))
  })
}

/** Hooks may leave a compensation out; then it counts as done. */
const hookedUndo = (run: RunContext, path: string, event: RunEvent, work: Run<Changes | undefined>): Run<Changes | undefined> => {
  if (run.hooks === undefined) return work
  return Effect.gen(function*() {
    const output = yield* run.journal.output(event)
    const told = () => ({ scope: {}, output })
    const before = yield* hooksAt(run, "compensation.before", path, told)
    if (before?.decided?.decision.does === "skip") return undefined
    const changes = yield* Effect.tapError(work, (error) => hooksAt(run, "compensation.error", path, () => ({ ...told(), error })))
    yield* hooksAt(run, "compensation.after", path, told)
    return changes
  })
}

const undo = (run: RunContext, event: RunEvent, path: string, { work }: StepNode, policy: Compensation): Run<Changes | undefined> =>
  Effect.gen(function*() {
    const { undo: read = {}, given: changed } = dataOf(event)
    // a migrated flow undoes what its own version knows
    const refs = Object.fromEntries(Object.entries(read).map(([name, ref]) => [name, typeof ref === "number" ? run.journal.migrated(name, ref) : ref]))
    const output = yield* run.journal.value(run.journal.migrated(path, event.seq))
    const scope = yield* run.journal.value({ r: refs })
    const given = changed === undefined ? yield* givenTo(run.flow, path, work, scope as Record<string, unknown>) : revive(changed)
    const call = policy.undo as unknown as (output: unknown, given: unknown, context: Context) => unknown
    // nothing that is spent keeps a step from being undone
    const spend = (...spent: Parameters<Budgets["spend"]>) => void run.charges.spend(...spent)
    const unbounded = { id: run.id, charges: { spend }, offers: run.offers }
    return yield* repeated(path, policy, (tries) => {
      const context = new Context(unbounded, path, tries, "/compensate")
      return Effect.map(attempt(context, () => settle(path, () => call(output, given, context))), () => context.changes)
    })
  })
