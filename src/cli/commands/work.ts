/** `heddle worker`: drives what is due of the flows of some files, until it is stopped. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { withStopping } from "../engine.ts"
import { type ExitCode, exitCode } from "../exit-codes.ts"
import { loadAll } from "../../docgen/source/load.ts"
import { clean, print, printJson, say, type Shown, style } from "../output.ts"

interface WorkerFlags extends Shown {
  readonly store: string
  readonly concurrency?: number
  readonly perFlow?: number
  readonly perSession?: number
  readonly perCorrelation?: number
  readonly grace?: number
  readonly untilIdle?: boolean
}

export async function workerCommand(
  files: ReadonlyArray<string>,
  { store, json, concurrency, perFlow, perSession, perCorrelation, grace, untilIdle }: WorkerFlags,
): Promise<ExitCode> {
  const loaded = await loadAll(files)
  if (!json) say(style.err("dim", `worker ${process.pid} · ${loaded.map(({ flow }) => clean(flow.ir.name)).join(", ")} · ${store}`))
  let ended = 0
  await withStopping(store, (heddle, stopped) =>
    Effect.scoped(Effect.gen(function*() {
      heddle.listen(({ kind, run, flow }) => {
        if (!/^run\.(completed|failed|cancelled|compensated|quarantined|suspended)$/.test(kind)) return
        ended += kind === "run.suspended" ? 0 : 1
        if (json) printJson({ run, flow, event: kind })
        else print(`${run}  ${clean(flow)}  ${kind.slice(4)}`)
      })
      const options = { concurrency, perFlow, perSession, perCorrelation, grace: grace! * 1000 }
      const worker = yield* heddle.worker(loaded.map(({ flow }) => flow), options)
      const idle = Effect.gen(function*() {
        // twice in a row, so that what is just being woken is not missed
        for (let quiet = 0; quiet < 2; quiet = worker.running() === 0 ? quiet + 1 : 0) yield* Effect.sleep(300)
      })
      yield* Effect.raceFirst(Deferred.await(stopped), untilIdle === true ? Effect.raceFirst(idle, worker.done) : worker.done)
      if (!json) say(style.err("dim", "stopping"))
      yield* worker.stop
    })))
  if (!json) say(`${ended} runs ended here`)
  return exitCode.ok
}
