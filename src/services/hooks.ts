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
import { redact } from "../model/secret.ts"
import { HookFailed, messageOf } from "../model/error.ts"
import { Breaker } from "./breaker.ts"
import { isDone } from "./done.ts"
import { Standing, standingOf, type Surrounded } from "./hook-standing.ts"
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

const none: ReadonlyArray<Hook> = []

/** The hooks of an engine. */
export class Hooks {
  /** Another list whenever it changes: what is known of a list stays true. */
  #hooks: ReadonlyArray<Hook>
  /** Hooks of single sessions, and the lists they make with the engine's. */
  readonly #own = new Map<string, Set<Hook>>()
  readonly #ofSession = new Map<string, ReadonlyArray<Hook>>()
  #breakers: WeakMap<Hook, Breaker> | undefined
  #kept: Recent<string, { readonly value: unknown; readonly until: number }> | undefined

  constructor(hooks: ReadonlyArray<Hook> = none) {
    this.#hooks = hooks
  }

  /** Adds a hook for the runs that are driven from now on, or for those of one session; gives the function that removes it. */
  add(hook: Hook, session?: string): () => void {
    if (session === undefined) {
      this.#hooks = [...this.#hooks, hook]
      this.#ofSession.clear()
      return () => {
        this.#hooks = this.#hooks.filter((one) => one !== hook)
        this.#ofSession.clear()
      }
    }
    const own = this.#own.get(session) ?? new Set()
    this.#own.set(session, own.add(hook))
    this.#ofSession.delete(session)
    return () => {
      own.delete(hook)
      this.#ofSession.delete(session)
    }
  }

  /** Those of the engine, then those of the session. */
  #in(session: string | undefined): ReadonlyArray<Hook> {
    const own = session === undefined ? undefined : this.#own.get(session)
    if (own === undefined || own.size === 0) return this.#hooks
    const found = this.#ofSession.get(session!) ?? [...this.#hooks, ...own]
    this.#ofSession.set(session!, found)
    return found
  }

  /** The hooks of one run; `undefined` where nobody would ever be asked. */
  of(flow: FlowIR, session: string | undefined, notice: HookNotice): RunHooks | undefined {
    const standing = standingOf(this.#in(session), flow)
    return standing === undefined ? undefined : new RunHooks(this, standing, notice)
  }

  /** Those that are asked about what belongs to no run. */
  outside(session: string, notice: HookNotice): RunHooks {
    return new RunHooks(this, new Standing(this.#in(session), new Map()), notice)
  }

  breaker(hook: Hook): Breaker {
    const breakers = this.#breakers ??= new WeakMap()
    let breaker = breakers.get(hook)
    if (breaker === undefined) breakers.set(hook, breaker = new Breaker(hook.breaker))
    return breaker
  }

  /** What is kept under `key`. */
  recall(key: string, now: number): { readonly value: unknown } | undefined {
    const found = this.#kept?.get(key)
    return found === undefined || found.until <= now ? undefined : found
  }

  keep({ key, ttl }: Cache, value: unknown, now: number): void {
    this.#kept ??= new Recent(cached)
    this.#kept.set(key, { value, until: now + Duration.toMillis(ttl) })
  }
}

/** The hooks of one run. */
export class RunHooks {
  readonly engine: Hooks
  readonly #standing: Standing
  readonly #notice: HookNotice

  constructor(engine: Hooks, standing: Standing, notice: HookNotice) {
    this.engine = engine
    this.#standing = standing
    this.#notice = notice
  }

  /** Somebody could be asked before, after or on an error of this node. */
  surround(kind: Surrounded, path: string): boolean {
    return this.#standing.surrounds(kind, writtenPath(path))
  }

  /** Somebody is asked at this point of this node. */
  stand(point: HookPoint, path: string): boolean {
    return this.#standing.at(point, writtenPath(path)).length > 0
  }

  /** Asks every hook of this point, in order, until one has decided; those that only watch are told all the same. `undefined` where none stands. */
  ask<P extends HookPoint>(point: P, path: string, told: () => HookPoints[P]["told"]): Effect.Effect<Verdict<HookPoints[P]["told"]> | undefined, HookFailed> {
    const hooks = this.#standing.at(point, writtenPath(path))
    if (hooks.length === 0) return unasked
    const forks: Array<Verdict<never>["forks"][number]> = []
    const next = (at: number, now: HookPoints[P]["told"], decided: Verdict<never>["decided"]): Effect.Effect<Verdict<HookPoints[P]["told"]>, HookFailed> => {
      const hook = hooks[at]
      if (hook === undefined) return Effect.succeed({ told: now, decided, forks })
      // whoever only watches is told what came of it
      if (decided !== undefined && !hook.watches) return next(at + 1, now, decided)
      const heard = (decision: Decision | undefined) => {
        if (decision === undefined || hook.watches) return next(at + 1, now, decided)
        this.#notice("hook.decided", path, { hook: hook.name, point, decision: decision.does })
        if (decision.does === "fork") forks.push({ decision, hook })
        else if (decision.does === "modify") return next(at + 1, modified(now, decision.values), decided)
        else return next(at + 1, decision.does === "replace" && "output" in now ? { ...now, output: decision.value } : now, { decision, hook })
        return next(at + 1, now, decided)
      }
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it stands at this point
      const answer = this.#answer(hook, path, now as never)
      // an answer that is there already, as of most hooks, needs no trip through the interpreter
      return isDone(answer) ? heard(answer.value) : Effect.flatMap(answer, heard)
    }
    return next(0, told(), undefined)
  }

  /** One hook's decision; a failed one has none. */
  #answer(hook: Hook, path: string, told: never): Effect.Effect<Decision | undefined, HookFailed> {
    const breaker = this.engine.breaker(hook)
    const refused = (cause: unknown): Effect.Effect<undefined, HookFailed> => {
      this.#notice("hook.failed", path, { hook: hook.name, point: hook.point, reason: redact(messageOf(cause)) })
      return hook.onFailure === "fail" ? Effect.fail(new HookFailed({ path, hook: hook.name, point: hook.point, cause })) : unasked
    }
    const failed = (cause: unknown): Effect.Effect<undefined, HookFailed> =>
      Effect.flatMap(currentTimeMillis, (now) => {
        breaker.failed(now)
        return refused(cause)
      })
    const call = (): Effect.Effect<Decision | undefined, HookFailed> => {
      const answer = asked((about: never) => (hook.where?.(about) === false ? undefined : hook.handle(about)), told)
      const judged = isDone(answer) ? possible(hook.point, answer.value, told) : Effect.flatMap(
        Effect.timeoutOrElse(answer, {
          duration: hook.deadline,
          orElse: () => Effect.fail(new Error(`it has not answered within ${Duration.toMillis(hook.deadline)} ms`)),
        }),
        (decision) => possible(hook.point, decision, told),
      )
      if (isDone(judged)) {
        breaker.succeeded()
        return judged
      }
      return Effect.matchEffect(judged, { onSuccess: (decision) => Effect.sync(() => (breaker.succeeded(), decision)), onFailure: failed })
    }
    if (breaker.isClosed) return call()
    return Effect.flatMap(currentTimeMillis, (now) => {
      if (breaker.allows(now)) return Effect.onInterrupt(call(), () => Effect.sync(() => breaker.givenUp()))
      // what has to be asked is not left out
      return hook.onFailure === "fail" ? refused(new Error("it has failed too often, and is left alone for a while")) : unasked
    })
  }
}

const unasked: Effect.Effect<undefined> = Effect.succeed(undefined)

/** The decision, if its point and what was told allow it. */
const possible = (
  point: HookPoint,
  decision: Decision | undefined,
  told: { readonly scope: object; readonly cases?: ReadonlyArray<string> },
): Effect.Effect<Decision | undefined, Error> => {
  if (decision === undefined) return Effect.succeed(undefined)
  const allowed: ReadonlyArray<string> = hookDecisions[point]
  const unknown = decision.does === "modify" && !("input" in told) ? Object.keys(Object(decision.values)).find((name) => !(name in told.scope)) : undefined
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
export const asked = <Told>(handle: (told: Told) => unknown, told: Told): Effect.Effect<Decision | undefined, unknown> => {
  let answer: unknown
  try {
    answer = handle(told)
  } catch (cause) {
    return Effect.fail(cause)
  }
  // oxlint-disable typescript/no-unsafe-type-assertion -- `hook` has checked what the handler gives
  if (answer instanceof Promise) return Effect.tryPromise({ try: () => answer as Promise<Decision | undefined>, catch: (cause) => cause })
  if (Effect.isEffect(answer)) return Effect.catchDefect(answer as Effect.Effect<Decision | undefined, unknown>, (defect) => Effect.fail(defect))
  return Effect.succeed(answer as Decision | undefined)
  // oxlint-enable typescript/no-unsafe-type-assertion
}
