/** The error of budgets. Its page is in `docs/errors/`, named by its tag. */
import { TaggedError } from "effect/Data"
import { type BudgetItem, unitOf } from "../../dsl/ir/limit.ts"

/** More was spent than a budget allows. */
export class LimitExceeded extends TaggedError("LimitExceeded")<{
  readonly path: string
  readonly limit: BudgetItem | "time"
  readonly of: string
  readonly used: number
  readonly allowed: number
}> {
  override get message(): string {
    return `'${this.path}' spends more than the budget of ${this.of} allows: ${this.used} of ${this.allowed} ${
      unitOf(this.limit)
    }. Raise the budget, or spend less`
  }
}
