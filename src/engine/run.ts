/** The door for single runs in programs that do not use Effect. */
import * as Effect from "effect/Effect"
import type { Layer } from "effect/Layer"
import type { ResultAsync } from "neverthrow"
import type { Hook } from "../../dsl/ir/hook.ts"
import type { AnyFlow, FailureOf, InputOf, NeedsIn, OutputOf } from "../../dsl/flow/flow.ts"
import type { ReadsSession, SessionGuard } from "../../dsl/flow/mark.ts"
import type { RunError } from "../model/error.ts"
import { memoryStore } from "../store/memory/store.ts"
import { openSqlite } from "../store/sqlite/store.ts"
import type { Store } from "../store/store.ts"
import { open, type ServedFlow, settled } from "./serve.ts"
import { Starter, type StartOptions } from "./start.ts"

export interface RunOptions<Services> extends StartOptions {
  /** A SQLite file, or `"memory"` (default). */
  readonly store?: string
  /** The services that the flow's steps ask for. */
  readonly layer?: Layer<Services>
  /** Asked at every node of this run, and where it begins and ends. */
  readonly hooks?: ReadonlyArray<Hook>
}

/** What a run is given: its input, and a session where the flow reads one. */
type Given<F extends AnyFlow, Options> = ReadsSession<NeedsIn<F>> extends true ? [input: InputOf<F>, ...SessionGuard<NeedsIn<F>, Options>] :
  undefined extends InputOf<F> ? [input?: InputOf<F>, options?: Options] :
  [input: InputOf<F>, options?: Options]

/**
 * Runs a flow to its end.
 *
 * Errors are values: `Failure` of the flow, or `RunError` of the engine; nothing is thrown. With a file as `store`
 * the run survives the process: `run` with the same `id` and input goes on where it stopped.
 *
 * @example
 * const result = await run(flow, { name: "Ada" }, { store: "heddle.db", id: "greet-ada" })
 * result.match((output) => console.log(output), (error) => console.error(error))
 */
export function run<F extends AnyFlow, Services = never>(
  flow: ServedFlow<F, Services>,
  ...[input, options]: Given<F, RunOptions<Services>>
): ResultAsync<OutputOf<F>, FailureOf<F> | RunError> {
  return within(options, (starter) => starter.run(open(flow).ir, input, options))
}

/**
 * Goes on with an interrupted or failed run of `flow` where it stopped.
 *
 * @example
 * const result = await resume(flow, "greet-ada", { store: "heddle.db" })
 */
export function resume<F extends AnyFlow, Services = never>(
  flow: ServedFlow<F, Services>,
  id: string,
  options: RunOptions<Services> & { readonly store: string },
): ResultAsync<OutputOf<F>, FailureOf<F> | RunError> {
  return within(options, (starter) => starter.resume(open(flow).ir, id, options))
}

function within<Services>(
  options: RunOptions<Services> | undefined,
  use: (starter: Starter) => Effect.Effect<any, any, any>,
): ResultAsync<any, any> {
  const { store = "memory", layer, hooks } = options ?? {}
  const on = (kept: Store["Service"]) => use(new Starter(kept, { hooks }))
  return settled(store === "memory" ? Effect.suspend(() => on(memoryStore())) : Effect.scoped(Effect.flatMap(openSqlite(store), on)), layer)
}
