/** The service that runs flows: start, resume, signal, command, look. */
import { randomUUID } from "node:crypto"
import { Service } from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import type { Stream } from "effect/Stream"
import type { Hook } from "../../dsl/ir/hook.ts"
import type { Spending } from "../../dsl/ir/limit.ts"
import type { AnyMark, PayloadOf, SessionGuard, SignalGuard } from "../../dsl/flow/mark.ts"
import type { Flow } from "../../dsl/flow/flow.ts"
import type {
  BundleInvalid,
  CommandRefused,
  FlowInvalid,
  RunConflict,
  RunError,
  RunNotFound,
  RunTakenOver,
  SignalRefused,
  StoreFailed,
} from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import type { RunRecord, RunStatus } from "../model/run.ts"
import type { SignalRecord } from "../model/signal.ts"
import { decodeValue } from "../model/value.ts"
import { ArtifactView } from "../services/artifacts.ts"
import type { CurrentStep } from "../services/current-step.ts"
import type { Listener } from "../services/listeners.ts"
import { type Notice, outsideNotice } from "../services/notice.ts"
import { PlacedState } from "../services/placed-state.ts"
import type { Place } from "../services/state-scope.ts"
import { layerMemory as storeMemory } from "../store/memory/store.ts"
import type { SqliteOptions } from "../store/sqlite/database.ts"
import { layerSqlite as storeSqlite } from "../store/sqlite/store.ts"
import { type RunFilter, Store } from "../store/store.ts"
import { exportRun, importRun } from "./bundle.ts"
import { startDebounced } from "./debounce.ts"
import { type Command, type CommandOptions, Control } from "./control.ts"
import { type Emitted, itemsOf, type ItemsOptions, type Rejected, rejectedOf } from "./items.ts"
import { follow, type FollowOptions, subscribe, type SubscribeOptions, type Told } from "./follow.ts"
import { quotaIn } from "./offers.ts"
import type { Plan } from "./plan.ts"
import { compact, prune, type PruneOptions } from "./retention.ts"
import { sendSignal } from "./send.ts"
import { sessionWarned } from "./session-hooks.ts"
import { spentBy } from "./session-meter.ts"
import { Sessions } from "./sessions.ts"
import { admitted, type EnqueueOptions, type HeddleOptions, type ResumeOptions, Starter, type StartOptions } from "./start.ts"
import { startWorker, type Worker, type WorkerOptions } from "./worker.ts"

export interface SignalOptions {
  /** A second signal with the same id is dropped. Default: a new id. */
  readonly id?: string | undefined
}
/** What tells how its members change: a pool. */
export interface Watched {
  readonly listen: (listener: (change: object) => void) => () => void
}
type AnyOf<Needs> = Flow<any, any, any, Needs>
type Running<Output, Failure, Needs> = Effect.Effect<Output, Failure | RunError, Exclude<Needs, CurrentStep | AnyMark>>

interface Shape {
  /** Starts a run and waits for its output; with the id of an interrupted run, goes on with that one. */
  readonly run: <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    input: NoInfer<Input>,
    ...options: SessionGuard<Needs, StartOptions>
  ) => Running<Output, Failure, Needs>
  /** Leaves a run for a worker to drive, now or later. */
  readonly start: <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    input: NoInfer<Input>,
    ...options: SessionGuard<Needs, EnqueueOptions>
  ) => Effect.Effect<RunRecord, RunError>
  /** Goes on with an interrupted, paused, suspended or failed run where it stopped; a completed one gives its output again. */
  readonly resume: <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    id: string,
    options?: ResumeOptions,
  ) => Running<Output, Failure, Needs>
  /** Tries the step again at which a run failed, or lets a quarantined run go on; other runs refuse it. */
  readonly retry: <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    id: string,
    options?: ResumeOptions & CommandOptions,
  ) => Effect.Effect<Output, Failure | RunError | CommandRefused, Exclude<Needs, CurrentStep | AnyMark>>
  /** Starts a new run with the input of an old one, or with another. */
  readonly rerun: <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    id: string,
    options?: StartOptions & { readonly input?: NoInfer<Input> },
  ) => Running<Output, Failure, Needs>
  /** A new run, `as`, that has done what run `id` did before the step at `path`; resume it, or leave it to a worker. */
  readonly fork: <Needs>(
    flow: AnyOf<Needs>,
    id: string,
    path: string,
    options?: CommandOptions & { readonly as?: string },
  ) => Command<Plan & { readonly run: string }>
  /** Takes back what a run did from the step at `path` on; resume it, or leave it to a worker. */
  readonly rewind: <Needs>(flow: AnyOf<Needs>, id: string, path: string, options?: CommandOptions) => Command<Plan>
  /** What `rewind` and `fork` would run again. */
  readonly plan: <Needs>(flow: AnyOf<Needs>, id: string, path: string, options?: Pick<CommandOptions, "expect">) => Command<Plan>
  /** Sends a signal that the flow waits for; the payload is checked by its type and its schema. */
  readonly signal: <Needs, const Name extends string>(
    flow: AnyOf<Needs>,
    id: string,
    name: SignalGuard<Needs, Name>,
    payload: PayloadOf<Needs, Name>,
    options?: SignalOptions,
  ) => Effect.Effect<"accepted" | "duplicate", StoreFailed | RunNotFound | SignalRefused>
  /** Stops a run until it is resumed: its steps are interrupted and run again then. */
  readonly pause: (id: string, options?: CommandOptions) => Command<void>
  /**
   * Ends a run: its steps are interrupted, their finalizers run, and what can be undone is undone. Gives its status: `compensating` where
   * this process does not know the flow, so that a worker, or `resume`, has to finish.
   */
  readonly cancel: (id: string, options?: CommandOptions & { readonly flow?: Flow<any, any, any, any> | undefined }) => Command<RunStatus>
  /** Has the streams of a run, and of the runs that are its steps, read no more: what was read goes through, and the run goes on behind them. */
  readonly drain: (id: string) => Command<void>
  /** What the streams of a run emit, what is there and what is to come, in any process; see `.emit()`. */
  readonly items: (id: string, options?: ItemsOptions) => Stream<Emitted, StoreFailed | RunNotFound>
  /** What the streams of a run have left out, with why: see `failure: "reject"`. */
  readonly rejected: (id: string, options?: Omit<ItemsOptions, "from">) => Stream<Rejected, StoreFailed | RunNotFound>
  readonly get: (id: string) => Effect.Effect<RunRecord, StoreFailed | RunNotFound>
  /** What a run, and the runs that are its steps, have charged so far, bounded or not: see `charge`. Agents charge what their turns cost. */
  readonly usage: (id: string) => Effect.Effect<Required<Spending>, StoreFailed | RunNotFound>
  readonly list: (filter?: RunFilter) => Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed>
  /** What a completed run gave back, without its flow: values of steps with a codec are what the codec has made of them. */
  readonly output: (id: string) => Effect.Effect<unknown, StoreFailed | RunNotFound | CommandRefused>
  /** The run's durable events after `since`, oldest first. */
  readonly events: (id: string, since?: number) => Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed | RunNotFound>
  /**
   * The run's durable events, those that are there and those to come, until it has stopped; from any process. The journal is the buffer: nothing is
   * missed, however slow the reader is, and one that comes back goes on `after` the last number it saw.
   */
  readonly follow: (id: string, options?: FollowOptions) => Stream<Notice, StoreFailed | RunNotFound>
  /** What happens in this process from now on, kept or not. A reader that is too slow misses the oldest and is told how many; no run waits for it. */
  readonly subscribe: (options?: SubscribeOptions) => Stream<Told>
  /** The signals sent to a run, oldest first. */
  readonly signals: (id: string) => Effect.Effect<ReadonlyArray<SignalRecord>, StoreFailed | RunNotFound>
  /** Drives what is due of these flows, from now until it is stopped or the scope closes. */
  readonly worker: (flows: ReadonlyArray<Flow<any, any, any, any>>, options?: WorkerOptions) => Effect.Effect<Worker, FlowInvalid, Scope>
  /** Deletes ended runs; gives what was, or would be, deleted. */
  readonly prune: (options?: PruneOptions) => Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed>
  /** Deletes the past of a run that nothing needs any more; gives the number of events. */
  readonly compact: (id: string) => Effect.Effect<number, StoreFailed | RunNotFound | RunTakenOver | CommandRefused>
  /** A run as one JSON document. */
  readonly export: (id: string) => Effect.Effect<string, StoreFailed | RunNotFound>
  /** Brings in what `export` gave, under its own id or another. */
  readonly import: (bundle: string, as?: string) => Effect.Effect<RunRecord, StoreFailed | RunNotFound | RunConflict | BundleInvalid>
  /** What several runs share: who they are for, what they know, what they may spend. */
  readonly sessions: Sessions
  /** Named, versioned outputs of all sessions; `session` says whose, default those that belong to none. */
  readonly artifacts: ArtifactView
  /** State as it is seen at a place: of a session, a user, a flow, a run. What is changed is written at once. */
  readonly state: (place?: Place) => PlacedState
  /** Asks `hook` in the runs that are driven here from now on, or in those of one session; gives the function that ends it. */
  readonly hook: (hook: Hook, of?: { readonly session?: string | undefined }) => () => void
  /** Tells `listener` everything that happens in this process from now on; gives the function that ends it. */
  readonly listen: (listener: Listener) => () => void
  /** Tells listeners of every change of a pool's members as `pool.changed`; gives the function that ends it. */
  readonly watch: (pool: Watched) => () => void
}

/**
 * Runs flows on a `Store`.
 *
 * @example
 * const program = Heddle.run(flow, { name: "Ada" })
 * Effect.runPromise(program.pipe(Effect.provide(Heddle.layerMemory)))
 */
export class Heddle extends Service<Heddle, Shape>()("heddle/Heddle") {
  static readonly run = <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    input: NoInfer<Input>,
    ...options: SessionGuard<Needs, StartOptions>
  ): Effect.Effect<Output, Failure | RunError, Heddle | Exclude<Needs, CurrentStep | AnyMark>> => Heddle.use((heddle) => heddle.run(flow, input, ...options))
  static readonly resume = <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    id: string,
    options?: ResumeOptions,
  ): Effect.Effect<Output, Failure | RunError, Heddle | Exclude<Needs, CurrentStep | AnyMark>> => Heddle.use((heddle) => heddle.resume(flow, id, options))

  /** On the `Store` of the context. */
  static readonly layer: Layer.Layer<Heddle, never, Store> = Layer.effect(Heddle, Effect.map(Store, (store) => makeHeddle(store)))
  /** The same with a lease, hooks and limits of one's own. */
  static readonly layerWith = (options: HeddleOptions): Layer.Layer<Heddle, never, Store> =>
    Layer.effect(Heddle, Effect.map(Store, (store) => makeHeddle(store, options)))
  /** In this process only. */
  static readonly layerMemory: Layer.Layer<Heddle> = Heddle.layer.pipe(Layer.provide(storeMemory))
  /** In one SQLite file. */
  static readonly layerSqlite = (file: string, options?: SqliteOptions & HeddleOptions): Layer.Layer<Heddle, StoreFailed> =>
    Heddle.layerWith(options ?? {}).pipe(Layer.provide(storeSqlite(file, options)))
}

/** The service on an open store. */
export function makeHeddle(given: Store["Service"], options?: HeddleOptions): Shape {
  const starter = new Starter(given, options)
  const { conductor, listeners } = starter
  const { store } = conductor.keeping
  const control = new Control(conductor)
  const artifacts = new ArtifactView(store, {
    session: undefined,
    by: undefined,
    quota: quotaIn(store),
    kept: () => undefined,
    // it is kept already
    warned: (session, warning) => Effect.ignore(sessionWarned(conductor, session, "keep another artifact", warning)),
  })
  const known = <A, E>(id: string, use: (run: RunRecord) => Effect.Effect<A, E>) => Effect.flatMap(store.runs.get(id), use)

  // oxlint-disable typescript/no-unsafe-type-assertion -- output, failure and needs are in the flow's type and erased in its program
  return Heddle.of({
    run: (flow, input, ...[options]) => starter.run(flow.ir, input, options) as Effect.Effect<never>,
    start: (flow, input, ...[{ debounce, ...options } = {}]) =>
      debounce === undefined ?
        starter.start(flow.ir, input, options) as Effect.Effect<RunRecord, RunError> :
        startDebounced(starter, control, flow.ir, input, { ...options, debounce }),
    resume: (flow, id, options) => starter.resume(flow.ir, id, options) as Effect.Effect<never>,
    retry: (flow, id, options = {}) =>
      Effect.andThen(control.permitted(id, "retry", options), starter.resume(flow.ir, id, options, "quarantined")) as Effect.Effect<never>,
    rerun: (flow, id, options = {}) =>
      Effect.flatMap(
        store.runs.get(id),
        (from) => starter.run(flow.ir, "input" in options ? options.input : decodeValue(from.input), options, from),
      ) as Effect.Effect<never>,
    fork: (flow, id, path, options = {}) => {
      const as = options.as ?? randomUUID()
      return admitted(
        flow.ir,
        { as },
        () =>
          Effect.map(Effect.tap(control.fork(flow.ir, id, path, as, options), () => Effect.sync(() => conductor.news(as))), (plan) => ({ ...plan, run: as })),
      ) as Command<Plan & { readonly run: string }>
    },
    rewind: (flow, id, path, options) => Effect.tap(control.rewind(flow.ir, id, path, options), () => Effect.sync(() => conductor.news(id))),
    plan: (flow, id, path, options = {}) => Effect.andThen(control.expected(id, "rewind", options), control.plan(flow.ir, id, path, "rewind")),
    signal: (flow, id, name, payload, options = {}) => sendSignal(conductor, flow.ir, id, { id: options.id ?? randomUUID(), name: name as string, payload }),
    pause: control.pause,
    cancel: (id, options = {}) => control.cancel(id, { ...options, flow: options.flow?.ir }),
    drain: control.drain,
    items: (id, options) => itemsOf(conductor, id, options),
    rejected: (id, options) => rejectedOf(conductor, id, options),
    get: store.runs.get,
    usage: (id) => known(id, (record) => Effect.map(spentBy(store, record), ({ tokens = 0, cost = 0, bytes = 0 }) => ({ tokens, cost, bytes }))),
    list: (filter = {}) => store.runs.list(filter),
    output: control.outputOf,
    events: (id, since = 0) => known(id, (record) => store.events.since(record, since)),
    follow: (id, options) => follow(conductor, id, options),
    subscribe: (options) => subscribe(conductor, options),
    signals: (id) => known(id, (record) => store.signals.list(record)),
    worker: (flows, options = {}) =>
      Effect.andThen(
        Effect.forEach(flows, ({ ir }) => admitted(ir, {}, () => Effect.void)),
        Effect.acquireRelease(startWorker(conductor, flows.map(({ ir }) => ir), options), ({ stop }) => stop),
      ),
    prune: (options = {}) => prune(store, options),
    compact: (id) => known(id, (record) => compact(conductor.keeping, record)),
    export: (id) => exportRun(store, id),
    import: (bundle, as) => importRun(store, bundle, as),
    hook: (hook, { session } = {}) => starter.hooks.add(hook, session),
    sessions: new Sessions(conductor, control, artifacts),
    artifacts,
    state: (place = {}) => new PlacedState(store, conductor.stateNews, place),
    watch: (pool) => pool.listen((change) => listeners.tell(outsideNotice(undefined, "pool.changed", Date.now(), JSON.stringify(change)))),
    listen: (listener) => listeners.add(listener),
  })
  // oxlint-enable typescript/no-unsafe-type-assertion
}
