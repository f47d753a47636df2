/** Attacks on runs, sessions and what is kept of them. */
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect } from "effect"
import { nest, openHeddle, seq, state, tool } from "heddle"
import { agent, scripted } from "heddle/agents"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { digest } from "../../src/engine/untrusted.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { type Attack, codeOf, effect, folder, isClean } from "./kit.ts"

/** How documents of a session are received that were changed, and signed again. */
const forgedSessions = async (): Promise<ReadonlyArray<string>> => {
  const heddle = makeHeddle(memoryStore())
  await effect(heddle.sessions.create({ id: "s", context: { tier: "gold" } }))
  const keeps = seq("f").step("a", async (_, { state: kept, artifacts }) => {
    await kept.set(state<string>("k", { scope: "session" }), "x")
    await artifacts.put("report", "x")
  })
  await effect(heddle.run(keeps, undefined, { id: "sr", session: "s" }))
  const { format, sha256: _, ...content } = JSON.parse(await effect(heddle.sessions.export("s")))
  const changes: ReadonlyArray<(c: any) => void> = [
    (c) => (c.session.id = "../x"),
    (c) => (c.session.status = "owned"),
    (c) => (c.session.context = "{\"__proto__\":{\"polluted\":1}}"),
    (c) => (c.session.policy = "{\"runs\":\"many\"}"),
    (c) => (c.session.policy = "{"),
    (c) => (c.session.carried = "{\"spent\":{\"tokens\":-5}}"),
    (c) => (c.state[0].name = "../k"),
    (c) => (c.state[0].value = "{"),
    (c) => (c.runs[0].id = "a b"),
    (c) => (c.runs[0].bundle = "{}"),
    (c) => (c.artifacts[0].name = "../../etc/passwd"),
    (c) => (c.artifacts[0].version = 0),
    (c) => (c.artifacts[0].content = 5),
    (c) => (c.artifacts[0].grants = [{ to: "*", may: "own" }]),
    (c) => (c.runs = Array.from({ length: 3 }, () => c.runs[0])),
    (c) => delete c.artifacts,
  ]
  const outcomes: Array<string> = []
  for (const change of changes) {
    const copy = structuredClone(content)
    change(copy)
    const victim = makeHeddle(memoryStore())
    const done = await effect(victim.sessions.import(JSON.stringify({ format, sha256: digest(copy), ...copy })))
    const left = [await effect(victim.sessions.list()), await effect(victim.list()), await effect(victim.artifacts.list({ session: "s" }))]
    const refused = ["BundleInvalid", "ArtifactRefused", "RunConflict", "StateRefused", "SessionRefused"].includes(done)
    outcomes.push(!refused ? `taken: ${String(change)}` : left.some((all) => all.length > 0) ? `left behind: ${String(change)}` : "BundleInvalid")
  }
  return outcomes
}

export const engine: ReadonlyArray<Attack> = [
  {
    id: 46,
    attack: "a stored row that somebody has changed",
    run: async () => {
      const db = join(folder(), "h.db")
      const heddle = (await openHeddle({ store: db }))._unsafeUnwrap()
      let ran = 0
      const flow = seq("f").step("a", () => ++ran).wait("go").step("b", () => ++ran)
      await heddle.run(flow, undefined, { id: "r", onSuspend: "return" })
      await heddle.close()
      const outcomes: Array<string> = []
      for (const data of ["not json", "{\"output\":{\"$\":\"evil\"}}", "{\"ref\":99}", "{\"output\":{\"__proto__\":{\"polluted\":1}}}", "{\"blob\":\"x\"}"]) {
        const raw = new DatabaseSync(db)
        raw.prepare("UPDATE events SET data = ? WHERE kind = 'step.completed'").run(data)
        raw.close()
        const again = (await openHeddle({ store: db }))._unsafeUnwrap()
        await again.signal(flow, "r", "go", undefined, { id: "s" })
        outcomes.push(await again.resume(flow, "r").then((result) => result.match((value) => `done: ${JSON.stringify(value)}`, codeOf), codeOf))
        await again.close()
      }
      return {
        outcome: [...new Set(outcomes.map((one) => one.slice(0, 40)))].join(", "),
        pass: isClean() && ran <= 2 && outcomes.every((one) => one === "StoreFailed" || one.startsWith("done")),
      }
    },
  },
  {
    id: 49,
    attack: "loops, fan-outs, nesting and agents without end",
    run: async () => {
      const heddle = makeHeddle(memoryStore())
      const loop = seq("l", { budget: { iterations: 100 } }).loop({ while: () => true, max: 1_000_000 }, (b) => b.step("s", () => 1))
      let nested: any = seq("n").step("s", () => 1)
      for (let i = 0; i < 40; i++) nested = seq(`n${i}`).step("in", nest(nested, () => undefined))
      const endless = agent("a", {
        input: z.object({}),
        model: scripted(() => ({ calls: [{ name: "t", args: {} }] })),
        tools: [tool("t", { description: "x", input: z.object({}) }, () => 1)],
        limits: { turns: 4 },
      })
      let [most, now] = [0, 0]
      const wide = seq("w").each("all", () => Array.from({ length: 3000 }, (_, i) => i), (b) =>
        b.step("s", async () => {
          most = Math.max(most, ++now)
          await new Promise((done) => setImmediate(done))
          now--
        }), { concurrency: "unbounded" })
      const outcomes = [await effect(heddle.run(loop, undefined)), await effect(heddle.run(nested, undefined)), await effect(heddle.run(endless, {}))]
      await effect(heddle.run(wide, undefined))
      return {
        outcome: `${outcomes.join(", ")}; ${most <= 1000 ? "at most 1000" : most} at once`,
        pass: outcomes.join() === "LimitExceeded,FlowInvalid,AgentFailed" && most <= 1000,
      }
    },
  },
  {
    id: 54,
    attack: "1,000 runs at once, each in a session of its own, see each other",
    run: async () => {
      const heddle = makeHeddle(memoryStore())
      const mine = state<string, "mine">("mine", { scope: "session" })
      const flow = seq("f", { session: z.object({ who: z.string() }) }).step("set", async ({ session }, { state: own }) => {
        await own.set(mine, session.who)
        await new Promise((done) => setImmediate(done))
      }).step("get", async ({ session }, { state: own }) => `${session.who}=${await own.get(mine)}`)
      const ids = Array.from({ length: 1000 }, (_, i) => `s${i}`)
      await effect(Effect.forEach(ids, (id) => heddle.sessions.create({ id, context: { who: id } })))
      const all: ReadonlyArray<{ get: string }> = await effect(
        Effect.forEach(ids, (session) => heddle.run(flow, undefined, { session }), { concurrency: "unbounded" }),
      )
      const mixed = all.filter(({ get }, i) => get !== `s${i}=s${i}`).length
      return { outcome: `${mixed} of ${all.length} mixed up`, pass: mixed === 0 && all.length === 1000 }
    },
  },
  {
    id: 55,
    attack: "documents of runs and sessions that were made to do harm",
    run: async () => {
      const heddle = makeHeddle(memoryStore())
      const key = state("k", { scope: "global", initial: "safe" })
      await effect(
        heddle.run(
          seq("f").step("a", (_, { state: own }) => own.set(state("k", { scope: "run", initial: "" }), "x"), { compensate: () => undefined }).wait("go"),
          undefined,
          { id: "r", onSuspend: "return" },
        ),
      )
      const bundle = JSON.parse(await effect(heddle.export("r")))
      const { format, sha256: _, ...content } = bundle
      const forged = (change: (content: any) => void) => {
        const copy = structuredClone(content)
        change(copy)
        return JSON.stringify({ format, sha256: digest(copy), ...copy })
      }
      const victim = makeHeddle(memoryStore())
      await effect(victim.state().set(key, "safe"))
      const outcomes = [
        await effect(victim.import("{")),
        await effect(victim.import(forged((c) => (c.run.id = "../x")))),
        await effect(victim.import(forged((c) => (c.events[1].data = "{\"output\":{\"__proto__\":1}}")))),
        await effect(victim.import(forged((c) => (c.events[1].data = `{"output":${"[".repeat(2000)}${"]".repeat(2000)}}`)))),
        await effect(victim.import(forged((c) => (c.events[1].data = "{\"output\":1,\"state\":5}")))),
        await effect(victim.sessions.import("{}")),
        ...await forgedSessions(),
      ]
      await effect(
        victim.import(
          forged((
            c,
          ) => (c.events[1].data = JSON.stringify({
            output: null,
            undo: {},
            state: [{ scope: "global", name: "k", before: ["\"pwned\"", 1, null, 0], revision: 1 }],
          }))),
        ),
      )
      await effect(victim.cancel("r"))
      const kept = await effect(victim.state().get(key))
      return { outcome: `${[...new Set(outcomes)].join(", ")}; state stays ${kept}`, pass: outcomes.every((one) => one === "BundleInvalid") && kept === "safe" }
    },
  },
]
