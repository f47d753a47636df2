/** Hooks as data: where they stand, and what they may decide there. */
import type { Input as Duration } from "effect/Duration"
import type { Artifact } from "./artifact.ts"
import type { BoundName } from "./limit.ts"
import type { FlowIR, Values } from "./node.ts"

/** Goes on with other values: names of the scope at `step.before`, else the input. */
export interface Modify {
  readonly does: "modify"
  readonly values: unknown
}
/** Goes on with this output; what was to be done is not done, or its output or error is dropped. */
export interface Replace<out Value = unknown> {
  readonly does: "replace"
  readonly value: Value
}
/** Ends the run as cancelled: its steps are interrupted, what can be undone is undone. */
export interface Cancel {
  readonly does: "cancel"
  readonly reason: string
}
/** Takes this case instead of the chosen one. */
export interface Redirect {
  readonly does: "redirect"
  readonly to: string
}
/** Runs the step again, after a pause. */
export interface Retry {
  readonly does: "retry"
  /** How often this hook may have one step run again, default 3. */
  readonly times: number
  readonly delay: Duration
}
/** Has another flow started as a run of its own, for a worker to drive; once, however often the hook is asked. */
export interface Fork {
  readonly does: "fork"
  readonly flow: FlowIR
  readonly input: unknown
}
/** Goes on with the output that is kept under this key, or keeps the one that the step gives. */
export interface Cache {
  readonly does: "cache"
  readonly key: string
  readonly ttl: Duration
}
/** Leaves this out: the pass of a loop, a compensation, a change of State, items of a stream. */
export interface Skip {
  readonly does: "skip"
  readonly reason: string
}
export type Decision = Modify | Replace | Cancel | Redirect | Retry | Fork | Cache | Skip

/** What every hook is told. */
interface Told {
  readonly run: string
  readonly flow: string
  /** Path of the node; `""` at `run.*`. */
  readonly path: string
  /** What can be read there. */
  readonly scope: Values
}
interface Spent {
  /** What is bounded: `steps`, `tokens`, … */
  readonly limit: BoundName
  /** Whose budget it is. */
  readonly of: string
  readonly used: number
  readonly allowed: number
}
/** A value of State: its key's name, and the kind of its scope. */
interface Kept {
  readonly key: string
  readonly of: string
}
interface Becoming {
  readonly session: string
  readonly from: string | undefined
  readonly to: string
  readonly reason: string | undefined
}
interface Point<More, Decides extends Decision> {
  readonly told: Told & More
  readonly decides: Decides
}
type Before<Decides extends Decision = never> = Point<{}, Replace | Cancel | Decides>
type After<Decides extends Decision = never> = Point<{ readonly output: unknown }, Replace | Cancel | Fork | Decides>
type Errored<Decides extends Decision = never> = Point<{ readonly error: unknown }, Replace | Cancel | Fork | Decides>

/** What is known by a name of its own: a tool, a turn of a model, an agent. */
interface Given {
  /** Of the tool; of the agent, for its turns too. */
  readonly name: string
  /** What it is given, as its schema has made it; of a turn: `{ messages }`. */
  readonly input: unknown
}
type Calling = Point<Given, Modify | Replace | Cancel>
type Called = Point<Given & { readonly output: unknown }, Replace | Cancel | Fork>
type CallFailed = Point<Given & { readonly error: unknown }, Replace | Cancel | Fork>

/** Every point at which hooks are asked, what they are told and what they may decide there. */
export interface HookPoints {
  /** A new run has its input and nothing has been done yet. */
  readonly "run.before": Point<{ readonly input: unknown }, Modify | Cancel>
  /** It has its output, which is not recorded yet. */
  readonly "run.after": Point<{ readonly input: unknown; readonly output: unknown }, Replace | Fork>
  /** It fails, and nothing has been undone yet. */
  readonly "run.error": Point<{ readonly input: unknown; readonly error: unknown }, Fork>
  readonly "step.before": Before<Modify | Cache>
  readonly "step.after": After<Retry>
  readonly "step.error": Errored<Retry>
  /** A tool is about to be called, by a step or by a model; what it is given has passed its schema. */
  readonly "tool.before": Calling
  readonly "tool.after": Called
  readonly "tool.error": CallFailed
  /** An agent is about to begin, as a step or as a run. */
  readonly "agent.before": Calling
  readonly "agent.after": Called
  readonly "agent.error": CallFailed
  /** A model is about to be asked; what it answers is a `ModelTurn`. */
  readonly "turn.before": Calling
  readonly "turn.after": Called
  readonly "turn.error": CallFailed
  /** A step is about to change State: to `value`, which is `undefined` where it deletes. */
  readonly "state.before": Point<Kept & { readonly value: unknown }, Replace | Skip | Cancel>
  /** A step has read State: `value`, or `undefined` where there is none; asked for each member of a list. */
  readonly "state.read": Point<Kept & { readonly value: unknown }, Replace | Cancel>
  /** Others have changed what a step had read: nothing of it is written, and it begins again, unless it may not. */
  readonly "state.conflict": Point<Kept, Cancel>
  /** A step is about to keep an artifact; `input` is `{ name, mime, type, tags, about }`. */
  readonly "artifact.before": Point<{ readonly input: unknown }, Modify | Cancel>
  /** It is kept. */
  readonly "artifact.after": Point<{ readonly artifact: Artifact }, Cancel | Fork>
  /** A step is about to read the content of an artifact. */
  readonly "artifact.read": Point<{ readonly artifact: Artifact }, Cancel>
  /** A step is about to remove one. */
  readonly "artifact.remove": Point<{ readonly artifact: Artifact }, Skip | Cancel>
  /** A session is about to be created (`from` is `undefined`) or to change its status. `cancel` refuses that; it belongs to no run. */
  readonly "session.before": Point<Becoming, Cancel>
  /** It has. */
  readonly "session.after": Point<Becoming, never>
  readonly "when.before": Before
  /** A case is chosen and not yet recorded. */
  readonly "when.decided": Point<{ readonly chosen: string; readonly cases: ReadonlyArray<string> }, Redirect | Cancel>
  /** The condition of a `.when(condition)` has said whether the node behind it runs (`yes`, `no`); not yet recorded. */
  readonly "guard.decided": Point<{ readonly chosen: "yes" | "no"; readonly cases: ReadonlyArray<string> }, Redirect | Cancel>
  readonly "when.after": After
  readonly "when.error": Errored
  readonly "loop.before": Before
  /** A pass is about to begin. */
  readonly "loop.iteration": Point<{ readonly index: number }, Skip | Cancel>
  readonly "loop.after": After
  readonly "loop.error": Errored
  readonly "each.before": Before
  readonly "each.after": After
  readonly "each.error": Errored
  readonly "parallel.before": Before
  readonly "parallel.after": After
  readonly "parallel.error": Errored
  /** A fork of a `parallel`, or an item of an `each`, is about to begin. */
  readonly "fork.before": Point<{ readonly fork: string }, Cancel>
  readonly "fork.after": Point<{ readonly fork: string; readonly output: unknown }, Cancel>
  readonly "fork.error": Point<{ readonly fork: string; readonly error: unknown }, Cancel>
  readonly "stream.before": Before
  /** Items are about to go through its stages; `skip` leaves them out. */
  readonly "stream.chunk": Point<{ readonly items: ReadonlyArray<unknown>; readonly index: number }, Replace<ReadonlyArray<unknown>> | Skip | Cancel>
  /** It is about to be recorded how far it has come. */
  readonly "stream.checkpoint": Point<{ readonly items: number }, Cancel | Fork>
  /** The buffer has filled up (`on`), or has room again. */
  readonly "stream.pressed": Point<{ readonly on: boolean; readonly buffered: number }, Cancel>
  /** The work of a stage has failed for an item, for good; `replace` goes on with another value, `skip` leaves the item out. */
  readonly "stream.rejected": Point<{ readonly item: unknown; readonly stage: string; readonly error: unknown }, Replace | Skip | Cancel>
  readonly "stream.after": After
  readonly "stream.error": Errored
  readonly "wait.before": Before
  readonly "wait.after": After
  readonly "wait.error": Errored
  readonly "protect.before": Before
  /** An error is caught; what was done inside is about to be undone. */
  readonly "protect.caught": Point<{ readonly error: unknown }, Cancel | Fork>
  readonly "protect.after": After
  readonly "protect.error": Errored
  /** So many finished steps are about to be undone, the newest first: of a boundary that has failed, or of the run. */
  readonly "rollback.before": Point<{ readonly steps: number }, Skip>
  /** They are; those that could not be are among `failures`. */
  readonly "rollback.after": Point<{ readonly steps: number; readonly failures: ReadonlyArray<{ readonly path: string; readonly error: unknown }> }, Fork>
  /** A step is about to be undone. */
  readonly "compensation.before": Point<{ readonly output: unknown }, Skip>
  readonly "compensation.after": Point<{ readonly output: unknown }, Fork>
  /** 50, 75 or 90 % of a budget are used. */
  readonly "limit.warned": Point<Spent & { readonly percent: number }, Cancel>
  /** More was spent than a budget allows; what has spent it is about to fail. */
  readonly "limit.exceeded": Point<Spent, Cancel>
  /** It could not be undone. */
  readonly "compensation.error": Point<{ readonly output: unknown; readonly error: unknown }, Fork>
}
export type HookPoint = keyof HookPoints

const before = ["replace", "cancel"] as const
const over = [...before, "fork"] as const
const calling = ["modify", ...before] as const
/** The same as data: what may be decided where. */
export const hookDecisions: { readonly [P in HookPoint]: ReadonlyArray<HookPoints[P]["decides"]["does"]> } = {
  "run.before": ["modify", "cancel"],
  "run.after": ["replace", "fork"],
  "run.error": ["fork"],
  "step.before": [...before, "modify", "cache"],
  "step.after": [...over, "retry"],
  "step.error": [...over, "retry"],
  "tool.before": calling,
  "tool.after": over,
  "tool.error": over,
  "agent.before": calling,
  "agent.after": over,
  "agent.error": over,
  "turn.before": calling,
  "turn.after": over,
  "turn.error": over,
  "state.before": [...before, "skip"],
  "state.read": before,
  "state.conflict": ["cancel"],
  "artifact.before": ["modify", "cancel"],
  "artifact.after": ["cancel", "fork"],
  "artifact.read": ["cancel"],
  "artifact.remove": ["skip", "cancel"],
  "session.before": ["cancel"],
  "session.after": [],
  "when.before": before,
  "when.decided": ["redirect", "cancel"],
  "guard.decided": ["redirect", "cancel"],
  "when.after": over,
  "when.error": over,
  "loop.before": before,
  "loop.iteration": ["skip", "cancel"],
  "loop.after": over,
  "loop.error": over,
  "each.before": before,
  "each.after": over,
  "each.error": over,
  "parallel.before": before,
  "parallel.after": over,
  "parallel.error": over,
  "fork.before": ["cancel"],
  "fork.after": ["cancel"],
  "fork.error": ["cancel"],
  "stream.before": before,
  "stream.chunk": [...before, "skip"],
  "stream.checkpoint": ["cancel", "fork"],
  "stream.pressed": ["cancel"],
  "stream.rejected": [...before, "skip"],
  "stream.after": over,
  "stream.error": over,
  "wait.before": before,
  "wait.after": over,
  "wait.error": over,
  "protect.before": before,
  "protect.caught": ["cancel", "fork"],
  "protect.after": over,
  "protect.error": over,
  "rollback.before": ["skip"],
  "rollback.after": ["fork"],
  "compensation.before": ["skip"],
  "compensation.after": ["fork"],
  "compensation.error": ["fork"],
  "limit.warned": ["cancel"],
  "limit.exceeded": ["cancel"],
}

/** When a hook that keeps failing is left out for a while. */
export interface BreakerPolicy {
  /** Failures within `window` that open it, default 5. */
  readonly failures: number
  /** Default 30 seconds. */
  readonly window: Duration
  /** How long it stays open before one call is let through to try, default 15 seconds. */
  readonly open: Duration
}

/** Asked at one point of every node it is given to. */
export interface Hook<out P extends HookPoint = HookPoint, out Value = unknown> {
  readonly point: P
  readonly name: string
  readonly handle: (told: never) => unknown
  /** Only where this holds. */
  readonly where: ((told: never) => boolean) | undefined
  /** Lower ones are asked first, default 0; at the same priority: the engine's, the flow's, the node's, each in their order. */
  readonly priority: number
  /** Longest time for one answer, default 1 second; then it is interrupted and has failed. */
  readonly deadline: Duration
  /** What a failed hook means: nothing (default), or that the node fails with `HookFailed`. */
  readonly onFailure: "ignore" | "fail"
  readonly breaker: BreakerPolicy
  /** It decides nothing, and is told also where another hook has decided. */
  readonly watches: boolean
  /** The type of what it puts in an output's place; no value has it. */
  readonly "~value"?: Value
}
