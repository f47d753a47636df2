/** A stream: chunks of its source go through all stages one after the other; how far it has come is recorded between two of them. */
import * as Effect from "effect/Effect"
import type { Ask, StepNode, StreamNode } from "../../../dsl/ir/node.ts"
import { type Chunk, isSource, type SinkContext, type Source } from "../../../dsl/ir/stream.ts"
import { StateRefused } from "../../model/service-error.ts"
import { drain } from "../../model/signal.ts"
import { StreamLost, StreamOverflowed } from "../../model/stream-error.ts"
import type { Known } from "../../services/recorded.ts"
import type { Changes } from "../../services/state-changes.ts"
import { ask } from "../ask.ts"
import { Context } from "../attempt.ts"
import type { Frame } from "../frame.ts"
import { hooked } from "../hooked.ts"
import { hooksAt } from "../hooks-at.ts"
import { after, type Body, type CompileNode, type Outcome, type Run } from "../program.ts"
import { threw } from "../settle.ts"
import { compileStep } from "../step.ts"
import { inArray } from "./array.ts"
import type { Items } from "./op.ts"
import { Pipe, run as asRun } from "./pipe.ts"
import { Buffered, Direct, ended, type Got, late, type Reader } from "./reader.ts"
import { type LaneChunk, sourceOfAll } from "./merged.ts"
import { spilled } from "./spill.ts"
import { type Ending, opened } from "./sink.ts"
import { SourceFailed } from "./source-failed.ts"
import { Progress } from "./checkpoint.ts"
import { Work } from "./work.ts"

/** The work of its stages, by their names. */
type Bodies = ReadonlyMap<string, { readonly step: StepNode; readonly body: Body }>

export const compileStream: CompileNode<StreamNode> = (node, compileBlock) => {
  const bodies = new Map(node.body.nodes.map((step) => [step.name, { step, body: hooked(step, compileStep(step, compileBlock)) }]))
  return (frame, path, past) =>
    Effect.clockWith((clock) => {
      const flowing = new Flowing(node, frame, path, () => clock.currentTimeMillisUnsafe(), bodies)
      return Effect.onExit(
        Effect.flatMap(flowing.begin(past), () =>
          Effect.flatMap(Effect.whileLoop({ while: () => flowing.goesOn, body: () => flowing.turn(), step: () => undefined }), () => flowing.end())),
        () =>
          Effect.promise(() => flowing.leave()),
      )
    })
}

class Flowing {
  goesOn = true
  readonly #node: StreamNode
  readonly #frame: Frame
  readonly #path: string
  readonly #now: () => number
  readonly #abort = new AbortController()
  readonly #progress: Progress
  readonly #pipe: Pipe
  /** Its sources by name, and the number of the stage that their items enter at: the first is its own, the others join it. */
  readonly #lanes: ReadonlyMap<string, { readonly enters: number; readonly source: Ask }>
  /** Those of which nothing more comes. */
  readonly #endedLanes = new Set<string>()
  #reader: Reader | undefined
  #sink: Ending | undefined
  /** What is read is recorded before it goes through: its source cannot give it again. */
  #keeps = false
  /** What was read before the run was resumed, and has not gone through. */
  #left: Items = []
  /** The buffer has filled up, or has room again, since hooks were asked. */
  #presses: Array<boolean> = []
  /** Something was sent to the run since it was last looked. */
  #rang = true
  readonly #deaf: () => void

  constructor(node: StreamNode, frame: Frame, path: string, now: () => number, bodies: Bodies) {
    const { run, scope } = frame
    this.#node = node
    const joining = node.stages.flatMap((stage, enters) => (stage.op === "merge" ? [[stage.name, { enters, source: stage.source }] as const] : []))
    this.#lanes = new Map([["", { enters: 0, source: node.source }], ...joining])
    this.#frame = frame
    this.#path = path
    this.#now = now
    const progress = this.#progress = new Progress(run, path, node, now)
    const { counts } = progress
    const reject: Progress["reject"] = (stage, at, item, error) => progress.reject(stage, at, item, error)
    this.#pipe = new Pipe(node.stages, {
      path,
      scope,
      now,
      work: (stage) => {
        const { step, body } = bodies.get(stage.name)!
        return new Work(stage, step, body, { frame, path, counts, reject })
      },
    })
    this.#deaf = run.hears(() => {
      this.#rang = true
      this.#reader?.wake()
    })
  }

  /** Opens the source and the sink where the last checkpoint says, or at the beginning. */
  begin(past: Known | undefined): Run<void> {
    const { run } = this.#frame
    const path = this.#path
    return Effect.gen({ self: this }, function*() {
      const saved = past === undefined ? undefined : yield* this.#progress.recall()
      if (saved !== undefined) this.#pipe.load(saved.stages)
      const source = yield* this.#source()
      this.#left = saved?.pending ?? []
      if (source.source === "live") {
        this.#keeps = source.onResume === "keep"
        if (past?.started !== undefined && source.onResume === "fail") return yield* new StreamLost({ path, source: source.name })
        if (past?.started === undefined) yield* run.journal.appendSync("stream.started", this.#frame.path, this.#node.name, "{}")
      }
      run.offers.shared.set(path, () => this.#changed())
      this.#sink = yield* opened(this.#node.sink, this.#sinkContext(), saved?.sink)
      const { size } = this
      const chunks = yield* ask(path, () => source.open({ from: this.#progress.at, size, signal: this.#abort.signal }))
      this.#reader = Symbol.iterator in chunks ? new Direct(chunks) : this.#buffered(chunks)
    })
  }

  /** Where its items come from: its own source, or all that are merged. */
  #source(): Run<Source> {
    const path = this.#path
    return Effect.gen({ self: this }, function*() {
      const sources: Record<string, Source> = {}
      for (const [lane, { source }] of this.#lanes) {
        const given = sourceOf(yield* ask(path, () => source(this.#frame.scope)))
        if (given === undefined) {
          const verb = lane === "" ? ".stream" : ".merge"
          return yield* Effect.fail(threw(path, new TypeError(`what ${verb} was given is no source: an array, or one of heddle/streams`)))
        }
        sources[lane] = given
      }
      const all = Object.values(sources)
      if (all.length === 1) return all[0]!
      const name = all.map((one) => one.name).join(" + ")
      return yield* ask(path, () => sourceOfAll(sources, name, { isOver: (lane) => this.#pipe.isOver(this.#lanes.get(lane)!.enters) }))
    })
  }

  /** Nothing comes of whatever its sources still give. */
  get #isOver(): boolean {
    return [...this.#lanes].every(([lane, { enters }]) => this.#endedLanes.has(lane) || this.#pipe.isOver(enters))
  }

  /** What a sink is given: artifacts as a step at this path has them. */
  #sinkContext(): SinkContext {
    const { run, scope } = this.#frame
    const step = new Context(run, this.#path, 1)
    return {
      run: run.id,
      path: this.#path,
      scope,
      signal: this.#abort.signal,
      get artifacts() {
        return step.artifacts
      },
    }
  }

  #buffered(chunks: AsyncIterable<Chunk>): Reader {
    const { buffer, bytes, overflow } = this.#node
    const given = overflow === "spill" && !this.#keeps ? spilled(chunks, buffer, this.#path, this.#abort.signal) : chunks
    const bounds = { buffer, bytes, overflow: this.#keeps ? "ask" as const : overflow === "spill" ? "suspend" as const : overflow, size: this.size }
    return new Buffered(given, bounds, this.#now, (on) => this.#pressed(on))
  }

  /** Most items of one chunk: how far it has come is recorded between two of them. */
  get size(): number {
    return Math.min(this.#node.buffer, this.#node.checkpoint.items)
  }

  /** What its stages change of State is written with the next checkpoint. */
  #changed(): Changes {
    if (this.#node.sink.to !== "transaction") return this.#progress.changes
    throw new StateRefused({ name: this.#path, reason: "a stream that ends in a transaction changes the database itself: change State elsewhere" })
  }

  /** The next chunk, or what the time brings. */
  turn(): Run<void> {
    const reader = this.#reader!
    const left = this.#left
    if (left.length > 0) {
      this.#left = []
      return after(this.#through({ items: left, next: this.#progress.at }), () => this.#kept())
    }
    const next = () =>
      after(
        Effect.mapError(reader.next(Math.min(this.#pipe.due, this.#progress.due)), (cause) => failed(this.#path, cause)),
        (got) => after(this.#took(got), () => this.#kept()),
      )
    if (!this.#rang) return next()
    this.#rang = false
    return Effect.flatMap(this.#frame.run.journal.signals.has(drain), (isDrained) => {
      if (isDrained) reader.stop()
      return next()
    })
  }

  #took(got: Got): Run<void> {
    if (got === ended) {
      this.goesOn = false
      return Effect.void
    }
    if (got === late) return this.#ticked()
    if (!this.#keeps) return this.#through(got)
    this.#progress.pending = got.items
    return after(this.#progress.record(this.#pipe, this.#sink!, this.#reader!), () => this.#through(got))
  }

  #through({ items, next, lane = "", ended: isLast }: LaneChunk): Run<void> {
    if (isLast) this.#endedLanes.add(lane)
    return after(this.#asked(items), (asked) =>
      after(asRun(this.#pipe.push(asked, this.#lanes.get(lane)!.enters)), (out) =>
        after(this.#write(out), () => {
          this.#progress.at = next
          this.#progress.pending = []
          this.#progress.items += items.length
          if (this.#isOver) this.goesOn = false
          return this.#ticked()
        })))
  }

  #ticked(): Run<void> {
    const now = this.#pipe.due === Number.POSITIVE_INFINITY ? undefined : this.#now()
    return now === undefined || this.#pipe.due > now ? Effect.void : Effect.flatMap(this.#pipe.tick(now), (out) => this.#write(out))
  }

  #write(items: Items): Run<void> {
    return items.length === 0 ? Effect.void : this.#sink!.write(items)
  }

  /** The items as hooks let them through. */
  #asked(items: Items): Run<Items> {
    const { run, scope } = this.#frame
    if (run.hooks === undefined) return Effect.succeed(items)
    const presses = this.#presses
    this.#presses = []
    const told = Effect.forEach(
      presses,
      (on) => hooksAt(run, "stream.pressed", this.#path, () => ({ scope, on, buffered: this.#reader!.buffered })),
      { discard: true },
    )
    return Effect.andThen(
      told,
      Effect.map(hooksAt(run, "stream.chunk", this.#path, () => ({ scope, items, index: this.#progress.items })), (verdict) => {
        const decision = verdict?.decided?.decision
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its point says what takes the items' place
        return decision?.does === "skip" ? [] : decision?.does === "replace" ? decision.value as Items : items
      }),
    )
  }

  #pressed(on: boolean): void {
    if (this.#frame.run.hooks !== undefined) this.#presses.push(on)
    this.#frame.run.journal.notice("stream.pressed", this.#path, () => JSON.stringify({ on, buffered: this.#reader!.buffered }))
  }

  /** Records how far it has come, if it is time, or if somebody waits for what it has given. */
  #kept(): Run<void> {
    return this.goesOn && (this.#progress.isDue || this.#sink!.sent !== undefined) ? this.#checkpoint() : Effect.void
  }

  #checkpoint(): Run<void> {
    const { run, scope } = this.#frame
    const { items } = this.#progress
    const asked: Run<unknown> = run.hooks === undefined ?
      Effect.void :
      hooksAt(run, "stream.checkpoint", this.#path, () => ({ scope, items }), `/${items}`)
    return Effect.andThen(asked, Effect.suspend(() => this.#progress.record(this.#pipe, this.#sink!, this.#reader!)))
  }

  /** Nothing more comes: what the stages still hold goes on, and the sink is closed. */
  end(): Run<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const sink = this.#sink!
      yield* this.#write(yield* this.#pipe.end())
      // what has to be in one transaction with a record, what nobody else records, and that what was kept has gone through
      if (sink.within !== undefined || sink.sent !== undefined || this.#progress.isOwed || this.#keeps) yield* this.#checkpoint()
      const value = yield* sink.close()
      this.#sink = undefined
      return { value }
    })
  }

  /** However it was left: the source is closed, a sink that is still open is given up. */
  async leave(): Promise<void> {
    this.#deaf()
    this.#abort.abort()
    this.#frame.run.offers.shared.delete(this.#path)
    this.#sink?.abandon()
    await this.#reader?.close().catch(() => undefined)
  }
}

/** What a source fails with: a typed error of its own, a file that is full, or whatever it has thrown. */
const failed = (path: string, cause: unknown): unknown =>
  cause instanceof SourceFailed ? cause.error : cause instanceof StreamOverflowed ? cause : threw(path, cause)

const sourceOf = (given: unknown): Source | undefined => (Array.isArray(given) ? inArray(given) : isSource(given) ? given : undefined)
