/** Questions to a SQLite database, answered in a process of their own: a query that takes for ever can only be killed with it. */
import { type ChildProcess, spawn } from "node:child_process"
import path from "node:path"
import { pathToFileURL } from "node:url"
import { tool } from "../../../../dsl/flow/tool.ts"
import { refusing, ToolRefused } from "../error.ts"
import { listOf, object, optional, scalar, text } from "../input.ts"
import type { Query, Readable, Rows, Said } from "./reader.ts"

export interface SqlOptions {
  /** The database's file. */
  readonly file: string
  /** Tables and views that may be read, all else is refused. A view reads only tables that are named too. */
  readonly tables: ReadonlyArray<string>
  /** Columns that read as NULL, `table.column`. */
  readonly hidden?: ReadonlyArray<string>
  /** `WITH RECURSIVE` may be asked, default false. */
  readonly recursive?: boolean
  /** In milliseconds, default 2,000. */
  readonly timeout?: number
  /** Most rows of an answer, default 1,000, and most characters of their values, default 1,000,000. */
  readonly rows?: number
  readonly characters?: number
}
const refusal = (code: string, reason: string) => new ToolRefused({ tool: "query_sql", code, reason })

/**
 * A tool that reads a SQLite database: one SELECT at a time, of named tables, with bound values. Closing ends the process that reads.
 *
 * @example
 * const shop = sql({ file: "shop.db", tables: ["orders", "customers"], hidden: ["customers.email"] })
 */
export function sql({ file, tables, hidden = [], recursive = false, timeout = 2000, rows = 1000, characters = 1_000_000 }: SqlOptions) {
  const reader = new Reader({ file: path.resolve(file), tables, hidden, recursive })
  return {
    query: tool("query_sql", {
      description: `Asks a SQLite database: one SELECT, with ? for values. Tables: ${tables.join(", ")}.`,
      input: object({ sql: text({ longest: 20_000 }), values: optional(listOf(scalar, 200)) }),
      needs: ["sql.read"],
    }, refusing(({ sql: asked, values = [] }, signal) => reader.ask({ sql: asked, values, rows, characters }, timeout, signal))),
    close: (): void => reader.close(),
  }
}

/** TypeScript in this repository, JavaScript in the package. */
const answering = pathToFileURL(path.join(import.meta.dirname, `reader${path.extname(import.meta.filename)}`)).href

/** One warm process, one query at a time; killed, and made again, where a query takes too long. */
class Reader {
  readonly #readable: Readable
  #child: ChildProcess | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(readable: Readable) {
    this.#readable = readable
  }

  ask(query: Query, timeout: number, signal: AbortSignal): Promise<Rows> {
    const asked = this.#last.then(() => this.#ask(query, AbortSignal.any([signal, AbortSignal.timeout(timeout)])))
    this.#last = asked.catch(() => undefined)
    return asked
  }
  async #ask(query: Query, ending: AbortSignal): Promise<Rows> {
    if (ending.aborted) throw ending.reason
    const child = this.#child = this.#child?.connected === true ? this.#child : start(this.#readable)
    child.ref()
    try {
      const said = await new Promise<Said>((resolve, reject) => {
        child.once("message", resolve)
        child.once("exit", () => reject(refusal("stopped", "the process that reads has ended: the query needs too much memory")))
        ending.addEventListener("abort", () => reject(refusal("timeout", "the query takes too long")), { once: true })
        child.send(query)
      })
      if ("rows" in said) return said.rows
      throw refusal("sql", said.reason)
    } catch (error) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else is thrown above
      if ((error as ToolRefused).code !== "sql") this.close()
      throw error
    } finally {
      child.removeAllListeners()
      child.unref()
    }
  }
  close(): void {
    this.#child?.kill("SIGKILL")
    this.#child = undefined
  }
}

/** It has no environment, little memory, and ends with whoever made it. */
const start = (readable: Readable): ChildProcess => {
  const program = `import { serve } from ${JSON.stringify(answering)}; serve(process, ${
    JSON.stringify(readable)
  }); process.on("disconnect", () => process.exit())`
  const child = spawn(process.execPath, ["--no-warnings", "--max-old-space-size=128", "--input-type=module", "--eval", program], {
    env: {},
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  })
  child.channel?.unref()
  return child
}
