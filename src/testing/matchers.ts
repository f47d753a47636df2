/** Assertions about what happened in a run, for `expect.extend(matchers)` of vitest and jest. */
import type { Decision } from "../../dsl/ir/hook.ts"
import { eventPath, type RunEvent } from "../model/event.ts"
import { messageOf, tagOf } from "../model/error.ts"
import { differences, type HookEffect, told } from "./harness.ts"

interface Happened {
  readonly events: ReadonlyArray<RunEvent>
  readonly calls?: ReadonlyArray<{ readonly path: string }>
  readonly hooks?: ReadonlyArray<HookEffect>
  readonly state?: Readonly<Record<string, unknown>>
  readonly result?: { readonly ok: boolean; readonly value?: unknown; readonly error?: unknown }
  readonly run?: { readonly id: string }
}
interface Verdict {
  readonly pass: boolean
  readonly message: () => string
}
const verdict = (pass: boolean, wanted: string, found: string): Verdict => ({
  pass,
  message: () => (pass ? `expected not ${wanted}` : `expected ${wanted}, found ${found}`),
})
const list = (all: ReadonlyArray<string>): string => (all.length === 0 ? "nothing" : all.join(", "))

/** Each takes what `testFlow` gives, or `{ events }` of any run. */
export const matchers = {
  /** The node at this path has finished; a path is as in the journal, `refine[0]/draft`. */
  toHaveCompleted: ({ events }: Happened, path: string): Verdict => {
    const done = events.filter(({ kind }) => kind.endsWith(".completed") && !kind.startsWith("run.")).map(eventPath)
    return verdict(done.includes(path), `'${path}' to have completed`, list(done))
  },
  /** A step was called so often, failed calls included; without a number: at all. */
  toHaveCalled: ({ calls = [] }: Happened, path: string, times?: number): Verdict => {
    const found = calls.filter((call) => call.path === path).length
    return verdict(
      times === undefined ? found > 0 : found === times,
      `'${path}' to have been called${times === undefined ? "" : ` ${times} times`}`,
      `${found} calls`,
    )
  },
  /** Events of this kind were written so often; without a number: at all. */
  toHaveEmitted: ({ events }: Happened, kind: RunEvent["kind"], times?: number): Verdict => {
    const found = events.filter((event) => event.kind === kind).length
    return verdict(times === undefined ? found > 0 : found === times, `${times ?? "some"} events ${kind}`, `${found}`)
  },
  /** These events, `kind path`, were written in this order, with others between them. */
  toHaveOrder: ({ events }: Happened, wanted: ReadonlyArray<string>): Verdict => {
    const all = told(events)
    let at = -1
    const missing = wanted.find((one) => (at = all.indexOf(one, at + 1)) === -1)
    return verdict(missing === undefined, `the events ${list(wanted)} in this order`, `no '${missing}' where it should be in ${list(all)}`)
  },
  /** Events are numbered 1, 2, 3 … without a gap, and every end belongs to a block that is there: nothing was lost or mixed up. */
  toBeCorrelated: ({ events }: Happened): Verdict => {
    const gap = events.findIndex(({ seq }, i) => seq !== i + 1)
    const known = new Set(events.flatMap((event) => [eventPath(event), event.parent]))
    const orphan = events.find(({ parent }) => parent !== "" && parent !== "~" && !known.has(parent))
    return verdict(
      gap === -1 && orphan === undefined,
      "events without a gap",
      gap === -1 ? `'${orphan?.parent}' of nothing` : `${events[gap]?.seq} after ${gap}`,
    )
  },
  /** A hook decided this at `path`; with `hook`, the one of this name. */
  toHaveDecided: ({ hooks = [] }: Happened, path: string, decision: Decision["does"], hook?: string): Verdict => {
    const found = hooks.filter((one) => one.decision !== undefined).map((one) => `${one.hook}: ${one.decision} at '${one.path}'`)
    const holds = hooks.some((one) => one.path === path && one.decision === decision && (hook === undefined || one.hook === hook))
    return verdict(holds, `${hook ?? "a hook"} to have decided ${decision} at '${path}'`, list(found))
  },
  /** The run ended with this error, by its `_tag`. */
  toHaveFailedWith: ({ result }: Happened, tag: string): Verdict => {
    const found = result?.ok === false ? (tagOf(result.error) ?? messageOf(result.error)) : "no failure"
    return verdict(found === tag, `the run to have failed with ${tag}`, found)
  },
  /** What is recorded of the flow's names has these values; others are not looked at. */
  toHaveState: ({ state = {} }: Happened, wanted: Readonly<Record<string, unknown>>): Verdict => {
    const found = differences(wanted, Object.fromEntries(Object.keys(wanted).map((name) => [name, state[name]])))
    return verdict(found.length === 0, "the state to be as given", list(found))
  },
} as const

/** What `expect.extend(matchers)` adds: see examples/testing.test.ts for the line that tells vitest. */
export interface HeddleMatchers<T> {
  toHaveCompleted: (path: string) => T
  toHaveCalled: (path: string, times?: number) => T
  toHaveEmitted: (kind: RunEvent["kind"], times?: number) => T
  toHaveOrder: (events: ReadonlyArray<string>) => T
  toBeCorrelated: () => T
  toHaveDecided: (path: string, decision: Decision["does"], hook?: string) => T
  toHaveFailedWith: (tag: string) => T
  toHaveState: (state: Readonly<Record<string, unknown>>) => T
}
