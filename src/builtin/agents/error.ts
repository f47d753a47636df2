/** What agents and models end with beside the errors of their steps. Each has a page in `docs/errors/`. */
import { TaggedError } from "effect/Data"
import type { Issue } from "../../model/error.ts"

/** What went wrong between us and a model. */
export type ModelFailure =
  | "rate-limit"
  | "unavailable"
  | "timeout"
  | "malformed"
  | "unauthorized"
  | "invalid"
  | "context-length"
  | "not-recorded"

const passing: ReadonlySet<ModelFailure> = new Set(["rate-limit", "unavailable", "timeout", "malformed"])

/** A model did not answer, or what it answered is none. */
export class ModelFailed extends TaggedError("ModelFailed")<{
  readonly model: string
  readonly kind: ModelFailure
  readonly reason: string
  /** The status of the HTTP response, if there was one. */
  readonly status?: number | undefined
  /** How long the model asks to be left alone, in milliseconds. */
  readonly retryAfter?: number | undefined
}> {
  /** Trying again may help. */
  get retryable(): boolean {
    return passing.has(this.kind)
  }
  override get message(): string {
    const status = this.status === undefined ? "" : ` (status ${this.status})`
    return `model '${this.model}' failed: ${this.kind}${status}: ${this.reason}${
      this.retryable ? "" : ". Trying again does not help: mend the request or the settings"
    }`
  }
}

/** An agent came to no answer within its bounds. */
export class AgentFailed extends TaggedError("AgentFailed")<{
  readonly agent: string
  /** It used up its turns, calls or time, its answer did not fit, was cut off or was filtered. */
  readonly kind: "turns" | "calls" | "time" | "output" | "length" | "filter"
  readonly reason: string
  readonly issues: ReadonlyArray<Issue>
}> {
  override get message(): string {
    const listed = this.issues.map(({ path, message }) => `\n  ${path === "" ? "(the answer)" : path}: ${message}`).join("")
    return `agent '${this.agent}' came to no answer: ${this.reason}${listed}`
  }
}

/** A pool gives no member any more. */
export class PoolClosed extends TaggedError("PoolClosed")<{ readonly pool: string }> {
  override get message(): string {
    return `pool '${this.pool}' is closed: take members before it is`
  }
}
