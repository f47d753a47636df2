/** Replacing, watching and breaking the steps of a flow. */
import * as Effect from "effect/Effect"
import type { Input as Duration } from "effect/Duration"
import type { AnyFlow, OutputOf } from "../../dsl/flow/flow.ts"
import type { Call, FlowIR, StepContext, StepNode, Values } from "../../dsl/ir/node.ts"
import { rewrite } from "../../dsl/ir/rewrite.ts"
import { walk } from "../../dsl/ir/walk.ts"
import { settle } from "../compile/settle.ts"

/** What a mock may be: the step's output, or work in its place. */
export type Mock<Value> = Value | ((scope: any, step: StepContext) => unknown)
/** Mocks by path as written, `enrich/crm/fetch`; those of the flow's own names have the type of their output. */
export type Mocks<F extends AnyFlow> = (F extends { readonly "~scope": unknown } ? { readonly [Name in keyof OutputOf<F>]?: Mock<OutputOf<F>[Name]> } : {}) & {
  readonly [path: string]: unknown
}

/** A flow with other work in its steps. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- whatever runs a flow reads nothing of it but its IR
export const withIR = <F extends AnyFlow>(_flow: F, ir: FlowIR): F => ({ ir }) as F
const replaced = (node: StepNode, call: Call): StepNode => ({ ...node, work: { from: "function", call } })

/** A path that the flow does not have. */
export class UnknownPath extends Error {
  constructor(flow: FlowIR, path: string) {
    const paths = [...walk(flow)].filter(({ node }) => node.kind === "step").map((placed) => placed.path)
    super(`flow '${flow.name}' has no step '${path}'; its steps: ${paths.join(", ")}`)
  }
}
const known = (flow: FlowIR, paths: ReadonlyArray<string>): void => {
  const steps = new Set([...walk(flow)].flatMap(({ node, path }) => (node.kind === "step" ? [path] : [])))
  for (const path of paths) if (!steps.has(path)) throw new UnknownPath(flow, path)
}

/**
 * `flow` with mocks in place of steps. Retries, timeouts, compensations and records stay as they are.
 *
 * @throws UnknownPath for a path that the flow does not have
 */
export function mocked<F extends AnyFlow>(flow: F, mocks: Mocks<F>): F {
  known(flow.ir, Object.keys(mocks))
  return withIR(
    flow,
    rewrite(flow.ir, (node, path) => {
      if (!Object.hasOwn(mocks, path)) return node
      const mock: unknown = mocks[path]
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- typed where it was given
      return replaced(node, typeof mock === "function" ? mock as Call : () => mock)
    }),
  )
}

/** `flow` whose every step tells `tell` when it is called. */
export const watched = <F extends AnyFlow>(flow: F, tell: (step: StepContext) => void): F =>
  withIR(
    flow,
    rewrite(flow.ir, (node) => {
      const { work } = node
      if (work.from === "flow") return node
      if (work.from === "transaction") return { ...node, work: { ...work, call: (sql, scope, step) => (tell(step), work.call(sql, scope, step)) } }
      const call: Call = (scope, step) => (tell(step), work.call(scope, step))
      return { ...node, work: { ...work, call } }
    }),
  )

/** Something that goes wrong in a step. */
export interface Fault {
  readonly path: string
  /** Only in this call of the step, from 1; default: in every one. */
  readonly call?: number
  /** Fail with this error instead of working. */
  readonly fail?: unknown
  /** Work only after this time. */
  readonly delay?: Duration
}

/** `flow` with faults in its steps; a fault stands before the step's own work. */
export function faulty<F extends AnyFlow>(flow: F, faults: ReadonlyArray<Fault>): F {
  known(flow.ir, faults.map(({ path }) => path))
  const calls = new Map<string, number>()
  return disturbed(flow, (path) => {
    const call = (calls.get(path) ?? 0) + 1
    calls.set(path, call)
    return faults.find((fault) => fault.path === path && (fault.call ?? call) === call)
  })
}

export interface Chaos {
  /** How many calls go wrong, from 0 to 1; default 0.2. */
  readonly rate?: number
  /** What they fail with; default: a thrown error. Without it half of them are only delayed. */
  readonly fail?: unknown
  /** Longest delay in milliseconds, default 1000. */
  readonly delay?: number
}

/** `flow` in which calls go wrong at random; the same seed gives the same faults. */
export function chaotic<F extends AnyFlow>(flow: F, seed: number, { rate = 0.2, fail, delay = 1000 }: Chaos = {}): F {
  const random = randomOf(seed)
  return disturbed(flow, (path) => {
    if (random() >= rate) return undefined
    const later = { path, delay: Math.round(random() * delay) }
    return random() < 0.5 ? later : { ...later, fail: fail ?? new Error(`chaos with seed ${seed}`) }
  })
}

/** Numbers from 0 to 1 that depend on nothing but the seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const disturbed = <F extends AnyFlow>(flow: F, faultOf: (path: string) => Fault | undefined): F =>
  withIR(
    flow,
    rewrite(flow.ir, (node, path) => {
      const { work } = node
      if (work.from === "flow" || work.from === "transaction") return node
      const call: Call = (scope: Values, step) => {
        const fault = faultOf(path)
        if (fault === undefined) return work.call(scope, step)
        const then = "fail" in fault ? Effect.fail(fault.fail) : later(() => work.call(scope, step))
        return fault.delay === undefined ? then : Effect.andThen(Effect.sleep(fault.delay), then)
      }
      return { ...node, work: { ...work, call } }
    }),
  )
/** Whatever a step may return, after a delay. */
const later = (work: () => unknown): Effect.Effect<unknown, unknown, unknown> => Effect.suspend(() => settle("", work))
