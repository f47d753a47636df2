/**
 * Runs jobs on SQLite files, one after another, each to its end or to its n-th write (0: to its end), and prints how they ended as JSON.
 * If one of them has come to its n-th write, the process kills itself with SIGKILL when the last is done: that is when they all die.
 * `lost`: before the write; `written`: right after, before anybody knows of it. A target is an example's file, or `pattern/pattern`.
 * Every step notes its path in a log before it works.
 */
import { appendFileSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { Context, Deferred, Effect, Exit, Fiber, Option, Scope } from "effect"
import type { AnyFlow } from "heddle"
import { type Fate, mortalStore } from "heddle/testing"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { encodeValue } from "../../src/model/value.ts"
import { launch, type SentSignal } from "../../src/testing/harness.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { logged } from "./logged.ts"
import { flowOf } from "./patterns.ts"

export interface Job {
  readonly target: string
  readonly db: string
  readonly log: string
  readonly at: number
  readonly fate: Fate
}
/** How a job ended; nothing of one that was killed. */
export interface Ended {
  readonly target: string
  readonly end: string
  readonly writes: number
}
interface Target {
  readonly flow: AnyFlow
  readonly input?: unknown
  readonly session?: unknown
  readonly services?: Context.Context<never>
  readonly signals?: ReadonlyArray<SentSignal>
}

/** `undefined`: it has come to where it dies, and stays there. */
async function work({ target, db, log, at, fate }: Job): Promise<Ended | undefined> {
  const { flow, input, services, session, signals = [] } = (target.endsWith(".ts") ? await import(pathToFileURL(target).href) : flowOf(target)) as Target
  const dead = Deferred.makeUnsafe<void>()
  const scope = Scope.makeUnsafe()
  let writes = () => 0
  const program = Effect.flatMap(openSqlite(db, { synchronous: "normal" }), (store) => {
    const mortal = mortalStore(store, at, fate, () => Deferred.succeed(dead, undefined))
    writes = mortal.writes
    return launch(makeHeddle(mortal.store), logged(flow, (path) => appendFileSync(log, `${path}\n`)), input, {
      id: "run",
      signals,
      layer: undefined,
      session,
    })
  })
  const given = services === undefined ? program : Effect.provideContext(program, services)
  const fiber = Effect.runFork(Scope.provide(given, scope))
  const ended = Effect.map(Fiber.await(fiber), Option.some)
  const exit = await Effect.runPromise(Effect.raceFirst(ended, Effect.as(Deferred.await(dead), Option.none())))
  if (Option.isNone(exit)) return undefined
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return { target, end: Exit.isSuccess(exit.value) ? encodeValue(exit.value.value) : `failed ${JSON.stringify(exit.value)}`, writes: writes() }
}

const ended: Array<Ended> = []
const jobs = JSON.parse(process.argv[2]!) as ReadonlyArray<Job>
let killed = 0
for (const job of jobs) {
  const end = await work(job)
  if (end === undefined) killed++
  else ended.push(end)
  // the last to come to its write dies in the very moment
  if (killed > 0 && job === jobs.at(-1)) process.kill(process.pid, "SIGKILL")
}
process.stdout.write(JSON.stringify(ended))
