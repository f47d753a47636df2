/** What is kept beside runs, from the command line. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { openHeddle, seq, state } from "heddle"
import { beforeAll, expect, it } from "vitest"
import { no } from "../support.ts"
import { heddle } from "./command-line.ts"

const folder = mkdtempSync(join(tmpdir(), "heddle-kept-"))
const store = ["--store", join(folder, "kept.db")]
const notes = state<string>("notes", { scope: "session" })
const seen = state<number>("seen", { scope: "agent", of: "clerk" })
const total = state<number>("total", { scope: "global", ttl: "1 day" })

beforeAll(async () => {
  await using client = (await openHeddle({ store: store[1]! }))._unsafeUnwrap()
  await client.sessions.create({ id: "s1", user: "ada", tags: ["vip"], context: { tier: "gold" }, policy: { runs: 9 } })
  await client.sessions.create({ id: "s2", name: "\u009b31m\u202eevil" })
  const flow = seq("f").step("keep", async (_, { artifacts, state: kept }) => {
    await artifacts.put("report", "first", { type: "text", tags: ["draft"] })
    await artifacts.put("report", "\u001b[31msecond")
    await kept.set(notes, "hello")
    await kept.set(seen, 3)
    await kept.set(total, 4)
  })
  await client.run(flow, undefined, { id: "r1", session: "s1" })
  await client.run(seq("bad").step("no", no), undefined, { id: "r2", session: "s1" })
  await client.sessions.complete("s2")
})

it("sessions: a list, and one with what it has used and what went wrong", async () => {
  const listed = await heddle("sessions", ...store)
  expect(listed.out).toMatch(/s2 {2}completed .*\ns1 {2}active {5}ada/)
  expect((await heddle("sessions", "--user", "bo", ...store)).out).toBe("no sessions\n")
  expect(JSON.parse((await heddle("sessions", "--tag", "vip", "--json", ...store)).out)).toMatchObject([{ id: "s1", user: "ada" }])
  expect((await heddle("sessions", "--json", ...store)).out).toMatch(/\\u009b31m\\u202e/)
  const one = await heddle("session", "s1", ...store)
  for (const said of ["ada", "vip", "gold", "\"runs\":9", "r1  completed  f", "✗ r2  no  "]) expect(one.out).toContain(said)
  expect((await heddle("session", "s2", ...store)).out).toContain("no runs")
  const { usage, errors } = JSON.parse((await heddle("session", "s1", "--json", ...store)).out)
  expect([usage.runs, usage.artifacts, errors[0].path]).toEqual([2, 2, "no"])
  expect(await heddle("session", "nobody", ...store)).toMatchObject({ code: 4, errors: expect.stringContaining("nobody") })
})

it("state: what is kept in a scope", async () => {
  expect((await heddle("state", "session:s1", ...store)).out).toContain("notes  v1    \"hello\"")
  expect(JSON.parse((await heddle("state", "agent:clerk", "--json", ...store)).out)).toEqual([{ name: "seen", value: 3, version: 1, until: null }])
  expect((await heddle("state", "global", ...store)).out).toMatch(/total {2}v1 {2}\d{4}-\d\d-\d\dT[\d:]+ {2}4/)
  expect((await heddle("state", "global", "--prefix", "x", ...store)).out).toBe("nothing is kept there\n")
  for (const bad of ["session", "global:x", "nowhere:x", "user:"]) {
    expect(await heddle("state", bad, ...store)).toMatchObject({ code: 2, errors: expect.stringContaining("is no scope") })
  }
})

it("artifacts: a list, and the content of one", async () => {
  expect((await heddle("artifacts", ...store)).out).toMatch(/s1\/report@2 {2}text\/plain {2}11 bytes/)
  expect((await heddle("artifacts", "--session", "s2", ...store)).out).toBe("no artifacts\n")
  expect(JSON.parse((await heddle("artifacts", "--versions", "--json", ...store)).out)).toHaveLength(2)
  expect((await heddle("artifact", "report", "--session", "s1", "--nr", "1", ...store)).out).toBe("102,105,114,115,116")
  const terminal = process.stdout.isTTY
  process.stdout.isTTY = true
  expect((await heddle("artifact", "report", "--session", "s1", ...store)).out).toBe("\uFFFD[31msecond")
  process.stdout.isTTY = terminal
  expect(JSON.parse((await heddle("artifact", "report", "--session", "s1", "--json", ...store)).out)).toMatchObject({ version: 2, size: 11 })
  expect((await heddle("artifact", "s1/report@1", ...store)).out).toBe("102,105,114,115,116")
  expect(await heddle("artifact", "s1/report@9", ...store)).toMatchObject({ code: 4 })
  const file = join(folder, "out.txt")
  expect((await heddle("artifact", "report", "--session", "s1", "--output", file, ...store)).out).toBe(`s1/report@2 is in ${file}\n`)
  expect(readFileSync(file, "utf8")).toContain("second")
  expect(JSON.parse((await heddle("artifact", "report", "--session", "s1", "--output", file, "--json", ...store)).out)).toMatchObject({ file })
  expect(await heddle("artifact", "report", "--session", "s1", "--output", folder, ...store)).toMatchObject({ code: 2 })
  expect(await heddle("artifact", "report", "--nr", "1", ...store)).toMatchObject({ code: 4 })
  const db = new DatabaseSync(store[1]!)
  db.exec("UPDATE artifacts SET hash = 'gone' WHERE name = 'report' AND version = 1")
  db.close()
  expect(await heddle("artifact", "s1/report@1", "--output", `${file}.2`, ...store)).toMatchObject({ errors: expect.stringContaining("missing") })
  expect(readdirSync(folder).filter((name) => name.startsWith("out.txt"))).toEqual(["out.txt"])
  expect(await heddle("artifact", "report", ...store)).toMatchObject({ errors: expect.stringContaining("report") })
})

it("retire: sessions that have ended are put away, or deleted", async () => {
  expect((await heddle("retire", ...store)).out).toBe("0 sessions put away\n")
  expect((await heddle("retire", "--older-than", "soon", ...store)).errors).toContain("--older-than soon is no duration")
  {
    await using client = (await openHeddle({ store: store[1]! }))._unsafeUnwrap()
    await client.sessions.create({ id: "short", policy: { duration: 1 } })
    await client.sessions.create({ id: "waits" })
    await client.run(seq("w").wait("go"), undefined, { session: "waits", onSuspend: "return" })
    await client.sessions.fail("waits", "given up")
  }
  const retired = await heddle("retire", "--older-than", "0 millis", ...store)
  expect(retired.out).toContain("s2  put away\n")
  expect(retired.out).toContain("short  ran out of time\n")
  // what cannot be put away does not keep the others
  {
    await using client = (await openHeddle({ store: store[1]! }))._unsafeUnwrap()
    await client.sessions.create({ id: "harmed" })
    await client.artifacts.put("large", "x", { session: "harmed" })
    await client.sessions.complete("harmed")
  }
  const file = new DatabaseSync(store[1]!)
  file.exec("UPDATE artifacts SET size = 1e12 WHERE session = 'harmed'")
  file.close()
  const some = await heddle("retire", "--older-than", "0 millis", ...store)
  expect([some.code, some.errors.includes("✗ harmed  "), some.errors.includes("remove some first")]).toEqual([1, true, true])
  expect(some.out).toContain("1 sessions put away, 1 could not be\n")
  expect((await heddle("retire", "--older-than", "-5 days", ...store)).errors).toContain("--older-than -5 days is no duration")
  expect(JSON.parse((await heddle("retire", "--older-than", "0 millis", "--remove", "--json", ...store)).out)).toMatchObject({ ok: true, failed: [] })
  expect((await heddle("retire", "--older-than", "0 millis", "--remove", ...store)).out).toBe("0 sessions deleted\n")
})

it("show: what a run has charged", async () => {
  {
    await using client = (await openHeddle({ store: store[1]! }))._unsafeUnwrap()
    await client.run(seq("dear").step("ask", (_, { charge }) => charge({ tokens: 1200, cost: 0.1 + 0.2 })), undefined, { id: "dear" })
  }
  expect((await heddle("show", "dear", ...store)).out).toContain("used   1200 tokens, 0.3 cost")
  expect(JSON.parse((await heddle("show", "dear", "--json", ...store)).out).usage).toMatchObject({ tokens: 1200 })
  expect((await heddle("show", "r2", ...store)).out).not.toContain("used ")
})
