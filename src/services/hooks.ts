/** Asking hooks: in order, each with a deadline and a breaker, until one has decided. */
import { currentTimeMillis } from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  type Cache,
  type Cancel,
  type Decision,
  type Fork,
  type Hook,
  hookDecisions,
  type HookPoint,
  type HookPoints,
  type Redirect,
  type Replace,
  type Retry,
  type Skip,
} from "../../dsl/ir/hook.ts"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import { walk } from "../../dsl/ir/walk.ts"
import { HookFailed, messageOf } from "../model/error.ts"
import { Breaker } from "./breaker.ts"
import { Recent } from "../store/recent.ts"

/** What the hooks of one point have come to. */
export interface Verdict<Told> {
  /** What the node is to go on with: hooks may have modified it. */
  readonly told: Told
  /** The decision that ended the asking. */
  readonly decided: { readonly decision: Exclude<Decision, { readonly does: "modify" | "fork" }>; readonly hook: Hook } | undefined
  /** Flows to be started. */
  readonly forks: ReadonlyArray<{ readonly decision: Fork; readonly hook: Hook }>
}
export type Deciding = Cancel | Redirect | Replace | Retry | Cache | Skip
/** Told of every decision and every failure. */
export type HookNotice = (kind: "hook.decided" | "hook.failed", path: string, data: Readonly<Record<string, unknown>>) => void

/** Most outputs that `cache` keeps. */
const cached = 1000

/** The hooks of an engine. */
export class Hooks {
  readonly #hooks: Array<Hook>
  readonly #breakers = new WeakMap<Hook, Breaker>()
  readonly #kept = new Recent<string, { readonly value: unknown; readonly until: number }>(cached)

  constructor(hooks: ReadonlyArray<Hook> = []) {
    this.#hooks = [...hooks]
  }

  /** Adds a hook for the runs that are driven from now on; gives the function that removes it. */
  add(hook: Hook): () => void {
    this.#hooks.push(hook)
    return () => void this.#hooks.splice(this.#hooks.indexOf(hook), 1)
  }

  /** The hooks of one run; `undefined` where nobody would ever be asked. */
  of(flow: FlowIR, notice: HookNotice): RunHooks | undefined {
    const own = ownHooks(flow)
    return this.#hooks.length === 0 && own === undefined ? undefined : new RunHooks(this, [...this.#hooks], own ?? new Map(), notice)
  }

  breaker(hook: Hook): Breaker {
    let breaker = this.#breakers.get(hook)
    if (breaker === undefined) this.#breakers.set(hook, breaker = new Breaker(hook.breaker))
    return breaker
  }

  /** What is kept under `key`. */
  recall(key: string, now: number): { readonly value: unknown } | undefined {
    const found = this.#kept.get(key)
    return found === undefined || found.until <= now ? undefined : found
  }

  keep({ key, ttl }: Cache, value: unknown, now: number): void {
    this.#kept.set(key, { value, until: now + Duration.toMillis(ttl) })
  }
}

/** The hooks that one run meets, by path and point. */
export class RunHooks {
  readonly engine: Hooks
  readonly #everywhere: ReadonlyArray<Hook>
  readonly #own: ReadonlyMap<string, ReadonlyArray<Hook>>
  readonly #notice: HookNotice
  readonly #found = new Map<string, ReadonlyArray<Hook>>()

  constructor(engine: Hooks, everywhere: ReadonlyArray<Hook>, own: ReadonlyMap<string, ReadonlyArray<Hook>>, notice: HookNotice) {
    this.engine = engine
    this.#everywhere = everywhere
    this.#own = own
    this.#notice = notice
  }

  #at(point: HookPoint, path: string): ReadonlyArray<Hook> {
    const written = writtenPath(path)
    const key = `${point} ${written}`
    let found = this.#found.get(key)
    if (found === undefined) {
      found = [...this.#everywhere, ...(this.#own.get(written) ?? [])].filter((hook) => hook.point === point).sort((a, b) => a.priority - b.priority)
      this.#found.set(key, found)
    }
    return found
  }

  /** Asks every hook of this point, in order, until one has decided. `undefined` where none stands. */
  ask<P extends HookPoint>(point: P, path: string, told: () => HookPoints[P]["told"]): Effect.Effect<Verdict<HookPoints[P]["told"]> | undefined, HookFailed> {
    const hooks = this.#at(point, path)
    if (hooks.length === 0) return Effect.succeed(undefined)
    return Effect.gen({ self: this }, function*() {
      let now = told()
      const forks: Array<Verdict<never>["forks"][number]> = []
      let decided: Verdict<never>["decided"]
      for (const hook of hooks) {
        // whoever only watches is told what came of it
        if (decided !== undefined && !hook.watches) continue
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it stands at this point
        const decision = yield* this.#answer(hook, path, now as never)
        if (decision === undefined || hook.watches) continue
        this.#notice("hook.decided", path, { hook: hook.name, point, decision: decision.does })
        if (decision.does === "fork") forks.push({ decision, hook })
        else if (decision.does === "modify") now = modified(now, decision.values)
        else {
          decided = { decision, hook }
          if (decision.does === "replace" && "output" in now) now = { ...now, output: decision.value }
        }
      }
      return { told: now, decided, forks }
    })
  }

  /** One hook's decision; a failed one has none. */
  #answer(hook: Hook, path: string, told: never): Effect.Effect<Decision | undefined, HookFailed> {
    const breaker = this.engine.breaker(hook)
    return Effect.gen({ self: this }, function*() {
      const now = yield* currentTimeMillis
      if (!breaker.allows(now)) return undefined
      const decided = Effect.flatMap(
        asked((about: never) => (hook.where?.(about) === false ? undefined : hook.handle(about)), told),
        (decision) => possible(hook.point, decision, told),
      )
      const answer = Effect.timeoutOrElse(decided, {
        duration: hook.deadline,
        orElse: () => Effect.fail(new Error(`it has not answered within ${Duration.toMillis(hook.deadline)} ms`)),
      })
      return yield* Effect.matchEffect(answer, {
        onSuccess: (decision) => Effect.sync(() => (breaker.succeeded(), decision)),
        onFailure: (cause) => {
          breaker.failed(now)
          this.#notice("hook.failed", path, { hook: hook.name, point: hook.point, reason: messageOf(cause) })
          return hook.onFailure === "fail" ? Effect.fail(new HookFailed({ path, hook: hook.name, point: hook.point, cause })) : Effect.succeed(undefined)
        },
      })
    })
  }
}

/** The decision, if its point and what was told allow it. */
const possible = (
  point: HookPoint,
  decision: Decision | undefined,
  told: { readonly scope: object; readonly cases?: ReadonlyArray<string> },
): Effect.Effect<Decision | undefined, Error> => {
  if (decision === undefined) return Effect.succeed(undefined)
  const allowed: ReadonlyArray<string> = hookDecisions[point]
  const unknown = decision.does === "modify" && point !== "run.before" ? Object.keys(Object(decision.values)).find((name) => !(name in told.scope)) : undefined
  const problem = !allowed.includes(decision.does) ?
    `'${decision.does}' cannot be decided here, only: ${allowed.join(", ")}` :
    unknown !== undefined ?
    `there is no '${unknown}' in scope to modify` :
    decision.does === "redirect" && told.cases?.includes(decision.to) === false ?
    `there is no case '${decision.to}', only: ${told.cases.join(", ")}` :
    undefined
  return problem === undefined ? Effect.succeed(decision) : Effect.fail(new Error(problem))
}

const modified = <Told>(told: Told, values: unknown): Told =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each point has the one or the other
  ("input" in (told as object) ?
    { ...told, input: values } :
    { ...told, scope: { ...(told as { readonly scope: object }).scope, ...(values as object) } }) as Told

/** A handler's answer — a value, a promise, an Effect — as an Effect. */
export const asked = <Told>(handle: (told: Told) => unknown, told: Told): Effect.Effect<Decision | undefined, unknown> =>
  Effect.suspend(() => {
    const answer = handle(told)
    // oxlint-disable typescript/no-unsafe-type-assertion -- `hook` has checked what the handler gives
    if (Effect.isEffect(answer)) return answer as Effect.Effect<Decision | undefined, unknown>
    if (answer instanceof Promise) return Effect.tryPromise({ try: () => answer as Promise<Decision | undefined>, catch: (cause) => cause })
    return Effect.succeed(answer as Decision | undefined)
    // oxlint-enable typescript/no-unsafe-type-assertion
  }).pipe(Effect.catchDefect((defect) => Effect.fail(defect)))

const known = new WeakMap<FlowIR, ReadonlyMap<string, ReadonlyArray<Hook>> | "none">()
/** By path as written: the hooks of the flows around a node, then its own. `undefined` if there are none at all. */
function ownHooks(flow: FlowIR): ReadonlyMap<string, ReadonlyArray<Hook>> | undefined {
  let found = known.get(flow)
  if (found === undefined) {
    const flows = new Map<string, ReadonlyArray<Hook>>([["", flow.hooks]])
    const byPath = new Map<string, ReadonlyArray<Hook>>([["", flow.hooks]])
    for (const { path, node } of walk(flow)) {
      const around = [...flows].filter(([prefix]) => prefix === "" || path.startsWith(`${prefix}/`)).flatMap(([, hooks]) => hooks)
      byPath.set(path, [...around, ...node.hooks])
      if (node.kind === "step" && node.work.from === "flow" && node.work.as === "inline" && node.work.flow.hooks.length > 0) {
        flows.set(path, node.work.flow.hooks)
      }
    }
    found = [...byPath.values()].some((hooks) => hooks.length > 0) ? byPath : "none"
    known.set(flow, found)
  }
  return found === "none" ? undefined : found
}
