/** Reads a SQLite database for somebody who may read some of it: whatever the query says, SQLite itself is asked about every table, column and function. */
import { constants, DatabaseSync } from "node:sqlite"

export interface Readable {
  readonly file: string
  readonly tables: ReadonlyArray<string>
  /** `table.column`: reads as NULL. */
  readonly hidden: ReadonlyArray<string>
  readonly recursive: boolean
}
export type SqlValue = null | number | string
export interface Query {
  readonly sql: string
  readonly values: ReadonlyArray<SqlValue>
  readonly rows: number
  readonly characters: number
}
export interface Rows {
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<SqlValue>>
  /** There is more. */
  readonly truncated: boolean
}
export type Said = { readonly rows: Rows } | { readonly reason: string }

const functions = new Set(
  ("count sum total avg min max group_concat string_agg abs round sign coalesce ifnull nullif iif if lower upper length substr substring trim ltrim rtrim " +
    "replace instr like glob hex typeof printf format concat concat_ws date time datetime julianday unixepoch strftime json_extract -> ->> json_type " +
    "json_array_length json_valid row_number rank dense_rank lag lead").split(" "),
)
const { SQLITE_OK, SQLITE_DENY, SQLITE_IGNORE, SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE } = constants

/** Opens it; from then on only what is readable can be read, and nothing written. */
export function open({ file, tables, hidden, recursive }: Readable): DatabaseSync {
  const db = new DatabaseSync(file, {
    readOnly: true,
    allowExtension: false,
    defensive: true,
    enableDoubleQuotedStringLiterals: false,
    timeout: 1000,
    readBigInts: true,
    returnArrays: true,
    allowUnknownNamedParameters: false,
  })
  db.exec("PRAGMA trusted_schema=OFF; PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON")
  // count(*) of a table and of a common table expression look the same but for the name: what is real is known before anybody asks
  const real = new Set(
    (db.prepare("SELECT lower(name) FROM sqlite_schema UNION SELECT lower(name) FROM pragma_module_list").all() as unknown as ReadonlyArray<[string]>).map(
      ([name]) => name,
    ),
  )
  const isInQuery = (name: string) => !real.has(name) && !/^(sqlite_|pragma_)/.test(name)
  Object.assign(db.limits, {
    length: 1_000_000,
    sqlLength: 20_000,
    column: 200,
    exprDepth: 100,
    compoundSelect: 10,
    vdbeOp: 25_000,
    functionArg: 16,
    attach: 0,
    likePatternLength: 100,
    variableNumber: 200,
    triggerDepth: 1,
  })
  const [open_, closed] = [lowered(tables), lowered(hidden)]
  db.setAuthorizer((action, first, second, schema) => {
    const [table, column] = [String(first).toLowerCase(), String(second).toLowerCase()]
    switch (action) {
      case SQLITE_SELECT:
        return SQLITE_OK
      case SQLITE_READ:
        if (column === "" && schema === null && isInQuery(table)) return SQLITE_OK
        if ((schema !== null && schema !== "main") || !open_.has(table)) return SQLITE_DENY
        return closed.has(`${table}.${column}`) ? SQLITE_IGNORE : SQLITE_OK
      case SQLITE_FUNCTION:
        return functions.has(column) ? SQLITE_OK : SQLITE_DENY
      case SQLITE_RECURSIVE:
        return recursive ? SQLITE_OK : SQLITE_DENY
      default:
        return SQLITE_DENY
    }
  })
  return db
}
const lowered = (names: ReadonlyArray<string>): ReadonlySet<string> => new Set(names.map((name) => name.toLowerCase()))

/** @throws Error where the query is none that may be asked */
export function ask(db: DatabaseSync, { sql, values, rows: most, characters }: Query): Rows {
  if (!/^\s*(select|with|values)\b/i.test(sql)) throw new Error("only SELECT, WITH and VALUES may be asked")
  // SQLite makes the columns of these joins without asking whether they may be read; what is quoted for whom is not guessed at
  if (/\b(using|natural)\b/i.test(sql)) throw new Error("USING and NATURAL may not stand in it: join with ON a.id = b.id, and bind texts as values")
  const query = db.prepare(sql)
  // what stands behind the first statement would be dropped in silence
  if (sql.slice(query.sourceSQL.length).replaceAll(/[;\s]/g, "") !== "") throw new Error("only one statement may be asked")
  const columns = query.columns().map(({ name }) => name)
  const rows: Array<ReadonlyArray<SqlValue>> = []
  let length = 0
  for (const row of query.iterate(...values) as Iterable<unknown> as Iterable<ReadonlyArray<null | number | bigint | string | Uint8Array>>) {
    const plain = row.map(shown)
    length += plain.reduce<number>((sum, value) => sum + String(value).length, 0)
    if (rows.length >= most || length > characters) return { columns, rows, truncated: true }
    rows.push(plain)
  }
  return { columns, rows, truncated: false }
}
/** As JSON has it: bytes as hex, whole numbers that are too large as text. */
const shown = (value: null | number | bigint | string | Uint8Array): SqlValue =>
  value instanceof Uint8Array ?
    Buffer.from(value).toString("hex") :
    typeof value === "bigint" ?
    (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)) :
    value

/** Who asks, from another process. */
interface Channel {
  readonly on: (event: "message", heard: (query: Query) => void) => unknown
  readonly send: (said: Said) => unknown
}
/** Answers one query after the other. */
export function serve(channel: Channel, readable: Readable): void {
  channel.on("message", (query) => {
    let db: DatabaseSync | undefined
    try {
      // opened anew for each: a table that was made meanwhile is known as one
      db = open(readable)
      channel.send({ rows: ask(db, query) })
    } catch (error) {
      channel.send({ reason: (error as Error).message.slice(0, 300) })
    } finally {
      db?.close()
    }
  })
}
