/** What a reading of services found: each was wrong once. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Fiber, Stream } from "effect"
import { merge, openHeddle, run, seq, state, tool } from "heddle"
import { agent, aiSdk, cassette, handOff, type ModelPart, type ModelRequest, openai, Pool, scripted } from "heddle/agents"
import { files, fillTemplate, formatData, sql, web } from "heddle/tools"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { codeOf, failure, go, useTool } from "../support.ts"

const folder = () => mkdtempSync(join(tmpdir(), "heddle-services-"))
const used = async (definition: any, input: unknown): Promise<any> => (await useTool(definition, input)).match((value) => value, codeOf)
const Ask = z.object({ text: z.string() })
const calling = (name: string, args: object, id = "1") => ({ text: "", calls: [{ id, name, args: JSON.stringify(args) }] })

let answer: (response: ServerResponse) => void = () => undefined
let closed = 0
const server = createServer((_request, response) => {
  response.on("close", () => void closed++)
  answer(response)
})
let baseUrl = ""
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
const request: ModelRequest = { messages: [{ role: "user", text: "hi" }], tools: [], output: undefined, settings: {}, key: "k" }
const turn = (options: object = {}) => Stream.runCollect(openai({ baseUrl, model: "m", ...options }).turn(request))

describe("what may not be read", () => {
  it("is not read by joins that SQLite asks nobody about; tables of later are known", async () => {
    const file = join(folder(), "s.db")
    const db = new DatabaseSync(file)
    db.exec("CREATE TABLE orders (k, v); CREATE TABLE secrets (k, v); INSERT INTO secrets VALUES ('top', 'val'); INSERT INTO orders VALUES (1, 'using')")
    const { query, close } = sql({ file, tables: ["orders"], hidden: ["orders.v"] })
    try {
      for (
        const text of [
          "SELECT k, v FROM secrets FULL JOIN (SELECT 1 AS k, 2 AS v) USING(k, v)",
          "SELECT k, v FROM secrets NATURAL FULL JOIN (SELECT 1 AS k, 2 AS v)",
          "SELECT sql FROM sqlite_schema FULL JOIN (SELECT 1 AS sql) USING(sql)",
          "SELECT v FROM orders FULL JOIN (SELECT 1 AS v)/**/UsInG(v)",
          // what is in quotes for one reader is not for another
          "SELECT $x('), k FROM secrets FULL JOIN (SELECT 1 AS k) USING(k) WHERE '1'='1'",
        ]
      ) expect([text, await used(query, { sql: text })]).toEqual([text, "sql"])
      expect(await used(query, { sql: "SELECT k, ? AS x FROM orders", values: ["it's using"] })).toMatchObject({ rows: [[1, "it's using"]] })
      db.exec("CREATE TABLE late (a)")
      expect(await used(query, { sql: "SELECT count(*) FROM late" })).toBe("sql")
    } finally {
      close()
      db.close()
    }
  })

  it("is not another folder behind a number that was given back", async () => {
    const [first, second] = [folder(), folder()]
    writeFileSync(join(second, "secret.txt"), "of another")
    const a = files({ root: first })
    a.close()
    const b = files({ root: second })
    a.close()
    expect([await used(a.read, { path: "secret.txt" }), await used(a.write, { path: "x.txt", content: "" })]).toEqual(["closed", "closed"])
    expect(await used(b.read, { path: "secret.txt" })).toBe("of another")
    b.close()
  })

  it("is no older version of what was revoked", async () => {
    const heddle = makeHeddle(memoryStore())
    const { artifacts } = heddle
    const place = { session: "a" }
    await go(artifacts.put("doc", "v1", place))
    await go(artifacts.put("doc/more", "other", place))
    await go(artifacts.grant("doc", { to: "b", may: "read" }, place))
    await go(artifacts.put("doc", "v2", place))
    await go(artifacts.revoke("doc", "b", place))
    const reads = seq("f").step("s", (_, { artifacts: own }) => own.text("doc", { session: "a", version: 1 }))
    expect(await failure(heddle.run(reads, undefined, { session: "b" }))).toMatchObject({ _tag: "ArtifactNotFound" })
    expect(await failure(artifacts.put("odd", "x", { ...place, from: [{ id: "garbage" }] } as never))).toMatchObject({ _tag: "ArtifactRefused" })
  })
})

describe("state", () => {
  it("one of two compares wins, also where the key has a merge; its time stays", async () => {
    const heddle = makeHeddle(memoryStore())
    const lock = state("lock", { scope: "global", initial: "free", merge: merge.last })
    const take = seq<{ who: string }>("take").step("s", async ({ input }, { state: own }) => {
      const won = await own.compareAndSet(lock, "free", input.who)
      await Effect.runPromise(Effect.sleep(20))
      return won
    })
    const both = await go(Effect.all([heddle.run(take, { who: "a" }), heddle.run(take, { who: "b" })], { concurrency: 2 }))
    expect(both.map(({ s }) => s).toSorted()).toEqual([false, true])
    const lease = state<string>("lease", { scope: "global" })
    await go(heddle.run(
      seq("f").step("s", async (_, { state: own }) => {
        await own.set(lease, "a", { ttl: "50 millis" })
        await own.compareAndSet(lease, "a", "b")
      }),
      undefined,
    ))
    await go(Effect.sleep(80))
    expect(await go(heddle.state().get(lease))).toBe(undefined)
  })

  it("a transaction begins again where what it has only read is another; who may only write reads nothing", async () => {
    const heddle = makeHeddle(memoryStore())
    const credit = state("credit", { scope: "global", initial: 5 })
    const spent = state("spent", { scope: "global", initial: 0 })
    let tries = 0
    await go(
      heddle.state().transaction((own) =>
        Effect.gen(function*() {
          const left = yield* own.get(credit)
          if (++tries === 1) yield* heddle.state().set(credit, 0)
          yield* own.set(spent, left)
        })
      ),
    )
    expect([tries, await go(heddle.state().get(spent))]).toEqual([2, 0])
    const salary = state("salary", { scope: "global", initial: 7, readers: ["boss"], writers: ["clerk", "boss"] })
    const does = (act: (own: any) => unknown) => heddle.run(seq("clerk").step("s", async (_, { state: own }) => void await act(own)), undefined)
    const peeks: Array<(own: any) => unknown> = [
      (own) => own.update(salary, (v: number) => v),
      (own) => own.increment(salary, 0),
      (own) => own.compareAndSet(salary, 7, 7),
    ]
    for (const peek of peeks) expect((await failure(does(peek))).message).toContain("is not among its readers")
    await go(does((own) => own.set(salary, 8)))
    await go(does((own) => own.delete(salary)))
  })

  it("a session with a long id can be put away", async () => {
    const { sessions } = makeHeddle(memoryStore())
    const id = "s".repeat(250)
    await go(sessions.create({ id }))
    await go(sessions.complete(id))
    expect((await go(sessions.archive(id))).name).toMatch(/^sessions\/s{200}-[0-9a-f]{20}\.json$/)
    expect((await go(sessions.archive(id))).version).toBe(1)
  })
})

describe("tools", () => {
  it("have bounds before they do the work", async () => {
    const wide = Array.from({ length: 4000 }, (_, i) => ({ [`k${i}`]: 1 }))
    expect(await used(formatData, { format: "csv", value: wide })).toBe("value")
    expect(await used(fillTemplate, { template: "{{a}}".repeat(4000), values: { a: "x".repeat(10_000) } })).toBe("too-much")
    expect(await used(fillTemplate, { template: "{{a}}{{b}}", values: { a: "1" } })).toBe("missing")
    const tools = files({ root: folder(), most: 10 })
    expect(await used(tools.write, { path: "a", content: "€€€€" })).toBe("size")
    await used(tools.write, { path: "a", content: "1" })
    for (let i = 0; i < 2; i++) expect(await used(tools.pack, { path: "", archive: "./out.zip" })).toMatchObject({ files: 1 })
    tools.close()
  })

  it("an answer without a body is one, however it says it is packed; HEAD stays HEAD", async () => {
    const methods: Array<string> = []
    const { request: ask } = web({ addresses: ["127.0.0.1"], ports: [Number(new URL(baseUrl).port)] })
    answer = (response) => {
      methods.push(response.req.method!)
      if (response.req.url === "/go") response.writeHead(303, { location: "/there" })
      else response.writeHead(response.req.method === "HEAD" ? 200 : 204, { "content-encoding": "gzip" })
      response.end()
    }
    expect(await used(ask, { url: `${baseUrl}/empty` })).toMatchObject({ status: 204 })
    expect(await used(ask, { url: `${baseUrl}/go`, method: "HEAD" })).toMatchObject({ status: 200 })
    expect(methods).toEqual(["GET", "HEAD", "HEAD"])
  })
})

describe("models", () => {
  const says = (...chunks: ReadonlyArray<object>) => (response: ServerResponse) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    for (const chunk of chunks) response.write(`data: ${JSON.stringify(chunk)}\n\n`)
    response.end()
  }
  const call = (index: number | undefined, id: string | undefined, args: string) => ({
    choices: [{ delta: { tool_calls: [{ index, id, function: { name: id === undefined ? undefined : "ping", arguments: args } }] } }],
  })
  const done = { choices: [{ delta: {}, finish_reason: "tool_calls" }], usage: { prompt_tokens: -100, completion_tokens: 5 } }

  it("calls are told apart by their ids, whatever numbers they have; who counts wrong does not count", async () => {
    const calls = async () => (await go(turn())).flatMap((part: ModelPart) => (part.type === "call" ? [[part.call.id, part.call.name, part.call.args]] : []))
    answer = says(call(0, "c1", "{\"a\":"), call(0, undefined, "1}"), call(0, "c2", "{}"), call(undefined, "c3", "{}"), done)
    expect(await calls()).toEqual([["c1", "ping", "{\"a\":1}"], ["c2", "ping", "{}"], ["c3", "ping", "{}"]])
    answer = says(call(1, "", "{}"), done)
    expect(await calls()).toEqual([["call_0", "ping", "{}"]])
    answer = says(call(3, "c1", "{}"), done)
    expect((await go(turn())).at(-1)).toMatchObject({ type: "finish", usage: { estimated: true } })
  })

  it("a refusal that does not end is one, and its connection ends with whoever asked; no key is none", async () => {
    answer = (response) => void response.writeHead(500).write("internal")
    const [before, began] = [closed, performance.now()]
    expect(await failure(turn({ timeout: 200 }))).toMatchObject({ kind: "unavailable", status: 500 })
    expect(performance.now() - began).toBeLessThan(3000)
    const fiber = Effect.runFork(turn() as Effect.Effect<unknown>)
    await go(Effect.sleep(100))
    await go(Fiber.interrupt(fiber))
    answer = (response) => void response.writeHead(500).write("x".repeat(100_000))
    expect((await failure(turn())).reason).toHaveLength(500)
    await expect.poll(() => closed - before).toBe(3)
    answer = (response) => void response.writeHead(400).end("bad")
    expect((await failure(turn({ apiKey: "" }))).reason).toBe("bad")
  })

  it("what is not tried again is not waited for; the last try neither", async () => {
    answer = (response) => void response.writeHead(401, { "retry-after": "30" }).end("no")
    const began = performance.now()
    const asked = agent("a", { input: Ask, model: openai({ baseUrl, model: "m" }) })
    expect((await run(asked, { text: "x" }))._unsafeUnwrapErr()).toMatchObject({ kind: "unauthorized" })
    expect(performance.now() - began).toBeLessThan(5000)
  })

  it("an answer that is cut is none", async () => {
    const sdk = (...parts: ReadonlyArray<object>) =>
      aiSdk({
        modelId: "m",
        provider: "p",
        doStream: async () => ({ stream: new ReadableStream({ start: (to) => (parts.forEach((part) => to.enqueue(part)), to.close()) }) }),
      } as never)
    const told = { type: "text-delta", delta: "4" }
    const fails = async (...parts: ReadonlyArray<object>) => (await run(agent("a", { input: Ask, model: sdk(...parts) }), { text: "x" }))._unsafeUnwrapErr()
    expect(await fails(told)).toMatchObject({ _tag: "ModelFailed", kind: "malformed" })
    expect(await fails(told, { type: "finish", finishReason: "error" })).toMatchObject({ _tag: "ModelFailed" })
  }, 60_000)

  it("two cassettes of one file keep what each has heard", async () => {
    const file = join(folder(), "tape.json")
    const [a, b] = [cassette(file, scripted(["1", "2"])), cassette(file, scripted(["3", "4"]))]
    const hear = (model: typeof a, text: string) => go(Stream.runCollect(model.turn({ ...request, messages: [{ role: "user", text }] })))
    for (const [model, text] of [[a, "w"], [b, "x"], [a, "y"], [b, "z"]] as const) await hear(model, text)
    expect(Object.keys(JSON.parse(readFileSync(file, "utf8")) as object)).toHaveLength(4)
  })
})

describe("agents", () => {
  it("what a hand-off gives is in the type of what the agent gives", async () => {
    const other = agent("other", { input: Ask, output: z.object({ n: z.number() }), model: scripted(["{\"n\":7}"]) })
    const first = agent("first", {
      input: Ask,
      output: z.enum(["a", "b"]),
      model: scripted([calling("other", { text: "x" })]),
      tools: [handOff(other)],
    })
    const value = (await run(first, { text: "x" }))._unsafeUnwrap()
    // @ts-expect-error it may be what the other one gives
    const narrow: "a" | "b" = value
    const wide: "a" | "b" | { n: number } = value
    expect([narrow, wide]).toEqual([{ n: 7 }, { n: 7 }])
  })

  it("an approval that comes twice is one", async () => {
    const paid: Array<string> = []
    const pay = tool(
      "pay",
      { description: "Pays.", input: z.object({ to: z.string() }), level: "privileged", approval: true },
      ({ to }) => (paid.push(to), "ok"),
    )
    const clerk = agent("clerk", {
      input: Ask,
      model: scripted([calling("pay", { to: "Ada" }), calling("pay", { to: "Ada" }), "done"]),
      tools: [pay],
    })
    await using heddle = (await openHeddle())._unsafeUnwrap()
    await heddle.run(clerk, { text: "x" }, { id: "r", onSuspend: "return" })
    const { hash } = JSON.parse((await heddle.events("r"))._unsafeUnwrap().find(({ name }) => name === "ask")!.data).output
    for (let i = 0; i < 2; i++) await heddle.signal(clerk, "r", "approval", { hash, approved: true })
    expect((await heddle.resume(clerk, "r", { onSuspend: "return" }))._unsafeUnwrapErr()).toMatchObject({ _tag: "RunSuspended" })
    expect(paid).toEqual(["Ada"])
  })

  it("a member that goes can be neither held nor freed", async () => {
    let end = () => {}
    const gone = new Promise<void>((resolve) => (end = resolve))
    const pool = new Pool("p", { size: 1, make: (nr) => Effect.acquireRelease(Effect.succeed(nr), () => Effect.promise(() => gone)) })
    await go(pool.use(() => Effect.void))
    const closing = Effect.runFork(pool.close)
    await go(Effect.sleep(20))
    await go(Effect.andThen(pool.pause(1), pool.resume(1)))
    end()
    await go(Fiber.join(closing))
    expect(pool.stats.members).toEqual([])
  })
})
