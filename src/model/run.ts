/** One execution of a flow, as it is stored. */

/** Where a run is in its life. */
export type RunStatus = "running" | "completed" | "failed" | "cancelled"

/** A run as a store keeps it: strings and numbers only. */
export interface RunRecord {
  readonly id: string
  readonly flow: string
  readonly version: number
  readonly fingerprint: string
  readonly status: RunStatus
  /** The input, encoded. */
  readonly input: string
  /** `file#export` of the flow, where the command line started it. */
  readonly source: string | undefined
  /** `host:pid` of the process that drives it. */
  readonly owner: string
  /** Grows with every change of owner; an append with an older one is refused. */
  readonly fence: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
}

/** What a caller gives to start a run. */
export type NewRun = Pick<RunRecord, "id" | "flow" | "version" | "fingerprint" | "input" | "source" | "owner">

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,255}$/
/** Ids are 1 to 256 characters of `A-Z a-z 0-9 . _ : -`. */
export const isRunId = (id: string): boolean => idPattern.test(id)
