/** `heddle signal`, `pause`, `drain`, `cancel`, `retry`, `rerun`, `fork` and `rewind`: commands to runs. */
import * as Effect from "effect/Effect"
import type { CommandOptions } from "../../engine/control.ts"
import type { Plan } from "../../engine/plan.ts"
import type { Heddle } from "../../engine/heddle.ts"
import { hasEnded } from "../../model/run.ts"
import { drive, flowOf, type RunFlags } from "../drive.ts"
import { withEngine, withExisting } from "../engine.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { readInput } from "../input.ts"
import { type Loaded, loadFlow } from "../../docgen/source/load.ts"
import { clean, print, printJson, say, type Shown, style } from "../output.ts"

interface CommandFlags extends RunFlags {
  readonly flow?: string
  readonly reason?: string
  readonly expect?: number
}

const optionsOf = ({ reason, expect }: CommandFlags): CommandOptions => ({ reason, expect })
const told = (flags: Shown, data: object, text: string): ExitCode => {
  if (flags.json) printJson({ ok: true, ...data })
  else print(text)
  return exitCode.ok
}

export async function signalCommand(id: string, name: string, payload: string | undefined, flags: CommandFlags & { readonly id?: string }): Promise<ExitCode> {
  const { flow } = await flowOf(id, flags)
  const given = readInput(payload, "the payload", "write it in single quotes, or put it into a file: @payload.json")
  const { sent, run } = await withExisting(flags.store, (heddle) =>
    Effect.gen(function*() {
      return { sent: yield* heddle.signal(flow, id, name as never, given as never, { id: flags.id }), run: yield* heddle.get(id) }
    }))
  const next = run.status === "suspended" ? `; a worker goes on with it, or: heddle resume ${id}` : ""
  return told(flags, { run: id, signal: name, sent, status: run.status }, `signal ${name} to run ${id}: ${sent}${next}`)
}

export async function pauseCommand(id: string, flags: CommandFlags): Promise<ExitCode> {
  await withExisting(flags.store, (heddle) => heddle.pause(id, optionsOf(flags)))
  return told(flags, { run: id, status: "paused" }, `run ${id} paused; go on with: heddle resume ${id}`)
}

export async function drainCommand(id: string, flags: CommandFlags): Promise<ExitCode> {
  await withExisting(flags.store, (heddle) => heddle.drain(id))
  return told(flags, { run: id, drained: true }, `run ${id}: its streams read no more, what was read goes through`)
}

export async function cancelCommand(id: string, flags: CommandFlags): Promise<ExitCode> {
  const before = await withExisting(flags.store, (heddle) => heddle.get(id))
  const known = flags.flow !== undefined || before.source !== undefined
  // without its flow it is cancelled all the same; only what it did has to be undone by somebody who has it
  const loaded = known && !hasEnded(before.status) ? await flowOf(id, flags).catch(() => undefined) : undefined
  const status = await withExisting(flags.store, (heddle) => heddle.cancel(id, { ...optionsOf(flags), flow: loaded?.flow }))
  const cancelled = !hasEnded(before.status)
  const text = status === "compensating" ?
    `run ${id} is being undone; finish with: heddle resume ${id} --flow file.ts#flow` :
    cancelled ?
    `run ${id} cancelled` :
    `run ${id} was ${before.status} already`
  return told(flags, { run: id, cancelled, status }, text)
}

export async function retryCommand(id: string, flags: CommandFlags): Promise<ExitCode> {
  const loaded = await flowOf(id, flags)
  return drive(id, flags, (heddle, how) => heddle.retry(loaded.flow, id, { ...how, ...optionsOf(flags) }))
}

export async function rerunCommand(id: string, flags: CommandFlags & { readonly id?: string }): Promise<ExitCode> {
  const loaded = await flowOf(id, flags)
  const as = flags.id ?? `${id}-again-${Date.now().toString(36)}`
  const input = flags.input === undefined ? {} : { input: readInput(flags.input) as never }
  const { source } = await withExisting(flags.store, (heddle) => heddle.get(id))
  return drive(as, flags, (heddle, how) => heddle.rerun(loaded.flow, id, { ...how, ...input, id: as, source }))
}

type Going = CommandFlags & { readonly from?: string; readonly to?: string; readonly as?: string; readonly dryRun?: boolean }

export const forkCommand = (id: string, flags: Going): Promise<ExitCode> => {
  const as = flags.as ?? `${id}-fork-${Date.now().toString(36)}`
  return going(id, as, flags.from!, flags, (heddle, loaded) => heddle.fork(loaded.flow, id, flags.from!, { ...optionsOf(flags), as }))
}
export const rewindCommand = (id: string, flags: Going): Promise<ExitCode> =>
  going(id, id, flags.to!, flags, (heddle, loaded) => heddle.rewind(loaded.flow, id, flags.to!, optionsOf(flags)))

/** Shows what will run again, does it, and goes on with the run. */
async function going(
  id: string,
  as: string,
  path: string,
  flags: Going,
  act: (heddle: Heddle["Service"], loaded: Loaded) => Effect.Effect<Plan, unknown>,
): Promise<ExitCode> {
  const loaded = await flowOf(id, flags)
  const plan = await withExisting(flags.store, (heddle) => (flags.dryRun === true ? heddle.plan(loaded.flow, id, path, optionsOf(flags)) : act(heddle, loaded)))
  if (flags.json && flags.dryRun === true) printJson({ ok: true, run: id, again: plan.again, kept: plan.kept })
  else if (!flags.json) {
    const list = (
      paths: ReadonlyArray<string>,
    ) => (paths.length === 0 ? "nothing" : clean(paths.slice(0, 20).join(", ")) + (paths.length > 20 ? ` … ${paths.length - 20} more` : ""))
    say(`${style.err("yellow", "↻")} again: ${list(plan.again)}`)
    say(`${style.err("green", "✓")} kept:  ${list(plan.kept)}`)
  }
  if (flags.dryRun === true) return exitCode.ok
  return drive(as, flags, (heddle, how) => heddle.resume(loaded.flow, as, how))
}

/** `heddle start`: leaves a run for a worker. */
export async function startCommand(
  target: string,
  flags: CommandFlags & { readonly at?: string; readonly id?: string; readonly session?: string },
): Promise<ExitCode> {
  const loaded = await loadFlow(target)
  const at = flags.at === undefined ? undefined : new Date(flags.at)
  if (at !== undefined && Number.isNaN(at.getTime())) throw new CliError(exitCode.usage, `--at ${flags.at} is no date`, "write it as 2030-01-31T12:00:00Z")
  const input = readInput(flags.input)
  const [name] = loaded.exports
  const { id, session } = flags
  const how = { id, session, at, source: `${loaded.file}#${name}` }
  const run = await withEngine(flags.store, (heddle) => heddle.start(loaded.flow, input as never, how))
  return told(flags, { run: run.id, status: run.status }, `run ${run.id} waits for a worker: heddle worker ${target}`)
}
