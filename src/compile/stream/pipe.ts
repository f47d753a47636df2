/** Stages one behind the other. */
import * as Effect from "effect/Effect"
import type { Values } from "../../../dsl/ir/node.ts"
import { passPath } from "../../../dsl/ir/path.ts"
import { innerStages, type Stage } from "../../../dsl/ir/stream.ts"
import { StreamOverflowed } from "../../model/stream-error.ts"
import type { Run } from "../program.ts"
import { threw } from "../settle.ts"
import { type Items, none, type Op, Plain } from "./op.ts"
import { Batch, calling, Counting, Dedupe, Scan, TakeWhile } from "./ops.ts"
import { Debounce, Throttle } from "./pace.ts"
import { windowed } from "./window.ts"
import { Work } from "./work.ts"

/** What stages are made with. */
export interface Making {
  readonly path: string
  readonly scope: Values
  readonly now: () => number
  readonly work: (stage: Extract<Stage, { readonly op: "work" }>, making: Making) => Work
  /** These are stages of a group or a part, whose work is bounded together with that of the others. */
  readonly isPart?: boolean
  /** The numbers of the groups that they are in, as they stand in paths: `[3]`. */
  readonly groups?: string
}

/** Stages up to one that does work, which the last station does not have. */
export interface Station {
  readonly from: number
  /** Number of the stage that does work; in the last station the number of stages. */
  readonly to: number
  readonly work: Work | undefined
  /** Names of those that do work in it. */
  readonly names: ReadonlyArray<string>
}
/** What a stage is asked besides what is pushed into it. */
export type Also = (op: Op, nr: number) => Items | Run<Items>

export class Pipe {
  readonly #ops: ReadonlyArray<Op>
  readonly #stages: ReadonlyArray<Stage>
  #stations: ReadonlyArray<Station> | undefined
  constructor(stages: ReadonlyArray<Stage>, making: Making) {
    this.#ops = stages.map((stage) => opOf(stage, making))
    this.#stages = stages
  }

  /** How many stages there are. */
  get end(): number {
    return this.#ops.length
  }

  get stations(): ReadonlyArray<Station> {
    return this.#stations ??= this.#made()
  }
  #made(): ReadonlyArray<Station> {
    const works = this.#ops.flatMap((op, at) => (op instanceof Work ? [{ op, at }] : []))
    const ends = [...works.map(({ op, at }) => ({ to: at, work: op })), { to: this.end, work: undefined }]
    return ends.map(({ to, work }, nr) => {
      const from = nr === 0 ? 0 : ends[nr - 1]!.to + 1
      return { from, to, work, names: this.#stages.slice(from, to + 1).flatMap(worksIn) }
    })
  }

  /** What comes of these items behind all stages. */
  push(items: Items): Items | Run<Items> {
    return this.pass(items, 0, this.end)
  }

  /** What comes of them behind the stages from one number to before another, and of what each is asked besides. */
  pass(items: Items, from: number, to: number, also?: Also): Items | Run<Items> {
    let now = items
    for (let i = from; i < to; i++) {
      if (now.length === 0 && also === undefined) return none
      const op = this.#ops[i]!
      if (op instanceof Throttle && now.length > 0) return this.#paced(op, now, i + 1, to, also)
      const pushed = now.length === 0 ? none : op.push(now)
      if (also !== undefined) return Effect.flatMap(both(pushed, () => also(op, i)), (next) => run(this.pass(next, i + 1, to, also)))
      if (Effect.isEffect(pushed)) return Effect.flatMap(pushed, (next) => run(this.pass(next, i + 1, to)))
      now = pushed
    }
    return now
  }

  /** Each item goes on when its time has come, not with the last of its chunk. */
  #paced(throttle: Throttle, items: Items, from: number, to: number, also: Also | undefined): Run<Items> {
    const each = Effect.forEach(items, (item) => Effect.flatMap(run(throttle.push([item])), (now) => run(this.pass(now, from, to))))
    return Effect.flatMap(each, (all) => Effect.map(run(this.pass(none, from, to, also)), (rest) => [...all.flat(), ...rest]))
  }

  /** Number of the last station that something is due in. */
  lastDue(now: number): number {
    return this.stations.findLastIndex(({ from, to }) => this.#ops.slice(from, to).some((op) => op.due <= now))
  }
  get due(): number {
    return this.#ops.reduce((due, op) => Math.min(due, op.due), Number.POSITIVE_INFINITY)
  }
  tick(now: number): Run<Items> {
    return run(this.pass(none, 0, this.end, ticking(now)))
  }
  finish(): Run<Items> {
    return run(this.pass(none, 0, this.end, ending(this.end)))
  }
  get late(): number {
    return this.#ops.reduce((sum, op) => sum + op.late, 0)
  }
  /** Nothing comes of more items that enter at the stage of this number. */
  isOver(from: number): boolean {
    return this.#ops.some((op, i) => i >= from && op.isOver)
  }
  save(from = 0, to = this.end): ReadonlyArray<unknown> {
    return this.#ops.slice(from, to).map((op) => op.save())
  }
  load(saved: ReadonlyArray<unknown>): void {
    for (const [i, op] of this.#ops.entries()) op.load(saved[i])
  }
}

/** What comes of the time. */
export const ticking = (now: number): Also => (op) => (op.due <= now ? op.tick(now) : none)
/** Nothing more comes to those before this number: what they still hold. */
export const ending = (before: number): Also => (op, nr) => (nr < before ? op.end() : none)

const both = (first: Items | Run<Items>, second: () => Items | Run<Items>): Run<Items> =>
  Effect.flatMap(run(first), (a) => Effect.map(Effect.suspend(() => run(second())), (b) => (b.length === 0 ? a : [...a, ...b])))

/** Names of the stages that do work in one. */
const worksIn = (stage: Stage): ReadonlyArray<string> => (stage.op === "work" ? [stage.name] : innerStages(stage).flatMap(worksIn))

export const run = (items: Items | Run<Items>): Run<Items> => (Effect.isEffect(items) ? items : Effect.succeed(items))

const opOf = (stage: Stage, making: Making): Op => {
  const { path, scope, now } = making
  switch (stage.op) {
    case "map":
    case "filter":
    case "flatMap":
    case "tap":
      return calling({ ...stage, op: stage.op }, path, scope)
    case "takeWhile":
      return new TakeWhile(stage, path, scope)
    case "take":
    case "drop":
      return new Counting(stage)
    case "scan":
      return new Scan(stage, path, scope)
    case "dedupe":
      return new Dedupe(stage, path)
    case "batch":
      return new Batch(stage, now)
    case "window":
      return windowed(stage.of, `${path}/${stage.name}`, now)
    case "throttle":
      return new Throttle(stage, now)
    case "debounce":
      return new Debounce(stage, now)
    case "work":
      return making.work(stage, making)
    case "merge":
      return new Joining()
    case "group":
      return new Grouped(
        stage.name,
        stage.key as never,
        (_key, nr) => new Pipe(stage.stages, { ...making, isPart: true, groups: passPath(making.groups ?? "", nr) }),
        stage.most,
        making,
      )
    case "partition":
      return new Grouped(
        stage.name,
        stage.key as never,
        (label) => {
          if (!Object.hasOwn(stage.parts, label)) throw new TypeError(`there is no part '${label}', only: ${Object.keys(stage.parts).join(", ")}`)
          return new Pipe(stage.parts[label]!, { ...making, isPart: true })
        },
        Number.POSITIVE_INFINITY,
        making,
      )
  }
}

/** Where items of another source join: they are pushed in here. */
class Joining extends Plain {
  push(items: Items): Items {
    return items
  }
}

/** Items by key, each key's through stages of its own. */
class Grouped extends Plain {
  readonly #pipes = new Map<string, Pipe>()
  readonly #name: string
  readonly #key: (item: unknown, scope: Values) => string
  readonly #make: (key: string, nr: number) => Pipe
  readonly #most: number
  readonly #making: Making

  constructor(name: string, key: (item: unknown, scope: Values) => string, make: (key: string, nr: number) => Pipe, most: number, making: Making) {
    super()
    this.#name = name
    this.#key = key
    this.#make = make
    this.#most = most
    this.#making = making
  }

  push(items: Items): Items | Run<Items> {
    const { path, scope } = this.#making
    const groups = new Map<string, Array<unknown>>()
    try {
      for (const item of items) {
        const key = this.#key(item, scope)
        const group = groups.get(key)
        if (group === undefined) groups.set(key, [item])
        else group.push(item)
      }
      for (const key of groups.keys()) {
        if (this.#pipes.has(key)) continue
        if (this.#pipes.size >= this.#most) return Effect.fail(new StreamOverflowed({ path, what: "keys", most: this.#most }))
        // in the order in which their first items came, wherever a chunk ended
        this.#pipes.set(key, this.#make(key, this.#pipes.size))
      }
    } catch (cause) {
      return Effect.fail(threw(`${path}/${this.#name}`, cause))
    }
    return this.#all([...groups], ([key, group]) => run(this.#pipes.get(key)!.push(group)))
  }

  #all<A>(of: ReadonlyArray<A>, ask: (one: A) => Run<Items>): Run<Items> {
    return Effect.map(Effect.forEach(of, ask, { concurrency: "unbounded" }), (all) => all.flat())
  }

  override get due(): number {
    return [...this.#pipes.values()].reduce((due, pipe) => Math.min(due, pipe.due), Number.POSITIVE_INFINITY)
  }
  override get late(): number {
    return [...this.#pipes.values()].reduce((sum, pipe) => sum + pipe.late, 0)
  }
  override tick(now: number): Run<Items> {
    return this.#all([...this.#pipes.values()], (pipe) => pipe.tick(now))
  }
  override end(): Run<Items> {
    return this.#all([...this.#pipes.values()], (pipe) => pipe.finish())
  }
  override save(): unknown {
    return Array.from(this.#pipes, ([key, pipe]) => [key, pipe.save()])
  }
  override load(saved: unknown): void {
    for (const [key, state] of saved as ReadonlyArray<readonly [string, ReadonlyArray<unknown>]>) {
      const pipe = this.#make(key, this.#pipes.size)
      pipe.load(state)
      this.#pipes.set(key, pipe)
    }
  }
}
