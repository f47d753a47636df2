/** A canary that is given everywhere is found nowhere. */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { Effect, Redacted, Tracer } from "effect"
import { hook, nest, openHeddle, secret, seq, state, tool, transaction } from "heddle"
import { agent, cassette, openai, scripted } from "heddle/agents"
import { logging } from "heddle/hooks"
import { jsonLines } from "heddle/telemetry"
import { web } from "heddle/tools"
import { expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { withoutSecrets } from "../../src/model/without-secrets.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { openSqlite } from "../../src/store/sqlite/store.ts"
import { recorder } from "../support.ts"
import { folder } from "./kit.ts"

const canary = "Canary-7f3+\"9Qz/x"
const forms = [
  canary,
  JSON.stringify(canary).slice(1, -1),
  encodeURIComponent(canary),
  Buffer.from(canary).toString("base64").slice(0, -2),
  Buffer.from(`user:${canary}`).toString("base64").slice(8, -3),
]
const found = (text: string) => forms.filter((form) => text.includes(form))
/** Everything in the files of a folder, as it lies there. */
const lying = (at: string): string =>
  readdirSync(at, { recursive: true, encoding: "utf8", withFileTypes: true }).filter((one) => one.isFile()).map((one) =>
    readFileSync(join(one.parentPath, one.name), "latin1")
  ).join("\n")
it("what is a secret is told as it is until it is one", () => {
  const error = new Error("x")
  expect(withoutSecrets(error)).toBe(error)
  expect(() => secret("short")).toThrow("at least 8 characters")
})

it("env, input, header, error, tool result: it is in no file, event, span, log line, bundle or error", async () => {
  process.env["CANARY"] = canary
  const key = secret(process.env["CANARY"])
  const at = folder()
  const lines: Array<string> = []
  const seen: Array<string> = []
  const server = createServer((request, response) => {
    seen.push(String(request.headers["x-key"] ?? request.headers.authorization))
    if (request.url!.startsWith("/v1")) return void response.writeHead(400).end(JSON.stringify({ error: { message: `bad key ${canary}` } }))
    response.writeHead(200, { "x-echo": String(request.headers["x-key"]) }).end(`you sent ${String(request.headers["x-key"])}`)
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const note = state<string, "note">("note", { scope: "global" })
  class Odd extends Error {
    readonly header = { authorization: `Bearer ${canary}` }
    readonly nothing = undefined
  }
  const leaky = tool("leaky", { description: "Leaks.", input: z.object({}) }, () => ({ basic: `Basic ${Buffer.from(`user:${canary}`).toString("base64")}` }))
  const model = scripted((
    { messages },
  ) => (messages.some(({ role }) => role === "tool") ? { text: `"done with ${canary}"` } : { calls: [{ name: "leaky", args: {} }] }))
  const clerk = agent("clerk", { input: z.object({}), output: z.string(), model: cassette(join(at, "tape.json"), model), tools: [leaky] })
  const live: Array<unknown> = []
  const flow = seq("f", { input: z.object({ token: z.string() }) })
    .step("env", () => ({ env: process.env["CANARY"], list: [`${canary}!`], large: `${canary} `.repeat(30_000) }))
    .step("used", ({ env }) => [live.push(env.env), Redacted.value(key) === canary])
    .step("asked", nest(web({ addresses: ["127.0.0.1"], ports: [port] }).request, () => ({ url, headers: { "x-key": Redacted.value(key) } })))
    .step("link", () => `https://example.com/?key=${encodeURIComponent(canary)}`)
    .step("kept", async (_, { state: own, artifacts, progress }) => {
      progress({ at: canary })
      await own.set(note, canary)
      await artifacts.put("report", `it is ${canary}`, { tags: [`t-${canary}`], about: { canary } })
    })
    .step("agent", nest(clerk, () => ({})))
    .wait("go", { schema: z.string() })
    .protect("guarded", (b) =>
      b.step("odd", (): number => {
        throw Object.assign(new Odd(`it broke: ${canary}`, { cause: new Error(canary) }), {})
      }).step("never", () => 1), { fallback: () => 0 })
    .step("bad", nest(agent("bad", { input: z.object({}), model: openai({ baseUrl: `${url}/v1`, model: "m", apiKey: key }) }), () => ({})))
  const open = { store: join(at, "h.db"), hooks: logging((line) => lines.push(JSON.stringify(line))) }
  let heddle = (await openHeddle(open))._unsafeUnwrap()
  heddle.listen(jsonLines((line) => lines.push(line)))
  heddle.listen((event) => lines.push(JSON.stringify(event)))
  await heddle.sessions.create({ id: "s", context: { who: canary } })
  const waits = await heddle.run(flow as any, { token: canary }, { id: "r", session: "s", onSuspend: "return" })
  expect(waits.isErr() && waits.error._tag).toBe("RunSuspended")
  expect((await heddle.signal(flow, "r", "go", canary)).isOk()).toBe(true)
  const result = await heddle.resume(flow as any, "r")
  const error: Error = result._unsafeUnwrapErr()
  expect((error as unknown as { readonly _tag: string })._tag).toBe("ModelFailed")
  expect(seen.some((header) => header === canary) && seen.includes(`Bearer ${canary}`)).toBe(true)
  expect(live).toEqual(["[redacted]"])
  const told = [
    `${error.message} ${JSON.stringify(error)} ${error.stack}`,
    JSON.stringify((await heddle.events("r"))._unsafeUnwrap()),
    ...(await Effect.runPromise(
      Effect.scoped(Effect.flatMap(openSqlite(join(at, "h.db")), (store) => {
        const { export: bundle, signals } = makeHeddle(store)
        return Effect.all([bundle("r"), Effect.map(signals("r"), (all) => JSON.stringify(all))])
      })),
    )),
    JSON.stringify((await heddle.get("r"))._unsafeUnwrap()),
    JSON.stringify((await heddle.sessions.get("s"))._unsafeUnwrap()),
    String((await heddle.state().get(note))._unsafeUnwrap()),
    (await heddle.artifacts.text("report", { session: "s" }))._unsafeUnwrap(),
    lines.join("\n"),
    lying(at),
  ]
  expect(told.map(found)).toEqual(told.map(() => []))
  expect(told[1]).toContain("[redacted]")
  await heddle.close()
  expect(found(lying(at))).toEqual([])

  // a second opinion: without the secret being one, the same test does find it
  heddle = (await openHeddle(open))._unsafeUnwrap()
  await heddle.run(seq("plain").step("s", () => "Canary-of-nobody"), undefined)
  await heddle.close()
  expect(lying(at)).toContain("Canary-of-nobody")

  const { tracer, spans } = recorder()
  const traced = seq("t", { input: z.any() }).step("a", () => {
    throw new Odd(canary)
  })
  const conditional = seq("c").when("w", () => {
    throw new Error(canary)
  }, (b) => b.step("x", () => 1))
  for (const one of [traced, conditional]) {
    const ran = Effect.exit(makeHeddle(memoryStore()).run(one as any, { token: canary })) as Effect.Effect<unknown>
    await Effect.runPromise(Effect.provideService(ran, Tracer.Tracer, tracer))
  }
  const shown = spans.map(({ attributes, status, events, name }) =>
    `${name} ${JSON.stringify([...attributes])} ${JSON.stringify(events)} ${status._tag === "Ended" ? shownAs(status.exit) : ""}`
  ).join("\n")
  expect(spans.length).toBeGreaterThan(2)
  expect(found(shown)).toEqual([])
  expect(shown).toContain("[redacted]")
  server.close()
})
const shownAs = (exit: unknown): string => `${JSON.stringify(exit)} ${String(exit)}`

it("a live run and a resumed one see the same, wherever a value comes from", async () => {
  secret(canary)
  const note = state<string, "note">("note", { scope: "run" })
  const seen: Array<unknown> = []
  const inner = seq("inner").step("s", () => 1).returns(() => canary)
  const flow = seq("f", { input: z.object({ token: z.string() }) })
    .step("nested", nest(inner, () => undefined))
    .match("chosen", () => "a" as const, { a: (b) => b.step("s", () => 1).returns(() => canary) })
    .each("items", () => [1, 2], (b) => b.step("s", () => 1).returns(() => canary))
    .parallel("both", { a: (b) => b.step("s", () => canary), b: (b) => b.step("s", () => 1).returns(() => canary) })
    .step("own", async (_, { state: own }) => {
      await own.set(note, canary)
      return own.get(note)
    })
    .step("changed", async (_, { state: own }) => {
      const updated = await own.update(note, (before) => `${before} ${canary}`)
      return [updated, await own.compareAndSet(note, updated, canary), await own.get(note)]
    })
    .step("before", (scope) => void seen.push(JSON.stringify(scope)))
    .wait("go")
    .step("after", (scope) => void seen.push(JSON.stringify({ ...scope, before: undefined, go: undefined })))
    .returns(() => `at the end ${canary}`)
  const replaces = hook("step.after", ({ path }) => (path === "own" ? { does: "replace", value: `${canary} by a hook` } : undefined))
  const file = join(folder(), "h.db")
  const first = (await openHeddle({ store: file, hooks: [replaces] }))._unsafeUnwrap()
  await first.sessions.create({ id: "s", name: canary, user: canary, tags: [canary] })
  await first.sessions.change("s", { tags: [`${canary}!`] })
  await first.run(flow as any, { token: canary }, { id: "r", session: "s", onSuspend: "return" })
  await first.close()
  const second = (await openHeddle({ store: file, hooks: [replaces] }))._unsafeUnwrap()
  await second.signal(flow as any, "r", "go" as never, undefined as never)
  expect((await second.resume(flow as any, "r"))._unsafeUnwrap()).toBe("at the end [redacted]")
  expect(seen[0]).toBe(seen[1])
  expect(JSON.parse(String(seen[0])).changed).toEqual(["[redacted] [redacted]", true, "[redacted]"])
  expect(found(String(seen[0]))).toEqual([])
  await second.run(seq("w").step("a", async (_, { artifacts }) => void await artifacts.put("x", "x", { type: canary })).wait("go"), undefined, {
    id: "w",
    session: "s",
    onSuspend: "return",
  })
  await second.artifacts.tag("x", [canary], { session: "s" })
  await second.pause("w", { reason: canary })
  await second.cancel("w", { reason: canary })
  await second.sessions.fail("s", canary)
  await second.close()
  expect(found(lying(file.slice(0, -5)))).toEqual([])
})

it("a transaction gives it to nobody either", async () => {
  secret(canary)
  const heddle = (await openHeddle({ store: join(folder(), "h.db") }))._unsafeUnwrap()
  const flow = seq("f").step("t", transaction((_sql, _scope, { progress }) => (progress(canary), canary))).step("then", ({ t }) => t.length)
  expect((await heddle.run(flow, undefined))._unsafeUnwrap()).toMatchObject({ t: "[redacted]", then: 10 })
  await heddle.close()
  // what cannot be recorded is for the record to refuse
  const odd = () => canary
  expect(withoutSecrets(odd)).toBe(odd)
})

it("the command line shows it to nobody", () => {
  const at = folder()
  const index = JSON.stringify(new URL("../../src/index.ts", import.meta.url).pathname)
  writeFileSync(
    join(at, "flow.ts"),
    `import { secret, seq } from ${index}
const key = secret(process.env.CANARY!)
export const gives = seq("gives").step("s", () => process.env.CANARY)
export const fails = seq("fails").step("s", () => { throw new Error("no: " + process.env.CANARY) })
export const decides = seq("decides").when("w", () => { throw new Error("no: " + process.env.CANARY) }, (b) => b.step("x", () => 1))
void key
`,
  )
  const said = [
    ["run", `${at}/flow.ts#gives`, "--id", "g"],
    ["run", `${at}/flow.ts#gives`, "--id", "j", "--json"],
    ["run", `${at}/flow.ts#fails`, "--id", "f", "--debug"],
    ["run", `${at}/flow.ts#decides`, "--id", "d", "--debug"],
    ["show", "g"],
    ["show", "f", "--debug"],
    ["events", "f", "--json"],
    ["export", "f"],
  ].map((args) => {
    try {
      return execFileSync(process.execPath, [
        "--conditions=source",
        "--disable-warning=ExperimentalWarning",
        "test/security/cli.ts",
        ...args,
        "--store",
        join(at, "h.db"),
      ], {
        encoding: "utf8",
        stdio: "pipe",
        env: { ...process.env, CANARY: canary },
      })
    } catch (error) {
      const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
      return `${stdout}\n${stderr}`
    }
  })
  expect(said.map(found)).toEqual(said.map(() => []))
  expect(said.slice(0, 4).every((text) => text.includes("[redacted]"))).toBe(true)
  expect(found(lying(at).replaceAll(readFileSync(join(at, "flow.ts"), "latin1"), ""))).toEqual([])
}, 60_000)
