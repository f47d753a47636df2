/** A statement that is prepared when it is first used: opening a file does not wait for what a run may never need. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementResultingChanges, StatementSync } from "node:sqlite"

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
