/** The door for programs that do not use Effect: promises of neverthrow results. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Layer } from "effect/Layer"
import { err, ok, type Result, ResultAsync } from "neverthrow"
import type { AnyFlow, FailureOf, Flow, InputOf, OutputOf, ServicesOf } from "../../dsl/flow/flow.ts"
import type { FlowTypeError } from "../../dsl/flow/type-error.ts"
import type { RunError } from "../model/error.ts"
import type { CurrentStep } from "../services/current-step.ts"
import { memoryStore } from "../store/memory.ts"
import { openSqlite } from "../store/sqlite/store.ts"
import type { Store } from "../store/store.ts"
import { type Heddle, makeHeddle, type StartOptions } from "./heddle.ts"

export interface RunOptions<Services> extends StartOptions {
  /** A SQLite file, or `"memory"` (default). */
  readonly store?: string
  /** The services that the flow's steps ask for. */
  readonly layer?: Layer<Services>
}

/** The flow, or the sentence that names the services it lacks. */
export type ServedFlow<F extends AnyFlow, Services> = [Lacking<F, Services>] extends [never] ? F :
  FlowTypeError<`flow '${F["~types"]["name"]}' needs services that nothing provides: give run a layer with`, Lacking<F, Services>>
type Lacking<F extends AnyFlow, Services> = Exclude<ServicesOf<F>, Services | CurrentStep>

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
  ...[input, options]: undefined extends InputOf<F> ? [input?: InputOf<F>, options?: RunOptions<Services>] : [input: InputOf<F>, options?: RunOptions<Services>]
): ResultAsync<OutputOf<F>, FailureOf<F> | RunError> {
  return within(options, (heddle) => heddle.run(open(flow), input, options))
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
  return within(options, (heddle) => heddle.resume(open(flow), id, options))
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the guards on `run` and `resume` have been passed
const open = (flow: unknown): Flow<any, any, any, any> => flow as Flow<any, any, any, any>

function within<Services>(
  options: RunOptions<Services> | undefined,
  use: (heddle: Heddle["Service"]) => Effect.Effect<any, any, any>,
): ResultAsync<any, any> {
  const { store = "memory", layer } = options ?? {}
  const on = (kept: Store["Service"]) => use(makeHeddle(kept))
  const opened = store === "memory" ? Effect.suspend(() => on(memoryStore())) : Effect.scoped(Effect.flatMap(openSqlite(store), on))
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `ServedFlow` has made sure that nothing is lacking
  const served = (layer === undefined ? opened : Effect.provide(opened, layer)) as Effect.Effect<any, any>
  return new ResultAsync(Effect.runPromiseExit(served).then((exit): Result<any, any> => Exit.isSuccess(exit) ? ok(exit.value) : err(Cause.squash(exit.cause))))
}
