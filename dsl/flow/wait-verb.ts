/** `.wait`: suspending a run until a signal or a time. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { Input as Duration } from "effect/Duration"
import type { WaitTimedOut } from "./failure.ts"
import type { Chain } from "./flow.ts"
import type { NodeHook } from "./hook.ts"
import type { SignalMark } from "./mark.ts"
import type { FreshName } from "./names.ts"
import type { AnyScope, Bind, Pass, ScopeOf } from "./scope.ts"

interface Described {
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** Asked at this node only. */
  readonly hooks?: ReadonlyArray<NodeHook<"wait">>
}
/** Waits for a message from outside. */
interface ForSignal extends Described {
  /** The signal's name; default: the name of the node. */
  readonly signal?: string
  /** What the sender must give; any Standard Schema. Without one the signal carries nothing. */
  readonly schema?: StandardSchemaV1
  /** Longest time to wait, counted from when the wait began, also while no process runs; default: for ever. */
  readonly timeout?: Duration
  /** When the time is over: fail with `WaitTimedOut` (default), or go on with `undefined`. */
  readonly atTimeout?: "fail" | "continue"
}
/** Which signals are meant: others of its name are left to other waits, as of other forks. Must not depend on anything but its arguments. */
interface Meant<Schema extends StandardSchemaV1, S extends AnyScope> {
  readonly schema?: Schema
  readonly where?: (payload: StandardSchemaV1.InferOutput<Schema>, scope: ScopeOf<S>) => boolean
}
/** Waits for a time. */
type ForTime<S extends AnyScope> =
  | Described & { readonly for: Duration | ((scope: ScopeOf<S>) => Duration) }
  | Described & { readonly until: Date | ((scope: ScopeOf<S>) => Date) }
export type WaitOptions<S extends AnyScope> = ForSignal | ForTime<S>

/** `O`, where it was given at all: else the compiler puts all that would be allowed in its place. */
type Given<O> = ForSignal extends O ? {} : O
type Timed = { readonly for: unknown } | { readonly until: unknown }
type SchemaOf<O> = O extends { readonly schema: infer Schema extends StandardSchemaV1 } ? Schema : never
type Sent<O> = [SchemaOf<O>] extends [never] ? void : StandardSchemaV1.InferInput<SchemaOf<O>>
type Received<O> = O extends Timed ? undefined :
  | ([SchemaOf<O>] extends [never] ? undefined : StandardSchemaV1.InferOutput<SchemaOf<O>>)
  | (O extends { readonly timeout: unknown; readonly atTimeout: "continue" } ? undefined : never)
type Fails<O> = O extends { readonly atTimeout: "continue" } ? never : O extends { readonly timeout: unknown } ? WaitTimedOut : never
type Mark<O, Name extends string> = O extends Timed ? never : SignalMark<O extends { readonly signal: infer Signal extends string } ? Signal : Name, Sent<O>>

export interface WaitVerb {
  /**
   * Suspends the run until a signal comes or a time is reached; a suspended run takes no memory.
   *
   * The time is kept as a date in the journal, so it counts while nothing runs. A signal may come before its `wait`;
   * each is received once, in the order they were sent.
   *
   * @example
   * seq("pay").wait("approval", { schema: z.object({ by: z.string() }), timeout: "2 days" })
   *   .wait({ for: "10 minutes" })
   */
  wait<
    Input,
    S extends AnyScope,
    Failure,
    Needs,
    const O extends WaitOptions<S> & (ForTime<S> | { readonly signal: string }),
    Schema extends StandardSchemaV1,
  >(
    this: Chain<Input, S, Failure, Needs>,
    options: O & Meant<Schema, S>,
  ): Chain<Input, Pass<S, never>, Failure | Fails<O>, Needs | Mark<O, "">>
  wait<Input, S extends AnyScope, Failure, Needs, const Name extends string, const O extends WaitOptions<S>, Schema extends StandardSchemaV1>(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    options?: O & Meant<Schema, S>,
  ): Chain<Input, Bind<S, Name, Received<Given<O>>>, Failure | Fails<Given<O>>, Needs | Mark<Given<O>, Name>>
}
