/** What happens, as it is told: an event of a run with everything that ties it to others. */
import { type EventKind, eventPath, type LiveKind, type RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import { dataOf } from "./recorded.ts"

/** One thing that happened. */
export interface Notice {
  /** `run/number`, if it is kept: the same wherever and whenever it is told. */
  readonly id: string | undefined
  /** `""`: it is about a session. */
  readonly run: string
  readonly flow: string
  readonly kind: EventKind | LiveKind
  readonly path: string
  /** The event's number in its run, if it is kept. */
  readonly seq: number | undefined
  /** The event's data as JSON, if there is some. */
  readonly data: string | undefined
  /** Milliseconds since 1970: when it became durable, or when it was told. */
  readonly at: number
  /** What the run belongs to with its children, forks and other tries. */
  readonly correlation: string
  readonly session: string | undefined
  /** The run that started this one as its child. */
  readonly parent: string | undefined
  /** What led to it: the signal that was received (`signal:id`), the event that was undone, or the run that this one is a child, a fork or another try of. */
  readonly cause: string | undefined
}

/** `event` of `run`, told. */
export const noticeOf = (run: RunRecord, { seq, at, kind, data, ...where }: RunEvent): Notice => notice(run, kind, eventPath(where), at, seq, data)

/** Something that happened in `run` and has no number if it is not kept. */
export const notice = (run: RunRecord, kind: Notice["kind"], path: string, at: number, seq?: number, data?: string): Notice => ({
  id: seq === undefined ? undefined : `${run.id}/${seq}`,
  run: run.id,
  flow: run.flow,
  kind,
  path,
  seq,
  data,
  at,
  correlation: run.correlation,
  session: run.session,
  parent: run.parent,
  cause: causeOf(run, kind, data),
})

/** Something that happened in no run: to a session, or to what belongs to none. */
export const outsideNotice = (session: string | undefined, kind: LiveKind, at: number, data: string): Notice => ({
  id: undefined,
  run: "",
  flow: "",
  kind,
  path: "",
  seq: undefined,
  data,
  at,
  correlation: "",
  session,
  parent: undefined,
  cause: undefined,
})

const causeOf = (run: RunRecord, kind: Notice["kind"], data = "{}"): string | undefined => {
  if (kind === "run.started") return run.parent ?? run.origin
  if (kind !== "wait.completed" && kind !== "wait.refused" && kind !== "compensation.completed" && kind !== "compensation.failed") return undefined
  const { received, of } = dataOf({ data })
  return received === undefined ? of === undefined ? undefined : `${run.id}/${of}` : `signal:${received}`
}
