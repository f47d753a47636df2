/** The package as it is installed: its doors, built, in a process that knows nothing of the source. */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

/** `npm run build` has made what is tested here. */
const built = async (code: string): Promise<ReadonlyArray<string>> => {
  const folder = mkdtempSync("test/package-")
  try {
    writeFileSync(join(folder, "use.ts"), code)
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, "use.ts")])
    return stdout.trim().split("\n")
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("the built package", () => {
  it("is there once, whatever door it is entered by", async () => {
    const printed = await built(`
import { Effect, Redacted } from "effect"
import { openHeddle, run, secret, seq } from "heddle"
import { seq as light } from "heddle/dsl"
import { agent, cassette, openai, Pool, scripted } from "heddle/agents"
import { caching } from "heddle/hooks"
import { testFlow } from "heddle/testing"
import { sql } from "heddle/tools"
import { DatabaseSync } from "node:sqlite"
import { mkdtempSync, readFileSync } from "node:fs"
import { z } from "zod"

console.log(seq === light, typeof caching, typeof testFlow)
const key = secret("sk-live-ABCDEFGHIJ0123")
console.log(Redacted.value(key).length, openai({ baseUrl: "http://localhost:1/v1", model: "m", apiKey: key }).name)
const at = mkdtempSync("/tmp/heddle-package-")
const input = z.object({ t: z.string() })
const clerk = agent("clerk", { input, model: cassette(at + "/tape.json", scripted(["it is sk-live-ABCDEFGHIJ0123"])) })
console.log((await run(seq("s", { input }).step(clerk), { t: "x" }))._unsafeUnwrap().clerk, readFileSync(at + "/tape.json", "utf8").includes("sk-live"))
console.log(await Effect.runPromise(new Pool("p", { size: 1, make: () => Effect.succeed(5) }).use(Effect.succeed)))
new DatabaseSync(at + "/x.db").exec("CREATE TABLE a (x); INSERT INTO a VALUES (7)")
const db = sql({ file: at + "/x.db", tables: ["a"] })
console.log(JSON.stringify(await Effect.runPromise(db.query({ sql: "SELECT x FROM a" }))))
db.close()
await (await openHeddle())._unsafeUnwrap().close()
`)
    expect(printed).toEqual(["true function function", "22 m", "it is [redacted] false", "5", "{\"columns\":[\"x\"],\"rows\":[[7]],\"truncated\":false}"])
  }, 30_000)

  it("runs the agent of the examples", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["examples/19-agent.ts"])
    expect(stdout.trim()).toBe("We are sorry: order 1047 is on its way. Offline: the same. 3 requests.")
  }, 30_000)
})
