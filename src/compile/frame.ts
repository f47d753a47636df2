/** One block of one run while it is going: what it can read, what it changed, what is recorded of it. */
import type { Ref } from "../model/event.ts"
import type { Journal, Recorded } from "../services/journal.ts"

/** A value and where it is recorded. */
export interface Slot {
  readonly value: unknown
  readonly ref: Ref
}
/** New values of outer names. */
export type Updates = ReadonlyMap<string, Slot>

/** What the nodes of one run share. */
export interface RunContext {
  readonly id: string
  readonly flow: string
  readonly journal: Journal
}

export class Frame {
  readonly run: RunContext
  /** Path of the block; `""` is the flow itself. */
  readonly path: string
  readonly scope: Record<string, unknown>
  /** What is recorded of the block's nodes; `undefined` once the run is past everything recorded. */
  recorded: Recorded | undefined
  /** New values of names outside the block. */
  updates: Map<string, Slot> | undefined
  readonly #own: ReadonlySet<string>
  readonly #refs: Record<string, Ref> = {}

  constructor(run: RunContext, path: string, scope: Record<string, unknown>, own: ReadonlySet<string>, recorded: Recorded | undefined) {
    this.run = run
    this.path = path
    this.scope = scope
    this.recorded = recorded
    this.#own = own
  }

  /** Binds a fresh name. */
  bind(name: string, value: unknown, ref: Ref): void {
    this.scope[name] = value
    this.#refs[name] = ref
  }

  /** Gives a bound name a new value. */
  update(name: string, slot: Slot): void {
    this.scope[name] = slot.value
    if (this.#own.has(name)) this.#refs[name] = slot.ref
    else (this.updates ??= new Map()).set(name, slot)
  }

  apply(updates: Updates | undefined): void {
    if (updates !== undefined) { for (const [name, slot] of updates) this.update(name, slot) }
  }

  /** The record of the block's own names, which is its output when it has no `returns`. */
  own(): Slot {
    const value: Record<string, unknown> = {}
    for (const name of this.#own) value[name] = this.scope[name]
    return { value, ref: { r: this.#refs } }
  }
}
