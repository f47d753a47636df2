/** A process that does one thing with a database, for the fault harness: prints `{ ok, output | error }` and exits with 0 or 1. */
import { appendFileSync } from "node:fs"
import { Effect, Exit } from "effect"
import { openHeddle, run, seq } from "heddle"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { tagOf } from "../../src/model/error.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"

const [, , task, file, log = "", ...more] = process.argv as ReadonlyArray<string> as [string, string, string, string, string, ...Array<string>]
const note = (line: string): void => appendFileSync(log, `${line}\n`)

/** Twelve steps of 2 KB, each noted before it works. */
export const ledger = seq("ledger").step("start", () => 0)
  .loop(
    "l",
    { times: 10, collect: "all" },
    (b) => b.step("work", ({ index }, { path }) => (note(path), `${index}${"x".repeat(2000)}`)).returns(({ work }) => work.length),
  )
  .step("end", ({ l }, { path }) => (note(path), l.length))
  .returns(({ end }) => end)
/** Steps that take a moment. */
export const slow = seq<{ readonly n: number; readonly ms: number }>("slow")
  .step("a", ({ input }, { run: id }) => Effect.andThen(Effect.sync(() => note(`${id} a`)), Effect.sleep(input.ms)))
  .loop(
    "l",
    { times: 3 },
    (b) => b.step("b", ({ input, index }, { run: id }) => Effect.andThen(Effect.sync(() => note(`${id} b${index}`)), Effect.sleep(input.ms))),
  )
  .returns(({ input }) => input.n)
export const poison = seq("poison").step("dies", () => process.abort())

const tasks: Readonly<Record<string, () => Promise<unknown>>> = {
  run: async () =>
    (await run(ledger, undefined, { store: file, id: more[0] ?? "run" })).match(
      (output) => ({ ok: true, output }),
      (error) => ({ ok: false, tag: tagOf(error), message: error.message }),
    ),
  async resume() {
    const exit = await Effect.runPromiseExit(
      Effect.scoped(Effect.flatMap(openSqlite(file), (store) => makeHeddle(store, { lease: 400 }).resume(slow, more[0]!))),
    )
    return Exit.isSuccess(exit) ? { ok: true, output: exit.value } : { ok: false, exit: JSON.stringify(exit.cause) }
  },
  async start() {
    const heddle = (await openHeddle({ store: file }))._unsafeUnwrap()
    const results = await Promise.all(Array.from({ length: Number(more[0]) }, () => heddle.run(slow, { n: Number(more[1] ?? 1), ms: 2 }, { id: "same" })))
    await heddle.close()
    return { ok: true, output: results.map((result) => result.match((output) => output, (error) => tagOf(error))) }
  },
  async worker() {
    const heddle = (await openHeddle({ store: file, lease: 1500 }))._unsafeUnwrap()
    await heddle.worker([ledger, slow, poison], { concurrency: 4, poll: 100, grace: 200 })
    await new Promise((resolve) => process.once("SIGTERM", resolve))
    await heddle.close()
    return { ok: true }
  },
  async many() {
    const heddle = (await openHeddle({ store: more[1] === "memory" ? "memory" : file }))._unsafeUnwrap()
    const tiny = seq("tiny").step("a", () => 1)
    const rss: Array<number> = []
    for (let i = 0; i < Number(more[0]); i++) {
      await heddle.run(tiny, undefined)
      if (i % 1000 === 999) rss.push(Math.round(process.memoryUsage().rss / 1024 / 1024))
    }
    await heddle.close()
    return { ok: true, output: rss }
  },
}
const result = await tasks[task]!()
process.stdout.write(JSON.stringify(result))
process.exitCode = (result as { ok: boolean }).ok ? 0 : 1
