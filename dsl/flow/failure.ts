/** The engine's own errors that a flow's `Failure` can name; their classes are in `src/model/error.ts`. */
import type { BudgetItem } from "../ir/limit.ts"

/** A promise that a step returned was rejected; nothing more is known of the reason. */
export interface StepThrew extends Error {
  readonly _tag: "StepThrew"
  readonly path: string
  readonly cause: unknown
}

/** A step did not finish within its `timeout`. */
export interface StepTimedOut extends Error {
  readonly _tag: "StepTimedOut"
  readonly path: string
  readonly milliseconds: number
}

/** A loop with `atMax: "fail"` used up its passes. */
export interface LoopExhausted extends Error {
  readonly _tag: "LoopExhausted"
  readonly path: string
  readonly max: number
}

/** Forks (or items) failed that had to succeed; none of their errors is lost. */
export interface JoinFailed<out Failure> extends Error {
  readonly _tag: "JoinFailed"
  readonly path: string
  readonly failures: ReadonlyArray<{ readonly fork: string; readonly error: Failure }>
}

/** A signal did not come within the `timeout` of its `wait`. */
export interface WaitTimedOut extends Error {
  readonly _tag: "WaitTimedOut"
  readonly path: string
  readonly milliseconds: number
}

/** A `protect` did not finish within its `timeout`. */
export interface ProtectTimedOut extends Error {
  readonly _tag: "ProtectTimedOut"
  readonly path: string
  readonly milliseconds: number
}

/** A step that runs at most once was begun, and nobody knows whether it finished. */
export interface StepUncertain extends Error {
  readonly _tag: "StepUncertain"
  readonly path: string
}

/** More was spent than a budget allows. */
export interface LimitExceeded extends Error {
  readonly _tag: "LimitExceeded"
  /** Where it was spent. */
  readonly path: string
  /** What is bounded. */
  readonly limit: BudgetItem | "time"
  /** Whose budget it is. */
  readonly of: string
  readonly used: number
  readonly allowed: number
}

/** A live source is gone with the process that read it. */
export interface StreamLost extends Error {
  readonly _tag: "StreamLost"
  readonly path: string
  readonly source: string
}

/** A stream has more than it may keep: items, rejected ones, keys. */
export interface StreamOverflowed extends Error {
  readonly _tag: "StreamOverflowed"
  readonly path: string
  readonly what: string
  readonly most: number
}

/** Literal tags of the errors in `Failure`. */
export type TagOf<Failure> = Failure extends { readonly _tag: infer Tag extends string } ? Tag : never
/** The errors in `Failure` that carry `Tag`. */
export type WithTag<Failure, Tag> = Extract<Failure, { readonly _tag: Tag }>
/** Errors without a literal `_tag`, which no `catch` can name. */
export type Untagged<Failure> = Failure extends { readonly _tag: infer Tag extends string } ? (string extends Tag ? Failure : never) : Failure
