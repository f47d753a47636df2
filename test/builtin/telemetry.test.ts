import { Context, Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { type Notice, openHeddle, seq } from "heddle"
import { jsonLines, meter } from "heddle/telemetry"
import { expect, it, vi } from "vitest"
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
