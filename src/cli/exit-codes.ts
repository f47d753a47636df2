/** What the command line's exit codes mean; `heddle --help` prints them, `docs/guide/command-line.md` explains them. */
export const exitCode = {
  ok: 0,
  /** The run failed or was cancelled. */
  failed: 1,
  /** The command, its input or the flow file is wrong. */
  usage: 2,
  /** `check` found errors. */
  problems: 3,
  /** The store cannot be used, has no such run, or another process has it. */
  store: 4,
  /** The run waits, or is paused: it goes on later. */
  suspended: 5,
  /** Ctrl-C: the run can be resumed. */
  interrupted: 130,
} as const
export type ExitCode = (typeof exitCode)[keyof typeof exitCode]

/** Ends a command with a sentence for the user. */
export class CliError extends Error {
  readonly code: ExitCode
  readonly hint: string | undefined
  constructor(code: ExitCode, message: string, hint?: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.hint = hint
  }
}

const storeTags = new Set(["StoreFailed", "RunNotFound", "SessionNotFound", "ArtifactNotFound", "RunOwned", "RunTakenOver"])
const usageTags = new Set(["InputInvalid", "FlowInvalid", "RunConflict", "FlowChanged", "MigrationFailed", "CommandRefused", "SignalRefused", "BundleInvalid"])
const waitingTags = new Set(["RunSuspended", "RunPaused"])
/** The exit code for a run's error. */
export const codeOf = (tag: string | undefined): ExitCode =>
  tag === undefined ?
    exitCode.failed :
    waitingTags.has(tag) ?
    exitCode.suspended :
    storeTags.has(tag) ?
    exitCode.store :
    usageTags.has(tag) ?
    exitCode.usage :
    exitCode.failed
