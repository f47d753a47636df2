/** What a pool is told, and what it tells. */
import type { Input as Duration } from "effect/Duration"
import type { Effect } from "effect/Effect"
import type { Scope } from "effect/Scope"
import type { MemberChange, MemberLook } from "./member.ts"

/** Which of several free members is given: the one given longest ago, the one that fewest have, the one given last, any; or which a function says. */
export type PoolStrategy = "round-robin" | "least-busy" | "most-recent" | "random" | ((free: ReadonlyArray<MemberLook>) => number)

export interface PoolOptions<A, E> {
  /** Makes a member; what it acquires is released when the member goes. */
  readonly make: (nr: number) => Effect<A, E, Scope>
  /** How many members; with `min`, so many stay when they idle, default none. */
  readonly size: number | { readonly min?: number; readonly max: number }
  /** How many may have one member at once, default 1. */
  readonly perMember?: number
  /** Default `round-robin`. */
  readonly strategy?: PoolStrategy
  /** Asked before a member is given that was not checked for `checkAfter`, default 30 seconds. One that is not, or fails, is mended or replaced. */
  readonly healthy?: (member: A) => Effect<boolean, unknown>
  readonly checkAfter?: Duration
  /** Mends a broken member; without it, or where it fails, the member is replaced. */
  readonly recover?: (member: A) => Effect<void, unknown>
  /** How long `healthy` and `recover` may take, default 30 seconds. */
  readonly patience?: Duration
  /** Which failures of a use break the member, default all. An interruption never does. */
  readonly breaks?: (error: unknown) => boolean
  /** After how long without use a member above `min` goes, default 5 minutes. */
  readonly idle?: Duration
  /** A member this old, or given this often, is replaced; default never. */
  readonly maxAge?: Duration
  readonly maxUses?: number
  /** Told of every change of a member's state. */
  readonly onChange?: (change: MemberChange) => void
}

export interface PoolStats {
  readonly members: ReadonlyArray<MemberLook>
  /** How many wait for a member now. */
  readonly waiting: number
  /** How many members were made, and how many have gone, since the beginning. */
  readonly made: number
  readonly gone: number
}
