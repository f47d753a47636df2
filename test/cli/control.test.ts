import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { expect, it, vi } from "vitest"
import { main } from "../../src/cli/main.ts"
import { heddle, terminal } from "./command-line.ts"

const folder = mkdtempSync(join(tmpdir(), "heddle-control-"))
const index = JSON.stringify(new URL("../../src/index.ts", import.meta.url).pathname)
const zod = JSON.stringify(new URL("../../node_modules/zod/index.js", import.meta.url).pathname)
const at = (name: string) => join(folder, name)
const file = (name: string, text: string): string => {
  writeFileSync(at(name), text)
  return at(name)
}
const light = `import { seq } from ${JSON.stringify(new URL("../../dsl/index.ts", import.meta.url).pathname)}\n`
const head = `import { seq, nest } from ${index}\nimport { z } from ${zod}\n`
const order = file(
  "order.ts",
  `${head}
import { existsSync } from "node:fs"
export const order = seq("order", { input: z.object({ n: z.number() }) })
  .step("reserve", ({ input }) => ({ seat: input.n }), { effects: "a seat", compensate: () => undefined })
  .wait("approval", { schema: z.object({ by: z.string() }), timeout: "2 days" })
  .step("pay", ({ approval }) => { if (approval.by === "nobody" && !existsSync(${
    JSON.stringify(at("repaired"))
  })) throw new Error("broken"); return approval.by })
  .returns(({ pay }) => pay)
`,
)
const quick = file(
  "quick.ts",
  `${head}export const quick = seq("quick").step("a", () => 1)\nexport const long = seq("long").loop("l", { times: 25 }, (b) => b.step("s", () => 1))\nexport const slow = seq("slow").step("a", () => new Promise((resolve) => setTimeout(resolve, 700, 1)))\nexport const fails = seq("fails").step("a", () => { throw new Error("always") })\n`,
)
const child = seqChild()
function seqChild(): string {
  return file(
    "child.ts",
    `${head}const kid = seq("kid").wait("go")\nexport const parent = seq("parent").step("c", nest(kid, () => undefined, { as: "run" }))\n`,
  )
}

const on = (...args: ReadonlyArray<string>) => heddle(...args, "--store", at("heddle.db"))

it("a run that waits says how to answer it, is answered, and goes on", async () => {
  const waits = await on("run", order, "--input", "{\"n\":1}", "--id", "one")
  expect(waits.code).toBe(5)
  expect(waits.errors).toContain("✓ reserve {\"seat\":1}\n")
  expect(waits.errors).toContain("send it: heddle signal one approval '<json>'")
  expect((await on("run", order, "--input", "{\"n\":1}", "--id", "one", "--json")).code).toBe(5)
  expect((await on("show", "one")).out).toMatch(/waits for approval or 20/)
  expect((await on("runs", "--status", "suspended")).out).toContain("suspended")
  const wrong = await on("signal", "one", "approval", "{\"by\":5}")
  expect([wrong.code, wrong.errors]).toEqual([2, expect.stringContaining("its payload does not fit: by:")])
  expect((await on("signal", "one", "approval", "{\"by\":\"Ada\"}", "--id", "s")).out).toBe(
    "signal approval to run one: accepted; a worker goes on with it, or: heddle resume one\n",
  )
  expect(JSON.parse((await on("signal", "one", "approval", "{\"by\":\"Ada\"}", "--id", "s", "--json")).out)).toEqual({
    ok: true,
    run: "one",
    signal: "approval",
    sent: "duplicate",
    status: "suspended",
  })
  expect((await on("resume", "one")).out).toBe("Ada\n")
  const [stay] = await Promise.all([
    on("run", order, "--input", "{\"n\":1}", "--id", "stays", "--wait"),
    new Promise((resolve) => setTimeout(resolve, 500)).then(() =>
      main(["node", "heddle", "signal", "stays", "approval", "{\"by\":\"Bob\"}", "--store", at("heddle.db")])
    ),
  ])
  expect(stay.out).toContain("Bob")
  const alone = await on("run", `${child}#parent`, "--id", "p")
  expect([alone.code, alone.errors]).toEqual([5, expect.not.stringContaining("send it")])
  expect((await on("show", "p")).out).toContain("waits for a child run")
})

it("pause, resume, cancel, retry, rerun, fork and rewind, each checked against the run", async () => {
  await on("run", order, "--input", "{\"n\":2}", "--id", "two")
  expect((await on("pause", "two", "--reason", "lunch")).out).toBe("run two paused; go on with: heddle resume two\n")
  expect((await on("show", "two")).out).toContain("paused  lunch")
  expect((await on("pause", "two")).code).toBe(2)
  await on("start", order, "--input", "{\"n\":2}", "--id", "later")
  expect((await on("show", "later")).out).toContain("0 events")
  expect((await on("resume", "two")).code).toBe(5)
  const stale = await on("cancel", "two", "--expect", "1")
  expect([stale.code, stale.errors]).toEqual([2, expect.stringContaining("it has got on since")])
  expect((await on("cancel", "two", "--reason", "changed my mind")).out).toBe("run two cancelled\n")
  expect((await on("cancel", "two")).out).toBe("run two was cancelled already\n")
  await on("run", order, "--input", "{\"n\":3}", "--id", "three")
  await on("signal", "three", "approval", "{\"by\":\"nobody\"}")
  const undone = await on("resume", "three")
  expect([undone.code, undone.errors]).toEqual([1, expect.stringContaining("broken")])
  expect((await on("show", "three")).out).toMatch(/undone[\s\S]*compensated {2}step 'pay' threw: broken/)
  expect((await on("retry", "three")).code).toBe(2)
  await on("run", `${quick}#fails`, "--id", "f")
  expect((await on("retry", "f")).code).toBe(1)
  expect((await on("rerun", "one", "--id", "again")).code).toBe(5)
  expect((await on("rerun", "one", "--input", "{\"n\":9}")).code).toBe(5)
  const plan = await on("rewind", "one", "--to", "pay", "--dry-run")
  expect(plan.errors).toContain("again: pay")
  expect(plan.errors).toContain("kept:  reserve")
  expect(JSON.parse((await on("rewind", "one", "--to", "reserve", "--dry-run", "--json")).out)).toEqual({
    ok: true,
    run: "one",
    again: ["reserve", "pay"],
    kept: [],
  })
  expect((await on("rewind", "one", "--to", "pay")).out).toBe("Ada\n")
  expect((await on("fork", "one", "--from", "pay", "--as", "fork")).out).toBe("Ada\n")
  expect((await on("fork", "one", "--from", "pay", "--json")).code).toBe(0)
  await on("run", `${quick}#long`, "--id", "long")
  expect((await on("rewind", "long", "--to", "l[0]/s", "--dry-run")).errors).toContain("… 5 more")
  const many = await on("rewind", "one", "--to", "nothing")
  expect([many.code, many.errors]).toEqual([2, expect.stringContaining("the flow has no step 'nothing'")])
})

it("a run whose flow is not to be found is cancelled all the same, and says what is left", async () => {
  const moved = file("moved.ts", readFileSync(order, "utf8"))
  await on("run", moved, "--input", "{\"n\":4}", "--id", "four")
  rmSync(moved)
  expect((await on("cancel", "four", "--json")).out).toContain("\"status\":\"compensating\"")
  expect((await on("runs")).out).toContain("compensating")
  expect((await on("cancel", "four")).out).toContain("is being undone; finish with: heddle resume four --flow file.ts#flow")
  expect((await on("resume", "four", "--flow", order)).code).toBe(1)
})

it("start leaves a run for a worker; the worker drives what is due and stops", async () => {
  expect((await on("start", `${quick}#quick`, "--id", "q")).out).toContain("run q waits for a worker: heddle worker")
  expect((await on("start", `${quick}#quick`, "--at", "yesterday")).errors).toContain("--at yesterday is no date")
  await on("start", order, "--input", "{\"n\":5}", "--id", "five")
  await on("start", `${quick}#slow`, "--id", "slow")
  const worked = await on("worker", `${quick}#quick`, order, "--until-idle")
  expect(worked.out).toContain("q  quick  completed")
  expect(worked.out).toContain("five  order  suspended")
  expect(worked.errors).toMatch(/\d+ runs ended here/)
  await on("start", `${quick}#quick`, "--id", "q2", "--at", "2001-01-01T00:00:00Z")
  expect((await on("worker", quick, "--until-idle", "--json")).out).toContain("\"event\":\"run.completed\"")
  expect((await on("worker", file("none.ts", "export {}"))).code).toBe(2)
  const exit = vi.spyOn(process, "exit").mockImplementation((() => undefined) as never)
  const running = on("worker", quick, "--grace", "1")
  await vi.waitFor(() => expect(terminal.errors).toContain("worker "))
  await new Promise((resolve) => setTimeout(resolve, 300))
  process.emit("SIGTERM")
  process.emit("SIGTERM")
  expect((await running).code).toBe(0)
  expect(exit).toHaveBeenCalledWith(130)
  expect((await heddle("worker", quick, "--until-idle", "--store", "memory")).code).toBe(0)
  expect((await heddle("worker", quick, "--store", folder)).code).toBe(4)
})

it("prune, compact, export and import", async () => {
  const store = ["--store", at("keep.db")]
  await heddle("run", `${quick}#quick`, "--id", "k", ...store)
  await heddle("run", order, "--input", "{\"n\":1}", "--id", "open", ...store)
  expect((await heddle("export", "k", ...store)).out).toContain("heddle-run/1")
  expect((await heddle("export", "k", "--output", at("k.json"), ...store)).out).toContain("run k is in")
  expect((await heddle("export", "k", "--output", at("k.json"), "--json", ...store)).out).toContain("\"file\"")
  expect((await heddle("export", "k", "--output", join(folder, "no", "k.json"), ...store)).errors).toContain("cannot write")
  expect((await heddle("import", at("k.json"), "--as", "copy", ...store)).out).toBe("run copy of flow quick is here: completed\n")
  expect((await heddle("import", at("k.json"), "--json", ...store)).code).toBe(2)
  expect((await heddle("import", at("k.json"), "--as", "c2", "--json", ...store)).out).toContain("\"status\":\"completed\"")
  expect((await heddle("import", at("nothing.json"), ...store)).errors).toContain("cannot read")
  expect((await heddle("import", file("bad.json", "{}"), ...store)).errors).toContain("not heddle-run/1")
  expect((await heddle("compact", "open", ...store)).out).toBe("0 events of run open deleted\n")
  expect(JSON.parse((await heddle("compact", "open", "--json", ...store)).out)).toEqual({ ok: true, run: "open", removed: 0 })
  expect((await heddle("prune", "--dry-run", "--status", "completed", ...store)).out).toContain("3 runs would be deleted")
  expect((await heddle("prune", "--older-than", "a while", ...store)).errors).toContain("--older-than a while is no duration")
  expect((await heddle("prune", "--older-than", "1 day", ...store)).out).toBe("0 runs deleted\n")
  expect(JSON.parse((await heddle("prune", "--json", ...store)).out).runs).toHaveLength(3)
})

it("diff says what a change means, also between revisions; lock keeps released shapes", async () => {
  const [one, two] = [
    file("v1.ts", `${light}export const f = seq("f").step("a", () => 1)\n`),
    file("v2.ts", `${light}export const f = seq("f").step("b", () => 1)\n`),
  ]
  const changed = await heddle("diff", one, two)
  expect([changed.code, changed.out]).toEqual([3, expect.stringContaining("- step 'a'\n+ step 'b' at the beginning\nneeds migration: ")])
  expect((await heddle("diff", one, one)).code).toBe(0)
  expect(JSON.parse((await heddle("diff", one, one, "--json")).out)).toMatchObject({ ok: true, verdict: "compatible", changes: [] })
  const moved = file("v4.ts", `${light}export const f = seq("f", { version: 2, migrations: { 1: (state: any) => state } }).step("b", () => 1)\n`)
  expect(JSON.parse((await heddle("diff", one, moved, "--json")).out)).toMatchObject({ ok: true, verdict: "migrates" })
  expect(JSON.parse((await heddle("diff", one, two, "--json")).out)).toMatchObject({ ok: false })
  expect((await heddle("diff", one)).errors).toContain("diff needs a second flow")
  expect((await heddle("diff", one, "--from", "HEAD")).errors).toContain("is it a git repository")
  const git = (...args: ReadonlyArray<string>) => execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@t", ...args], { cwd: folder })
  git("init", "-q")
  const three = file("v3.ts", `${light}export const f = seq("f").step("a", () => 1)\n`)
  git("add", "v3.ts")
  git("commit", "-qm", "one")
  execFileSync("mkdir", ["-p", at("node_modules")])
  writeFileSync(three, `${light}export const f = seq("f").step("a", () => 1).step("end", () => 2)\n`)
  expect((await heddle("diff", three, "--from", "HEAD")).out).toContain("+ step 'end' behind 'a'\ncompatible: ")
  expect((await heddle("diff", `${three}#f`, "--from", "HEAD")).code).toBe(0)
  const unborn = join(dirname(three), "unborn.ts")
  copyFileSync(three, unborn)
  expect((await heddle("diff", unborn, "--from", "HEAD")).errors).toContain("there was no unborn.ts at HEAD")
  expect((await heddle("diff", three, "--from", "nosuch")).errors).toContain("nosuch")
  expect((await heddle("diff", `${three}#nope`, "--from", "HEAD")).errors).toContain("exports no flow 'nope'")

  const lock = ["--output", at("heddle.lock.d.ts")]
  const released = file(
    "released.ts",
    `${light}
interface Deep { readonly d: Date; readonly m: Map<string, number>; readonly s: ReadonlySet<"a" | "b">; readonly l: ReadonlyArray<boolean>; readonly t: readonly [1, "x"]; mt: [1]; o?: Error; u: Uint8Array; r: Record<string, number> }
type Tree = { readonly left?: Tree; readonly n: number | undefined | null }
export const done = seq("done").step("a", (): Deep => null as never).step("t", (): Tree => ({ n: 1 })).step("list", () => [true, 1n]).returns(() => 1)
export const open = seq("open", { version: 2 }).step("x", () => "text" as const)
export default seq("dflt").step("a", () => 1)
`,
  )
  writeFileSync(at("heddle.lock.d.ts"), "interface HeddleLock {\n  \"open\": {\n    3: { \"x\": number }\n    1: { \"x\": number }\n  }\n}\n")
  expect((await heddle("lock", one, "--output", at("fresh.lock.d.ts"))).out).toContain("fresh.lock.d.ts: f 1")
  expect((await heddle("lock", released, "--check", ...lock)).errors).toMatch(/lacks .*dflt 1.*/)
  expect((await heddle("lock", released, ...lock, "--json")).out).toContain("open 2")
  expect((await heddle("lock", released, ...lock)).out).toContain("is up to date")
  const text = readFileSync(at("heddle.lock.d.ts"), "utf8")
  expect(text).toContain("2: { \"x\": \"text\" }")
  expect(text).toContain(
    "\"l\": ReadonlyArray<boolean>; \"m\": Map<string, number>; \"mt\": [1]; \"o\"?: Error | undefined; \"r\": { [key: string]: number }; \"s\": ReadonlySet<\"a\" | \"b\">; \"t\": readonly [1, \"x\"]; \"u\": Uint8Array",
  )
  expect(text).toContain("\"list\": Array<bigint | boolean>")
  expect(text).toContain("unknown")
  writeFileSync(released, readFileSync(released, "utf8").replace("\"text\"", "\"other\""))
  expect((await heddle("lock", released, ...lock)).errors).toContain("'open' version 2 was released with another shape")
  expect(
    (await heddle(
      "lock",
      file("hidden.ts", `${light}const f = { made: seq("h").step("a", () => 1).returns(({ a }) => a) }\nexport const hidden = f.made\n`),
      "--output",
      at("fresh.lock.d.ts"),
    )).errors,
  ).toContain(
    "the shape of 'h' in",
  )
  writeFileSync(at("heddle.lock.d.ts"), "interface Other {}\n")
  expect((await heddle("lock", released, ...lock)).errors).toContain("was changed by hand")
  expect(existsSync(at("heddle.lock.d.ts"))).toBe(true)
}, 180_000)

it("what streams emit is printed item by item; a stream is told to end", async () => {
  const streams = file(
    "streams.ts",
    `${head}export const s = seq("s").stream("out", () => [1, 2, 3, 4], (s) =>
  s.map("check", (n) => { if (n > 3) throw new Error("too many"); return { n } }, { failure: "reject" }).emit())
  .wait("go").stream("rest", () => [1, 2, 3], (s) => s)\n`,
  )
  expect((await on("run", streams, "--id", "em")).code).toBe(5)
  expect((await on("items", "em", "--from", "1")).out).toBe(
    `{"run":"em","path":"out","index":1,"item":{"n":2}}\n{"run":"em","path":"out","index":2,"item":{"n":3}}\n`,
  )
  expect(JSON.parse((await on("items", "em", "--rejected")).out)).toMatchObject({ stage: "check", item: 4, error: expect.stringContaining("too many") })
  expect((await on("drain", "em")).out).toBe("run em: its streams read no more, what was read goes through\n")
  expect((await on("signal", "em", "go", "--flow", streams)).code).toBe(0)
  expect((await on("resume", "em", "--flow", streams)).out).toContain("\"rest\": 0")
  expect((await on("items", "em", "--follow", "--path", "rest")).out).toBe("")
  expect(JSON.parse((await on("drain", "em", "--json")).errors || terminal.out)).toMatchObject({ ok: false })
})
