/** Every error Heddle itself ends with. Each has a page in `docs/errors/`, named by its tag. */
import { TaggedError } from "effect/Data"
import type { Problem } from "../../dsl/ir/check.ts"
import { LimitExceeded } from "./limit-error.ts"
import type { ServiceError } from "./service-error.ts"

export { LimitExceeded }

/** `StepTimedOut` → the page that explains it. */
export const errorPage = (tag: string): string => `docs/errors/${tag.replaceAll(/(?<!^)([A-Z])/g, "-$1").toLowerCase()}.md`

/** The text of something thrown, at most 16 KiB. */
export const messageOf = (thrown: unknown): string => {
  const text = thrown instanceof Error && thrown.message !== "" ?
    thrown.message :
    typeof thrown === "object" && thrown !== null ?
    `${tagOf(thrown) ?? "error"} ${safeJson(thrown)}` :
    String(thrown)
  return text.length > 16_384 ? `${text.slice(0, 16_381)}...` : text
}
/** The literal `_tag` of an error, if it has one. */
export const tagOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "_tag" in error && typeof error._tag === "string" ? error._tag : undefined
const safeJson = (value: object): string => {
  try {
    return JSON.stringify(value)
  } catch {
    return "(cannot be shown as JSON)"
  }
}

/** One thing a schema did not accept; `path` is where, as in `items[2].price`. */
export interface Issue {
  readonly path: string
  readonly message: string
}
const listed = (issues: ReadonlyArray<Issue>): string => issues.map(({ path, message }) => `\n  ${path === "" ? "(the value)" : path}: ${message}`).join("")

/** The flow itself cannot run; `heddle check` lists the same problems. */
export class FlowInvalid extends TaggedError("FlowInvalid")<{ readonly flow: string; readonly problems: ReadonlyArray<Problem> }> {
  override get message(): string {
    return `flow '${this.flow}' cannot run:${this.problems.map(({ path, message }) => `\n  ${path === "" ? "(flow)" : path}: ${message}`).join("")}`
  }
}
/** A run's input, or the input of the step at `path`, does not fit its schema. */
export class InputInvalid extends TaggedError("InputInvalid")<{ readonly flow: string; readonly path: string; readonly issues: ReadonlyArray<Issue> }> {
  override get message(): string {
    return `the input of ${this.path === "" ? `flow '${this.flow}'` : `step '${this.path}'`} does not fit its schema:${listed(this.issues)}`
  }
}
/** A run's output, or the output of the step at `path`, does not fit its schema. */
export class OutputInvalid extends TaggedError("OutputInvalid")<{ readonly flow: string; readonly path: string; readonly issues: ReadonlyArray<Issue> }> {
  override get message(): string {
    return `the output of ${this.path === "" ? `flow '${this.flow}'` : `step '${this.path}'`} does not fit its schema:${listed(this.issues)}`
  }
}
/** A value that cannot be recorded: `at` is where in the value, `reason` what it is. */
export class NotStorable extends TaggedError("NotStorable")<{ readonly path: string; readonly at: string; readonly reason: string }> {
  override get message(): string {
    return `'${this.path}' gave a value that cannot be recorded: ${
      this.at === "" ? "it is" : `${this.at} is`
    } ${this.reason}. Return plain data, or give the step a codec`
  }
}
/** A step's function threw, or the promise it returned was rejected. */
export class StepThrew extends TaggedError("StepThrew")<{ readonly path: string; readonly cause: unknown }> {
  override get message(): string {
    return `step '${this.path}' threw: ${messageOf(this.cause)}`
  }
}
/** A condition, or another pure function of the scope, threw. */
export class ConditionThrew extends TaggedError("ConditionThrew")<{ readonly path: string; readonly cause: unknown }> {
  override get message(): string {
    return `a function of the scope at '${this.path}' threw: ${messageOf(this.cause)}. Work that can fail belongs in a step`
  }
}
/** One attempt of a step took longer than its `timeout` and was interrupted. */
export class StepTimedOut extends TaggedError("StepTimedOut")<{ readonly path: string; readonly milliseconds: number }> {
  override get message(): string {
    return `step '${this.path}' did not finish within ${this.milliseconds} ms. Give it a longer timeout, or a retry`
  }
}
/** A loop with `atMax: "fail"` used up its passes. */
export class LoopExhausted extends TaggedError("LoopExhausted")<{ readonly path: string; readonly max: number }> {
  override get message(): string {
    return `loop '${this.path}' made ${this.max} passes and its condition still asks for more. Raise max, or end with atMax: "end"`
  }
}
/** Forks or items failed that had to succeed; `failures` has all of their errors. */
export class JoinFailed extends TaggedError("JoinFailed")<{
  readonly path: string
  readonly failures: ReadonlyArray<{ readonly fork: string; readonly error: unknown }>
}> {
  override get message(): string {
    return `'${this.path}': ${this.failures.length} failed:${this.failures.slice(0, 10).map(({ fork, error }) => `\n  ${fork}: ${messageOf(error)}`).join("")}`
  }
}
/** A `match` met a value that none of its cases is for. */
export class NoCase extends TaggedError("NoCase")<{ readonly path: string; readonly label: string; readonly cases: ReadonlyArray<string> }> {
  override get message(): string {
    return `'${this.path}' has no case for ${JSON.stringify(this.label)}; its cases: ${this.cases.join(", ")}. The value does not have the type it was given`
  }
}
/** A resumed `each` or `loop` finds another number of items than it recorded when it began. */
export class ItemsChanged extends TaggedError("ItemsChanged")<{ readonly path: string; readonly recorded: number; readonly found: number }> {
  override get message(): string {
    return `'${this.path}' began with ${this.recorded} items and now finds ${this.found}. Read the items in a step, so that they are recorded`
  }
}
/** A run with this id exists and was given something else. */
export class RunConflict extends TaggedError("RunConflict")<{ readonly run: string; readonly differs: "flow" | "input" | "exists" }> {
  override get message(): string {
    if (this.differs === "exists") return `run '${this.run}' exists already. Use another id`
    return `run '${this.run}' is one with another ${this.differs}. Use another id, or the ${this.differs} it was started with`
  }
}
/** The store has no run with this id. */
export class RunNotFound extends TaggedError("RunNotFound")<{ readonly run: string }> {
  override get message(): string {
    return `there is no run '${this.run}' in this store. \`heddle runs\` lists them`
  }
}
/** Another live process is driving this run. */
export class RunOwned extends TaggedError("RunOwned")<{ readonly run: string; readonly owner: string }> {
  override get message(): string {
    return `run '${this.run}' is being driven by ${this.owner}. Wait for it, cancel it, or stop that process first`
  }
}
/** Another process took this run over; nothing was written after that. */
export class RunTakenOver extends TaggedError("RunTakenOver")<{ readonly run: string }> {
  override get message(): string {
    return `run '${this.run}' was taken over by another process; this one stopped without writing`
  }
}
/** The run was cancelled on request. */
export class RunCancelled extends TaggedError("RunCancelled")<{ readonly run: string; readonly reason: string }> {
  override get message(): string {
    return `run '${this.run}' was cancelled${this.reason === "" ? "" : `: ${this.reason}`}`
  }
}
/** The run waits for a signal or a time; it goes on by itself where a worker runs, or with `resume`. */
export class RunSuspended
  extends TaggedError("RunSuspended")<{ readonly run: string; readonly waits: ReadonlyArray<string>; readonly until: number | undefined }>
{
  override get message(): string {
    const signals = this.waits.map((name) => `'${name}'`).join(", ")
    const time = this.until === undefined ? "" : new Date(this.until).toISOString()
    return `run '${this.run}' is suspended: it waits for ${
      [signals === "" ? "" : `signal ${signals}`, time === "" ? "" : `the time ${time}`].filter(Boolean).join(" or ")
    }`
  }
}
/** The run was paused on request. */
export class RunPaused extends TaggedError("RunPaused")<{ readonly run: string; readonly reason: string }> {
  override get message(): string {
    return `run '${this.run}' was paused${this.reason === "" ? "" : `: ${this.reason}`}. Resume it to go on`
  }
}
/** The process that drove this run died too often without getting on. */
export class RunQuarantined extends TaggedError("RunQuarantined")<{ readonly run: string; readonly crashes: number }> {
  override get message(): string {
    return `run '${this.run}' is quarantined: its process died ${this.crashes} times without getting on. Find the step that kills it, then retry it`
  }
}
/** A command does not fit the run as it is now. */
export class CommandRefused
  extends TaggedError("CommandRefused")<{ readonly run: string; readonly command: string; readonly status: string; readonly reason: string }>
{
  override get message(): string {
    return `cannot ${this.command} run '${this.run}', which is ${this.status}: ${this.reason}`
  }
}
/** A signal was not accepted. */
export class SignalRefused extends TaggedError("SignalRefused")<{ readonly run: string; readonly signal: string; readonly reason: string }> {
  override get message(): string {
    return `signal '${this.signal}' to run '${this.run}' was refused: ${this.reason}`
  }
}
/** A signal did not come in time. */
export class WaitTimedOut extends TaggedError("WaitTimedOut")<{ readonly path: string; readonly milliseconds: number }> {
  override get message(): string {
    return `'${this.path}' waited ${this.milliseconds} ms and no signal came. Give it a longer timeout, or atTimeout: "continue"`
  }
}
/** A `protect` took longer than its `timeout`; what went on inside was interrupted. */
export class ProtectTimedOut extends TaggedError("ProtectTimedOut")<{ readonly path: string; readonly milliseconds: number }> {
  override get message(): string {
    return `'${this.path}' did not finish within ${this.milliseconds} ms. Give it a longer timeout, or catch ProtectTimedOut`
  }
}
/** A step that runs at most once was begun before a crash, and nobody knows whether it finished. */
export class StepUncertain extends TaggedError("StepUncertain")<{ readonly path: string }> {
  override get message(): string {
    return `step '${this.path}' runs at most once and was begun before its process died: it may have happened. Look at the outside world, then catch StepUncertain or rewind to the step`
  }
}
/** What was done could not all be undone; `error` is why it had to be, `failures` what went wrong. */
export class CompensationFailed extends TaggedError("CompensationFailed")<{
  readonly run: string
  readonly error: unknown
  readonly failures: ReadonlyArray<{ readonly path: string; readonly error: unknown }>
}> {
  override get message(): string {
    return `run '${this.run}' failed (${messageOf(this.error)}) and ${this.failures.length} compensations failed:${
      this.failures.map(({ path, error }) => `\n  ${path === "" ? "the run" : path}: ${messageOf(error)}`).join("")
    }\nRetry the run to try them again`
  }
}
/** A transaction was asked of a store that has no database of its own. */
export class TransactionUnsupported extends TaggedError("TransactionUnsupported")<{ readonly store: string }> {
  override get message(): string {
    return `a transaction step needs a store with SQL, and ${this.store} has none. Run it on a SQLite file`
  }
}
/** A migration threw, or gave a state that the flow cannot go on from; nothing was changed. */
export class MigrationFailed
  extends TaggedError("MigrationFailed")<{ readonly run: string; readonly from: number; readonly to: number; readonly reason: string }>
{
  override get message(): string {
    return `run '${this.run}' cannot be migrated from version ${this.from} to ${this.to}: ${this.reason}`
  }
}
/** A bundle to be imported is damaged, or was not made by `heddle export`. */
export class BundleInvalid extends TaggedError("BundleInvalid")<{ readonly at: string; readonly reason: string }> {
  override get message(): string {
    return `the bundle cannot be imported: ${this.at === "" ? "" : `${this.at}: `}${this.reason}`
  }
}
/** The flow's structure is not the one this run was started with. */
export class FlowChanged extends TaggedError("FlowChanged")<{
  readonly run: string
  readonly flow: string
  readonly started: string
  readonly current: string
  /** What is different, a line each. */
  readonly changes: ReadonlyArray<string>
  readonly remedy: string
}> {
  override get message(): string {
    return `run '${this.run}' was started with flow '${this.flow}' as ${this.started}; the flow is now ${this.current}.${
      this.changes.map((change) => `\n  ${change}`).join("")
    }\nResume it with the code it was started with, or ${this.remedy}`
  }
}
/** A hook at `path` did not answer, answered too late, or decided something that is not possible there. */
export class HookFailed extends TaggedError("HookFailed")<{ readonly path: string; readonly hook: string; readonly point: string; readonly cause: unknown }> {
  override get message(): string {
    return `hook '${this.hook}' at ${this.point}${this.path === "" ? "" : ` of '${this.path}'`} failed: ${messageOf(this.cause)}`
  }
}
/** The store could not read or write; nothing that was acknowledged is lost. */
export class StoreFailed
  extends TaggedError("StoreFailed")<{ readonly store: string; readonly operation: string; readonly reason: string; readonly cause: unknown }>
{
  override get message(): string {
    return `${this.store}: ${this.operation} failed: ${this.reason}`
  }
}

/** Errors of the store itself: they cannot be recorded, and no author can handle them. */
export const isStoreError = (error: unknown): boolean => error instanceof StoreFailed || error instanceof RunTakenOver

/** What any run can end with beside its flow's own errors. */
export type RunError =
  | FlowInvalid
  | InputInvalid
  | OutputInvalid
  | NotStorable
  | StepThrew
  | ConditionThrew
  | NoCase
  | ItemsChanged
  | RunConflict
  | RunNotFound
  | RunOwned
  | RunTakenOver
  | RunCancelled
  | RunSuspended
  | RunPaused
  | RunQuarantined
  | CompensationFailed
  | TransactionUnsupported
  | MigrationFailed
  | FlowChanged
  | HookFailed
  | LimitExceeded
  | ServiceError
  | StoreFailed
