/** Where the items of a stream end. */
import * as Effect from "effect/Effect"
import type { Transaction, Values } from "../../../dsl/ir/node.ts"
import type { OpenSink, SinkContext, SinkTo } from "../../../dsl/ir/stream.ts"
import { StreamOverflowed } from "../../model/stream-error.ts"
import { Context } from "../attempt.ts"
import type { RunContext } from "../frame.ts"
import type { Run } from "../program.ts"
import { settle, threw } from "../settle.ts"
import type { Sent } from "../../model/event.ts"
import { type Items, none } from "./op.ts"
import { own } from "./ops.ts"

export interface Ending {
  write(items: Items): Run<void>
  /** Plain data from which it goes on. */
  save(): unknown
  /** What is to be done in the transaction that records what `save` gives. */
  readonly within: ((sql: Transaction) => void) | undefined
  /** What readers of the run are to be given, with that record. */
  readonly sent: Sent | undefined
  /** What it was given since that was last recorded, where the records together are what it has. */
  readonly part: Items
  /** What was written is recorded. */
  saved(): void
  close(): Run<unknown>
  abandon(): void
}

abstract class Keeping implements Ending {
  abstract write(items: Items): Run<void>
  abstract save(): unknown
  abstract close(): Run<unknown>
  get within(): Ending["within"] {
    return undefined
  }
  get sent(): Sent | undefined {
    return undefined
  }
  get part(): Items {
    return none
  }
  saved(): void {
    // nothing waits for it
  }
  abandon(): void {
    // nothing is open
  }
}

class Count extends Keeping {
  #count: number
  constructor(saved: unknown) {
    super()
    this.#count = (saved as number | undefined) ?? 0
  }
  write(items: Items): Run<void> {
    this.#count += items.length
    return Effect.void
  }
  save(): unknown {
    return this.#count
  }
  close(): Run<unknown> {
    return Effect.succeed(this.#count)
  }
}

class Collect extends Keeping {
  readonly #all: Array<unknown>
  /** How many of them are recorded. */
  #recorded: number
  readonly #most: number
  readonly #path: string
  constructor(most: number, path: string, recorded: Items) {
    super()
    this.#all = [...recorded]
    this.#recorded = recorded.length
    this.#most = most
    this.#path = path
  }
  write(items: Items): Run<void> {
    if (this.#all.length + items.length > this.#most) return Effect.fail(new StreamOverflowed({ path: this.#path, what: "items", most: this.#most }))
    for (const item of items) this.#all.push(item)
    return Effect.void
  }
  save(): unknown {
    return this.#all.length
  }
  override get part(): Items {
    return this.#all.slice(this.#recorded)
  }
  override saved(): void {
    this.#recorded = this.#all.length
  }
  close(): Run<unknown> {
    return Effect.succeed(this.#all)
  }
}

class Fold extends Keeping {
  #sum: unknown
  readonly #call: (sum: unknown, item: unknown, scope: Values) => unknown
  readonly #scope: Values
  readonly #path: string
  constructor(sum: unknown, call: (sum: unknown, item: unknown, scope: Values) => unknown, scope: Values, path: string) {
    super()
    this.#sum = sum
    this.#call = call
    this.#scope = scope
    this.#path = path
  }
  write(items: Items): Run<void> {
    try {
      for (const item of items) this.#sum = this.#call(this.#sum, item, this.#scope)
      return Effect.void
    } catch (cause) {
      return Effect.fail(threw(this.#path, cause))
    }
  }
  save(): unknown {
    return this.#sum
  }
  close(): Run<unknown> {
    return Effect.succeed(this.#sum)
  }
}

/** What is written waits for the checkpoint that records it. */
class Pending extends Keeping {
  protected count: number
  protected pending: Array<unknown> = []
  constructor(saved: unknown) {
    super()
    this.count = (saved as number | undefined) ?? 0
  }
  write(items: Items): Run<void> {
    for (const item of items) this.pending.push(item)
    return Effect.void
  }
  save(): unknown {
    return this.count + this.pending.length
  }
  override saved(): void {
    this.count += this.pending.length
    this.pending = []
  }
  close(): Run<unknown> {
    return Effect.succeed(this.count)
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> => typeof value === "object" && value !== null && "then" in value

/** It is done in the transaction of the checkpoint. */
class Transactional extends Pending {
  readonly #call: (sql: Transaction, items: Items, scope: Values) => unknown
  readonly #scope: Values
  constructor(call: (sql: Transaction, items: Items, scope: Values) => unknown, scope: Values, saved: unknown) {
    super(saved)
    this.#call = call
    this.#scope = scope
  }
  override get within(): Ending["within"] {
    if (this.pending.length === 0) return undefined
    return (sql) => {
      const given = this.#call(sql, this.pending, this.#scope)
      if (!isPromise(given)) return
      given.then(undefined, () => undefined)
      throw new TypeError("a transaction cannot wait, and this one gives a promise: write what is there already")
    }
  }
}

/** The checkpoint carries it to whoever reads the run's items. */
class Emitting extends Pending {
  override get sent(): Sent | undefined {
    return this.pending.length === 0 ? undefined : { from: this.count, items: this.pending }
  }
}

class Own extends Keeping {
  readonly #sink: OpenSink<unknown>
  readonly #path: string
  constructor(sink: OpenSink<unknown>, path: string) {
    super()
    this.#sink = sink
    this.#path = path
  }
  write(items: Items): Run<void> {
    return Effect.asVoid(settle(this.#path, () => this.#sink.write(items)))
  }
  save(): unknown {
    return this.#sink.save()
  }
  close(): Run<unknown> {
    return settle(this.#path, () => this.#sink.close())
  }
  override abandon(): void {
    this.#sink.abandon?.()
  }
}

/** The sink as it was at a checkpoint, all of which have recorded the parts, or at its beginning. */
export const opened = (to: SinkTo, context: SinkContext, at: { readonly sink: unknown } | undefined, parts: Items): Run<Ending> => {
  const { path, scope } = context
  const saved = at?.sink
  // oxlint-disable typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
  switch (to.to) {
    case "count":
      return Effect.succeed(new Count(saved))
    case "collect":
      return Effect.succeed(new Collect(to.most, path, parts))
    case "fold":
      return Effect.succeed(new Fold(at === undefined ? own(to.initial) : saved, to.call as never, scope, path))
    case "emit":
      return Effect.succeed(new Emitting(saved))
    case "transaction":
      return Effect.succeed(new Transactional(to.call as never, scope, saved))
    case "sink":
      return Effect.map(settle(path, () => to.sink.open(saved, context)), (sink) => new Own(sink as OpenSink<unknown>, path))
  }
  // oxlint-enable typescript/no-unsafe-type-assertion
}

/** What a sink is given: artifacts as a step at this path has them. */
export const sinkContext = (run: RunContext, path: string, scope: Values, signal: AbortSignal): SinkContext => {
  const step = new Context(run, path, 1)
  return {
    run: run.id,
    path,
    scope,
    signal,
    get artifacts() {
      return step.artifacts
    },
  }
}
