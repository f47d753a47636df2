/** Errors of parts of a run that were undone: a run that fails with one of them can only end. */
import { JoinFailed } from "../model/error.ts"

export class Undone {
  #errors: Set<unknown> | undefined

  /** A part of the run was undone and has failed with `error`. */
  mark(error: unknown): void {
    ;(this.#errors ??= new Set()).add(error)
  }

  has(error: unknown): boolean {
    return this.#errors?.has(error) === true || (error instanceof JoinFailed && error.failures.some((one) => this.has(one.error)))
  }
}
