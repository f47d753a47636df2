/** A stream: chunks of its source go through all stages in their order; how far it has come is recorded between two of them. */
import * as Effect from "effect/Effect"
import { makeUnsafe, type Semaphore } from "effect/Semaphore"
import type { StepNode, StreamNode } from "../../../dsl/ir/node.ts"
import { StateRefused } from "../../model/service-error.ts"
import { drain } from "../../model/signal.ts"
import { StreamLost } from "../../model/stream-error.ts"
import type { Known } from "../../services/recorded.ts"
import type { Changes } from "../../services/state-changes.ts"
import type { Frame } from "../frame.ts"
import { hooked } from "../hooked.ts"
import { hooksAt } from "../hooks-at.ts"
import { after, type Body, type CompileNode, type Outcome, type Run } from "../program.ts"
import { compileStep } from "../step.ts"
import { courseOf } from "./course.ts"
import { Inlets } from "./inlets.ts"
import { type Items, none } from "./op.ts"
import { ending, Pipe, ticking } from "./pipe.ts"
import { Intake } from "./intake.ts"
import { ended, type Got, late } from "./reader.ts"
import type { LaneChunk } from "./merged.ts"
import { type Ending, opened, sinkContext } from "./sink.ts"
import { Progress } from "./checkpoint.ts"
import { type Cut, type Wave, Waves } from "./waves.ts"
import { Work } from "./work.ts"

/** The work of its stages, by their names. */
type Bodies = ReadonlyMap<string, { readonly step: StepNode; readonly body: Body }>

export const compileStream: CompileNode<StreamNode> = (node, compileBlock) => {
  const bodies = new Map(node.body.nodes.map((step) => [step.name, { step, body: hooked(step, compileStep(step, compileBlock)) }]))
  return (frame, path, past) =>
    Effect.clockWith((clock) => {
      const flowing = new Flowing(node, frame, path, () => clock.currentTimeMillisUnsafe(), bodies)
      const turns = Effect.whileLoop({ while: () => flowing.goesOn, body: () => flowing.turn(), step: () => undefined })
      const flowed = Effect.flatMap(flowing.begin(past), () => Effect.flatMap(turns, () => flowing.end()))
      return Effect.onExit(flowed, () => flowing.left)
    })
}

class Flowing {
  goesOn = true
  readonly #node: StreamNode
  readonly #frame: Frame
  readonly #path: string
  readonly #now: () => number
  readonly #intake: Intake
  readonly #progress: Progress
  readonly #pipe: Pipe
  readonly #inlets: Inlets
  readonly #bodies: Bodies
  #waves: Waves | undefined
  #sink: Ending | undefined
  /** What is read is recorded before it goes through: its source cannot give it again. */
  #keeps = false
  /** What was read before the run was resumed, and has not gone through. */
  #left: Items = []
  /** Most items of one chunk. */
  #size = 0
  /** How many items have been sent on their way, and how many since the last that marks. */
  #taken = 0
  #unmarked = 0
  /** How many are on their way that mark; the time is on its way. */
  #marks = 0
  #ticks = false
  /** Stages before this number have given what they held: nothing more comes to them. */
  #finished = 0
  /** It is to be recorded how far it has come, once nothing is on its way. */
  #owes = false
  /** Something was sent to the run since it was last looked. */
  #rang = true
  readonly #deaf: () => void

  constructor(node: StreamNode, frame: Frame, path: string, now: () => number, bodies: Bodies) {
    const { run, scope } = frame
    this.#node = node
    this.#frame = frame
    this.#path = path
    this.#now = now
    this.#bodies = bodies
    const progress = this.#progress = new Progress(run, path, node, now)
    const { counts } = progress
    const slots = new Map<string, Semaphore>()
    const reject: Progress["reject"] = (stage, at, item, error) => progress.reject(stage, at, item, error)
    this.#pipe = new Pipe(node.stages, {
      path,
      scope,
      now,
      work: (stage, { isPart = false, groups = "" }) => {
        const { step, body } = bodies.get(stage.name)!
        if (isPart && !slots.has(stage.name)) slots.set(stage.name, makeUnsafe(stage.concurrency))
        return new Work(stage, step, body, { frame, path, groups, counts, reject }, slots.get(stage.name))
      },
    })
    this.#inlets = new Inlets(node, this.#pipe)
    this.#intake = new Intake(node, frame, path, now)
    this.#deaf = run.hears(() => {
      this.#rang = true
      this.#intake.wake()
    })
  }

  /** Opens the source and the sink where the last checkpoint says, or at the beginning. */
  begin(past: Known | undefined): Run<void> {
    const { run, scope } = this.#frame
    const path = this.#path
    return Effect.gen({ self: this }, function*() {
      const saved = past === undefined ? undefined : yield* this.#progress.recall()
      if (saved !== undefined) this.#pipe.load(saved.stages)
      const source = yield* this.#inlets.source(path, scope)
      this.#left = saved?.pending ?? []
      this.#taken = this.#progress.items
      if (source.source === "live") {
        this.#keeps = source.onResume === "keep"
        if (past?.started !== undefined && source.onResume === "fail") return yield* new StreamLost({ path, source: source.name })
        if (past?.started === undefined) yield* run.journal.appendSync("stream.started", this.#frame.path, this.#node.name, "{}")
      }
      const { size, most } = courseOf(this.#node, (stage) => this.#bodies.get(stage)!.step, this.#keeps)
      this.#size = size
      this.#waves = new Waves(this.#pipe, this.#progress.counts, most, () => this.#intake.wake())
      run.offers.shared.set(path, () => this.#changed())
      const { sink } = this.#node
      const parts = saved !== undefined && sink.to === "collect" ? yield* this.#progress.parts() : none
      this.#sink = yield* opened(sink, sinkContext(run, path, scope, this.#intake.signal), saved, parts)
      // what has had enough when it was recorded reads nothing more
      if (this.#inlets.isOver) this.goesOn = false
      else yield* this.#intake.open(source, this.#progress.at, this.#size, this.#keeps)
    })
  }

  /** What its stages change of State is written with the next checkpoint. */
  #changed(): Changes {
    if (this.#node.sink.to !== "transaction") return this.#progress.changes
    throw new StateRefused({ name: this.#path, reason: "a stream that ends in a transaction changes the database itself: change State elsewhere" })
  }

  /** The next chunk, or what the time brings. */
  turn(): Run<void> {
    const waves = this.#waves!
    const left = this.#left
    if (this.#owes) return after(waves.settled(), () => this.#checkpoint())
    const { reached } = this.#inlets
    if (reached > this.#finished) return this.#finish(reached)
    if (left.length > 0) {
      this.#left = []
      return after(this.#through({ items: left, next: this.#progress.at }), () => this.#kept())
    }
    const next = () => after(this.#intake.next(this.#due), (got) => after(this.#took(got), () => this.#kept()))
    return after(waves.room(this.#size), () => {
      if (!this.#rang) return next()
      this.#rang = false
      return Effect.flatMap(this.#frame.run.journal.signals.has(drain), (isDrained) => {
        if (isDrained) this.#intake.stop()
        return next()
      })
    })
  }

  /** Nothing more comes to the stages before this number: what they still hold goes on. */
  #finish(before: number): Run<void> {
    const enters = this.#finished
    this.#finished = before
    return before === this.#pipe.end ? Effect.void : this.#send({ items: none, enters, also: ending(before), marks: false }, () => undefined)
  }

  /** When something has to be done though nothing comes, unless it is being done. */
  get #due(): number {
    return Math.min(this.#ticks ? Number.POSITIVE_INFINITY : this.#pipe.due, this.#marks > 0 ? Number.POSITIVE_INFINITY : this.#progress.due)
  }

  #took(got: Got): Run<void> {
    if (got === ended) {
      this.goesOn = false
      return Effect.void
    }
    if (got === late) return this.#ticked()
    if (!this.#keeps) return this.#through(got)
    this.#progress.pending = got.items
    return after(this.#progress.record(this.#pipe, this.#sink!, this.#intake.reader), () => this.#through(got))
  }

  #through({ items, next, lane = "", ended: isLast }: LaneChunk): Run<void> {
    const { checkpoint, sink } = this.#node
    const { overlaps } = this.#waves!
    if (isLast) this.#inlets.ended(lane)
    return after(this.#intake.asked(items, this.#taken), (asked) => {
      this.#taken += items.length
      this.#unmarked += items.length
      const marks = overlaps && (sink.to === "emit" || this.#unmarked >= checkpoint.items || (this.#marks === 0 && this.#progress.isDue))
      const sent = this.#send({ items: asked, enters: this.#inlets.enters(lane), marks }, () => {
        this.#progress.at = next
        this.#progress.pending = []
        this.#progress.items += items.length
      })
      return after(sent, () => this.#ticked())
    })
  }

  /** Sends a wave; what comes of it is written, and recorded if it marks. */
  #send(wave: Omit<Wave, "arrive">, arrived: () => void): Run<void> {
    if (wave.marks) {
      this.#unmarked = 0
      this.#marks++
    }
    const arrive = (out: Items, cut: Cut | undefined): Run<void> =>
      after(this.#write(out), () => {
        arrived()
        if (this.#inlets.isOver) this.goesOn = false
        if (wave.marks) this.#marks--
        // one after the other: whoever sent it sees what is due
        if (cut === undefined) return Effect.void
        const isWanted = this.#node.sink.to !== "emit" || this.#sink!.sent !== undefined || this.#progress.isDue
        return isWanted ? this.#checkpoint(cut) : Effect.void
      })
    return this.#waves!.send({ ...wave, arrive })
  }

  /** Records how far it has come, unless others on their way have changed already what belongs to that record: then once they have arrived. */
  #record(cut: Cut | undefined): Run<void> {
    const waves = this.#waves!
    if (cut === undefined || !this.#progress.isOwed || waves.underWay === 1) return this.#progress.record(this.#pipe, this.#sink!, this.#intake.reader, cut)
    this.#owes = true
    // State is read as those before have left it
    if (!this.#progress.changes.none) waves.queue()
    return Effect.void
  }

  /** What the time brings. */
  #ticked(): Run<void> {
    const { due } = this.#pipe
    const now = this.#ticks || due === Number.POSITIVE_INFINITY ? undefined : this.#now()
    if (now !== undefined && due <= now) {
      this.#ticks = true
      const last = this.#pipe.lastDue(now)
      const over = () => {
        this.#ticks = false
        this.#intake.wake()
      }
      return this.#send({ items: none, enters: 0, also: ticking(now), marks: false, left: (station) => station === last && over() }, over)
    }
    const marks = this.#waves!.overlaps && this.#marks === 0 && this.#progress.isDue
    return marks ? this.#send({ items: none, enters: 0, marks }, () => undefined) : Effect.void
  }

  #write(items: Items): Run<void> {
    if (items.length === 0) return Effect.void
    this.#progress.hasGiven = true
    return this.#sink!.write(items)
  }

  /** Records how far it has come, if it is time, or if somebody waits for what it has given. */
  #kept(): Run<void> {
    return !this.#waves!.overlaps && this.goesOn && (this.#progress.isDue || this.#sink!.sent !== undefined) ? this.#checkpoint() : Effect.void
  }

  #checkpoint(cut?: Cut): Run<void> {
    this.#owes = false
    const { run, scope } = this.#frame
    const { items } = this.#progress
    const asked: Run<unknown> = run.hooks === undefined ?
      Effect.void :
      hooksAt(run, "stream.checkpoint", this.#path, () => ({ scope, items }), `/${items}`)
    return Effect.andThen(asked, Effect.suspend(() => this.#record(cut)))
  }

  /** Nothing more comes: what the stages still hold goes on, and the sink is closed. */
  end(): Run<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const sink = this.#sink!
      yield* this.#waves!.settled()
      yield* this.#write(yield* this.#pipe.finish())
      // what has to be in one transaction with a record, what nobody else records, and that what was kept has gone through
      if (sink.within !== undefined || sink.sent !== undefined || this.#progress.isOwed || this.#keeps) yield* this.#checkpoint()
      const value = yield* sink.close()
      this.#sink = undefined
      return { value }
    })
  }

  /** However it was left: the source is closed, a sink that is still open is given up. */
  get left(): Effect.Effect<void> {
    return Effect.andThen(this.#waves?.stopped ?? Effect.void, Effect.promise(() => this.#leave()))
  }

  async #leave(): Promise<void> {
    this.#deaf()
    this.#frame.run.offers.shared.delete(this.#path)
    this.#sink?.abandon()
    await this.#intake.close()
  }
}
