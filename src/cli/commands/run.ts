/** `heddle run` and `heddle resume`. */
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import type { Durability } from "../../store/store.ts"
import { withEngine, withExisting } from "../engine.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { readInput } from "../input.ts"
import { loadFlow, sourceOf } from "../load.ts"
import { asJson, clean, print, printJson, say, type Shown, style } from "../output.ts"
import { Progress } from "../progress.ts"

export interface RunFlags extends Shown {
  readonly store: string
  readonly input?: string
  readonly id?: string
  readonly durability?: Durability
}

export async function runCommand(target: string, flags: RunFlags): Promise<ExitCode> {
  const input = readInput(flags.input)
  const loaded = await loadFlow(target)
  const id = flags.id ?? `${loaded.flow.ir.name.replaceAll(/[^A-Za-z0-9._:-]/g, "-")}-${randomUUID().slice(0, 8)}`
  if (!flags.json) say(style.err("dim", `run ${id} · journal ${flags.store === "memory" ? "in memory" : resolve(flags.store)}`))
  const progress = new Progress()
  const output = await withEngine(flags.store, (heddle) => {
    if (!flags.json) heddle.listen(progress.listen)
    return heddle.run(loaded.flow, input as never, { id, durability: flags.durability, source: sourceOf(loaded) })
  }).catch((error: unknown) => {
    progress.clear()
    throw error instanceof CliError && error.code === exitCode.interrupted ?
      new CliError(error.code, error.message, `go on with: heddle resume ${id} --store ${flags.store}`) :
      error
  })
  progress.clear()
  return shown(id, output, flags)
}

export async function resumeCommand(id: string, flags: RunFlags & { readonly flow?: string }): Promise<ExitCode> {
  const run = await withExisting(flags.store, (heddle) => heddle.get(id))
  const source = flags.flow ?? run.source
  if (source === undefined) {
    throw new CliError(exitCode.usage, `run '${id}' was not started from the command line`, "say where its flow is: heddle resume <run> --flow file.ts#flow")
  }
  const loaded = await loadFlow(source)
  if (!flags.json) say(style.err("dim", `resume ${id} · ${clean(source)}`))
  const progress = new Progress()
  const output = await withEngine(flags.store, (heddle) => {
    if (!flags.json) heddle.listen(progress.listen)
    return heddle.resume(loaded.flow, id, { durability: flags.durability })
  }).finally(() => progress.clear())
  return shown(id, output, flags)
}

const shown = (id: string, output: unknown, { json }: Shown): ExitCode => {
  if (json) printJson({ ok: true, run: id, output: output ?? null })
  else {
    say(`${style.err("green", "✓")} run ${id} completed`)
    if (output !== undefined) print(typeof output === "string" ? output : JSON.stringify(output, asJson, 2))
  }
  return exitCode.ok
}
/** `heddle cancel`. */
export async function cancelCommand(id: string, { store, reason, json }: Shown & { readonly store: string; readonly reason?: string }): Promise<ExitCode> {
  const before = await withExisting(store, (heddle) => Effect.flatMap(heddle.get(id), (run) => Effect.as(heddle.cancel(id, { reason }), run)))
  const cancelled = before.status === "running"
  if (json) printJson({ ok: true, run: id, cancelled, status: cancelled ? "cancelled" : before.status })
  else print(cancelled ? `run ${id} cancelled` : `run ${id} was ${before.status} already`)
  return exitCode.ok
}
