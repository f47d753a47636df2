/** One member of a pool: what it is, and the nine states it can be in. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

export type MemberState =
  | "uninitialized"
  | "initializing"
  | "ready"
  | "running"
  | "paused"
  | "error"
  | "recovering"
  | "terminating"
  | "terminated"

/** What may follow what. */
export const transitions: Readonly<Record<MemberState, ReadonlyArray<MemberState>>> = {
  uninitialized: ["initializing"],
  initializing: ["ready", "error"],
  ready: ["running", "paused", "terminating", "error"],
  running: ["ready", "paused", "terminating", "error"],
  paused: ["ready", "terminating", "error"],
  error: ["recovering", "terminating"],
  recovering: ["ready", "error", "terminating"],
  terminating: ["terminated"],
  terminated: [],
}

/** A member as others see it. */
export interface MemberLook {
  /** Counted from 1; none is given twice. */
  readonly nr: number
  readonly state: MemberState
  /** How many have it now, and how often it was given. */
  readonly busy: number
  readonly uses: number
  /** When it was made, and last given or given back, in milliseconds since 1970. */
  readonly madeAt: number
  readonly usedAt: number
}
export interface MemberChange {
  readonly pool: string
  readonly nr: number
  readonly from: MemberState
  readonly to: MemberState
}

export class Member<A> implements MemberLook {
  readonly nr: number
  readonly #scope = Scope.makeUnsafe()
  readonly #told: (from: MemberState, to: MemberState) => void
  #state: MemberState = "uninitialized"
  value: A | undefined
  busy = 0
  uses = 0
  madeAt = 0
  usedAt = 0
  checkedAt = 0
  /** Which giving of the pool was its last. */
  turn = 0
  /** It is to go once nobody has it. */
  leaving = false
  /** It is to be given to nobody until it is resumed. */
  held = false

  constructor(nr: number, told: (from: MemberState, to: MemberState) => void) {
    this.nr = nr
    this.#told = told
    this.move("initializing")
  }

  get state(): MemberState {
    return this.#state
  }

  move(to: MemberState): void {
    const from = this.#state
    if (from === to) return
    if (!transitions[from].includes(to)) throw new Error(`a member that is ${from} cannot be ${to}`)
    this.#state = to
    this.#told(from, to)
  }

  /** Makes what it is, in a scope that ends with it. */
  make<E>(make: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<void, E> {
    return Effect.map(Scope.provide(make, this.#scope), (value) => {
      this.value = value
      this.madeAt = this.usedAt = this.checkedAt = Date.now()
      this.move("ready")
    })
  }

  /** What it held is given back; finalizers that fail are nobody's business any more. */
  end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.move("terminating")
      return Effect.map(Effect.exit(Scope.close(this.#scope, Exit.void)), () => this.move("terminated"))
    })
  }

  look(): MemberLook {
    const { nr, state, busy, uses, madeAt, usedAt } = this
    return { nr, state, busy, uses, madeAt, usedAt }
  }
}
