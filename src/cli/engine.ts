/** An engine for the length of one command. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { existsSync } from "node:fs"
import { Heddle } from "../engine/heddle.ts"
import { CliError, exitCode } from "./exit-codes.ts"

/** Runs `use` on the store; Ctrl-C interrupts it and leaves the run to be resumed, a second one ends the process at once. */
export async function withEngine<A>(store: string, use: (heddle: Heddle["Service"]) => Effect.Effect<A, unknown, any>): Promise<A> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a flow that needs services dies here with Effect's own sentence
  const program = Effect.provide(Heddle.use(use), store === "memory" ? Heddle.layerMemory : Heddle.layerSqlite(store)) as Effect.Effect<A, unknown>
  const fiber = Effect.runFork(program)
  let interrupted = false
  const stop = () => {
    if (interrupted) process.exit(exitCode.interrupted)
    interrupted = true
    fiber.interruptUnsafe()
  }
  process.on("SIGINT", stop).on("SIGTERM", stop)
  try {
    const exit = await Effect.runPromise(Fiber.await(fiber))
    if (Exit.isSuccess(exit)) return exit.value
    if (interrupted) throw new CliError(exitCode.interrupted, "interrupted: what is recorded stays", "go on with: heddle resume")
    throw Cause.squash(exit.cause)
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop)
  }
}

/** The same for commands that end by themselves when they are asked to: the first signal tells `stopped`, a second one ends the process at once. */
export async function withStopping<A>(
  store: string,
  use: (heddle: Heddle["Service"], stopped: Deferred.Deferred<void>) => Effect.Effect<A, unknown, any>,
): Promise<A> {
  const stopped = Deferred.makeUnsafe<void>()
  let asked = false
  const stop = () => {
    if (asked) process.exit(exitCode.interrupted)
    asked = true
    Deferred.doneUnsafe(stopped, Effect.void)
  }
  process.on("SIGINT", stop).on("SIGTERM", stop)
  try {
    const layer = store === "memory" ? Heddle.layerMemory : Heddle.layerSqlite(store)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a flow that needs services dies here with Effect's own sentence
    const exit = await Effect.runPromiseExit(Effect.provide(Heddle.use((heddle) => use(heddle, stopped)), layer) as Effect.Effect<A, unknown>)
    if (Exit.isSuccess(exit)) return exit.value
    throw Cause.squash(exit.cause)
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop)
  }
}

/** The same for commands that only look: a missing file is not created. */
export const withExisting = <A>(store: string, use: (heddle: Heddle["Service"]) => Effect.Effect<A, unknown>): Promise<A> => {
  if (!existsSync(store)) throw new CliError(exitCode.store, `there is no store ${store}`, "give it with --store, or HEDDLE_STORE")
  return withEngine(store, use)
}
