/** Hooks that only watch: log lines, durations, an audit trail. */
import { hook } from "../../../dsl/flow/hook.ts"
import type { Hook, HookPoint } from "../../../dsl/ir/hook.ts"
import { writtenPath } from "../../../dsl/ir/path.ts"
import { redact } from "../../model/secret.ts"
import { Recent } from "../../store/recent.ts"
import { messageOf, tagOf } from "../../model/error.ts"

interface Told {
  readonly run: string
  readonly flow: string
  readonly path: string
  readonly error?: unknown
  readonly chosen?: string
}
/** One line of a log: where it is, never what the values are. */
export interface LogLine {
  readonly at: string
  readonly point: HookPoint
  readonly run: string
  readonly flow: string
  readonly path: string
  readonly error?: string
  readonly tag?: string
  readonly chosen?: string
}
/** Longest text of an error in a line. */
const most = 8192

const watching = (points: ReadonlyArray<HookPoint>, name: string, see: (point: HookPoint, told: Told) => void): ReadonlyArray<Hook> =>
  points.map((point) => hook(point, (told: Told) => see(point, told), { name, priority: Number.MAX_SAFE_INTEGER, watches: true }))
const lineOf = (point: HookPoint, { run, flow, path, error, chosen }: Told): LogLine => {
  const tag = tagOf(error)
  return {
    at: new Date().toISOString(),
    point,
    run,
    flow,
    path,
    ...(error === undefined ? {} : { error: redact(messageOf(error)).slice(0, most) }),
    ...(tag === undefined ? {} : { tag }),
    ...(chosen === undefined ? {} : { chosen }),
  }
}

/** Writes a line when a run or a step begins, ends or fails; by default as JSON to stderr. Values are never written. */
export const logging = (write: (line: LogLine) => void = (line) => void process.stderr.write(`${JSON.stringify(line)}\n`)): ReadonlyArray<Hook> =>
  watching(["run.before", "run.after", "run.error", "step.before", "step.after", "step.error"], "logging", (point, told) => write(lineOf(point, told)))

/** Writes a line for everything that decides what a run does to the world: its begin and end, choices, errors caught, what is undone. */
export const audit = (write: (line: LogLine) => void): ReadonlyArray<Hook> =>
  watching(
    [
      "run.before",
      "run.after",
      "run.error",
      "when.decided",
      "guard.decided",
      "protect.caught",
      "artifact.remove",
      "rollback.before",
      "rollback.after",
      "compensation.before",
      "compensation.after",
      "compensation.error",
    ],
    "audit",
    (point, told) => write(lineOf(point, told)),
  )

/** What `metrics` knows of one step, over all runs: how often, how it ended, and how long it took in milliseconds. */
export interface StepMetrics {
  readonly started: number
  readonly completed: number
  readonly failed: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}
/** Steps under way whose beginning is kept. */
const running = 100_000
/** Durations kept of each step, the newest. */
const kept = 1024

/** Counts steps and their durations by `flow/path`, over runs. */
export function metrics(): { readonly hooks: ReadonlyArray<Hook>; readonly snapshot: () => Readonly<Record<string, StepMetrics>> } {
  const steps = new Map<string, { started: number; completed: number; failed: number; max: number; times: Array<number> }>()
  const began = new Recent<string, number>(running)
  const keyOf = ({ flow, path }: Told) => `${flow}/${writtenPath(path)}`
  const stepOf = (told: Told) => {
    const step = steps.get(keyOf(told)) ?? { started: 0, completed: 0, failed: 0, max: 0, times: [] }
    steps.set(keyOf(told), step)
    return step
  }
  const end = (told: Told, how: "completed" | "failed") => {
    const step = stepOf(told)
    const place = `${told.run}/${told.path}`
    const now = performance.now()
    const time = now - (began.get(place) ?? now)
    began.delete(place)
    step[how]++
    step.max = Math.max(step.max, time)
    step.times.push(time)
    if (step.times.length > kept) step.times.shift()
  }
  const see = (point: HookPoint, told: Told) => {
    if (point === "step.before") {
      stepOf(told).started++
      began.set(`${told.run}/${told.path}`, performance.now())
    } else end(told, point === "step.after" ? "completed" : "failed")
  }
  const at = (sorted: ReadonlyArray<number>, part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
  return {
    hooks: watching(["step.before", "step.after", "step.error"], "metrics", see),
    snapshot: () =>
      Object.fromEntries(Array.from(steps, ([name, { times, ...counts }]) => {
        const sorted = times.toSorted((a, b) => a - b)
        return [name, { ...counts, p50: at(sorted, 0.5), p95: at(sorted, 0.95), p99: at(sorted, 0.99) }]
      })),
  }
}
