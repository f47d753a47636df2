/** Hooks that act: cached outputs, rates, costs, further tries, hidden values. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { decide, hook, type HookTold } from "../../../dsl/flow/hook.ts"
import type { Hook } from "../../../dsl/ir/hook.ts"
import { Recent } from "../../store/recent.ts"

/** Keys of rates, and runs, that are remembered. */
const remembered = 10_000

/** Goes on with an earlier output of the same key; steps without a key run as always. */
export const caching = (
  key: (told: HookTold<"step.before">) => string | undefined,
  { ttl = "5 minutes" }: { readonly ttl?: Duration.Input } = {},
): Hook =>
  hook("step.before", (told) => {
    const found = key(told)
    return found === undefined ? undefined : decide.cache(found, ttl)
  }, { name: "caching" })

export interface RateOptions {
  /** How many steps may begin in each `per`. */
  readonly permits: number
  readonly per: Duration.Input
  /** Steps with the same key share the permits; `undefined` is not limited. Default: all share them. */
  readonly key?: (told: HookTold<"step.before">) => string | undefined
  /** Where there is none left: wait for the next (default), or cancel the run. */
  readonly otherwise?: "wait" | "cancel"
}
/** Lets only so many steps begin in a time, in this process; with `wait` they begin in turn. */
export function rateLimit({ permits, per, key = () => "", otherwise = "wait" }: RateOptions): Hook {
  const window = Duration.toMillis(per)
  const begun = new Recent<string, Array<number>>(remembered)
  return hook("step.before", (told) =>
    Effect.clockWith((clock) => {
      const group = key(told)
      if (group === undefined) return Effect.succeed(undefined)
      const now = clock.currentTimeMillisUnsafe()
      const times = (begun.get(group) ?? []).filter((at) => at > now - window)
      begun.set(group, times)
      // the n-th from the end holds the permit that is free next
      const free = times.length < permits ? now : times[times.length - permits]! + window
      if (free > now && otherwise === "cancel") return Effect.succeed(decide.cancel(`more than ${permits} steps in ${window} ms`))
      times.push(free)
      return free > now ? Effect.as(Effect.sleep(free - now), undefined) : Effect.succeed(undefined)
    }), { name: "rateLimit", deadline: Number.MAX_SAFE_INTEGER })
}

export interface CostOptions {
  /** What a step has cost, by its output; `undefined` or 0 where nothing. */
  readonly of: (told: HookTold<"step.after">) => number | undefined
  /** What one run may cost, in the same unit; beyond it the run is cancelled. Counted in this process, from where the run was last driven. */
  readonly budget?: number
  /** Told when a run has spent half, three quarters, nine tenths of its budget. */
  readonly onAlert?: (alert: { readonly run: string; readonly spent: number; readonly part: 0.5 | 0.75 | 0.9 }) => void
}
/** Adds up what runs cost. */
export function cost({ of, budget = Number.POSITIVE_INFINITY, onAlert }: CostOptions): {
  readonly hooks: ReadonlyArray<Hook>
  readonly spent: (run: string) => number
} {
  const spent = new Recent<string, number>(remembered)
  const count = hook("step.after", (told) => {
    const before = spent.get(told.run) ?? 0
    const now = before + (of(told) ?? 0)
    spent.set(told.run, now)
    for (const part of [0.5, 0.75, 0.9] as const) {
      if (before < budget * part && now >= budget * part) onAlert?.({ run: told.run, spent: now, part })
    }
    return now > budget ? decide.cancel(`it has cost ${now}, more than ${budget}`) : undefined
  }, { name: "cost" })
  return { hooks: [count], spent: (run) => spent.get(run) ?? 0 }
}

/** Has failed steps run again where the error is one that passes; default: what says so itself (`retryable`), or an HTTP status 429 or 5xx. */
export const retryAdvice = (
  { times = 3, delay = "1 second", when = passes }: { readonly times?: number; readonly delay?: Duration.Input; readonly when?: (error: unknown) => boolean } =
    {},
): Hook => hook("step.error", ({ error }) => (when(error) ? decide.retry({ times, delay }) : undefined), { name: "retryAdvice" })
const passes = (error: unknown): boolean => {
  const { retryable, status } = Object(error) as { readonly retryable?: unknown; readonly status?: unknown }
  return typeof retryable === "boolean" ? retryable : status === 429 || (typeof status === "number" && status >= 500)
}

/** Hides what lies under these names, at any depth, before an output is recorded: in steps and in the run's own. */
export function redaction(names: ReadonlyArray<string | RegExp>, mask = "[redacted]"): ReadonlyArray<Hook> {
  const hidden = (name: string) => names.some((one) => (typeof one === "string" ? one.toLowerCase() === name.toLowerCase() : name.search(one) !== -1))
  /** The same value where nothing is to be hidden. */
  const copy = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null) return value
    if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) return value
    const entries = Object.entries(value).map(([name, inner]) => [name, !Array.isArray(value) && hidden(name) ? mask : copy(inner)] as const)
    if (entries.every(([name, inner]) => inner === Reflect.get(value, name))) return value
    return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries)
  }
  const changed = (output: unknown) => {
    const masked = copy(output)
    return masked === output ? undefined : decide.replace(masked)
  }
  const options = { name: "redaction", priority: Number.MIN_SAFE_INTEGER, onFailure: "fail" } as const
  return [hook("step.after", ({ output }) => changed(output), options), hook("run.after", ({ output }) => changed(output), options)]
}
