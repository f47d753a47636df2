/** Streams as data: where items come from, the stages they go through, where they end. */
import type { Input as Duration } from "effect/Duration"
import type { ArtifactAccess } from "./artifact.ts"
import type { Ask, StepNode, Transaction, Values } from "./node.ts"

/** Items in order, and the place behind the last of them: plain data, which `open` goes on from. */
export interface Chunk<out Item = unknown> {
  readonly items: ReadonlyArray<Item>
  readonly next: unknown
}
/** How a source is opened. */
export interface Opening {
  /** The place to go on from; `undefined`: the beginning. */
  readonly from: unknown
  /** Most items of one chunk. */
  readonly size: number
  /** Aborted when nobody reads any more. */
  readonly signal: AbortSignal
}
/** Where items come from. A seekable one goes on from any place it has named; a live one is gone with its process. */
export interface Source<out Item = unknown, out Failure = unknown> {
  readonly source: "seekable" | "live"
  /** For messages and docs. */
  readonly name: string
  /**
   * What a resumed run does with a live one: fail with `StreamLost`, or open it again and go on with what comes then. `keep`: what was read and has not gone
   * through yet is recorded, and goes first.
   */
  readonly onResume: "fail" | "reopen" | "keep"
  readonly open: (opening: Opening) => AsyncIterable<Chunk<Item>> | Iterable<Chunk<Item>>
  /** The type of what reading fails with; no value has it. */
  readonly "~failure"?: Failure
}

/** A function of an item; the scope is the one around the stream. */
export type ItemCall = (item: never, scope: Values) => unknown
/** What becomes of an item whose work has failed: the stream fails, the item is left out, or it is left out and recorded. */
export type ItemFailure = "fail" | "skip" | "reject"

/** Which items make up one window. */
export type WindowOf =
  | { readonly by: "count"; readonly size: number; readonly every: number }
  | {
    readonly by: "time"
    readonly span: Duration
    readonly every: Duration
    readonly at: ((item: never) => number) | undefined
    readonly late: Duration
    readonly most: number
  }
  | { readonly by: "session"; readonly gap: Duration; readonly at: ((item: never) => number) | undefined; readonly most: number }

interface Named {
  readonly name: string
}
export type Stage =
  & Named
  & (
    | { readonly op: "map" | "filter" | "flatMap" | "tap" | "takeWhile"; readonly call: ItemCall }
    | { readonly op: "scan"; readonly initial: unknown; readonly call: (sum: never, item: never, scope: Values) => unknown }
    | { readonly op: "batch"; readonly size: number; readonly within: Duration | undefined }
    | { readonly op: "window"; readonly of: WindowOf }
    | { readonly op: "dedupe"; readonly key: ((item: never) => unknown) | undefined; readonly most: number }
    | { readonly op: "take" | "drop"; readonly count: number }
    | { readonly op: "throttle"; readonly limit: number; readonly per: Duration }
    | { readonly op: "debounce"; readonly quiet: Duration }
    /** Items of another source join those that come here; only among the stages of the stream itself. */
    | { readonly op: "merge"; readonly source: Ask }
    /** A step, tool, agent or flow for each item: the node of this name in the stream's body. */
    | {
      readonly op: "work"
      readonly concurrency: number
      readonly ordered: boolean
      /** The item goes on, not what the work gives. */
      readonly keeps: boolean
      readonly failure: ItemFailure
    }
    /** Items by key, each key's with stages of its own. */
    | { readonly op: "group"; readonly key: ItemCall; readonly stages: ReadonlyArray<Stage>; readonly most: number }
    | { readonly op: "partition"; readonly key: ItemCall; readonly parts: Readonly<Record<string, ReadonlyArray<Stage>>> }
  )

/** The stages that a stage has inside: of a group, of each part. */
export const innerStages = (stage: Stage): ReadonlyArray<Stage> =>
  stage.op === "group" ? stage.stages : stage.op === "partition" ? Object.values(stage.parts).flat() : []

/** What a sink of an author's or a library's own is given. */
export interface SinkContext {
  readonly run: string
  readonly path: string
  readonly scope: Values
  readonly signal: AbortSignal
  /** Of the run's session, as its steps see them. */
  readonly artifacts: ArtifactAccess
}
/** Where items end: it is opened with what it last saved, and must then be as it was when it saved that. */
export interface Sink<in Item = never, out Result = unknown> {
  readonly name: string
  readonly open: (saved: unknown, context: SinkContext) => OpenSink<Item, Result> | Promise<OpenSink<Item, Result>>
}
export interface OpenSink<in Item = never, out Result = unknown> {
  readonly write: (items: ReadonlyArray<Item>) => void | Promise<void>
  /** Everything written is safe, and this is all that is needed to go on behind it: plain data. */
  readonly save: () => unknown
  readonly close: () => Result | Promise<Result>
  /** It was given up: after a failure, an interruption. */
  readonly abandon?: () => void
}
export type SinkTo =
  | { readonly to: "count" }
  | { readonly to: "collect"; readonly most: number }
  | { readonly to: "fold"; readonly initial: unknown; readonly call: (sum: never, item: never, scope: Values) => unknown }
  /** The items are for whoever reads them from the run. */
  | { readonly to: "emit" }
  | { readonly to: "transaction"; readonly call: (sql: Transaction, items: never, scope: Values) => unknown }
  | { readonly to: "sink"; readonly sink: Sink }

/** Items through bounded stages. */
export interface StreamShape {
  readonly source: Ask
  readonly stages: ReadonlyArray<Stage>
  readonly sink: SinkTo
  /** Most items that wait between the source and the stages. */
  readonly buffer: number
  /** Most bytes of theirs, as JSON; `Infinity`: they are not counted. */
  readonly bytes: number
  /** What happens with items that come while the buffer is full: the source waits, the oldest or the newest are dropped, or they wait in a file. */
  readonly overflow: "suspend" | "dropOldest" | "dropNewest" | "spill"
  /** How many items, or how long, until it is recorded how far it has come. */
  readonly checkpoint: { readonly items: number; readonly time: Duration }
  /** Most items that are rejected. */
  readonly rejects: number
  /** The work of its stages, as steps. */
  readonly body: { readonly nodes: ReadonlyArray<StepNode>; readonly returns: undefined; readonly dangling: false }
}

/** Whatever is not a source is none. */
export const isSource = (value: unknown): value is Source =>
  typeof value === "object" && value !== null && "open" in value && "source" in value && typeof value.open === "function"
