/** `.stream`: items from a source through bounded stages to a sink. */
import type { Input as Duration } from "effect/Duration"
import type { Effect } from "effect/Effect"
import type { Limit } from "../ir/limit.ts"
import type { StepContext, Transaction } from "../ir/node.ts"
import type { Sink, Source } from "../ir/stream.ts"
import type { StepTimedOut, StreamLost, StreamOverflowed } from "./failure.ts"
import type { Sync } from "./definition.ts"
import type { AnyDefinition, Chain, FailureOf, InputOf, NeedsIn, OutputOf } from "./flow.ts"
import type { NodeHook, StepHook } from "./hook.ts"
import type { FreshName } from "./names.ts"
import type { AnyScope, Bind, Pass, ScopeOf } from "./scope.ts"
import type { Misfit } from "./names.ts"
import type { NotStorable, Storable } from "./storable.ts"
import type { Retry } from "./step-verbs.ts"
import type { FlowTypeError } from "./type-error.ts"
import type { ErrorOf, NeedsOf, ValueOf } from "./work.ts"

export interface StreamOptions {
  /** Most items that wait between the source and the stages, and most that are in the stages, default 256. */
  readonly buffer?: number
  /** Most bytes of the items that wait, counted as JSON; default: not counted. One chunk more is read at most. Not with strategies that drop. */
  readonly bytes?: number
  /**
   * What happens with items that come while the buffer is full: the source waits (default), the oldest or the newest are dropped, or the source is read on
   * and they wait in a file in the system's temporary folder, 1 GiB at most (`StreamOverflowed`). What waits in a file is gone with its process.
   */
  readonly overflow?: "suspend" | "dropOldest" | "dropNewest" | "spill"
  /** After how many items (default 1000) or how long (default 1 second) it is recorded how far it has come; what comes after it is done again after a crash. */
  readonly checkpoint?: { readonly items?: number; readonly time?: Duration }
  /** Most items that `failure: "reject"` may record, default 1000; beyond it the stream fails with `StreamOverflowed`. */
  readonly rejects?: number
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** Asked at this node only. */
  readonly hooks?: ReadonlyArray<NodeHook<"stream">>
}

/** The work of a stage: a step for each item. */
export interface StageOptions<Item, Scope, Result, Timeout> {
  /** How many items at once, default 1. */
  readonly concurrency?: number
  /** They go on in the order in which they came (default), or as they are done, among those of one chunk. */
  readonly ordered?: boolean
  /** An item whose work has failed: the stream fails (default), the item is left out (`skip`), or left out and recorded (`reject`). */
  readonly failure?: "fail" | "skip" | "reject"
  readonly retry?: Retry<ErrorOf<NoInfer<Result>> | ([Timeout] extends [never] ? never : StepTimedOut)>
  /** Longest time for one attempt. */
  readonly timeout?: Timeout
  readonly limits?: ReadonlyArray<Limit<Scope & { readonly item: Item }>>
  readonly hooks?: ReadonlyArray<StepHook<NoInfer<ValueOf<Result>>>>
  readonly description?: string
}
type Unhandled<O, Error> = O extends { readonly failure: "skip" | "reject" } ? never : Error
type TimeoutIn<O> = O extends { readonly timeout: Duration } ? StepTimedOut : never
type SpillIn<O> = O extends { readonly overflow: "spill" } ? StreamOverflowed : never
type RejectIn<O> = O extends { readonly failure: "reject" } ? StreamOverflowed : never

/** The definition, or the sentence that says why the items do not fit it. */
type StageGuard<D extends AnyDefinition, Item> = [Item] extends [InputOf<D>] ? D :
  FlowTypeError<`stage '${D["~types"]["name"]}' is given items of another type`, Misfit<InputOf<D>, Item>>

/** A value that comes later, or may fail. */
type Later<A> = PromiseLike<A> | Effect<A, any, any>

interface TimeWindow<Item> {
  readonly time: Duration
  /** A window begins so often, default `time`: windows do not overlap. */
  readonly every?: Duration
  /** When an item happened, in milliseconds since 1970; default: when it comes. */
  readonly at?: (item: Item) => number
  /** How long after its end a window waits for items that come late, default not at all; later ones are dropped. */
  readonly late?: Duration
  /** Most items in all windows that are open, default 100,000; more is `StreamOverflowed`. */
  readonly most?: number
}
type WindowGiven<Item> =
  | TimeWindow<Item>
  | { readonly session: Duration; readonly at?: (item: Item) => number; readonly most?: number }

/** The stages of a stream. Each gives new ones; functions get the item and the scope around the stream. */
export interface Stages<in out Item, in out Scope, out Failure, out Needs> {
  readonly "~stages": { readonly result: number; readonly failure: Failure; readonly needs: Needs }
  /** What a function makes of each item: a value, Promise, Result or Effect. With a name it is a step for each. */
  map<Result>(call: (item: Item, scope: Scope) => Result): Stages<ValueOf<Result>, Scope, Failure | ErrorOf<Result>, Needs | NeedsOf<Result>>
  map<Result, Timeout extends Duration = never, const O extends StageOptions<Item, Scope, Result, Timeout> = {}>(
    name: string,
    call: (item: Item, scope: Scope, step: StepContext) => Result,
    options?: O & StageOptions<Item, Scope, Result, Timeout>,
  ): Stages<ValueOf<Result>, Scope, Failure | Unhandled<O, ErrorOf<Result> | TimeoutIn<O>> | RejectIn<O>, Needs | NeedsOf<Result>>
  /** A step, tool, agent or flow for each item, given the item. A flow or an agent is a run of its own for each. */
  map<D extends AnyDefinition, const O extends StageOptions<Item, Scope, any, Duration> = {}>(
    definition: StageGuard<D, Item>,
    options?: O,
  ): Stages<OutputOf<D>, Scope, Failure | Unhandled<O, FailureOf<D> | TimeoutIn<O>> | RejectIn<O>, Needs | NeedsIn<D>>
  map<D extends AnyDefinition, const O extends StageOptions<Item, Scope, any, Duration> = {}>(
    name: string,
    definition: StageGuard<D, Item>,
    options?: O,
  ): Stages<OutputOf<D>, Scope, Failure | Unhandled<O, FailureOf<D> | TimeoutIn<O>> | RejectIn<O>, Needs | NeedsIn<D>>
  /** The same, and the item itself goes on. */
  each<Result, Timeout extends Duration = never, const O extends StageOptions<Item, Scope, Result, Timeout> = {}>(
    name: string,
    call: (item: Item, scope: Scope, step: StepContext) => Result,
    options?: O & StageOptions<Item, Scope, Result, Timeout>,
  ): Stages<Item, Scope, Failure | Unhandled<O, ErrorOf<Result> | TimeoutIn<O>> | RejectIn<O>, Needs | NeedsOf<Result>>
  each<D extends AnyDefinition, const O extends StageOptions<Item, Scope, any, Duration> = {}>(
    definition: StageGuard<D, Item>,
    options?: O,
  ): Stages<Item, Scope, Failure | Unhandled<O, FailureOf<D> | TimeoutIn<O>> | RejectIn<O>, Needs | NeedsIn<D>>
  each<D extends AnyDefinition, const O extends StageOptions<Item, Scope, any, Duration> = {}>(
    name: string,
    definition: StageGuard<D, Item>,
    options?: O,
  ): Stages<Item, Scope, Failure | Unhandled<O, FailureOf<D> | TimeoutIn<O>> | RejectIn<O>, Needs | NeedsIn<D>>
  filter<Picked extends Item>(call: (item: Item, scope: Scope) => item is Picked): Stages<Picked, Scope, Failure, Needs>
  filter(call: (item: Item, scope: Scope) => boolean): Stages<Item, Scope, Failure, Needs>
  filter<Result extends Later<boolean>>(
    call: (item: Item, scope: Scope) => Result,
  ): Stages<Item, Scope, Failure | ErrorOf<Result>, Needs | NeedsOf<Result>>
  /** Several items, or none, for each. */
  flatMap<Next>(call: (item: Item, scope: Scope) => Iterable<Next>): Stages<Next, Scope, Failure, Needs>
  flatMap<Result extends Later<Iterable<unknown>>>(
    call: (item: Item, scope: Scope) => Result,
  ): Stages<ValueOf<Result> extends Iterable<infer Next> ? Next : never, Scope, Failure | ErrorOf<Result>, Needs | NeedsOf<Result>>
  /** Looks at each item as it passes; nothing comes of it but its error. */
  tap<Result>(call: (item: Item, scope: Scope) => Result): Stages<Item, Scope, Failure | ErrorOf<Result>, Needs | NeedsOf<Result>>
  /** Ends the stream at the first item for which this does not hold; nothing more is read. */
  takeWhile(call: (item: Item, scope: Scope) => boolean): Stages<Item, Scope, Failure, Needs>
  /** Ends the stream after so many; nothing more is read. */
  take(count: number): Stages<Item, Scope, Failure, Needs>
  drop(count: number): Stages<Item, Scope, Failure, Needs>
  /** What has come of all items so far, after each; plain data, which is recorded. */
  scan<Sum>(initial: Sum, call: (sum: Sum, item: Item, scope: Scope) => Sum): Stages<Sum, Scope, Failure, Needs>
  /** So many at a time; with `within`, what has come by then. */
  batch(size: number, options?: { readonly within?: Duration }): Stages<ReadonlyArray<Item>, Scope, Failure, Needs>
  /** Items that belong together: so many, those of a time, those between pauses. */
  window(of: { readonly count: number; readonly every?: number }): Stages<ReadonlyArray<Item>, Scope, Failure, Needs>
  window(of: WindowGiven<Item>): Stages<ReadonlyArray<Item>, Scope, Failure | StreamOverflowed, Needs>
  /** Leaves out what has been seen before, among the last `most` (10,000) keys. */
  dedupe(options?: { readonly key?: (item: Item) => unknown; readonly most?: number }): Stages<Item, Scope, Failure, Needs>
  /** No more than `limit` items `per` time go on; the source waits. */
  throttle(options: { readonly limit: number; readonly per: Duration }): Stages<Item, Scope, Failure, Needs>
  /** Only the last of items that come closer together than this. */
  debounce(quiet: Duration): Stages<Item, Scope, Failure, Needs>
  /**
   * Items of another source join those that come here, as they come; each source is resumed at its own place. Only among the stages of the stream itself, not of
   * a group or a part. What is done again after a crash may come in another order, so `step.key` behind it may be another item's.
   *
   * @example
   * seq("both").stream("all", () => [1, 2], (s) => s.map((n) => `a${n}`).merge(() => ["b1"]).collect())
   */
  merge<From>(source: ((scope: Scope) => From) & SourceGuard<From> & MergeGuard<From>): Stages<Item | ItemIn<From>, Scope, Failure | FailureIn<From>, Needs>
  /** Stages of its own for each key; at most `most` (10,000) keys. */
  groupBy<Next, F, N>(
    key: (item: Item, scope: Scope) => string,
    write: (group: Stages<Item, Scope, never, never>) => Stages<Next, Scope, F, N>,
    options?: { readonly most?: number },
  ): Stages<Next, Scope, Failure | F | StreamOverflowed, Needs | N>
  /** Other stages for each label; every label has them. */
  partition<Label extends string, const Parts extends { readonly [L in Label]: (part: Stages<Item, Scope, never, never>) => Stages<any, Scope, any, any> }>(
    label: (item: Item, scope: Scope) => Label,
    parts: Parts,
  ): Stages<ItemsOf<Parts>, Scope, Failure | PartsOf<Parts>["failure"], Needs | PartsOf<Parts>["needs"]>

  /** Keeps all, at most `most` (10,000): more is `StreamOverflowed`. */
  collect(options?: { readonly most?: number }): Kept<"collect", Item, Sunk<ReadonlyArray<Item>, Failure | StreamOverflowed, Needs>>
  /** What comes of all items; plain data. */
  fold<Sum>(initial: Sum, call: (sum: Sum, item: Item, scope: Scope) => Sum): Kept<"fold", Sum, Sunk<Sum, Failure, Needs>>
  /**
   * Gives the items to whoever reads them, in any process, as they come or from an index on: `heddle.items(run)`. Each is recorded before it is seen, exactly
   * once and in order; their number is bound.
   */
  emit(): Kept<"emit", Item, Sunk<number, Failure, Needs>>
  /**
   * Writes the items of each checkpoint in the transaction that records it, in the journal's own database: each exactly once. The function is synchronous.
   */
  transaction<Result>(call: (sql: Transaction, items: ReadonlyArray<Item>, scope: Scope) => Sync<Result>): Sunk<number, Failure, Needs>
  to<Result>(sink: Sink<Item, Result>): Sunk<Result, Failure, Needs>
}
type PartOf<Parts> = { [L in keyof Parts]: Parts[L] extends (part: never) => infer P ? P : never }[keyof Parts]
type PartsOf<Parts> = PartOf<Parts> extends { readonly "~stages": infer Known extends { readonly failure: unknown; readonly needs: unknown } } ? Known : never
type ItemsOf<Parts> = PartOf<Parts> extends infer P ? P extends Stages<infer Item, any, any, any> ? Item : never : never

/** `S`, or the sentence that says which part of what is recorded cannot be. */
type Kept<Sink extends string, Value, S> = [Value] extends [Storable] ? S :
  NotStorable<Value> extends never ? S :
  FlowTypeError<`.${Sink} records what cannot be recorded: map it to plain data`, NotStorable<Value>>

/** Stages with an end. */
export interface Sunk<out Result, out Failure, out Needs> {
  readonly "~stages": { readonly result: Result; readonly failure: Failure; readonly needs: Needs }
}
type AnySunk = Sunk<any, any, any>

type ItemIn<From> = From extends Source<infer Item, any> ? Item : From extends ReadonlyArray<infer Item> ? Item : never
type FailureIn<From> = From extends Source<any, infer Failure> ? Failure | (From extends { readonly source: "seekable" } ? never : StreamLost) : never
/** `unknown` is the compiler's first pass. */
type SourceGuard<From> = unknown extends From ? unknown :
  [From] extends [Source<any, any> | ReadonlyArray<any>] ? unknown :
  FlowTypeError<"this is no source that a resumed run could go on with: give an array, or one of heddle/streams: lines, ndjson, csv, poll, live(…)">

/** Several sources are read ahead, and one that is kept is not. */
type MergeGuard<From> = unknown extends From ? unknown :
  [From] extends [{ readonly onResume: "keep" }] ? FlowTypeError<"several sources are read ahead, and this one is to be kept: give it a stream of its own"> :
  unknown

export interface StreamVerb {
  /**
   * Takes items from a source through stages; what its sink makes of them, or their number, is bound.
   *
   * The source is asked for no more than the buffer has room for. How far it has come is recorded together with what the stages and the sink remember, every
   * 1,000 items or second: a resumed run goes on there, so each item is done at least once, with the same `step.key`; `transaction` has each exactly once.
   *
   * @example
   * seq<{ file: string }>("load")
   *   .stream("rows", ({ input }) => [input.file], (s) => s.map("size", (file) => file.length).batch(100).each("save", (sizes) => sizes.length))
   */
  stream<Input, S extends AnyScope, Failure, Needs, From, P extends AnySunk, const O extends StreamOptions = {}>(
    this: Chain<Input, S, Failure, Needs>,
    source: ((scope: ScopeOf<S>) => From) & SourceGuard<From>,
    pipe: (stages: Stages<ItemIn<From>, ScopeOf<S>, FailureIn<From>, never>) => P,
    options?: O & StreamOptions,
  ): Chain<Input, Pass<S, never>, Failure | P["~stages"]["failure"] | SpillIn<O>, Needs | P["~stages"]["needs"]>
  stream<Input, S extends AnyScope, Failure, Needs, const Name extends string, From, P extends AnySunk, const O extends StreamOptions = {}>(
    this: Chain<Input, S, Failure, Needs>,
    name: FreshName<Name, S["names"]>,
    source: ((scope: ScopeOf<S>) => From) & SourceGuard<From>,
    pipe: (stages: Stages<ItemIn<From>, ScopeOf<S>, FailureIn<From>, never>) => P,
    options?: O & StreamOptions,
  ): Chain<Input, Bind<S, Name, P["~stages"]["result"]>, Failure | P["~stages"]["failure"] | SpillIn<O>, Needs | P["~stages"]["needs"]>
}
