/** A loop: each pass that is followed by another is recorded together with the decision to go on. */
import * as Effect from "effect/Effect"
import type { Collect, LoopNode, Turns } from "../../dsl/ir/node.ts"
import { passPath } from "../../dsl/ir/path.ts"
import { ItemsChanged, LoopExhausted } from "../model/error.ts"
import type { Ref, RunEvent } from "../model/event.ts"
import { dataOf, type Known } from "../services/recorded.ts"
import { enter } from "./enter.ts"
import type { Frame, Slot } from "./frame.ts"
import { hooksAt } from "./hooks-at.ts"
import { ask } from "./ask.ts"
import { after, type BlockProgram, type CompileNode, type Jump, type Outcome, type Run } from "./program.ts"
import { bounded, spend } from "./spend.ts"
import { encodeUpdates, inlineRef, readUpdates, storable, stored } from "./record.ts"

export const compileLoop: CompileNode<LoopNode> = (node, compileBlock) => {
  const body = compileBlock(node.body)
  return (frame, path, past) =>
    Effect.suspend(() => {
      const loop = new Loop(node, frame, path, body)
      const passes = Effect.whileLoop({ while: () => loop.again, body: () => loop.pass(), step: () => undefined })
      return Effect.flatMap(loop.begin(past), () => Effect.flatMap(bounded(frame, path, node.budget, passes), () => loop.end()))
    })
}

/** One loop of one run. */
class Loop {
  readonly #node: LoopNode
  readonly #frame: Frame
  readonly #path: string
  readonly #body: BlockProgram
  readonly #scope: Record<string, unknown>
  readonly #updates = new Map<string, Slot>()
  readonly #kept: Kept
  #items: ReadonlyArray<unknown> | undefined
  /** Passes there can be at most. */
  #bound = Number.POSITIVE_INFINITY
  #index = 0
  #exhausted = false
  /** Only the first pass of a resumed loop can have anything recorded inside. */
  #past: Known | undefined
  again = true

  constructor(node: LoopNode, frame: Frame, path: string, body: BlockProgram) {
    this.#node = node
    this.#frame = frame
    this.#path = path
    this.#body = body
    this.#scope = { ...frame.scope, index: 0 }
    this.#kept = new Kept(node.collect)
  }

  /** Settles how many passes there are and whether to begin; a resumed loop goes on where it was. */
  begin(past: Known | undefined): Run<void> {
    this.#past = past
    const prepared = Effect.flatMap(this.#measure(), (count) => this.#start(count, past))
    return past === undefined ? prepared : Effect.flatMap(prepared, () => this.#recall())
  }

  #measure(): Run<number | undefined> {
    const { turns } = this.#node
    if (turns.by === "over") {
      const { items: source, max = Number.POSITIVE_INFINITY } = turns
      return Effect.map(ask(this.#path, () => taken(source(this.#frame.scope), max + 1)), (items) => {
        this.#items = items
        this.#bound = Math.min(items.length, max)
        return items.length
      })
    }
    if (turns.by === "times") {
      const { times } = turns
      if (typeof times === "number") {
        this.#bound = times
        return Effect.succeed(undefined)
      }
      return Effect.map(ask(this.#path, () => times(this.#frame.scope)), (count) => (this.#bound = count))
    }
    this.#bound = turns.max
    return Effect.succeed(undefined)
  }

  #start(count: number | undefined, past: Known | undefined): Run<void> {
    const { turns } = this.#node
    if (past?.started !== undefined) {
      const recorded = dataOf(past.started)
      this.again = recorded.again === true
      return recorded.count === undefined || recorded.count === count ?
        Effect.void :
        Effect.fail(new ItemsChanged({ path: this.#path, recorded: recorded.count, found: Number(count) }))
    }
    if (turns.by === "until" || (turns.by === "times" && count === undefined)) return Effect.void
    return Effect.flatMap(this.#goesOn(0), (again) => {
      this.again = again
      const data = `{"again":${again}${count === undefined ? "" : `,"count":${count}`}}`
      return this.#frame.run.journal.append("loop.started", this.#frame.path, this.#node.name, data)
    })
  }

  #recall(): Run<void> {
    const { journal } = this.#frame.run
    const found = this.#kept.many ?
      journal.progress(this.#path, "loop.iterated") :
      Effect.map(journal.newest(this.#path, "loop.iterated"), (event) => (event === undefined ? [] : [event]))
    return Effect.flatMap(found, (events) => {
      const newest = events.at(-1)
      if (newest === undefined) return Effect.void
      return Effect.gen({ self: this }, function*() {
        yield* this.#kept.recall(events, (ref) => journal.value(ref))
        const updates = yield* readUpdates(journal, newest)
        for (const [name, slot] of updates ?? []) this.#change(name, slot)
        this.#index = indexOf(newest) + 1
      })
    })
  }

  #change(name: string, slot: Slot): void {
    this.#scope[name] = slot.value
    this.#updates.set(name, slot)
  }

  /** Runs the body once and decides whether to go on. */
  pass(): Run<void> {
    const index = this.#index
    const scope: Record<string, unknown> = { ...this.#scope, index }
    if (this.#items !== undefined) scope["item"] = this.#items[index]
    const past = this.#past
    this.#past = undefined
    const { budgets, journal } = this.#frame.run
    if (budgets === undefined || (past !== undefined && journal.spending.isCountedIn(passPath(this.#path, index)))) return this.#asked(index, scope, past)
    return Effect.flatMap(spend(this.#frame, this.#path, "iterations", 1), () => this.#asked(index, scope, past))
  }

  #asked(index: number, scope: Record<string, unknown>, past: Known | undefined): Run<void> {
    if (this.#frame.run.hooks === undefined) return this.#run(index, scope, past)
    return Effect.flatMap(
      hooksAt(this.#frame.run, "loop.iteration", this.#path, () => ({ scope, index })),
      (verdict) => verdict?.decided?.decision.does === "skip" ? this.#passed(index, undefined) : this.#run(index, scope, past),
    )
  }

  #run(index: number, scope: Record<string, unknown>, past: Known | undefined): Run<void> {
    return after(enter(this.#frame, passPath(this.#path, index), scope, this.#body, past, this.#updates), ({ outcome, jump, updates }) => {
      if (updates !== undefined) { for (const [name, slot] of updates) this.#change(name, slot) }
      if (jump !== undefined) return this.#passed(index, undefined, jump)
      const ref = storable(this.#path, () => this.#kept.add(outcome))
      return Effect.isEffect(ref) ? ref : this.#passed(index, ref)
    })
  }

  #passed(index: number, ref: Ref | undefined, jump?: Jump): Run<void> {
    return after(jump === "break" ? Effect.succeed(false) : this.#goesOn(index + 1), (again) => {
      this.again = again
      this.#index = index + 1
      // the last pass needs no record of its own: the loop's follows at once
      return again ? this.#recordPass(index, ref) : Effect.void
    })
  }

  #recordPass(index: number, ref: Ref | undefined): Run<void> {
    return after(
      stored(this.#path, () => {
        const kept = this.#kept.many ?
          (ref === undefined ? "" : `,"ref":${JSON.stringify(ref)}`) :
          this.#kept.last === undefined ?
          "" :
          `,"last":${JSON.stringify(this.#kept.last)}`
        const updates = this.#updates.size === 0 ? "" : `,"updates":${JSON.stringify(encodeUpdates(this.#updates))}`
        return `{"again":true${kept}${updates}}`
      }),
      (data) => this.#frame.run.journal.append("loop.iterated", this.#path, `[${index}]`, data),
    )
  }

  #goesOn(next: number): Run<boolean> {
    const { turns } = this.#node
    const asked = turns.by === "while" || (turns.by === "until" && next > 0) ? this.#wants(turns, next) : Effect.succeed(true)
    return after(asked, (wants) => {
      this.#exhausted = wants && next >= this.#bound && (this.#items === undefined || this.#items.length > this.#bound)
      return Effect.succeed(wants && next < this.#bound)
    })
  }

  #wants(turns: Extract<Turns, { readonly test: unknown }>, next: number): Run<boolean> {
    return ask(this.#path, () => turns.test({ ...this.#scope, index: turns.by === "while" ? next : next - 1 }) === (turns.by === "while"))
  }

  end(): Run<Outcome> {
    if (this.#exhausted && this.#node.atMax === "fail") return Effect.fail(new LoopExhausted({ path: this.#path, max: this.#bound }))
    return Effect.succeed({ ...this.#kept.outcome(), updates: this.#updates.size === 0 ? undefined : this.#updates })
  }
}

/** The first `most` items: a source may be endless where the loop has a bound. */
function taken(items: Iterable<unknown>, most: number): ReadonlyArray<unknown> {
  const list: Array<unknown> = []
  for (const item of items) {
    list.push(item)
    if (list.length >= most) break
  }
  return list
}

const indexOf = ({ name }: RunEvent): number => Number(name.slice(1, -1))

/** What a loop keeps of its passes. */
class Kept {
  readonly #collect: Collect
  #values: Array<unknown> = []
  #refs: Array<Ref> = []

  constructor(collect: Collect) {
    this.#collect = collect
  }

  /** More than the newest pass is kept. */
  get many(): boolean {
    return this.#collect !== "last" && this.#collect !== "none"
  }

  get last(): Ref | undefined {
    return this.#refs.at(-1)
  }

  /** Takes the output of a pass; gives where it is recorded. */
  add(outcome: Outcome): Ref | undefined {
    if (this.#collect === "none") return undefined
    const ref: Ref = outcome.ref ?? inlineRef(outcome.value)
    this.#push(outcome.value, ref)
    return ref
  }

  #push(value: unknown, ref: Ref): void {
    const { first, last } = typeof this.#collect === "object" ?
      { first: undefined, last: undefined, ...this.#collect } :
      { first: undefined, last: this.many ? undefined : 1 }
    if (first !== undefined && this.#values.length >= first) return
    this.#values.push(value)
    this.#refs.push(ref)
    if (last !== undefined && this.#values.length > last) {
      this.#values.shift()
      this.#refs.shift()
    }
  }

  recall(events: ReadonlyArray<RunEvent>, value: (ref: Ref) => Run<unknown>): Run<void> {
    const refs = events.map((event) => (this.many ? dataOf(event).ref : dataOf(event).last)).filter((ref) => ref !== undefined)
    return Effect.map(Effect.forEach(refs, value), (values) => values.forEach((kept, i) => this.#push(kept, refs[i]!)))
  }

  outcome(): Outcome {
    if (this.#collect === "none") return { value: undefined }
    return this.many ? { value: this.#values, ref: { r: this.#refs } } : { value: this.#values[0], ref: this.#refs[0] ?? null }
  }
}
