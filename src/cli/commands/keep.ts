/** `heddle prune`, `retire`, `compact`, `export` and `import`. */
import { readFileSync, writeFileSync } from "node:fs"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { messageOf } from "../../model/error.ts"
import type { RunStatus } from "../../model/run.ts"
import { withEngine, withExisting } from "../engine.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { print, printJson, say, short, type Shown, style } from "../output.ts"

interface Flags extends Shown {
  readonly store: string
}

/** `--older-than`, in milliseconds. */
const ageIn = (given: string): number => {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- checked right here
  const age = Duration.fromInput(given as Duration.Input)
  if (Option.isNone(age) || given.trim().startsWith("-")) {
    throw new CliError(exitCode.usage, `--older-than ${given} is no duration`, "write it as '30 days' or '12 hours'")
  }
  return Duration.toMillis(age.value)
}

export async function retireCommand({ store, json, olderThan, remove }: Flags & { readonly olderThan?: string; readonly remove?: boolean }): Promise<ExitCode> {
  const { ended, retired, failed } = await withExisting(store, (heddle) => heddle.sessions.retire({ olderThan: ageIn(olderThan!), remove }))
  if (json) printJson({ ok: failed.length === 0, ended, retired, failed })
  else {
    for (const id of ended) print(`${id}  ran out of time`)
    const done = remove === true ? "deleted" : "put away"
    for (const id of retired) print(`${id}  ${done}`)
    for (const { session, reason } of failed) say(`${style.err("red", "✗")} ${session}  ${short(reason, 200)}`)
    print(`${retired.length} sessions ${done}${failed.length === 0 ? "" : `, ${failed.length} could not be`}`)
  }
  return failed.length === 0 ? exitCode.ok : exitCode.failed
}

export async function pruneCommand(
  flags: Flags & { readonly olderThan?: string; readonly keep?: number; readonly status?: RunStatus; readonly flow?: string; readonly dryRun?: boolean },
): Promise<ExitCode> {
  const { keep, status, flow, dryRun } = flags
  const olderThan = ageIn(flags.olderThan ?? "0 millis")
  const pruned = await withExisting(
    flags.store,
    (heddle) => heddle.prune({ olderThan, keep, status: status === undefined ? undefined : [status], flow, dryRun }),
  )
  if (flags.json) printJson({ ok: true, dryRun: dryRun === true, runs: pruned.map(({ id }) => id) })
  else {
    for (const run of pruned) print(`${run.id}  ${run.flow}  ${run.status}  ${new Date(run.updatedAt).toISOString().slice(0, 19)}`)
    print(`${pruned.length} runs ${dryRun === true ? "would be deleted" : "deleted"}`)
  }
  return exitCode.ok
}

export async function compactCommand(id: string, flags: Flags): Promise<ExitCode> {
  const removed = await withExisting(flags.store, (heddle) => heddle.compact(id))
  if (flags.json) printJson({ ok: true, run: id, removed })
  else print(`${removed} events of run ${id} deleted`)
  return exitCode.ok
}

export async function exportCommand(id: string, flags: Flags & { readonly output?: string }): Promise<ExitCode> {
  const bundle = await withExisting(flags.store, (heddle) => heddle.export(id))
  if (flags.output === undefined) print(bundle)
  else {
    try {
      writeFileSync(flags.output, bundle)
    } catch (cause) {
      throw new CliError(exitCode.usage, `cannot write ${flags.output}: ${messageOf(cause)}`)
    }
    if (flags.json) printJson({ ok: true, run: id, file: flags.output })
    else print(`run ${id} is in ${flags.output}`)
  }
  return exitCode.ok
}

export async function importCommand(file: string, flags: Flags & { readonly as?: string }): Promise<ExitCode> {
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch (cause) {
    throw new CliError(exitCode.usage, `cannot read ${file}: ${messageOf(cause)}`)
  }
  const run = await withEngine(flags.store, (heddle) => heddle.import(text, flags.as))
  if (flags.json) printJson({ ok: true, run: run.id, status: run.status })
  else print(`run ${run.id} of flow ${run.flow} is here: ${run.status}`)
  return exitCode.ok
}
