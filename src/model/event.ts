/** One fact about a run. The durable events of a run, in order, are its journal. */

export type EventKind =
  | "run.started"
  | "run.resumed"
  | "run.completed"
  | "run.failed"
  | "run.cancelled"
  | "guard.decided"
  | "step.completed"
  | "step.failed"
  | "flow.retried"
  | "when.decided"
  | "when.completed"
  | "loop.started"
  | "loop.iterated"
  | "loop.completed"
  | "jump.completed"
  | "each.started"
  | "each.completed"
  | "parallel.completed"
  | "fork.completed"
  | "fork.failed"
  | "protect.caught"
  | "protect.completed"

/** Events that are told to listeners while a run goes on and not kept. */
export type LiveKind = "step.started" | "step.retried"

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
  parent === "" || name.startsWith("[") || name === "" ? parent + name : `${parent}/${name}`

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
  readonly signal?: "break" | "continue"
  readonly attempts?: number
  readonly error?: unknown
  readonly tag?: string
  readonly reason?: string
}
