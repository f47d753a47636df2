/** Rows of our tables as records. */
import type { RunEvent } from "../../model/event.ts"
import type { RunRecord } from "../../model/run.ts"
import type { SignalRecord } from "../../model/signal.ts"
import { span } from "./writer.ts"

export type Row = Readonly<Record<string, unknown>>

/**
 * A text that must be there.
 *
 * @throws where it is not, which a damaged file may do to a column that cannot be empty
 */
export const textOf = (row: Row, column: string): string => {
  const value = row[column]
  if (typeof value !== "string") throw new TypeError(`the file is damaged: a row has no ${column}. Keep it, and restore a copy or export what can be read`)
  return value
}

// oxlint-disable typescript/no-unsafe-type-assertion -- rows have the columns of STRICT tables that only this folder writes
export const toRun = (row: Row): RunRecord => ({
  id: textOf(row, "id"),
  flow: textOf(row, "flow"),
  version: row["version"] as number,
  fingerprint: textOf(row, "fingerprint"),
  status: row["status"] as RunRecord["status"],
  input: textOf(row, "input"),
  source: (row["source"] ?? undefined) as string | undefined,
  owner: textOf(row, "owner"),
  fence: row["fence"] as number,
  due: (row["due"] ?? undefined) as number | undefined,
  waits: row["waits"] === "[]" ? [] : JSON.parse(textOf(row, "waits")) as ReadonlyArray<string>,
  crashes: row["crashes"] as number,
  crashedAt: row["crashed_at"] as number,
  parent: (row["parent"] ?? undefined) as string | undefined,
  origin: (row["origin"] ?? undefined) as string | undefined,
  correlation: (row["correlation"] ?? row["id"]) as string,
  session: (row["session"] ?? undefined) as string | undefined,
  trace: (row["trace"] ?? undefined) as string | undefined,
  createdAt: row["created_at"] as number,
  updatedAt: row["updated_at"] as number,
})
export const toEvent = (row: Row): RunEvent => ({
  seq: (row["id"] as number) % span,
  at: row["at"] as number,
  kind: row["kind"] as RunEvent["kind"],
  parent: textOf(row, "parent"),
  name: textOf(row, "name"),
  data: textOf(row, "data"),
})
export const toSignal = (row: Row): SignalRecord => ({
  id: textOf(row, "id"),
  name: textOf(row, "name"),
  data: textOf(row, "data"),
  at: row["at"] as number,
  taken: (row["taken"] ?? undefined) as number | undefined,
  late: row["late"] === 1,
})
// oxlint-enable typescript/no-unsafe-type-assertion
