/**
 * Ready-made listeners: what happens as metrics, as Effect's logs, and as log lines. Spans need none: provide a tracer.
 *
 * @module heddle/telemetry
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { writtenPath } from "../../../dsl/ir/path.ts"
import { messageOf } from "../../model/error.ts"
import type { ModelUsage } from "../agents/model.ts"
import type { Listener } from "../../services/listeners.ts"
import type { Notice } from "../../services/notice.ts"
import { dataOf, errorOf } from "../../services/recorded.ts"
import { Recent } from "../../store/recent.ts"

/** Runs and steps under way whose beginning is remembered. */
const underWay = 100_000
/** Longest text of an error in a line. */
const most = 4096

const boundaries = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 24 })

/**
 * Counts what happens in Effect's metrics, which its Prometheus and OTLP exporters read: `heddle_events_total` by flow and kind,
 * `heddle_run_milliseconds` by flow and end, `heddle_step_milliseconds` by flow and step; of models `heddle_tokens_total` by flow, agent and direction, and
 * `heddle_cost_total` by flow and agent. Time a run spends suspended counts.
 *
 * @param context where the metrics are registered, if not in Effect's own registry
 * @example
 * heddle.listen(meter())
 */
export function meter(context: Context.Context<never> = Context.empty()): Listener {
  const began = new Recent<string, number>(underWay)
  // looking a metric up by its attributes costs more than counting
  const metrics = new Map<string, Metric.Metric<number, unknown>>()
  const known = (key: string, make: () => Metric.Metric<number, unknown>): Metric.Metric<number, unknown> => {
    const metric = metrics.get(key) ?? make()
    metrics.set(key, metric)
    return metric
  }
  const timed = (name: string, key: string, at: number, attributes: Readonly<Record<string, string>>): void => {
    const from = began.get(key)
    began.delete(key)
    if (from === undefined) return
    known(JSON.stringify([name, attributes]), () => Metric.histogram(name, { boundaries, attributes })).updateUnsafe(Math.max(0, at - from), context)
  }
  const counted = (name: string, amount: number, attributes: Readonly<Record<string, string>>): void =>
    known(JSON.stringify([name, attributes]), () => Metric.counter(name, { incremental: true, attributes })).updateUnsafe(amount, context)
  const turned = (flow: string, data: string): void => {
    const { name: agent, usage } = JSON.parse(data) as { readonly name: string; readonly usage?: ModelUsage }
    if (usage === undefined) return
    const { input, output, cost } = usage
    counted("heddle_tokens_total", input, { flow, agent, direction: "input" })
    counted("heddle_tokens_total", output, { flow, agent, direction: "output" })
    if (cost !== undefined) counted("heddle_cost_total", cost, { flow, agent })
  }
  return ({ run, flow, kind, path, at, data }) => {
    known(`${kind} ${flow}`, () => Metric.counter("heddle_events_total", { incremental: true, attributes: { flow, kind } })).updateUnsafe(1, context)
    const [noun, verb] = kind.split(".") as [string, string]
    if (kind === "turn.completed") turned(flow, data!)
    if (kind === "run.started" || kind === "step.started") began.set(`${run}/${path}`, at)
    else if (noun === "run" && ends.has(verb)) timed("heddle_run_milliseconds", `${run}/`, at, { flow, end: verb })
    else if (noun === "step" && ends.has(verb)) {
      timed("heddle_step_milliseconds", `${run}/${path}`, at, { flow, step: writtenPath(path), end: verb })
    }
  }
}
const ends: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "compensated"])

/**
 * Logs every event through Effect's logger, whichever the context brings (its OTLP exporter, for instance): failures as errors, what is nearly or
 * fully used up, refused signals and quarantined runs as warnings, what becomes of runs as information, the rest for debugging. Outputs are never written.
 *
 * @example
 * heddle.listen(logs(await Effect.runPromise(Effect.context<never>())))
 */
export function logs(context: Context.Context<never> = Context.empty()): Listener {
  const run = Effect.runForkWith(context)
  return (notice) => {
    const { kind, flow, path, at: _, ...ties } = lineOf(notice)
    const level = kind.endsWith(".failed") ? "Error" : warns.has(kind) ? "Warn" : kind.startsWith("run.") ? "Info" : "Debug"
    const annotations = Object.fromEntries(Object.entries({ flow, path, ...ties }).filter(([, value]) => value !== undefined && value !== ""))
    run(Effect.annotateLogs(Effect.logWithLevel(level)(kind), annotations))
  }
}
const warns: ReadonlySet<string> = new Set(["limit.warned", "limit.exceeded", "wait.refused", "run.quarantined"])

/** One event as a log line: where it is and what ties it to others; of what it says, only how it ended. Outputs are never written. */
export interface EventLine extends Omit<Notice, "at" | "data"> {
  /** ISO 8601. */
  readonly at: string
  readonly error?: string
}
/**
 * Writes every event as one JSON object a line, by default to stderr; values never leave the journal.
 *
 * @example
 * heddle.listen(jsonLines())
 */
export const jsonLines = (write: (line: string) => void = (line) => void process.stderr.write(`${line}\n`)): Listener => (notice) =>
  write(JSON.stringify(lineOf(notice)))

const lineOf = ({ at, data, ...notice }: Notice): EventLine => {
  const failed = notice.kind.endsWith(".failed") && data !== undefined
  const said = failed ? dataOf({ data }) : {}
  const error = failed ? { error: (said.reason ?? messageOf(errorOf({ data }))).slice(0, most) } : {}
  return { at: new Date(at).toISOString(), ...notice, ...error }
}
