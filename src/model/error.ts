/** Every error Heddle itself ends with. Each has a page in `docs/errors/`, named by its tag. */
import { TaggedError } from "effect/Data"
import type { Problem } from "../../dsl/ir/check.ts"

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
export class RunConflict extends TaggedError("RunConflict")<{ readonly run: string; readonly differs: "flow" | "input" }> {
  override get message(): string {
    return `run '${this.run}' exists with another ${this.differs}. Use another id, or start it with the same ${this.differs}`
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
/** The flow's structure is not the one this run was started with. */
export class FlowChanged extends TaggedError("FlowChanged")<{
  readonly run: string
  readonly flow: string
  readonly started: string
  readonly current: string
}> {
  override get message(): string {
    return `run '${this.run}' was started with flow '${this.flow}' as ${this.started}; the flow is now ${this.current}. Resume it with the code it was started with, or start a new run`
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
  | FlowChanged
  | StoreFailed
