import { Context, Effect, Logger, Metric, References } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { decide, hook, type Notice, openHeddle, seq } from "heddle"
import { agent, scripted } from "heddle/agents"
import { jsonLines, logs, meter } from "heddle/telemetry"
import { expect, it, vi } from "vitest"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { go, no, out } from "../support.ts"

it("counts events and times runs and steps, where an exporter reads them", async () => {
  const registry = Context.make(Metric.MetricRegistry, new Map())
  const heddle = makeHeddle(memoryStore())
  const metered = meter(registry)
  heddle.listen(metered)
  // it came later than the step's beginning
  metered({ run: "x", flow: "metered", kind: "step.completed", path: "early", at: 0 } as Notice)
  const flow = seq("metered").loop("l", { times: 2 }, (b) => b.step("s", () => 1)).step("bad", no)
  await out(heddle.run(flow, undefined, { id: "r" }))
  await out(heddle.run(seq("metered").step("a", () => 1), undefined))
  const text = await go(Effect.provideContext(PrometheusMetrics.format(), registry))
  expect(text).toMatch(/heddle_events_total\{[^}]*flow="metered"[^}]*kind="run.started"[^}]*\} 2/)
  expect(text).toMatch(/heddle_step_milliseconds_count\{[^}]*step="l\/s"[^}]*\} 2/)
  expect(text).toMatch(/heddle_step_milliseconds_count\{[^}]*end="failed"[^}]*\} 1/)
  expect(text).not.toContain("early")
  expect(text).toMatch(/heddle_run_milliseconds_count\{[^}]*end="completed"[^}]*\} 1/)
})

it("writes events as lines without values", async () => {
  await using client = (await openHeddle())._unsafeUnwrap()
  const lines: Array<any> = []
  client.listen(jsonLines((line) => lines.push(JSON.parse(line))))
  client.listen(meter())
  await client.run(seq("logged").step("a", () => "canary-4711").step("bad", no), undefined, { id: "r", correlation: "c" })
  expect(lines.map(({ kind, path }) => `${kind} ${path}`.trim())).toEqual([
    "run.started",
    "step.started a",
    "step.completed a",
    "step.started bad",
    "step.failed bad",
    "run.failed",
  ])
  expect(lines.at(-1)).toMatchObject({ id: "r/4", correlation: "c", error: expect.stringContaining("No") })
  expect(JSON.stringify(lines)).not.toContain("canary")
  // a hook that failed says why in words
  const hooked: Array<any> = []
  jsonLines((line) => hooked.push(JSON.parse(line)))({ ...lines[0], kind: "hook.failed", at: 0, data: "{\"reason\":\"slow\"}" })
  expect(hooked[0].error).toBe("slow")
  const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
  jsonLines()({ ...lines[0], at: 0, data: undefined })
  expect(write.mock.calls[0]![0]).toContain("\"at\":\"1970-01-01T00:00:00.000Z\"")
  write.mockRestore()
})

it("counts what models take and cost, by flow and agent", async () => {
  const registry = Context.make(Metric.MetricRegistry, new Map())
  const heddle = makeHeddle(memoryStore())
  heddle.listen(meter(registry))
  const input = z.object({ text: z.string() })
  const dear = scripted([{ text: "a", usage: { input: 10, output: 2, cost: 0.5 } }, "b"])
  const clerk = agent("clerk", { input, model: dear })
  await go(heddle.run(seq("desk", { input }).step(clerk), { text: "x" }))
  await go(heddle.run(clerk, { text: "y" }))
  // what a hook answers in the model's place has cost nothing
  const instead = hook("turn.before", () => decide.replace({ text: "c", calls: [], reason: "stop", usage: { input: 999, output: 9 } } as const))
  const hooked = makeHeddle(memoryStore(), { hooks: [instead] })
  hooked.listen(meter(registry))
  await go(hooked.run(clerk, { text: "z" }))
  const text = await go(Effect.provideContext(PrometheusMetrics.format(), registry))
  expect(text).toMatch(/heddle_tokens_total\{[^}]*flow="desk"[^}]*direction="input"[^}]*\} 10/)
  expect(text).toMatch(/heddle_tokens_total\{[^}]*flow="desk"[^}]*direction="output"[^}]*\} 2/)
  expect(text).not.toContain("} 999")
  expect(text).toMatch(/heddle_cost_total\{[^}]*agent="clerk"[^}]*\} 0.5/)
})

it("logs through Effect's logger, by what it is, with what ties it to others and without values", async () => {
  const heddle = makeHeddle(memoryStore())
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message, fiber }) => {
    lines.push(`${logLevel} ${String(message)} ${JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))}`)
  })
  const layered = Effect.provide(Effect.context<never>(), Logger.layer([logger]))
  const heard = logs(Context.add(await go(layered), References.MinimumLogLevel, "Debug"))
  heddle.listen(heard)
  await out(heddle.run(seq("f").step("a", () => "canary-4711").step("bad", no), undefined, { id: "r" }))
  heard({ run: "r", flow: "f", kind: "limit.warned", path: "a", at: 0 } as Notice)
  expect(lines.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
    "Info run.started",
    "Debug step.started",
    "Debug step.completed",
    "Debug step.started",
    "Error step.failed",
    "Error run.failed",
    "Warn limit.warned",
  ])
  expect(lines[4]).toContain("\"path\":\"bad\"")
  expect(lines[4]).toContain("\"error\"")
  expect(lines.join()).not.toContain("canary")
  logs()({ run: "r", flow: "f", kind: "step.started", path: "a", at: 0 } as Notice)
})
