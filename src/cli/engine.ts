/** An engine for the length of one command. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { existsSync } from "node:fs"
import { Heddle } from "../engine/heddle.ts"
import { CliError, exitCode } from "./exit-codes.ts"

type Use<A> = (heddle: Heddle["Service"]) => Effect.Effect<A, unknown, any>

/** Runs `use` on the store; the first SIGINT or SIGTERM calls `stop`, a second one ends the process at once. */
async function ended<A>(store: string, use: Use<A>, stop: (fiber: Fiber.Fiber<A, unknown>) => void): Promise<Exit.Exit<A, unknown>> {
  const layer = store === "memory" ? Heddle.layerMemory : Heddle.layerSqlite(store)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a flow that needs services dies here with Effect's own sentence
  const fiber = Effect.runFork(Effect.provide(Heddle.use(use), layer) as Effect.Effect<A, unknown>)
  let asked = false
  const asks = () => {
    if (asked) process.exit(exitCode.interrupted)
    asked = true
    stop(fiber)
  }
  process.on("SIGINT", asks).on("SIGTERM", asks)
  try {
    return await Effect.runPromise(Fiber.await(fiber))
  } finally {
    process.off("SIGINT", asks).off("SIGTERM", asks)
  }
}

/** Runs `use` on the store; Ctrl-C interrupts it and leaves the run to be resumed. */
export async function withEngine<A>(store: string, use: Use<A>): Promise<A> {
  let interrupted = false
  const exit = await ended(store, use, (fiber) => {
    interrupted = true
    fiber.interruptUnsafe()
  })
  if (Exit.isSuccess(exit)) return exit.value
  if (interrupted) throw new CliError(exitCode.interrupted, "interrupted: what is recorded stays", "go on with: heddle resume")
  throw Cause.squash(exit.cause)
}

/** The same for commands that end by themselves when they are asked to, which `stopped` tells them. */
export async function withStopping<A>(store: string, use: (heddle: Heddle["Service"], stopped: Deferred.Deferred<void>) => ReturnType<Use<A>>): Promise<A> {
  const stopped = Deferred.makeUnsafe<void>()
  const exit = await ended(store, (heddle) => use(heddle, stopped), () => Deferred.doneUnsafe(stopped, Effect.void))
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}

/** For commands that only look: a missing file is not created. */
export const mustExist = (store: string): void => {
  if (!existsSync(store)) throw new CliError(exitCode.store, `there is no store ${store}`, "give it with --store, or HEDDLE_STORE")
}
/** Runs `use` on a store that is there already. */
export const withExisting = <A>(store: string, use: (heddle: Heddle["Service"]) => Effect.Effect<A, unknown>): Promise<A> => {
  mustExist(store)
  return withEngine(store, use)
}
