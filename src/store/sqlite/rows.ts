/** Rows of our tables as records. */
import type { RunEvent } from "../../model/event.ts"
import type { RunRecord } from "../../model/run.ts"
import type { SignalRecord } from "../../model/signal.ts"
import { span } from "./writer.ts"

export type Row = Readonly<Record<string, unknown>>

// oxlint-disable typescript/no-unsafe-type-assertion -- rows have the columns of STRICT tables that only this folder writes
export const toRun = (row: Row): RunRecord => ({
  id: row["id"] as string,
  flow: row["flow"] as string,
  version: row["version"] as number,
  fingerprint: row["fingerprint"] as string,
  status: row["status"] as RunRecord["status"],
  input: row["input"] as string,
  source: (row["source"] ?? undefined) as string | undefined,
  owner: row["owner"] as string,
  fence: row["fence"] as number,
  due: (row["due"] ?? undefined) as number | undefined,
  waits: row["waits"] === "[]" ? [] : JSON.parse(row["waits"] as string) as ReadonlyArray<string>,
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
  parent: row["parent"] as string,
  name: row["name"] as string,
  data: row["data"] as string,
})
export const toSignal = (row: Row): SignalRecord => ({
  id: row["id"] as string,
  name: row["name"] as string,
  data: row["data"] as string,
  at: row["at"] as number,
  taken: (row["taken"] ?? undefined) as number | undefined,
  late: row["late"] === 1,
})
// oxlint-enable typescript/no-unsafe-type-assertion
