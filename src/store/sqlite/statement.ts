/** A statement that is prepared when it is first used: opening a file does not wait for what a run may never need. */
import type * as Effect from "effect/Effect"
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementResultingChanges, StatementSync } from "node:sqlite"
import type { StoreFailed } from "../../model/error.ts"
import type { StateConflict } from "../../model/service-error.ts"

/** How the parts of a store ask their database. */
export interface Asking {
  readonly sql: (text: string) => Statement
  /** `run`, whose failures are the store's. */
  readonly attempt: <A>(operation: string, run: () => A) => Effect.Effect<A, StoreFailed>
  /** The same where a change of state may be refused. */
  readonly refusable: <A>(operation: string, run: () => A) => Effect.Effect<A, StoreFailed | StateConflict>
  /** All of it or nothing. */
  readonly together: <A>(work: () => A) => A
}

export class Statement {
  readonly #db: DatabaseSync
  readonly #text: string
  #prepared: StatementSync | undefined

  constructor(db: DatabaseSync, text: string) {
    this.#db = db
    this.#text = text
  }

  get #statement(): StatementSync {
    return (this.#prepared ??= this.#db.prepare(this.#text))
  }

  run(...values: ReadonlyArray<SQLInputValue>): StatementResultingChanges {
    return this.#statement.run(...values)
  }

  get(...values: ReadonlyArray<SQLInputValue>): Record<string, SQLOutputValue> | undefined {
    return this.#statement.get(...values)
  }

  all(...values: ReadonlyArray<SQLInputValue>): Array<Record<string, SQLOutputValue>> {
    return this.#statement.all(...values)
  }
}
