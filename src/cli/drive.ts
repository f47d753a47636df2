/** What commands that drive runs share: finding a run's flow, and seeing it to its end. */
import type * as Effect from "effect/Effect"
import type { Heddle } from "../engine/heddle.ts"
import type { ResumeOptions } from "../engine/start.ts"
import { RunSuspended } from "../model/error.ts"
import { asJson } from "../model/value.ts"
import type { Durability } from "../store/store.ts"
import { withEngine, withExisting } from "./engine.ts"
import { CliError, type ExitCode, exitCode } from "./exit-codes.ts"
import { type Loaded, loadFlow } from "../docgen/source/load.ts"
import { clean, print, printJson, say, type Shown, style } from "./output.ts"
import { Progress } from "./progress.ts"

export interface RunFlags extends Shown {
  readonly store: string
  readonly input?: string
  readonly id?: string
  readonly session?: string
  readonly durability?: Durability
  /** Stay when the run waits. */
  readonly wait?: boolean
}

/** The flow of a run: where `--flow` says, else where it was started from. */
export async function flowOf(id: string, { store, flow }: { readonly store: string; readonly flow?: string }): Promise<Loaded> {
  const { source } = await withExisting(store, (heddle) => heddle.get(id))
  const target = flow ?? source
  if (target === undefined) {
    throw new CliError(exitCode.usage, `run '${id}' was not started from the command line`, "say where its flow is: --flow file.ts#flow")
  }
  return loadFlow(target)
}
/** Drives a run with progress to its output, or until it waits. */
export async function drive(
  id: string,
  flags: RunFlags,
  go: (heddle: Heddle["Service"], how: ResumeOptions) => Effect.Effect<unknown, unknown, any>,
): Promise<ExitCode> {
  const progress = new Progress()
  // in memory nobody else could wake it
  const onSuspend = flags.wait === true || flags.store === "memory" ? "wait" : "return"
  const output = await withEngine(flags.store, (heddle) => {
    if (!flags.json) heddle.listen(progress.listen)
    return go(heddle, { durability: flags.durability, onSuspend })
  }).catch((error: unknown) => {
    progress.clear()
    if (error instanceof CliError && error.code === exitCode.interrupted) {
      throw new CliError(error.code, error.message, `go on with: heddle resume ${id} --store ${flags.store}`)
    }
    if (error instanceof RunSuspended && !flags.json) {
      const { waits, until } = error
      say(`${style.err("blue", "⧖")} ${error.message}`)
      for (const signal of waits) say(style.err("dim", `  send it: heddle signal ${id} ${clean(signal)} '<json>' --store ${flags.store}`))
      if (until !== undefined) say(style.err("dim", `  or let it go on in time: heddle worker <file> --store ${flags.store}`))
    } else throw error
    return suspended
  })
  progress.clear()
  if (output === suspended) return exitCode.suspended
  return shown(id, output, flags)
}
const suspended = Symbol("suspended")

const shown = (id: string, output: unknown, { json }: Shown): ExitCode => {
  if (json) printJson({ ok: true, run: id, output: output ?? null })
  else {
    say(`${style.err("green", "✓")} run ${id} completed`)
    if (output !== undefined) print(typeof output === "string" ? output : JSON.stringify(output, asJson, 2))
  }
  return exitCode.ok
}
