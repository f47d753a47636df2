/** What a run can ask for while it is driven here: other runs, and whether it is alone. */
import type * as Effect from "effect/Effect"
import type { FlowIR } from "../../dsl/ir/node.ts"
import type { Durability } from "../store/store.ts"
import { runChild } from "./child.ts"
import type { Conductor } from "./conduct.ts"
import type { Driving } from "./drive.ts"
import type { Live } from "./live.ts"
import type { Settling } from "./next.ts"
import type { Bounds } from "./session-meter.ts"

const unbounded: Bounds = { meters: [], deadline: undefined, user: undefined, leave: () => undefined }

/** One per run that goes on; its methods cost a run nothing where they are not called. */
export class Tenure implements Driving {
  readonly store: Driving["store"]
  readonly listeners: Driving["listeners"]
  readonly hooks: Driving["hooks"]
  readonly durability: Durability
  traced = false
  /** What its session bounds. */
  bounded: Bounds = unbounded
  readonly #conductor: Conductor
  readonly #here: Live
  readonly #how: Settling

  constructor(conductor: Conductor, here: Live, how: Settling) {
    this.store = conductor.keeping.store
    this.listeners = conductor.keeping.listeners
    this.hooks = conductor.hooks
    this.durability = how.durability
    this.#conductor = conductor
    this.#here = here
    this.#how = how
  }

  get outer(): Driving["outer"] {
    const { id, parent } = this.#here.run
    const started = parent === undefined ? undefined : this.#conductor.live.get(parent)?.budgets?.of(id)
    return started === undefined ? [...this.bounded.meters, ...this.#conductor.meters] : [started]
  }

  get user(): string | undefined {
    return this.bounded.user
  }

  get deadline(): Driving["deadline"] {
    return this.bounded.deadline
  }

  get stateNews(): Driving["stateNews"] {
    return this.#conductor.stateNews
  }

  get stamp(): Driving["stamp"] {
    const { budgets } = this.#here
    return budgets === undefined ? undefined : () => budgets.stamp()
  }

  bounds(budgets: NonNullable<Live["budgets"]>): void {
    this.#here.budgets = budgets
  }

  alone(): boolean {
    return this.#conductor.live.size === 1
  }

  spawn(flow: FlowIR, input: unknown, key: string): Effect.Effect<void, any, any> {
    return this.#conductor.spawn(this.#here.run, flow, input, key)
  }

  child(flow: FlowIR, input: unknown, path: string, which: string): ReturnType<Driving["child"]> {
    return runChild(this.#conductor, this.#here, flow, input, { path, which }, this.#how)
  }

  undoChild(flow: FlowIR, id: string, onlyState: boolean): Effect.Effect<void, any, any> {
    return this.#conductor.undo(flow, id, onlyState)
  }

  hears(bell: () => void): () => void {
    const { bells } = this.#here
    bells.add(bell)
    return () => void bells.delete(bell)
  }

  waits(waiting: NonNullable<Live["waiting"]>): void {
    this.#here.waiting = waiting
  }
}
