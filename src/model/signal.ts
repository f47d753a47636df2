/** A named, typed message from outside to a run. */
export interface Signal {
  /** A second one with the same id is the same message. */
  readonly id: string
  readonly name: string
  /** What it carries, encoded. */
  readonly data: string
}
/** A signal as it is stored. */
export interface SignalRecord extends Signal {
  readonly at: number
  /** Number of the event that received it. */
  readonly taken: number | undefined
  /** It came when the run had ended. */
  readonly late: boolean
}

/** What became of a signal that was sent. */
export type Sending = "accepted" | "duplicate" | "late" | "full"
/** What tells the streams of a run to read no more. */
export const drain = "heddle.drain"
/** Signals that may wait for one run. */
export const pendingSignals = 10_000
