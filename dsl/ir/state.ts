/** State as data: typed keys, and what can be done with them. */
import type { Input as Duration } from "effect/Duration"
import type { StandardSchemaV1 } from "@standard-schema/spec"

/** Who has a value of its own under a key: everybody together, each user, session, flow, run, agent, tool, or a place with a name of yours. */
export type StateScope = "global" | "user" | "session" | "flow" | "run" | "agent" | "tool" | "custom"

/** From one version of a value to the next, and back where older code is to read it. */
export interface StateMigration {
  readonly up: (value: never) => unknown
  readonly down?: (value: never) => unknown
}

/** Where a value is kept and what it may be. `Empty` is what is read where there is none. */
export interface StateKey<in out Value = any, out Empty = any> {
  readonly name: string
  readonly scope: StateScope
  /** Whose it is: the agent, the tool, the name of the custom scope; only there. */
  readonly of: string | undefined
  readonly schema: StandardSchemaV1 | undefined
  readonly initial: Value | undefined
  readonly version: number
  /** By the version they start from. */
  readonly migrations: Readonly<Record<number, StateMigration>>
  /** How long a value is kept after it was written. */
  readonly ttl: Duration | undefined
  /** Combines what others wrote meanwhile with what is written now. */
  readonly merge: ((values: ReadonlyArray<Value>, before: Value) => Value) | undefined
  /** Flows that may read, and write; `undefined`: all. */
  readonly readers: ReadonlyArray<string> | undefined
  readonly writers: ReadonlyArray<string> | undefined
  /** The key of one member, where one key is for many: `orders.at("7")`. */
  readonly at: (member: string) => StateKey<Value, Empty>
  /** The type of what is read where there is nothing; no value has it. */
  readonly "~empty"?: Empty
}

export interface StateSetOptions {
  /** How long the value is kept; default: as its key says, else for ever. */
  readonly ttl?: Duration
}

/** State as a step sees it: its changes are kept together with its record, or not at all. */
export interface StateAccess {
  readonly get: <Value, Empty>(key: StateKey<Value, Empty>) => Promise<Value | Empty>
  /** Writes a value. If this step has read the key before and others have changed it since, the step fails with `StateConflict`. */
  readonly set: <Value>(key: StateKey<Value, any>, value: NoInfer<Value>, options?: StateSetOptions) => Promise<void>
  readonly delete: (key: StateKey) => Promise<void>
  /** Changes a value; `change` is pure and fast, and is asked again with what is there when it is written: no update is lost. Gives the new value. */
  readonly update: <Value, Empty>(key: StateKey<Value, Empty>, change: (value: Value | Empty) => NoInfer<Value>) => Promise<Value>
  /** Adds to a number, from 0 where there is none; gives the sum. */
  readonly increment: (key: StateKey<number, any>, by?: number) => Promise<number>
  /** Writes `next` if the value is `expected`, compared by content; says whether it was. */
  readonly compareAndSet: <Value, Empty>(key: StateKey<Value, Empty>, expected: NoInfer<Value | Empty>, next: NoInfer<Value>) => Promise<boolean>
  /** The members of a key that is for many, by name. */
  readonly list: <Value>(key: StateKey<Value, any>, options?: StateListOptions) => Promise<ReadonlyArray<StateMember<Value>>>
}
export interface StateListOptions {
  /** At most so many, default 1000. */
  readonly limit?: number
  /** Only those whose names come behind this one: the last of the page before. */
  readonly after?: string
}
export interface StateMember<out Value> {
  readonly member: string
  readonly value: Value
}
