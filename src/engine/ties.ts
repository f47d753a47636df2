/** What a new run has to do with others. */
import type { NewRun, RunRecord } from "../model/run.ts"

export type Ties = Pick<NewRun, "source" | "parent" | "origin" | "correlation" | "session" | "trace">

/** The ties of a run that `run` brings about. */
export const tied = ({ correlation, session, trace }: RunRecord): Ties => ({
  source: undefined,
  parent: undefined,
  origin: undefined,
  correlation,
  session,
  trace,
})
/** The ties of a run that somebody starts: another try of `from`, or the first one. */
export const untied = (from: RunRecord | undefined): Ties => ({
  source: undefined,
  parent: undefined,
  origin: from?.id,
  trace: undefined,
})
