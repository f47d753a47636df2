/** Stages one behind the other. */
import * as Effect from "effect/Effect"
import type { Values } from "../../../dsl/ir/node.ts"
import type { Stage } from "../../../dsl/ir/stream.ts"
import { StreamOverflowed } from "../../model/stream-error.ts"
import type { Run } from "../program.ts"
import { threw } from "../settle.ts"
import { type Items, none, type Op, Plain } from "./op.ts"
import { Batch, calling, Counting, Dedupe, Scan, TakeWhile } from "./ops.ts"
import { Debounce, Throttle } from "./pace.ts"
import { windowed } from "./window.ts"

/** What stages are made with. */
export interface Making {
  readonly path: string
  readonly scope: Values
  readonly now: () => number
  readonly work: (stage: Extract<Stage, { readonly op: "work" }>) => Op
}

export class Pipe {
  readonly #ops: ReadonlyArray<Op>
  constructor(stages: ReadonlyArray<Stage>, making: Making) {
    this.#ops = stages.map((stage) => opOf(stage, making))
  }

  /** What comes of these items behind all stages from the one of this number on. */
  push(items: Items, from = 0): Items | Run<Items> {
    let now = items
    for (let i = from; i < this.#ops.length && now.length > 0; i++) {
      const op = this.#ops[i]!
      if (op instanceof Throttle) return this.#paced(op, now, i + 1)
      const out = op.push(now)
      if (Effect.isEffect(out)) return Effect.flatMap(out, (next) => run(this.push(next, i + 1)))
      now = out
    }
    return now
  }

  /** Each item goes on when its time has come, not with the last of its chunk. */
  #paced(throttle: Throttle, items: Items, from: number): Run<Items> {
    const each = Effect.forEach(items, (item) => Effect.flatMap(run(throttle.push([item])), (now) => run(this.push(now, from))))
    return Effect.map(each, (all) => all.flat())
  }

  get due(): number {
    return this.#ops.reduce((due, op) => Math.min(due, op.due), Number.POSITIVE_INFINITY)
  }
  tick(now: number): Run<Items> {
    return this.#each((op) => (op.due <= now ? op.tick(now) : none))
  }
  end(): Run<Items> {
    return this.#each((op) => op.end())
  }
  get late(): number {
    return this.#ops.reduce((sum, op) => sum + op.late, 0)
  }
  /** Nothing comes of more items that enter at the stage of this number. */
  isOver(from = 0): boolean {
    return this.#ops.some((op, i) => i >= from && op.isOver)
  }
  save(): ReadonlyArray<unknown> {
    return this.#ops.map((op) => op.save())
  }
  load(saved: ReadonlyArray<unknown>): void {
    for (const [i, op] of this.#ops.entries()) op.load(saved[i])
  }

  /** What each gives goes through those behind it before they are asked themselves. */
  #each(ask: (op: Op) => Items | Run<Items>): Run<Items> {
    const given = Effect.forEach(this.#ops, (op, i) => Effect.flatMap(Effect.suspend(() => run(ask(op))), (items) => run(this.push(items, i + 1))))
    return Effect.map(given, (all) => all.flat())
  }
}

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
      return making.work(stage)
    case "merge":
      return new Joining()
    case "group":
      return new Grouped(stage.name, stage.key as never, () => new Pipe(stage.stages, making), stage.most, making)
    case "partition":
      return new Grouped(
        stage.name,
        stage.key as never,
        (label) => {
          if (!Object.hasOwn(stage.parts, label)) throw new TypeError(`there is no part '${label}', only: ${Object.keys(stage.parts).join(", ")}`)
          return new Pipe(stage.parts[label]!, making)
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
  readonly #make: (key: string) => Pipe
  readonly #most: number
  readonly #making: Making

  constructor(name: string, key: (item: unknown, scope: Values) => string, make: (key: string) => Pipe, most: number, making: Making) {
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
        this.#pipes.set(key, this.#make(key))
      }
    } catch (cause) {
      return Effect.fail(threw(`${path}/${this.#name}`, cause))
    }
    return this.#all([...groups], ([key, group]) => run(this.#pipes.get(key)!.push(group)))
  }

  #all<A>(of: ReadonlyArray<A>, ask: (one: A) => Run<Items>): Run<Items> {
    return Effect.map(Effect.forEach(of, ask), (all) => all.flat())
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
    return this.#all([...this.#pipes.values()], (pipe) => pipe.end())
  }
  override save(): unknown {
    return Array.from(this.#pipes, ([key, pipe]) => [key, pipe.save()])
  }
  override load(saved: unknown): void {
    for (const [key, state] of saved as ReadonlyArray<readonly [string, ReadonlyArray<unknown>]>) {
      const pipe = this.#make(key)
      pipe.load(state)
      this.#pipes.set(key, pipe)
    }
  }
}
