/** Keys of State: `state("turns", { scope: "session", initial: 0 })`. */
import type { Input as Duration } from "effect/Duration"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { StateKey, StateMigration, StateScope } from "../ir/state.ts"
import type { Policy } from "./merge.ts"
import type { NotStorable } from "./storable.ts"
import type { FlowTypeError } from "./type-error.ts"

export interface StateOptions<Value> {
  readonly scope: StateScope
  /** Whose it is: needed where the scope is `agent`, `tool` or `custom`, refused elsewhere. */
  readonly of?: string
  /** Checks what is written and what is read; any Standard Schema that answers at once. */
  readonly schema?: StandardSchemaV1<any, Value>
  /** Starts at 1; raise it with a migration when the shape of the value changes. */
  readonly version?: number
  /** By the version they start from: values are migrated when they are read, and written back in the new shape when they change. */
  readonly migrations?: Readonly<Record<number, StateMigration>>
  /** How long a value is kept after it was written; default: for ever. */
  readonly ttl?: Duration
  /** What others wrote since this step read the value is combined with what it writes, instead of `StateConflict`: `merge.sum`, `merge.union` … */
  readonly merge?: Policy<NoInfer<Value>>
  /** Names of the flows that may read it; default: all. */
  readonly readers?: ReadonlyArray<string>
  /** Names of the flows that may write it; default: all. */
  readonly writers?: ReadonlyArray<string>
}
type StateName<Name extends string, Value> = [NotStorable<Value>] extends [never] ? Name : FlowTypeError<`state '${Name}' cannot be kept`, NotStorable<Value>>

/**
 * A typed key of State. What scopes mean is found where it is used: a key with scope `session` is another value in each session.
 *
 * Names have 1 to 256 characters `A-Z a-z 0-9 . _ : -`. A value is at most 1 MiB as JSON; larger ones are artifacts.
 *
 * @example
 * const turns = state("turns", { scope: "session", initial: 0 })
 * const chat = seq("chat").step("turn", (_, { state }) => state.increment(turns))
 */
export function state<Value, const Name extends string = string>(
  name: StateName<Name, Value>,
  options: StateOptions<Value> & { readonly initial: Value },
): StateKey<Value, never>
/** Without `initial`, nothing is there until it is written: `undefined`. */
export function state<Value, const Name extends string = string>(name: StateName<Name, Value>, options: StateOptions<Value>): StateKey<Value, undefined>
export function state(name: unknown, options: StateOptions<any> & { readonly initial?: unknown }): StateKey {
  const { scope, of, schema, initial, version = 1, migrations = {}, ttl, merge, readers, writers } = options
  const keyed = (full: string): StateKey =>
    Object.freeze({
      name: full,
      scope,
      of,
      schema,
      initial,
      version,
      migrations,
      ttl,
      merge: merge?.combine,
      readers,
      writers,
      at: (member: string) => keyed(`${full}/${member}`),
    })
  return keyed(String(name))
}
