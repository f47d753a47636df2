/** Starting runs, and going on with them: what every door needs, and all that the door for single runs does. */
import { randomUUID } from "node:crypto"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { check, type Problem } from "../../dsl/ir/check.ts"
import type { Budget } from "../../dsl/ir/limit.ts"
import type { Hook } from "../../dsl/ir/hook.ts"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { FlowInvalid, InputInvalid } from "../model/error.ts"
import { isRunId, type RunRecord } from "../model/run.ts"
import { Hooks } from "../services/hooks.ts"
import { Listeners } from "../services/listeners.ts"
import type { Durability, Store } from "../store/store.ts"
import { spilled } from "../store/spilled.ts"
import { Conductor } from "./conduct.ts"
import { create } from "./create.ts"
import { LiveRuns } from "./live.ts"
import { untied } from "./ties.ts"

export interface ResumeOptions {
  /** When a step counts as done: `sync` (default) once it is durable, `async` at once, `exit` when the run ends. */
  readonly durability?: Durability | undefined
  /** When the run waits for a signal or a time: stay until it has ended (default), or fail with `RunSuspended`. */
  readonly onSuspend?: "wait" | "return" | undefined
}
export interface StartOptions extends ResumeOptions {
  /** Names the run: starting it again with the same input gives the same run, its result included. Default: a new id. */
  readonly id?: string | undefined
  /** What the run belongs to, for whoever follows several: up to 256 characters `A-Z a-z 0-9 . _ : -`. Default: its own id. */
  readonly correlation?: string | undefined
  /** The session the run belongs to, under an id of yours; its children and other tries belong to it too. `list` and `subscribe` find its runs. */
  readonly session?: string | undefined
  /** `file#export` of the flow, kept so that the command line can find it again. */
  readonly source?: string | undefined
}
export interface EnqueueOptions extends Pick<StartOptions, "id" | "source" | "correlation" | "session"> {
  /** When it shall begin; default: now. */
  readonly at?: Date | undefined
  /**
   * It begins when no other of the flow with its `correlation` has been asked for in this time: those that have not begun are cancelled. The input of the
   * last one counts; as long as they keep coming, none begins.
   */
  readonly debounce?: Duration.Input | undefined
}
export interface HeddleOptions {
  /** How long a run belongs to its process without a sign of life, default 30 seconds; then others take it over. */
  readonly lease?: Duration.Input | undefined
  /** A run whose process died so often in a row without getting on is quarantined, default 5. */
  readonly poisoned?: number | undefined
  /** What all runs that are driven here may spend together, as long as this lives; those that have spent too much fail with `LimitExceeded`. */
  readonly budget?: Budget | undefined
  /** Asked at every node of every run, and where runs begin and end. */
  readonly hooks?: ReadonlyArray<Hook> | undefined
}

/** Output, failure and needs are in the flow's type and erased in its program. */
type Any<A> = Effect.Effect<A, any, any>

export class Starter {
  readonly listeners = new Listeners()
  readonly hooks: Hooks
  readonly conductor: Conductor

  constructor(given: Store["Service"], { lease = 30_000, poisoned = 5, hooks, budget }: HeddleOptions = {}) {
    const store = spilled(given)
    this.hooks = new Hooks(hooks)
    this.conductor = new Conductor({ store, listeners: this.listeners }, new LiveRuns(store, Duration.toMillis(lease)), this.hooks, poisoned, budget)
  }

  /** Starts a run and sees it to its end. */
  run(flow: FlowIR, input: unknown, options: StartOptions = {}, from?: RunRecord): Any<unknown> {
    const { id = randomUUID(), durability = "sync", onSuspend = "wait", source, correlation = from?.correlation, session = from?.session } = options
    return admitted(
      flow,
      { id, correlation, session },
      () =>
        Effect.flatMap(create(this.conductor, flow, input, { ...untied(from), id, source, correlation, session }), ({ created, run, parsed }) => {
          const how = { durability, onSuspend, retries: false, unpauses: false }
          return created ? this.conductor.begin(flow, run, parsed, how) : this.conductor.settle(flow, id, how)
        }),
    )
  }

  /** Leaves a run for a worker to drive. */
  start(flow: FlowIR, input: unknown, { id = randomUUID(), source, at, correlation, session }: EnqueueOptions = {}): Any<RunRecord> {
    return admitted(flow, { id, correlation, session }, () =>
      Effect.map(
        create(this.conductor, flow, input, { ...untied(undefined), id, source, correlation, session, at: at?.getTime() ?? Date.now() }),
        ({ run }) => (this.conductor.news(id), run),
      ))
  }

  /** Goes on with a run where it stopped; `retry` also with one that was quarantined. */
  resume(flow: FlowIR, id: string, { durability = "sync", onSuspend = "wait" }: ResumeOptions = {}, retries: true | "quarantined" = true): Any<unknown> {
    return admitted(flow, {}, () => this.conductor.settle(flow, id, { durability, onSuspend, retries, unpauses: true }))
  }
}

/** `work`, if the flow can be run at all, and under these ids. */
export const admitted = <A>(flow: FlowIR, ids: Readonly<Record<string, string | undefined>>, work: () => Any<A>): Any<A> =>
  Effect.suspend(() => {
    const refused = refusal(flow, ids)
    return refused === undefined ? work() : Effect.fail(refused)
  })

const noFlow: Problem = {
  level: "error",
  path: "",
  rule: "flow",
  message: "this is no flow: put a step or a tool into one, seq(\"name\").step(nest(it, () => input))",
}

const refusal = (flow: FlowIR | undefined, ids: Readonly<Record<string, string | undefined>>): FlowInvalid | InputInvalid | undefined => {
  // past the types: a step or a tool has none
  if (flow === undefined) return new FlowInvalid({ flow: "", problems: [noFlow] })
  const problems = check(flow).filter(isError)
  if (problems.length > 0) return new FlowInvalid({ flow: flow.name, problems })
  for (const [name, id] of Object.entries(ids)) {
    if (id === undefined || isRunId(id)) continue
    return new InputInvalid({ flow: flow.name, path: "", issues: [{ path: name, message: "an id is 1 to 256 characters of A-Z a-z 0-9 . _ : -" }] })
  }
  return undefined
}
const isError = ({ level }: Problem): boolean => level === "error"
