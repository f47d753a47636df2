/** The service that runs flows: start, resume, cancel, look. */
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import * as Cause from "effect/Cause"
import { Service } from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { Flow } from "../../dsl/flow/flow.ts"
import { check } from "../../dsl/ir/check.ts"
import { fingerprint } from "../../dsl/ir/fingerprint.ts"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { stored } from "../compile/record.ts"
import {
  FlowInvalid,
  InputInvalid,
  RunCancelled,
  RunConflict,
  type RunError,
  type RunNotFound,
  RunOwned,
  RunTakenOver,
  type StoreFailed,
} from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import { isRunId, type RunRecord } from "../model/run.ts"
import { encodeValue } from "../model/value.ts"
import type { CurrentStep } from "../services/current-step.ts"
import { Journal } from "../services/journal.ts"
import { type Listener, Listeners } from "../services/listeners.ts"
import { layerMemory as storeMemory } from "../store/memory.ts"
import type { SqliteOptions } from "../store/sqlite/database.ts"
import { layerSqlite as storeSqlite } from "../store/sqlite/store.ts"
import { type Durability, type RunFilter, Store } from "../store/store.ts"
import { drive, ending, type Fresh, parseInput, unchanged } from "./drive.ts"
import { isAlive, owner } from "./owner.ts"

export interface StartOptions {
  /** Names the run: starting it again with the same input gives the same run, its result included. Default: a new id. */
  readonly id?: string | undefined
  /** When a step counts as done: `sync` (default) once it is durable, `async` at once, `exit` when the run ends. */
  readonly durability?: Durability | undefined
  /** `file#export` of the flow, kept so that the command line can find it again. */
  readonly source?: string | undefined
}
export type ResumeOptions = Pick<StartOptions, "durability">

interface Shape {
  /** Starts a run and waits for its output; with the id of an interrupted run, goes on with that one. */
  readonly run: <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    input: NoInfer<Input>,
    options?: StartOptions,
  ) => Effect.Effect<Output, Failure | RunError, Exclude<Needs, CurrentStep>>
  /** Goes on with an interrupted or failed run at the step where it stopped; a completed one gives its output again. */
  readonly resume: <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    id: string,
    options?: ResumeOptions,
  ) => Effect.Effect<Output, Failure | RunError, Exclude<Needs, CurrentStep>>
  /** Ends a run: its steps are interrupted, their finalizers run. A run driven elsewhere stops at its next record. */
  readonly cancel: (id: string, reason?: string) => Effect.Effect<void, StoreFailed | RunNotFound | RunTakenOver>
  readonly get: (id: string) => Effect.Effect<RunRecord, StoreFailed | RunNotFound>
  readonly list: (filter?: RunFilter) => Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed>
  /** The run's durable events after `since`, oldest first. */
  readonly events: (id: string, since?: number) => Effect.Effect<ReadonlyArray<RunEvent>, StoreFailed | RunNotFound>
  /** Tells `listener` everything that happens in this process from now on; gives the function that ends it. */
  readonly listen: (listener: Listener) => () => void
}

/** A run that goes on in this process. */
interface Live {
  /** How it ended. */
  readonly done: Deferred.Deferred<Exit.Exit<unknown, unknown>>
  readonly cancelled: { reason: string | undefined }
  /** Another process has it now. */
  taken: boolean
  fiber: Fiber.Fiber<unknown, unknown> | undefined
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
    options?: StartOptions,
  ): Effect.Effect<Output, Failure | RunError, Heddle | Exclude<Needs, CurrentStep>> => Heddle.use((heddle) => heddle.run(flow, input, options))
  static readonly resume = <Input, Output, Failure, Needs>(
    flow: Flow<Input, Output, Failure, Needs>,
    id: string,
    options?: ResumeOptions,
  ): Effect.Effect<Output, Failure | RunError, Heddle | Exclude<Needs, CurrentStep>> => Heddle.use((heddle) => heddle.resume(flow, id, options))

  /** On the `Store` of the context. */
  static readonly layer: Layer.Layer<Heddle, never, Store> = Layer.effect(Heddle, Effect.map(Store, (store) => makeHeddle(store)))
  /** In this process only. */
  static readonly layerMemory: Layer.Layer<Heddle> = Heddle.layer.pipe(Layer.provide(storeMemory))
  /** In one SQLite file. */
  static readonly layerSqlite = (file: string, options?: SqliteOptions): Layer.Layer<Heddle, StoreFailed> =>
    Heddle.layer.pipe(Layer.provide(storeSqlite(file, options)))
}

/** The runs that go on in this process, by store: whoever opens a file a second time meets them. */
const liveByStore = new Map<string, Map<string, Live>>()
const liveOf = (store: string): Map<string, Live> => {
  const live = liveByStore.get(store) ?? new Map<string, Live>()
  liveByStore.set(store, live)
  return live
}

/** The service on an open store. */
export function makeHeddle(store: Store["Service"]): Shape {
  const listeners = new Listeners()
  const live = store.shared ? liveOf(resolve(store.name)) : new Map<string, Live>()

  /** Drives `run` in a fiber of its own, so that it can be cancelled; everybody who asks for it waits for the same end. */
  const conduct = (flow: FlowIR, run: RunRecord, fresh: Fresh | undefined, durability: Durability): Effect.Effect<unknown, unknown, unknown> =>
    Effect.suspend(() => {
      const here: Live = { done: Deferred.makeUnsafe(), cancelled: { reason: undefined }, taken: false, fiber: undefined }
      live.set(run.id, here)
      return Effect.flatMap(
        Effect.forkChild(drive(flow, run, fresh, { store, listeners, durability, alone: () => live.size === 1 }), { startImmediately: true }),
        (fiber) => {
          here.fiber = fiber
          const watching = store.shared ? watch(store, run, here) : undefined
          return Effect.onExit(
            Effect.flatMap(Fiber.await(fiber), (exit) => {
              const { reason } = here.cancelled
              if (here.taken && Exit.hasInterrupts(exit)) return Effect.fail(new RunTakenOver({ run: run.id }))
              return reason !== undefined && Exit.hasInterrupts(exit) ? Effect.fail(new RunCancelled({ run: run.id, reason })) : exit
            }),
            (exit) =>
              Effect.sync(() => {
                if (watching !== undefined) clearInterval(watching)
                live.delete(run.id)
                Deferred.doneUnsafe(here.done, Exit.succeed(exit))
              }),
          )
        },
      )
    })

  /** Goes on with a run that exists. */
  const goOn = (flow: FlowIR, run: RunRecord, durability: Durability): Effect.Effect<unknown, unknown, unknown> =>
    Effect.suspend(() => {
      const here = live.get(run.id)
      if (here !== undefined) {
        // whoever began it may have been interrupted: then it is for those who wait to go on
        return Effect.flatMap(Deferred.await(here.done), (exit) => {
          const abandoned = Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
          return abandoned ? Effect.flatMap(store.runs.get(run.id), (again) => goOn(flow, again, durability)) : exit
        })
      }
      if (run.status === "completed" || run.status === "cancelled") return ending(flow, store, run, listeners)
      if (run.status === "running" && run.owner !== owner && isAlive(run.owner)) return Effect.fail(new RunOwned({ run: run.id, owner: run.owner }))
      return Effect.flatMap(Effect.andThen(unchanged(flow, run), store.runs.claim(run.id, run.fence, owner)), (claimed) =>
        conduct(flow, claimed, undefined, durability))
    })

  const valid = (flow: FlowIR) =>
    Effect.suspend(() => {
      const problems = check(flow).filter(({ level }) => level === "error")
      return problems.length === 0 ? Effect.void : Effect.fail(new FlowInvalid({ flow: flow.name, problems }))
    })

  const start = (flow: FlowIR, input: unknown, { id = randomUUID(), durability = "sync", source }: StartOptions) =>
    Effect.gen(function*() {
      yield* valid(flow)
      if (!isRunId(id)) {
        const message = "a run id is 1 to 256 characters of A-Z a-z 0-9 . _ : -"
        return yield* new InputInvalid({ flow: flow.name, path: "", issues: [{ path: "id", message }] })
      }
      const parsed = yield* parseInput(flow, input)
      const encoded = yield* stored("input", () => encodeValue(input))
      const { created, run } = yield* store.runs.create({
        id,
        flow: flow.name,
        version: flow.version,
        fingerprint: fingerprint(flow),
        input: encoded,
        source,
        owner,
      })
      if (created) return yield* conduct(flow, run, { input: parsed }, durability)
      if (run.flow !== flow.name) return yield* new RunConflict({ run: id, differs: "flow" })
      if (run.input !== encoded) return yield* new RunConflict({ run: id, differs: "input" })
      return yield* run.status === "failed" ? ending(flow, store, run, listeners) : goOn(flow, run, durability)
    })

  const cancel: Shape["cancel"] = (id, reason = "") =>
    Effect.gen(function*() {
      const run = yield* store.runs.get(id)
      if (run.status !== "running") return
      const here = live.get(id)
      if (here?.fiber !== undefined) {
        here.cancelled.reason = reason
        yield* Fiber.interrupt(here.fiber)
      }
      const claimed = yield* store.runs.claim(id, run.fence, owner)
      const journal = new Journal(store, claimed, undefined, "sync", listeners, yield* store.events.head(claimed))
      yield* journal.append("run.cancelled", "", "", JSON.stringify({ reason }), "cancelled")
    })

  // oxlint-disable typescript/no-unsafe-type-assertion -- output, failure and needs are in the flow's type and erased in its program
  return Heddle.of({
    run: (flow, input, options = {}) => start(flow.ir, input, options) as Effect.Effect<never>,
    resume: (flow, id, { durability = "sync" } = {}) =>
      Effect.gen(function*() {
        yield* valid(flow.ir)
        const run = yield* store.runs.get(id)
        if (run.flow !== flow.ir.name) return yield* new RunConflict({ run: id, differs: "flow" })
        return yield* goOn(flow.ir, run, durability)
      }) as Effect.Effect<never>,
    cancel,
    get: store.runs.get,
    list: (filter = {}) => store.runs.list(filter),
    events: (id, since = 0) => Effect.flatMap(store.runs.get(id), (run) => store.events.since(run, since)),
    listen: (listener) => listeners.add(listener),
  })
  // oxlint-enable typescript/no-unsafe-type-assertion
}

/** How often a process looks whether another one has cancelled or taken over what it drives, in milliseconds. */
const watchInterval = 250

const watch = (store: Store["Service"], run: RunRecord, here: Live): NodeJS.Timeout =>
  setInterval(() => {
    const look = Effect.map(store.runs.get(run.id), ({ fence, status }) => {
      if (fence === run.fence || here.fiber === undefined) return
      if (status === "cancelled") here.cancelled.reason = "by another process"
      else here.taken = true
      here.fiber.interruptUnsafe()
    })
    Effect.runFork(Effect.ignore(look))
  }, watchInterval).unref()
