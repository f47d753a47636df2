/** Running again what was recorded: as it was, with something changed, without effects, or a step at a time. */
import * as Effect from "effect/Effect"
import type { AnyFlow } from "../../dsl/flow/flow.ts"
import type { Call, StepNode, Values } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import { rewrite } from "../../dsl/ir/rewrite.ts"
import { decodeValue, encodeValue, revive } from "../model/value.ts"
import { type Fixture, lasting, looked, recordFixture, type Runs } from "./fixture.ts"
import { differences, type SentSignal, type Tested, testFlow } from "./harness.ts"
import { withIR } from "./mock.ts"

/** Where a replay stands still. */
export interface Stop {
  readonly path: string
  readonly scope: Values
  /** What the step gave then; `undefined` if nothing is recorded. */
  readonly recorded: { readonly output?: unknown; readonly error?: unknown } | undefined
}
export interface ReplayOptions {
  /** Another input than then. */
  readonly input?: unknown
  /** Other outputs than then, by path, as written or with its passes: `refine/draft`, `refine[3]/draft`. */
  readonly replace?: Readonly<Record<string, unknown>>
  /** Steps that really work, by path as written; default: none. */
  readonly run?: ReadonlyArray<string>
  /** What steps give that nothing is recorded of: a simulation. Default: they fail, and that is a difference. */
  readonly unrecorded?: (stop: Stop) => unknown
  /** Where to stand still, by path as written, or before every step that failed then. */
  readonly breakpoints?: ReadonlyArray<string> | "errors"
  /** Asked there: gives another output, or nothing to go on. */
  readonly at?: (stop: Stop) => Promise<{ readonly output: unknown } | undefined | void>
}
/** Where a step's output came from. */
export interface ReplayedStep {
  readonly path: string
  readonly from: "record" | "replacement" | "work" | "simulation" | "nothing"
}
export interface Replayed extends Pick<Tested<unknown, unknown>, "result" | "events" | "trace"> {
  readonly run: string
  /** Everything that is not as it was then; empty where the flow still does what it did. */
  readonly differences: ReadonlyArray<string>
  readonly steps: ReadonlyArray<ReplayedStep>
}

/** Nothing is recorded of a step. */
class Unrecorded extends Error {
  readonly _tag = "Unrecorded"
}

/**
 * Runs a recorded run again in memory, on a clock that jumps: steps give what they gave then and do nothing, everything else is the flow's own.
 *
 * With no options: is everything as it was? With `input`, `replace` or `run`: what would have happened? With `unrecorded`: how might it go on?
 * With `breakpoints`: a step at a time.
 *
 * @example
 * const { differences } = await replayRun(heddle, triage, "order-1", { replace: { classify: { kind: "bug" } } })
 */
export async function replayRun(heddle: Runs, flow: AnyFlow, id: string, options: ReplayOptions = {}): Promise<Replayed> {
  return { run: id, ...await replayed(flow, await recordFixture(heddle, id), options) }
}

/**
 * Runs `flow` on a fixture and gives what is different from then; an empty list means that the flow still does what it did.
 *
 * No step works: each gives what was recorded at its path. Conditions, loops, forks and handlers are the flow's own.
 */
export const replayFixture = async (flow: AnyFlow, fixture: Fixture): Promise<ReadonlyArray<string>> => (await replayed(flow, fixture, {})).differences

/** Every run of a session that nobody else has started, oldest first; flows are found by name. */
export async function replaySession(
  heddle: Runs,
  session: string,
  flows: ReadonlyArray<AnyFlow>,
  options: ReplayOptions = {},
): Promise<ReadonlyArray<Replayed>> {
  const runs = await looked(heddle.list({ session, roots: true, limit: Number.MAX_SAFE_INTEGER }))
  const all: Array<Replayed> = []
  for (const run of runs.toReversed()) {
    const flow = flows.find(({ ir }) => ir.name === run.flow)
    if (flow === undefined) throw new Error(`run '${run.id}' is one of flow '${run.flow}', which was not given`)
    all.push(await replayRun(heddle, flow, run.id, options))
  }
  return all
}

async function replayed(flow: AnyFlow, fixture: Fixture, options: ReplayOptions): Promise<Omit<Replayed, "run">> {
  const left = new Map(Object.entries(fixture.steps).map(([path, calls]) => [path, [...calls]]))
  const unknown: Array<string> = []
  const steps: Array<ReplayedStep> = []
  const { replace = {}, run = [], unrecorded, breakpoints = [], at } = options
  const stops = (path: string, failed: boolean) => (breakpoints === "errors" ? failed : breakpoints.includes(writtenPath(path)))

  const answer = async (node: StepNode, scope: Values, step: Parameters<Call>[1]): Promise<Effect.Effect<unknown, unknown, unknown>> => {
    const { path } = step
    const next = left.get(path)?.shift()
    const recorded = next === undefined ? undefined : "error" in next ? { error: revive(next.error) } : { output: revive(next.output) }
    const stop: Stop = { path, scope, recorded }
    const from = (source: ReplayedStep["from"]) => steps.push({ path, from: source })
    const own = at !== undefined && stops(path, recorded !== undefined && "error" in recorded) ? await at(stop) : undefined
    const given = own ?? replacement(replace, path)
    if (given !== undefined) {
      from("replacement")
      return Effect.succeed(given.output)
    }
    if (run.includes(writtenPath(path)) && node.work.from === "function") {
      from("work")
      const { call } = node.work
      return Effect.promise(async () => call(scope, step))
    }
    if (recorded === undefined) {
      from(unrecorded === undefined ? "nothing" : "simulation")
      if (unrecorded !== undefined) return Effect.promise(async () => unrecorded(stop))
      unknown.push(`step '${path}' has no record`)
      return Effect.fail(new Unrecorded(`step '${path}' has no record`))
    }
    from("record")
    return "error" in recorded ? Effect.fail(recorded.error) : Effect.succeed(recorded.output)
  }

  const replaying = withIR(
    flow,
    rewrite(flow.ir, (node) => {
      if (node.work.from === "flow" && node.work.as === "inline") return node
      const call: Call = (scope, step) => Effect.flatten(Effect.promise(() => answer(node, scope, step)))
      return { ...node, work: { from: "function", call }, retry: undefined, timeout: undefined }
    }),
  )
  const signals: ReadonlyArray<SentSignal> = fixture.signals.map(({ name, data }, i) => ({ name, payload: decodeValue(data), id: `s${i}` }))
  const input = "input" in options ? options.input : decodeValue(fixture.input)
  const session = fixture.session === undefined ? undefined : decodeValue(fixture.session)
  const { result, events, trace } = await testFlow(replaying, input as never, { signals, ...(session === undefined ? {} : { session }) })
  const never = [...left].flatMap(([path, calls]) => (calls.length === 0 ? [] : [`step '${path}' did not run`]))
  return {
    result,
    events,
    trace,
    steps,
    differences: [...unknown, ...never, ...differences(fixture.events, lasting(events), "events"), ...outputs(fixture, result)],
  }
}

const replacement = (replace: Readonly<Record<string, unknown>>, path: string): { readonly output: unknown } | undefined => {
  const key = [path, writtenPath(path)].find((one) => Object.hasOwn(replace, one))
  return key === undefined ? undefined : { output: replace[key] }
}

/** Where the run's output is not what it was. */
const outputs = ({ output }: Fixture, result: Replayed["result"]): ReadonlyArray<string> =>
  output === undefined || !result.ok ? [] : differences(decodeValue(output), decodeValue(encodeValue(result.value)), "output")
