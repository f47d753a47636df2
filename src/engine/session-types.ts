/** What sessions are made of, as programs see them. */
import type { SessionPolicy, SessionRecord } from "../model/session.ts"

export interface SessionOptions {
  /** 1 to 256 characters `A-Z a-z 0-9 . _ : -`; default: a new one. */
  readonly id?: string | undefined
  readonly name?: string | undefined
  /** Whose it is: runs in it find this user's state. */
  readonly user?: string | undefined
  /** The session it is part of: what is spent here is spent there too. */
  readonly parent?: string | undefined
  /** What flows with a `session` schema read as `session`; plain data. */
  readonly context?: unknown
  /** What its runs may do and spend, all together. */
  readonly policy?: SessionPolicy | undefined
  readonly tags?: ReadonlyArray<string> | undefined
}
export interface SessionChange extends Omit<SessionOptions, "id" | "parent"> {}
/** A session as programs see it. */
export interface Session extends Omit<SessionRecord, "context" | "policy" | "revision"> {
  readonly context: unknown
  readonly policy: SessionPolicy
}
export interface RetireOptions {
  /** Default 30 days. */
  readonly olderThan?: number | undefined
  /** Delete them instead of putting them away. */
  readonly remove?: boolean | undefined
}
/** Ids of the sessions that ran out of time, of those that are put away or deleted, and of those that could not be. */
export interface Retired {
  readonly ended: ReadonlyArray<string>
  readonly retired: ReadonlyArray<string>
  readonly failed: ReadonlyArray<{ readonly session: string; readonly reason: string }>
}
