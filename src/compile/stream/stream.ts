/** A stream: chunks of its source go through all stages one after the other; how far it has come is recorded between two of them. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { StepNode, StreamNode } from "../../../dsl/ir/node.ts"
import { isSource, type Source } from "../../../dsl/ir/stream.ts"
import { StateRefused } from "../../model/service-error.ts"
import { StreamLost, StreamOverflowed } from "../../model/stream-error.ts"
import { encodeValue, revive } from "../../model/value.ts"
import { dataOf, type Known } from "../../services/recorded.ts"
import { Changes } from "../../services/state-changes.ts"
import { ask } from "../ask.ts"
import type { Frame } from "../frame.ts"
import { hooked } from "../hooked.ts"
import { hooksAt } from "../hooks-at.ts"
import { after, type Body, type CompileNode, type Outcome, type Run } from "../program.ts"
import { encodeError, stored } from "../record.ts"
import { threw } from "../settle.ts"
import { compileStep } from "../step.ts"
import { inArray } from "./array.ts"
import type { Items } from "./op.ts"
import { Pipe, run as asRun } from "./pipe.ts"
import { Buffered, Direct, ended, type Got, late, type Reader } from "./reader.ts"
import { type Ending, opened } from "./sink.ts"
import { recorded, type Saved } from "./checkpoint.ts"
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
  readonly #time: number
  readonly #abort = new AbortController()
  readonly #counts = new Map<string, number>()
  /** What the work of its stages has changed of State since the last checkpoint. */
  #changes = new Changes()
  readonly #pipe: Pipe
  #reader: Reader | undefined
  #sink: Ending | undefined
  /** Behind the last chunk that went through. */
  #at: unknown
  #items = 0
  #rejected = 0
  #rejects: Array<unknown> = []
  /** When it was last recorded how far it has come, and how far that was. */
  #savedAt: number
  #savedItems = 0
  /** The buffer has filled up, or has room again, since hooks were asked. */
  #presses: Array<boolean> = []

  constructor(node: StreamNode, frame: Frame, path: string, now: () => number, bodies: Bodies) {
    this.#node = node
    this.#frame = frame
    this.#path = path
    this.#now = now
    this.#time = Duration.toMillis(node.checkpoint.time)
    this.#savedAt = now()
    const working = {
      frame,
      path,
      counts: this.#counts,
      reject: (stage: string, at: string, item: unknown, error: unknown) => this.#reject(stage, at, item, error),
    }
    this.#pipe = new Pipe(node.stages, {
      path,
      scope: frame.scope,
      now,
      work: (stage) => {
        const { step, body } = bodies.get(stage.name)!
        return new Work(stage, step, body, working)
      },
    })
  }

  /** Opens the source and the sink where the last checkpoint says, or at the beginning. */
  begin(past: Known | undefined): Run<void> {
    const { run, scope } = this.#frame
    const path = this.#path
    return Effect.gen({ self: this }, function*() {
      const event = past === undefined ? undefined : yield* run.journal.newest(path, "stream.checkpointed")
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written below
      const saved = event === undefined ? undefined : revive(dataOf(event).saved) as Saved
      if (saved !== undefined) this.#load(saved)
      const source = sourceOf(yield* ask(path, () => this.#node.source(scope)))
      if (source === undefined) return yield* Effect.fail(threw(path, new TypeError("what .stream was given is no source: an array, or one of heddle/streams")))
      if (source.source === "live") {
        if (past?.started !== undefined && source.onResume === "fail") return yield* new StreamLost({ path, source: source.name })
        if (past?.started === undefined) yield* run.journal.appendSync("stream.started", this.#frame.path, this.#node.name, "{}")
      }
      run.offers.shared.set(path, () => this.#changed())
      this.#sink = yield* opened(this.#node.sink, { run: run.id, path, scope, signal: this.#abort.signal }, saved?.sink)
      const chunks = yield* ask(path, () => source.open({ from: this.#at, size: this.#node.buffer, signal: this.#abort.signal }))
      this.#reader = Symbol.iterator in chunks ?
        new Direct(chunks) :
        new Buffered(chunks, this.#node.buffer, this.#node.overflow, this.#now, (on) => this.#pressed(on))
    })
  }

  /** What its stages change of State is written with the next checkpoint. */
  #changed(): Changes {
    if (this.#node.sink.to !== "transaction") return this.#changes
    throw new StateRefused({ name: this.#path, reason: "a stream that ends in a transaction changes the database itself: change State elsewhere" })
  }

  #load({ at, items, stages, counts, rejected }: Saved): void {
    this.#at = at
    this.#items = this.#savedItems = items
    this.#rejected = rejected
    for (const [name, count] of counts) this.#counts.set(name, count)
    this.#pipe.load(stages)
  }

  /** The next chunk, or what the time brings. */
  turn(): Run<void> {
    const reader = this.#reader!
    const due = Math.min(this.#pipe.due, this.#items === this.#savedItems ? Number.POSITIVE_INFINITY : this.#savedAt + this.#time)
    return after(Effect.mapError(reader.next(due), (cause) => threw(this.#path, cause)), (got) => after(this.#took(got), () => this.#kept()))
  }

  #took(got: Got): Run<void> {
    if (got === ended) {
      this.goesOn = false
      return Effect.void
    }
    if (got !== late) {
      const { items, next } = got
      return after(this.#asked(items), (asked) =>
        after(asRun(this.#pipe.push(asked)), (out) =>
          after(this.#write(out), () => {
            this.#at = next
            this.#items += items.length
            if (this.#pipe.isOver) this.goesOn = false
            return this.#ticked()
          })))
    }
    return this.#ticked()
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
      Effect.map(hooksAt(run, "stream.chunk", this.#path, () => ({ scope, items, index: this.#items })), (verdict) => {
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

  #reject(stage: string, at: string, item: unknown, error: unknown): Run<void> {
    return Effect.suspend(() => {
      const most = this.#node.rejects
      if (++this.#rejected > most) return Effect.fail(new StreamOverflowed({ path: this.#path, what: "rejected items", most }))
      this.#rejects.push({ stage, at, item, error: JSON.parse(encodeError(error)) as unknown })
      return Effect.void
    })
  }

  /** Records how far it has come, if it is time. */
  #kept(): Run<void> {
    if (!this.goesOn) return Effect.void
    const items = this.#items - this.#savedItems
    if (items === 0 || (items < this.#node.checkpoint.items && this.#now() < this.#savedAt + this.#time)) return Effect.void
    return this.#checkpoint()
  }

  #checkpoint(): Run<void> {
    const { run, scope } = this.#frame
    const { journal } = run
    const asked: Run<unknown> = run.hooks === undefined ?
      Effect.void :
      hooksAt(run, "stream.checkpoint", this.#path, () => ({ scope, items: this.#items }), `/${this.#items}`)
    const encoded = Effect.suspend(() =>
      stored(this.#path, () => {
        const saved: Saved = {
          at: this.#at,
          items: this.#items,
          stages: this.#pipe.save(),
          sink: this.#sink!.save(),
          counts: [...this.#counts],
          rejected: this.#rejected,
          ...(this.#rejects.length === 0 ? {} : { rejects: this.#rejects }),
        }
        return `{"count":${this.#items},"saved":${encodeValue(saved)}}`
      })
    )
    const record = (data: string) => {
      const changes = this.#changes
      if (!changes.none) this.#changes = new Changes()
      return recorded(run, this.#path, this.#sink!.within, changes, data, this.#now())
    }
    return Effect.flatMap(Effect.andThen(asked, encoded), (data) =>
      Effect.map(record(data), () => {
        const now = this.#now()
        const { buffered, dropped } = this.#reader!
        const seconds = Math.max(1, now - this.#savedAt) / 1000
        const perSecond = Math.round((this.#items - this.#savedItems) / seconds)
        journal.notice("stream.flowed", this.#path, () => JSON.stringify({ items: this.#items, perSecond, buffered, dropped, rejected: this.#rejected }))
        this.#savedAt = now
        this.#savedItems = this.#items
        this.#rejects = []
        this.#sink!.saved()
      }))
  }

  /** Nothing more comes: what the stages still hold goes on, and the sink is closed. */
  end(): Run<Outcome> {
    return Effect.gen({ self: this }, function*() {
      yield* this.#write(yield* this.#pipe.end())
      // what has to be in one transaction with a record, and what nobody else records
      if (this.#sink!.within !== undefined || !this.#changes.none || this.#rejects.length > 0) yield* this.#checkpoint()
      const value = yield* this.#sink!.close()
      this.#sink = undefined
      return { value }
    })
  }

  /** However it was left: the source is closed, a sink that is still open is given up. */
  async leave(): Promise<void> {
    this.#abort.abort()
    this.#frame.run.offers.shared.delete(this.#path)
    this.#sink?.abandon()
    await this.#reader?.close().catch(() => undefined)
  }
}

const sourceOf = (given: unknown): Source | undefined => (Array.isArray(given) ? inArray(given) : isSource(given) ? given : undefined)
