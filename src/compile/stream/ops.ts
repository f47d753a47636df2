/** Stages of plain functions and of counting. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Values } from "../../../dsl/ir/node.ts"
import type { ItemCall, Stage } from "../../../dsl/ir/stream.ts"
import { decodeValue, encodeValue } from "../../model/value.ts"
import { isGenerator, settle, threw } from "../settle.ts"
import type { Run } from "../program.ts"
import { Holding, type Items, none, Plain } from "./op.ts"

type Call = (item: unknown, scope: Values) => unknown
type Of<Name extends Stage["op"]> = Extract<Stage, { readonly op: Name }>
/** A stage of a plain function. */
interface Called {
  readonly name: string
  readonly call: ItemCall
}
const isPending = (value: unknown): boolean =>
  typeof value === "object" && value !== null && (Effect.isEffect(value) || "then" in value || ("isOk" in value && "match" in value))
// most items are none, which costs less to see
const isProgram = (value: unknown): boolean => typeof value === "object" && value !== null && "next" in value && isGenerator(value)

/** Calls a function for each item; one that gives a promise, a Result or an Effect is waited for, one after the other. */
class Calling extends Plain {
  readonly #path: string
  readonly #call: Call
  readonly #scope: Values
  readonly #keep: (out: Array<unknown>, item: unknown, result: unknown) => void

  constructor(path: string, call: Call, scope: Values, keep: (out: Array<unknown>, item: unknown, result: unknown) => void) {
    super()
    this.#path = path
    this.#call = call
    this.#scope = scope
    this.#keep = keep
  }

  push(items: Items): Items | Run<Items> {
    const out: Array<unknown> = []
    for (let i = 0; i < items.length; i++) {
      try {
        const result = this.#call(items[i], this.#scope)
        if (isPending(result) || (this.#keep !== keeps.flatMap && isProgram(result))) return this.#settled(items, i, result, out)
        this.#keep(out, items[i], result)
      } catch (cause) {
        return Effect.fail(threw(this.#path, cause))
      }
    }
    return out
  }

  #settled(items: Items, from: number, first: unknown, out: Array<unknown>): Run<Items> {
    const one = (i: number) =>
      Effect.flatMap(
        settle(this.#path, () => (i === from ? first : this.#call(items[i], this.#scope))),
        (result) => Effect.try({ try: () => this.#keep(out, items[i], result), catch: (cause) => threw(this.#path, cause) }),
      )
    const rest = Array.from({ length: items.length - from }, (_, i) => from + i)
    return Effect.as(Effect.forEach(rest, one, { discard: true }), out)
  }
}

const keeps = {
  map: (out: Array<unknown>, _item: unknown, result: unknown) => void out.push(result),
  tap: (out: Array<unknown>, item: unknown) => void out.push(item),
  filter: (out: Array<unknown>, item: unknown, result: unknown) => void (result === true && out.push(item)),
  flatMap: (out: Array<unknown>, _item: unknown, result: unknown) => {
    for (const one of result as Iterable<unknown>) out.push(one)
  },
} as const
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
export const calling = ({ op, name, call }: Called & { readonly op: keyof typeof keeps }, path: string, scope: Values) =>
  new Calling(`${path}/${name}`, call as Call, scope, keeps[op])

/** Ends where its question is answered with no. */
export class TakeWhile extends Plain {
  #over = false
  readonly #path: string
  readonly #call: Call
  readonly #scope: Values
  constructor({ name, call }: Called, path: string, scope: Values) {
    super()
    this.#path = `${path}/${name}`
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
    this.#call = call as Call
    this.#scope = scope
  }
  push(items: Items): Items | Run<Items> {
    if (this.#over) return none
    try {
      const end = items.findIndex((item) => this.#call(item, this.#scope) !== true)
      if (end === -1) return items
      this.#over = true
      return items.slice(0, end)
    } catch (cause) {
      return Effect.fail(threw(this.#path, cause))
    }
  }
  override get isOver(): boolean {
    return this.#over
  }
  override save(): unknown {
    return this.#over
  }
  override load(saved: unknown): void {
    this.#over = saved === true
  }
}

/** A number of items from the beginning: taken, or dropped. */
export class Counting extends Plain {
  #left: number
  readonly #takes: boolean
  constructor({ op, count }: Of<"take" | "drop">) {
    super()
    this.#left = count
    this.#takes = op === "take"
  }
  push(items: Items): Items {
    const here = Math.min(this.#left, items.length)
    this.#left -= here
    return this.#takes ? items.slice(0, here) : items.slice(here)
  }
  override get isOver(): boolean {
    return this.#takes && this.#left === 0
  }
  override save(): unknown {
    return this.#left
  }
  override load(saved: unknown): void {
    this.#left = saved as number
  }
}

/** A value of one's own to begin with: whoever changes it changes nobody else's. */
export const own = (initial: unknown): unknown => {
  try {
    return decodeValue(encodeValue(initial))
  } catch {
    // what cannot be recorded fails where it is to be recorded
    return initial
  }
}

export class Scan extends Plain {
  #sum: unknown
  readonly #path: string
  readonly #call: (sum: unknown, item: unknown, scope: Values) => unknown
  readonly #scope: Values
  constructor({ name, initial, call }: Of<"scan">, path: string, scope: Values) {
    super()
    this.#sum = own(initial)
    this.#path = `${path}/${name}`
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
    this.#call = call as (sum: unknown, item: unknown, scope: Values) => unknown
    this.#scope = scope
  }
  push(items: Items): Items | Run<Items> {
    try {
      return items.map((item) => (this.#sum = this.#call(this.#sum, item, this.#scope)))
    } catch (cause) {
      return Effect.fail(threw(this.#path, cause))
    }
  }
  override save(): unknown {
    return this.#sum
  }
  override load(saved: unknown): void {
    this.#sum = saved
  }
}

/** Leaves out what it has seen lately. */
export class Dedupe extends Plain {
  #seen = new Set<string>()
  readonly #key: (item: unknown) => unknown
  readonly #most: number
  readonly #path: string
  constructor({ name, key, most }: Of<"dedupe">, path: string) {
    super()
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the recorder knows nothing of the author's types
    this.#key = (key as ((item: unknown) => unknown) | undefined) ?? ((item) => item)
    this.#most = most
    this.#path = `${path}/${name}`
  }
  push(items: Items): Items | Run<Items> {
    try {
      return items.filter((item) => {
        const key = encodeValue(this.#key(item))
        const isNew = !this.#seen.delete(key)
        this.#seen.add(key)
        if (this.#seen.size > this.#most) this.#seen.delete(this.#seen.values().next().value!)
        return isNew
      })
    } catch (cause) {
      return Effect.fail(threw(this.#path, cause))
    }
  }
  override save(): unknown {
    return [...this.#seen]
  }
  override load(saved: unknown): void {
    this.#seen = new Set(saved as ReadonlyArray<string>)
  }
}

/** So many at a time, or what has come in time. */
export class Batch extends Holding {
  #since = 0
  readonly #size: number
  readonly #within: number
  readonly #now: () => number
  constructor({ size, within }: Of<"batch">, now: () => number) {
    super()
    this.#size = size
    this.#within = within === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(within)
    this.#now = now
  }
  push(items: Items): Items {
    const out: Array<unknown> = []
    if (this.held.length === 0) this.#since = this.#within === Number.POSITIVE_INFINITY ? 0 : this.#now()
    for (const item of items) {
      this.held.push(item)
      if (this.held.length < this.#size) continue
      out.push(this.taken())
      if (this.#within !== Number.POSITIVE_INFINITY) this.#since = this.#now()
    }
    return out
  }
  override get due(): number {
    return this.held.length === 0 ? Number.POSITIVE_INFINITY : this.#since + this.#within
  }
  override save(): unknown {
    return { held: this.held, since: this.#since }
  }
  override load(saved: unknown): void {
    const { held, since } = saved as { readonly held: Items; readonly since: number }
    this.held = [...held]
    this.#since = since
  }
}
