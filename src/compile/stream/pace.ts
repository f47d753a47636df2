/** Stages of time: what comes close together, and what comes too fast. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Stage } from "../../../dsl/ir/stream.ts"
import type { Run } from "../program.ts"
import { type Items, none, Plain } from "./op.ts"

type Of<Name extends Stage["op"]> = Extract<Stage, { readonly op: Name }>

/** Only the last of items that come close together. */
export class Debounce extends Plain {
  #last: { readonly item: unknown; readonly at: number } | undefined
  readonly #quiet: number
  readonly #now: () => number
  constructor({ quiet }: Of<"debounce">, now: () => number) {
    super()
    this.#quiet = Duration.toMillis(quiet)
    this.#now = now
  }
  push(items: Items): Items {
    const now = this.#now()
    // what was due is given though nobody has had time to ask
    const due = now >= this.due ? this.end() : none
    this.#last = { item: items.at(-1), at: now }
    return due
  }
  override get due(): number {
    return this.#last === undefined ? Number.POSITIVE_INFINITY : this.#last.at + this.#quiet
  }
  override end(): Items {
    if (this.#last === undefined) return none
    const { item } = this.#last
    this.#last = undefined
    return [item]
  }
  override save(): unknown {
    return this.#last ?? null
  }
  override load(saved: unknown): void {
    this.#last = (saved as { readonly item: unknown; readonly at: number } | null) ?? undefined
  }
}

/** Lets items through one after the other, each when its time has come; whoever brings more waits. */
export class Throttle extends Plain {
  /** When the next one may go on. */
  #next = Number.NEGATIVE_INFINITY
  readonly #gap: number
  readonly #burst: number
  readonly #now: () => number
  constructor({ limit, per }: Of<"throttle">, now: () => number) {
    super()
    this.#gap = Duration.toMillis(per) / limit
    this.#burst = this.#gap * (limit - 1)
    this.#now = now
  }
  /** Of one item. */
  push(item: Items): Items | Run<Items> {
    const now = this.#now()
    this.#next = Math.max(this.#next, now - this.#burst) + this.#gap
    const wait = this.#next - this.#gap - now
    return wait <= 0 ? item : Effect.as(Effect.sleep(wait), item)
  }
  override save(): unknown {
    return this.#next
  }
  override load(saved: unknown): void {
    this.#next = saved as number
  }
}
