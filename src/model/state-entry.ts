/** One value of State, as it is stored. */
export interface StateEntry {
  /** Whose: `global`, `session:s1`, `run:r1` … */
  readonly scope: string
  readonly name: string
  /** The value, encoded. */
  readonly value: string
  /** Version of the key that wrote it. */
  readonly version: number
  /** Grows with every change of anything in the store, and is never given twice. */
  readonly revision: number
  /** Milliseconds since 1970, when it was written. */
  readonly at: number
  /** It is gone at this time, in milliseconds since 1970. */
  readonly until: number | undefined
}
export interface NextEntry extends Pick<StateEntry, "value" | "version" | "until"> {
  /** It is what it was when it had this revision: to be given it again. */
  readonly revision?: number
}

/** What is to become of one entry. */
export interface StateWrite {
  readonly scope: string
  readonly name: string
  /** Refused unless the entry still has this revision (0: unless there is none); `undefined`: whatever is there. */
  readonly expected: number | undefined
  /** The next value, made inside the transaction of what is there; `undefined` deletes it, the entry itself leaves it. */
  readonly next: (now: StateEntry | undefined) => NextEntry | undefined
}
/** What has become of it. */
export interface StateChange {
  readonly scope: string
  readonly name: string
  readonly before: StateEntry | undefined
  readonly after: StateEntry | undefined
}

/** A change as an event keeps it, so that it can be undone. */
export interface ChangedState {
  readonly scope: string
  readonly name: string
  /** What was there: value, version, end, revision; `null` if nothing was. */
  readonly before: readonly [value: string, version: number, until: number | null, revision: number] | null
  /** The revision that the change has given it; 0 if it was deleted. */
  readonly revision: number
  /** It was only added to: how much. */
  readonly by?: number
}
