/** What an author says of retries and of undoing, as the IR keeps it. */
import type { Input as Duration } from "effect/Duration"
import type { Compensation, RetryPolicy } from "../ir/node.ts"

export interface GivenRetry {
  readonly times: number
  readonly while?: RetryPolicy["while"]
  readonly backoff?: Duration
  readonly maxBackoff?: Duration
  readonly jitter?: boolean
}
/** A retry with its defaults. */
export const retryPolicy = (given: GivenRetry | undefined): RetryPolicy | undefined =>
  given === undefined ? undefined : Object.freeze({
    times: given.times,
    while: given.while,
    backoff: given.backoff ?? "100 millis",
    maxBackoff: given.maxBackoff ?? "30 seconds",
    jitter: given.jitter ?? true,
  })

type Undo = Compensation["undo"]
/** The options of a step that say what it changes and how that is undone. */
export interface Compensating {
  readonly effects?: string | { readonly irreversible: string }
  readonly compensate?: Undo | {
    readonly undo: Undo
    readonly retry?: GivenRetry
    readonly timeout?: Duration
    readonly onFailure?: Compensation["onFailure"]
  }
}

/** The same with defaults. */
export function compensation({ effects, compensate }: Compensating): {
  readonly effects: string | undefined
  readonly compensate: Compensation | "irreversible" | undefined
} {
  if (typeof effects === "object") return { effects: effects.irreversible, compensate: "irreversible" }
  if (compensate === undefined) return { effects, compensate }
  const given = typeof compensate === "function" ? { undo: compensate } : compensate
  return {
    effects,
    compensate: Object.freeze({
      undo: given.undo,
      retry: retryPolicy(given.retry),
      timeout: given.timeout,
      onFailure: given.onFailure ?? "continue",
    }),
  }
}
