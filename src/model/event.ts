/** One fact about a run. The durable events of a run, in order, are its journal. */
import type { ChangedState } from "./state-entry.ts"

/** Every kind of event that is kept. */
export const eventKinds = [
  "run.started",
  "run.resumed",
  "run.suspended",
  "run.paused",
  "run.rewound",
  "run.forked",
  "run.migrated",
  "run.compacted",
  "run.compensating",
  "run.compensated",
  "run.quarantined",
  "run.completed",
  "run.failed",
  "run.cancelled",
  "guard.decided",
  "step.started",
  "step.completed",
  "step.failed",
  "step.migrated",
  "flow.retried",
  "when.decided",
  "when.completed",
  "loop.started",
  "loop.iterated",
  "loop.completed",
  "jump.completed",
  "each.started",
  "each.completed",
  "parallel.completed",
  "fork.completed",
  "fork.failed",
  "stream.started",
  "stream.checkpointed",
  "stream.completed",
  "protect.started",
  "protect.caught",
  "protect.failed",
  "protect.completed",
  "wait.started",
  "wait.refused",
  "wait.completed",
  "compensation.completed",
  "compensation.failed",
] as const
export type EventKind = (typeof eventKinds)[number]

/** The block of events about a run's coming and going, so that nobody has to read them to go on. */
export const comings = "~"

/** Events that are told to listeners while a run goes on and not kept. */
export const liveKinds = [
  "step.retried",
  "step.progressed",
  "tool.started",
  "tool.completed",
  "tool.failed",
  "agent.started",
  "agent.completed",
  "agent.failed",
  "turn.started",
  "turn.completed",
  "turn.failed",
  "parallel.started",
  "stream.flowed",
  "stream.pressed",
  "wait.blocked",
  "hook.decided",
  "hook.failed",
  "limit.waited",
  "limit.warned",
  "limit.exceeded",
  "artifact.kept",
  "artifact.removed",
  "state.changed",
  "state.conflicted",
  "rollback.started",
  "rollback.completed",
  "compensation.started",
  "session.active",
  "session.suspended",
  "session.completed",
  "session.failed",
  "session.archived",
  "pool.changed",
] as const
export type LiveKind = (typeof liveKinds)[number]

/** Some kinds: one, all of a noun (`step.*`), all of a verb (`*.failed`), or all (`*`). */
export type EventPattern = EventKind | LiveKind | "*" | `${NounOf<EventKind | LiveKind>}.*` | `*.${VerbOf<EventKind | LiveKind>}`
type NounOf<Kind> = Kind extends `${infer Noun}.${string}` ? Noun : never
type VerbOf<Kind> = Kind extends `${string}.${infer Verb}` ? Verb : never
/** `kind` is one of those. */
export const isOneOf = (kind: EventKind | LiveKind, patterns: ReadonlyArray<EventPattern>): boolean =>
  patterns.some((pattern) =>
    pattern === "*" || pattern === kind || (pattern.endsWith(".*") && kind.startsWith(pattern.slice(0, -1))) ||
    (pattern.startsWith("*.") && kind.endsWith(pattern.slice(1)))
  )

export interface RunEvent {
  /** 1, 2, 3 … without gaps in each run. */
  readonly seq: number
  /** Milliseconds since 1970, when it became durable. */
  readonly at: number
  readonly kind: EventKind
  /** Path of the block it belongs to; `""` is the flow itself. */
  readonly parent: string
  /** Its name in that block. `[3]` is the fourth pass or item. */
  readonly name: string
  /** What is known, as JSON: `Data` encoded. */
  readonly data: string
}

/** The path an event is about. */
export const eventPath = ({ parent, name }: Pick<RunEvent, "parent" | "name">): string =>
  parent === comings ? "" : parent === "" || name.startsWith("[") || name === "" ? parent + name : `${parent}/${name}`

/**
 * Where a recorded value is: the number of the event that carries it, `null` for `undefined`, the value itself (`v`),
 * or where its parts are (`r`). Composites refer to their parts, so a value is written once.
 */
export type Ref = number | null | { readonly v: unknown } | { readonly r: Readonly<Record<string, Ref>> | ReadonlyArray<Ref> }

/** What `RunEvent.data` holds; every kind uses some of it. */
export interface EventData {
  readonly output?: unknown
  readonly ref?: Ref
  readonly updates?: Readonly<Record<string, Ref>>
  readonly chosen?: string
  readonly again?: boolean
  readonly last?: Ref
  readonly count?: number
  readonly jump?: "break" | "continue"
  readonly attempts?: number
  readonly error?: unknown
  readonly tag?: string
  readonly reason?: string
  /** A wait or a boundary ends at this time, in milliseconds since 1970. */
  readonly until?: number
  /** Id of the signal that was received. */
  readonly received?: string
  /** The step can be undone: where the names it read are recorded. */
  readonly undo?: Readonly<Record<string, Ref>>
  /** What the step was given, where a hook has changed it. */
  readonly given?: unknown
  /** What the step has changed of State. */
  readonly state?: ReadonlyArray<ChangedState>
  /** Numbers of events whose changes of State were taken back. */
  readonly taken?: ReadonlyArray<number>
  /** Number of the event whose step was undone. */
  readonly of?: number
  /** What was recorded under these paths before this event does not count. */
  readonly forget?: ReadonlyArray<Forgotten>
  /** Numbers of the events that carry migrated outputs. */
  readonly bound?: ReadonlyArray<number>
  /** The run of its own that the step was. */
  readonly child?: string
  /** The run is compensated because it was cancelled. */
  readonly cancelled?: boolean
  /** A part of the run has failed and was undone: it cannot be tried again. */
  readonly undone?: boolean
  /** What the run knows of its session, as our codec writes it. */
  readonly session?: unknown
  /** The span in which the run has begun, as a `traceparent`. */
  readonly trace?: string
  /** What is spent of the budgets so far, by the path of the node that has one; `""` is the run's. */
  readonly spent?: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** What a stream needs to go on, as our codec writes it. */
  readonly saved?: unknown
  /** What it gives to whoever reads its items: the index of the first, and the items as our codec writes them. */
  readonly sent?: Sent
  readonly from?: number | string
  readonly to?: number
}

export interface Sent {
  readonly from: number
  readonly items: unknown
}
/** A path and all inside it; with `pass`, the passes of that loop from this one on; with `only`, how it ended and nothing else. */
export interface Forgotten {
  readonly path: string
  readonly pass?: number
  readonly only?: boolean
}
