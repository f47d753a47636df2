/** Writing hooks: `hook("step.error", ({ path, error }) => …)`, and what they decide. */
import type { Effect } from "effect/Effect"
import type { Input as Duration } from "effect/Duration"
import type { BreakerPolicy, Cache, Cancel, Fork, Hook, HookPoint, HookPoints, Modify, Redirect, Replace, Retry, Skip } from "../ir/hook.ts"
import type { AnyFlow, InputOf } from "./flow.ts"

/** What a hook at `P` is told. */
export type HookTold<P extends HookPoint> = HookPoints[P]["told"]
/** A decision, nothing, or one of them later. */
type Answer<D> = D | undefined | void
export type HookAnswer<P extends HookPoint> =
  | Answer<HookPoints[P]["decides"]>
  | Promise<Answer<HookPoints[P]["decides"]>>
  | Effect<Answer<HookPoints[P]["decides"]>, unknown>
/** A hook's function: what it is told, to what it decides. */
export type HookHandler<P extends HookPoint> = (told: HookTold<P>) => HookAnswer<P>

export interface HookOptions<P extends HookPoint> {
  /** For messages and metrics; default: its point. */
  readonly name?: string
  /** Only where this holds. */
  readonly where?: (told: HookTold<P>) => boolean
  /** Lower ones are asked first, default 0. */
  readonly priority?: number
  /** Longest time for one answer, default 1 second; then it is interrupted and has failed. */
  readonly deadline?: Duration
  /** What a failed hook means: nothing (default), or that the node fails with `HookFailed`. */
  readonly onFailure?: "ignore" | "fail"
  /** A hook that failed 5 times in 30 seconds is left out for 15 seconds, unless this says otherwise. */
  readonly breaker?: Partial<BreakerPolicy>
  /** It decides nothing, and is told also where another hook has decided; default false. */
  readonly watches?: boolean
}

/** Hooks that a node of this kind takes; what they put in its place must fit its output. */
export type NodeHook<Kind extends string, Value = never> = Hook<Extract<HookPoint, `${Kind}.${string}`>, Value>

/** Hooks that a step takes: of what it is, of the tool or the agent that it holds, of what it does to State and artifacts. */
export type StepHook<Value = never> = NodeHook<"step" | "compensation" | "tool" | "agent", Value> | NodeHook<"turn" | "state" | "artifact", unknown>

type Settle<A> = A extends Promise<infer B> ? B : A extends Effect<infer B, any, any> ? B : A
type Replaced<A> = Settle<A> extends infer D ? D extends Replace<infer Value> ? Value : never : never

/**
 * Asks `handler` at one point of a run, before the run goes on.
 *
 * Give it to a node (`{ hooks: [...] }`), to a flow (`seq(name, { hooks: [...] })`) or to the engine. Answer nothing to go on; the type of each
 * point lists what else may be decided there. A hook is asked again when what it stands at runs again after a crash; what is recorded is not.
 *
 * @example
 * const recover = hook("step.error", ({ path, error }) => path === "fetch" ? decide.replace("nothing found") : undefined)
 * const flow = seq("search", { hooks: [recover] }).step("fetch", async () => "found")
 */
export function hook<P extends HookPoint, A extends HookAnswer<P>>(
  point: P,
  handler: (told: HookTold<P>) => A,
  options: HookOptions<P> = {},
): Hook<P, Replaced<A>> {
  const { name = point, where, priority = 0, deadline = 1000, onFailure = "ignore", breaker, watches = false } = options
  return Object.freeze({
    point,
    name,
    handle: handler,
    where,
    priority,
    deadline,
    onFailure,
    watches,
    breaker: { failures: 5, window: 30_000, open: 15_000, ...breaker },
  })
}

/** What hooks decide; the type of each point says which are possible there. */
export const decide = Object.freeze({
  /** Goes on with other values: some names of the scope at `step.before`, elsewhere the whole input. */
  modify: (values: unknown): Modify => ({ does: "modify", values }),
  /** Goes on with this output. Before a node: it does not run. After an error: the node has not failed. */
  replace: <const Value>(value: Value): Replace<Value> => ({ does: "replace", value }),
  /** Ends the run as cancelled: what can be undone is undone. */
  cancel: (reason: string): Cancel => ({ does: "cancel", reason }),
  /** Takes another case than the chosen one. */
  redirect: (to: string): Redirect => ({ does: "redirect", to }),
  /** Runs the step again: at most `times` (default 3), after `delay` (default none). */
  retry: ({ times = 3, delay = 0 }: { readonly times?: number; readonly delay?: Duration } = {}): Retry => ({ does: "retry", times, delay }),
  /** Has another flow started as a run of its own, for a worker to drive; once, however often the hook is asked. */
  fork: <F extends AnyFlow>(flow: F, input: InputOf<F>): Fork => ({ does: "fork", flow: flow.ir, input }),
  /** Goes on with the output kept under `key`, or keeps what the step gives; in this process, for `ttl` (default 5 minutes). */
  cache: (key: string, ttl: Duration = 300_000): Cache => ({ does: "cache", key, ttl }),
  /** Leaves out a pass of a loop, a compensation, a change of State. */
  skip: (reason: string): Skip => ({ does: "skip", reason }),
})
