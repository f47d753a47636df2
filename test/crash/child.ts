/**
 * Runs one example on a SQLite file and kills itself with SIGKILL at the n-th journal append (0: never).
 * `lost`: before the append is written; `written`: right after, before anybody knows of it.
 * Every step notes its path in a log before it works. Prints the output as JSON.
 */
import { appendFileSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { Context, Effect, Exit } from "effect"
import type { AnyFlow } from "heddle"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { encodeValue } from "../../src/model/value.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import type { Store } from "../../src/store/store.ts"
import { logged } from "./logged.ts"

const [, , example, file, log, at, fate] = process.argv as ReadonlyArray<string> as [string, string, string, string, string, string, string]
const { flow, input, services } = (await import(pathToFileURL(example).href)) as { flow: AnyFlow; input?: unknown; services?: Context.Context<never> }

let appends = 0
const killing = (store: Store["Service"]): Store["Service"] => ({
  ...store,
  events: {
    ...store.events,
    append: (...args) => {
      if (++appends !== Number(at)) return store.events.append(...args)
      const die = Effect.sync(() => process.kill(process.pid, "SIGKILL"))
      return Effect.andThen(fate === "lost" ? die : Effect.andThen(store.events.append(...args), die), Effect.never)
    },
  },
})

const program = Effect.scoped(
  Effect.flatMap(openSqlite(file, { synchronous: "normal" }), (store) =>
    makeHeddle(killing(store)).run(
      logged(flow, (path) => appendFileSync(log, `${path}\n`)) as never,
      input as never,
      { id: "run" },
    ) as Effect.Effect<unknown>),
)
const exit = await Effect.runPromiseExit(services === undefined ? program : Effect.provideContext(program, services))
process.stdout.write(Exit.isSuccess(exit) ? `${encodeValue(exit.value)} ${appends}` : `failed ${JSON.stringify(exit)} ${appends}`)
