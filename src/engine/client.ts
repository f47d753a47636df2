/** The door for programs without Effect that keep a store open: start, signal, command, look, work. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Layer } from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { errAsync, okAsync, type ResultAsync } from "neverthrow"
import type { AnyFlow, FailureOf, Flow, InputOf, NeedsIn, OutputOf } from "../../dsl/flow/flow.ts"
import type { PayloadOf, SessionGuard, SignalGuard } from "../../dsl/flow/mark.ts"
import {
  type BundleInvalid,
  type CommandRefused,
  type FlowInvalid,
  type RunConflict,
  type RunError,
  type RunNotFound,
  type RunTakenOver,
  type SignalRefused,
  StoreFailed,
} from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import type { RunRecord, RunStatus } from "../model/run.ts"
import type { SignalRecord } from "../model/signal.ts"
import type { Hook } from "../../dsl/ir/hook.ts"
import type { Spending } from "../../dsl/ir/limit.ts"
import type { Listener } from "../services/listeners.ts"
import type { Notice } from "../services/notice.ts"
import type { Place } from "../services/state-scope.ts"
import { memoryStore } from "../store/memory/store.ts"
import type { SqliteOptions } from "../store/sqlite/database.ts"
import { openSqlite } from "../store/sqlite/store.ts"
import type { RunFilter } from "../store/store.ts"
import { ClientArtifacts, ClientSessions } from "./client-sessions.ts"
import { ClientState, type Doing } from "./client-state.ts"
import type { CommandOptions } from "./control.ts"
import { type Heddle, makeHeddle, type SignalOptions, type Watched } from "./heddle.ts"
import type { Emitted, ItemsOptions, Rejected } from "./items.ts"
import { type FollowOptions, type SubscribeOptions, subscription, type Told } from "./follow.ts"
import type { Plan } from "./plan.ts"
import type { PruneOptions } from "./retention.ts"
import { open, type ServedFlow, settled } from "./serve.ts"
import type { EnqueueOptions, HeddleOptions, ResumeOptions, StartOptions } from "./start.ts"
import type { WorkerOptions } from "./worker.ts"

export interface ClientOptions<Services> extends HeddleOptions, SqliteOptions {
  /** A SQLite file, or `"memory"` (default). */
  readonly store?: string
  /** The services that the flows' steps ask for. */
  readonly layer?: Layer<Services>
}
type Ran<F extends AnyFlow, More = never> = ResultAsync<OutputOf<F>, FailureOf<F> | RunError | More>
type Commanded<A> = ResultAsync<A, StoreFailed | RunNotFound | CommandRefused | RunConflict>
/** A worker that goes on until it is stopped. */
export interface RunningWorker {
  /** Takes no more work, lets what goes on end within the grace, gives the rest up. */
  readonly stop: () => Promise<void>
  readonly running: () => number
}

/** `Heddle` with promises: every method does what the service's method of the same name does. */
export class Client<Services> {
  readonly #heddle: Heddle["Service"]
  readonly #scope: Scope.Closeable
  readonly #layer: Layer<Services> | undefined
  readonly #store: string
  readonly #closed = Deferred.makeUnsafe<never, StoreFailed>()
  /** Ends of what is listened to and not read to its end. */
  readonly #subscribed = new Set<() => void>()

  constructor(heddle: Heddle["Service"], store: string, scope: Scope.Closeable, layer: Layer<Services> | undefined) {
    this.#heddle = heddle
    this.#store = store
    this.#scope = scope
    this.#layer = layer
  }

  #do<A, E>(effect: Effect.Effect<A, E, any>): ResultAsync<A, E | StoreFailed> {
    if (this.#scope.state._tag !== "Closed") return settled(effect, this.#layer)
    return errAsync(this.#isClosed())
  }

  /** As long as the client is open; then it fails with `StoreFailed`. */
  #read<A, E>(stream: Stream.Stream<A, E>): AsyncIterable<A> {
    return Stream.toAsyncIterable(Stream.interruptWhen(stream, Deferred.await(this.#closed)))
  }

  get #doing(): Doing {
    return { do: (effect) => this.#do(effect), read: (stream) => this.#read(stream) }
  }

  #isClosed(): StoreFailed {
    return new StoreFailed({ store: this.#store, operation: "use", reason: "the client is closed: open another with openHeddle", cause: undefined })
  }

  /** Starts a run and waits for its output. */
  run<F extends AnyFlow>(flow: ServedFlow<F, Services>, input: InputOf<F>, ...[options]: SessionGuard<NeedsIn<F>, StartOptions>): Ran<F> {
    return this.#do(this.#heddle.run(open(flow), input, options))
  }
  /** Leaves a run for a worker, now or later. */
  start<F extends AnyFlow>(flow: F, input: InputOf<F>, ...[options]: SessionGuard<NeedsIn<F>, EnqueueOptions>): ResultAsync<RunRecord, RunError> {
    return this.#do(this.#heddle.start(open(flow), input, options))
  }
  /** Goes on with a run where it stopped. */
  resume<F extends AnyFlow>(flow: ServedFlow<F, Services>, id: string, options?: ResumeOptions): Ran<F> {
    return this.#do(this.#heddle.resume(open(flow), id, options))
  }
  /** Tries the step again at which a run failed. */
  retry<F extends AnyFlow>(flow: ServedFlow<F, Services>, id: string, options?: ResumeOptions & CommandOptions): Ran<F, CommandRefused> {
    return this.#do(this.#heddle.retry(open(flow), id, options))
  }
  /** Starts a new run with the input of an old one, or with another. */
  rerun<F extends AnyFlow>(flow: ServedFlow<F, Services>, id: string, options?: StartOptions & { readonly input?: InputOf<F> }): Ran<F> {
    return this.#do(this.#heddle.rerun(open(flow), id, options))
  }
  /** A new run that has done what the old one did before the step at `path`. */
  fork(flow: AnyFlow, id: string, path: string, options?: CommandOptions & { readonly as?: string }): Commanded<Plan & { readonly run: string }> {
    return this.#do(this.#heddle.fork(open(flow), id, path, options))
  }
  /** Takes back what a run did from the step at `path` on. */
  rewind(flow: AnyFlow, id: string, path: string, options?: CommandOptions): Commanded<Plan> {
    return this.#do(this.#heddle.rewind(open(flow), id, path, options))
  }
  /** What `fork` and `rewind` would run again. */
  plan(flow: AnyFlow, id: string, path: string): Commanded<Plan> {
    return this.#do(this.#heddle.plan(open(flow), id, path))
  }
  /** Sends a signal that the flow waits for. */
  signal<Needs, const Name extends string>(
    flow: Flow<any, any, any, Needs>,
    id: string,
    name: SignalGuard<Needs, Name>,
    payload: PayloadOf<Needs, Name>,
    options?: SignalOptions,
  ): ResultAsync<"accepted" | "duplicate", StoreFailed | RunNotFound | SignalRefused> {
    return this.#do(this.#heddle.signal(flow, id, name, payload, options))
  }
  /** Stops a run until it is resumed. */
  pause(id: string, options?: CommandOptions): Commanded<void> {
    return this.#do(this.#heddle.pause(id, options))
  }
  /** Ends a run; what can be undone is undone. */
  cancel(id: string, options?: CommandOptions & { readonly flow?: Flow<any, any, any, any> }): Commanded<RunStatus> {
    return this.#do(this.#heddle.cancel(id, options))
  }
  get(id: string): ResultAsync<RunRecord, StoreFailed | RunNotFound> {
    return this.#do(this.#heddle.get(id))
  }
  /** Has the streams of a run, and of the runs that are its steps, read no more: what was read goes through, and the run goes on behind them. */
  drain(id: string): Commanded<void> {
    return this.#do(this.#heddle.drain(id))
  }
  /**
   * What the streams of a run emit, what is there and what is to come, until it has stopped; from any process.
   *
   * @throws StoreFailed, RunNotFound while it is iterated
   * @example
   * for await (const { index, item } of heddle.items("report-1", { path: "answer", from: 12 })) console.log(index, item)
   */
  items(id: string, options?: ItemsOptions): AsyncIterable<Emitted> {
    return this.#read(this.#heddle.items(id, options))
  }
  /**
   * What the streams of a run have left out (`failure: "reject"`), with why: what is there and what is to come, until it has stopped; from any process.
   *
   * @throws StoreFailed, RunNotFound while it is iterated
   * @example
   * for await (const { item, error } of heddle.rejected("report-1", { live: false })) console.log(item, error)
   */
  rejected(id: string, options?: Omit<ItemsOptions, "from">): AsyncIterable<Rejected> {
    return this.#read(this.#heddle.rejected(id, options))
  }
  /** What a run, and the runs that are its steps, have charged so far, bounded or not: see `charge`. Agents charge what their turns cost. */
  usage(id: string): ResultAsync<Required<Spending>, StoreFailed | RunNotFound> {
    return this.#do(this.#heddle.usage(id))
  }
  list(filter?: RunFilter): ResultAsync<ReadonlyArray<RunRecord>, StoreFailed> {
    return this.#do(this.#heddle.list(filter))
  }
  /** The signals sent to a run, oldest first. */
  signals(id: string): ResultAsync<ReadonlyArray<SignalRecord>, StoreFailed | RunNotFound> {
    return this.#do(this.#heddle.signals(id))
  }
  /** Deletes the past of a run that nothing needs any more; gives the number of events. */
  compact(id: string): ResultAsync<number, StoreFailed | RunNotFound | RunTakenOver | CommandRefused> {
    return this.#do(this.#heddle.compact(id))
  }
  /** A run as one JSON document. */
  export(id: string): ResultAsync<string, StoreFailed | RunNotFound> {
    return this.#do(this.#heddle.export(id))
  }
  /** Brings in what `export` gave, under its own id or another. */
  import(bundle: string, as?: string): ResultAsync<RunRecord, StoreFailed | RunNotFound | RunConflict | BundleInvalid> {
    return this.#do(this.#heddle.import(bundle, as))
  }
  /** What a completed run gave back, without its flow: values of steps with a codec are what the codec has made of them. */
  output(id: string): ResultAsync<unknown, StoreFailed | RunNotFound | CommandRefused> {
    return this.#do(this.#heddle.output(id))
  }
  /** The run's durable events after `since`, oldest first. */
  events(id: string, since?: number): ResultAsync<ReadonlyArray<RunEvent>, StoreFailed | RunNotFound> {
    return this.#do(this.#heddle.events(id, since))
  }
  /**
   * The run's durable events, those that are there and those to come, until it has stopped; from any process, without gaps.
   *
   * @throws StoreFailed, RunNotFound while it is iterated
   * @example
   * for await (const { seq, kind, path } of heddle.follow("order-1", { after: 12 })) console.log(seq, kind, path)
   */
  follow(id: string, options?: FollowOptions): AsyncIterable<Notice> {
    return this.#read(this.#heddle.follow(id, options))
  }
  /** What happens in this process from this call on, kept or not, as long as the reader keeps up: `missed` says how many were dropped. To be read once. */
  subscribe(options?: SubscribeOptions): AsyncIterable<Told> {
    const { notices, stop } = subscription(this.#heddle.listen, options)
    const over = () => {
      stop()
      this.#subscribed.delete(over)
    }
    this.#subscribed.add(over)
    return this.#read(Stream.ensuring(notices, Effect.sync(over)))
  }
  /** Deletes ended runs; gives what was, or would be, deleted. */
  prune(options?: PruneOptions): ResultAsync<ReadonlyArray<RunRecord>, StoreFailed> {
    return this.#do(this.#heddle.prune(options))
  }
  /** Asks `hook` in the runs that are driven here from now on, or in those of one session; gives the function that ends it. */
  hook(hook: Hook, of?: { readonly session?: string }): () => void {
    return this.#heddle.hook(hook, of)
  }
  /** What several runs share: who they are for, what they know, what they may spend. */
  get sessions(): ClientSessions {
    return new ClientSessions(this.#heddle.sessions, this.#doing)
  }
  /** Named, versioned outputs of all sessions; `session` says whose, default those that belong to none. */
  get artifacts(): ClientArtifacts {
    return new ClientArtifacts(this.#heddle.artifacts, this.#doing)
  }
  /** Tells `listener` everything that happens in this process; gives the function that ends it. */
  listen(listener: Listener): () => void {
    return this.#heddle.listen(listener)
  }
  /** Tells listeners of every change of a pool's members as `pool.changed`; gives the function that ends it. */
  watch(pool: Watched): () => void {
    return this.#heddle.watch(pool)
  }
  /** State as it is seen at a place: of a session, a user, a flow, a run. What is changed is written at once. */
  state(place?: Place): ClientState {
    return new ClientState(this.#heddle.state(place), this.#doing)
  }
  /** Drives what is due of these flows, until it is stopped or the client closes. */
  worker(flows: ReadonlyArray<AnyFlow>, options?: WorkerOptions): ResultAsync<RunningWorker, FlowInvalid | StoreFailed> {
    const started = Effect.map(Scope.provide(this.#heddle.worker(flows.map(open), options), this.#scope), ({ stop, running }) => ({
      stop: () => Effect.runPromise(stop),
      running,
    }))
    return this.#do(started)
  }
  /** Stops its workers and closes the store; what is asked of the client from then on fails with `StoreFailed`. */
  async close(): Promise<void> {
    this.#subscribed.forEach((over) => over())
    Deferred.doneUnsafe(this.#closed, Effect.fail(this.#isClosed()))
    await Effect.runPromise(Scope.close(this.#scope, Exit.void))
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Opens a store for as long as the client is not closed.
 *
 * @example
 * const heddle = (await openHeddle({ store: "heddle.db" }))._unsafeUnwrap()
 * await heddle.start(flow, { name: "Ada" }, { id: "ada" })
 * await heddle.worker([flow])
 */
export function openHeddle<Services = never>(options: ClientOptions<Services> = {}): ResultAsync<Client<Services>, StoreFailed> {
  const { store = "memory", layer } = options
  if (store === "memory") return okAsync(new Client(makeHeddle(memoryStore(), options), store, Scope.makeUnsafe(), layer))
  const scope = Scope.makeUnsafe()
  return settled(Effect.map(Scope.provide(openSqlite(store, options), scope), (kept) => new Client(makeHeddle(kept, options), store, scope, layer)), undefined)
}
