/** One execution of a flow, as it is stored. */

/** Where a run is in its life. */
export type RunStatus =
  /** Ready to be driven by whoever comes. */
  | "pending"
  | "running"
  /** Waits for a signal or a time; takes no memory. */
  | "suspended"
  /** Stopped on request, until it is resumed. */
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  /** What its steps did is being undone. */
  | "compensating"
  /** It failed, and what its steps did is undone. */
  | "compensated"
  /** Its process died too often while driving it. */
  | "quarantined"

export const runStatuses: ReadonlyArray<RunStatus> = [
  "pending",
  "running",
  "suspended",
  "paused",
  "completed",
  "failed",
  "cancelled",
  "compensating",
  "compensated",
  "quarantined",
]
const ended: ReadonlySet<RunStatus> = new Set(["completed", "cancelled", "compensated"])
/** Nothing more will happen to a run with this status. */
export const hasEnded = (status: RunStatus): boolean => ended.has(status)
/** It stays as it is until somebody decides something about it, if it has not ended: whoever waits for it need not wait any longer. */
export const hasStopped = (status: RunStatus): boolean => hasEnded(status) || status === "failed" || status === "quarantined"
/** Somebody drives a run with this status, or did until it died. */
export const isDriven = (status: RunStatus): boolean => status === "running" || status === "compensating"

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
  /** `host:pid:nonce` of the process that drives it, `""` if none does. */
  readonly owner: string
  /** Grows with every change of owner; an append with an older one is refused. */
  readonly fence: number
  /** When somebody has to look after it, in milliseconds since 1970: the end of its owner's lease, the end of its wait; `undefined`: never. */
  readonly due: number | undefined
  /** The signals a suspended run waits for. */
  readonly waits: ReadonlyArray<string>
  /** How often its owner died since it last got on. */
  readonly crashes: number
  /** The newest event when its owner last died. */
  readonly crashedAt: number
  /** The run that started it as its child. */
  readonly parent: string | undefined
  /** The run it was forked from, or is another try of. */
  readonly origin: string | undefined
  /** What it belongs to, across children, forks and other tries: the id of the first run, or one that was given. */
  readonly correlation: string
  /** The session it belongs to. */
  readonly session: string | undefined
  /** The span it was started in, as a W3C `traceparent`. */
  readonly trace: string | undefined
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
}

/** What a caller gives to start a run. */
export type NewRun =
  & Pick<RunRecord, "id" | "flow" | "version" | "fingerprint" | "input" | "source" | "owner" | "status" | "due" | "parent" | "origin">
  & { readonly [Tie in "correlation" | "session" | "trace"]?: string | undefined }

/** A run that has just been created. */
export const newRecord = (given: NewRun, now: number): RunRecord => ({
  id: given.id,
  flow: given.flow,
  version: given.version,
  fingerprint: given.fingerprint,
  status: given.status,
  input: given.input,
  source: given.source,
  owner: given.owner,
  due: given.due,
  parent: given.parent,
  origin: given.origin,
  correlation: given.correlation ?? given.id,
  session: given.session,
  trace: given.trace,
  fence: 1,
  waits: [],
  crashes: 0,
  crashedAt: 0,
  createdAt: now,
  updatedAt: now,
})

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,255}$/
/** Ids are 1 to 256 characters of `A-Z a-z 0-9 . _ : -`. */
export const isRunId = (id: string): boolean => idPattern.test(id)
