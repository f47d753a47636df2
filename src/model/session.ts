/** What several runs share: who it is for, what they know, what they may spend. */
import type { Input as Duration } from "effect/Duration"
import type { Budget } from "../../dsl/ir/limit.ts"

/** Where a session is in its life. */
export const sessionStatuses = ["active", "suspended", "completed", "failed", "archived"] as const
export type SessionStatus = (typeof sessionStatuses)[number]

/** From each status to those that may follow. */
export const sessionTransitions: { readonly [From in SessionStatus]: ReadonlyArray<SessionStatus> } = {
  active: ["suspended", "completed", "failed"],
  suspended: ["active", "completed", "failed"],
  completed: ["archived"],
  failed: ["archived"],
  archived: [],
}

/** What the runs of a session may do and spend, all together. */
export interface SessionPolicy extends Budget {
  /** How long the session may last, from its creation; default: for ever. */
  readonly duration?: Duration
  /** How long nothing may happen in it, default for ever. */
  readonly idle?: Duration
  /** Most runs that it may start. */
  readonly runs?: number
  /** Most runs that it may start in a time. */
  readonly rate?: { readonly limit: number; readonly per: Duration }
  /** Most artifacts, versions counted, default 1000. */
  readonly artifacts?: number
  /** Most bytes of artifacts, default 10 GiB. */
  readonly artifactBytes?: number
}

/** A session as a store keeps it: strings and numbers only. */
export interface SessionRecord {
  readonly id: string
  readonly status: SessionStatus
  readonly name: string | undefined
  /** Whose it is; its runs find the state of this user. */
  readonly user: string | undefined
  /** The session it is part of: what is spent here is spent there too. */
  readonly parent: string | undefined
  /** What its runs know, encoded. */
  readonly context: string
  /** A `SessionPolicy` as JSON. */
  readonly policy: string
  readonly tags: ReadonlyArray<string>
  /** Why it ended, or was suspended. */
  readonly reason: string | undefined
  /** What its deleted runs have used, as JSON. */
  readonly carried: string
  /** Grows with every change; whoever changes it says which one it has seen. */
  readonly revision: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  /** When something last happened in it. */
  readonly usedAt: number
  readonly endedAt: number | undefined
}
export type NewSession = Pick<SessionRecord, "id" | "name" | "user" | "parent" | "context" | "policy" | "tags">

/** A session that has just been created. */
export const newSession = (given: NewSession, now: number): SessionRecord => ({
  id: given.id,
  status: "active",
  name: given.name,
  user: given.user,
  parent: given.parent,
  context: given.context,
  policy: given.policy,
  tags: given.tags,
  reason: undefined,
  carried: "{}",
  revision: 1,
  createdAt: now,
  updatedAt: now,
  usedAt: now,
  endedAt: undefined,
})
