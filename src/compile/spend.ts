/** Counting what nodes spend: hooks are told of the shares that were passed, and too much is an error. */
import * as Effect from "effect/Effect"
import type { Budget, BudgetItem } from "../../dsl/ir/limit.ts"
import type { Values } from "../../dsl/ir/node.ts"
import type { LimitExceeded } from "../model/error.ts"
import type { Context } from "./attempt.ts"
import type { Frame, RunContext } from "./frame.ts"
import { hooksAt } from "./hooks-at.ts"
import type { Outcome, Run } from "./program.ts"

const fine: Run<void> = Effect.void

/** Counts `amount` of `item`, spent at `path`. */
export const spend = (frame: Frame, path: string, item: BudgetItem, amount: number): Run<void> => {
  const { budgets } = frame.run
  return budgets === undefined ? fine : heard(frame, path, budgets.spend(path, item, amount))
}

/** Counts the flow that begins as the step at `path`. */
export const deeper = (frame: Frame, path: string): Run<void> => {
  const { budgets } = frame.run
  return budgets === undefined ? fine : heard(frame, path, budgets.enter(path))
}

/** Tells hooks what was passed since they were last told, then fails with what is too much. */
const heard = (frame: Frame, path: string, exceeded: LimitExceeded | undefined): Run<void> => {
  const { budgets, hooks } = frame.run
  const { scope } = frame
  const warned = budgets!.warnings(path)
  const told = warned.length === 0 || hooks === undefined ?
    fine :
    Effect.forEach(warned, (warning) => hooksAt(frame.run, "limit.warned", path, () => ({ scope, ...warning })), { discard: true })
  if (exceeded === undefined) return told
  return Effect.flatMap(told, () => tooMuch(frame.run, path, scope, exceeded))
}

/** Fails with what is too much, after hooks were asked: they may end the run instead. */
export const tooMuch = (run: RunContext, path: string, scope: Values, error: LimitExceeded): Run<never> => {
  const { limit, of, used, allowed } = error
  return Effect.andThen(hooksAt(run, "limit.exceeded", path, () => ({ scope, limit, of, used, allowed })), Effect.fail(error))
}

/** `attempt`, whose step may charge something itself: if that was too much, it has failed, however it has ended. */
export const charging = (frame: Frame, path: string, context: Context, attempt: Run<Outcome>): Run<Outcome> =>
  frame.run.budgets === undefined ? attempt : Effect.matchEffect(attempt, {
    onSuccess: (outcome) => Effect.as(heard(frame, path, context.exceeded), outcome),
    onFailure: (error) => Effect.andThen(heard(frame, path, context.exceeded), Effect.fail(error)),
  })

/** `work` with a budget of its own. */
export const bounded = <A>({ run: { budgets } }: Frame, path: string, budget: Budget | undefined, work: Run<A>): Run<A> => {
  if (budget === undefined) return work
  return Effect.suspend(() => {
    budgets!.open(path, budget)
    return work
  })
}
