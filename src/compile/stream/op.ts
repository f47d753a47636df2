/** A stage at work: items in, items out, and what it remembers between them. */
import type { Run } from "../program.ts"

export type Items = ReadonlyArray<unknown>
export const none: Items = Object.freeze([])

export interface Op {
  /** What comes of these items now. */
  push(items: Items): Items | Run<Items>
  /** When it has to be asked though nothing comes, in milliseconds since 1970. */
  readonly due: number
  /** What comes of the time. */
  tick(now: number): Items | Run<Items>
  /** Nothing more will come: what it still holds. */
  end(): Items | Run<Items>
  /** It wants nothing more. */
  readonly isOver: boolean
  /** Items that came too late for it. */
  readonly late: number
  /** What it remembers, as plain data. */
  save(): unknown
  load(saved: unknown): void
}

/** A stage that remembers nothing and waits for nothing, unless it says so. */
export abstract class Plain implements Op {
  abstract push(items: Items): Items | Run<Items>
  get due(): number {
    return Number.POSITIVE_INFINITY
  }
  get late(): number {
    return 0
  }
  tick(_now: number): Items | Run<Items> {
    return this.end()
  }
  end(): Items | Run<Items> {
    return none
  }
  get isOver(): boolean {
    return false
  }
  save(): unknown {
    return null
  }
  load(_saved: unknown): void {
    // there is nothing to remember
  }
}

/** A stage that holds items back, and gives those it still has when nothing more comes. */
export abstract class Holding extends Plain {
  protected held: Array<unknown> = []
  /** What it holds; it holds nothing then. */
  protected taken(): Items {
    const { held } = this
    this.held = []
    return held
  }
  override end(): Items {
    return this.held.length === 0 ? none : [this.taken()]
  }
}
