/**
 * Runs one target on a SQLite file and kills itself with SIGKILL at its n-th write (0: never).
 * `lost`: before the write; `written`: right after, before anybody knows of it. A target is an example's file, or `pattern/pattern`.
 * Every step notes its path in a log before it works. Prints the output as JSON.
 */
import { appendFileSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { Context, Effect, Exit } from "effect"
import type { AnyFlow } from "heddle"
import { mortalStore } from "heddle/testing"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { encodeValue } from "../../src/model/value.ts"
import { launch, type SentSignal } from "../../src/testing/harness.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { logged } from "./logged.ts"
import { flowOf } from "./patterns.ts"

const [, , target, file, log, at, fate] = process.argv as ReadonlyArray<string> as [string, string, string, string, string, string, "lost" | "written"]
interface Target {
  readonly flow: AnyFlow
  readonly input?: unknown
  readonly services?: Context.Context<never>
  readonly signals?: ReadonlyArray<SentSignal>
}
const { flow, input, services, signals = [] } = (target.endsWith(".ts") ? await import(pathToFileURL(target).href) : flowOf(target)) as Target

let writes = () => 0
const program = Effect.scoped(
  Effect.flatMap(openSqlite(file, { synchronous: "normal" }), (store) => {
    const mortal = mortalStore(store, Number(at), fate, () => Effect.sync(() => process.kill(process.pid, "SIGKILL")))
    writes = mortal.writes
    const given = logged(flow, (path) => appendFileSync(log, `${path}\n`))
    return launch(makeHeddle(mortal.store), given, input, "run", signals, undefined)
  }),
)
const exit = await Effect.runPromiseExit(services === undefined ? program : Effect.provideContext(program, services))
process.stdout.write(Exit.isSuccess(exit) ? `${encodeValue(exit.value)} ${writes()}` : `failed ${JSON.stringify(exit)} ${writes()}`)
