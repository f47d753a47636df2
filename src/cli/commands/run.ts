/** `heddle run` and `heddle resume`. */
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import { drive, flowOf, type RunFlags } from "../drive.ts"
import type { ExitCode } from "../exit-codes.ts"
import { readInput } from "../input.ts"
import { loadFlow, sourceOf } from "../../docgen/source/load.ts"
import { clean, say, style } from "../output.ts"

export async function runCommand(target: string, flags: RunFlags): Promise<ExitCode> {
  const input = readInput(flags.input)
  const loaded = await loadFlow(target)
  const id = flags.id ?? `${loaded.flow.ir.name.replaceAll(/[^A-Za-z0-9._:-]/g, "-")}-${randomUUID().slice(0, 8)}`
  if (!flags.json) say(style.err("dim", `run ${id} · journal ${flags.store === "memory" ? "in memory" : resolve(flags.store)}`))
  return drive(id, flags, (heddle, how) => heddle.run(loaded.flow, input as never, { ...how, id, source: sourceOf(loaded), session: flags.session }))
}

export async function resumeCommand(id: string, flags: RunFlags & { readonly flow?: string }): Promise<ExitCode> {
  const loaded = await flowOf(id, flags)
  if (!flags.json) say(style.err("dim", `resume ${id} · ${clean(sourceOf(loaded))}`))
  return drive(id, flags, (heddle, how) => heddle.resume(loaded.flow, id, how))
}
