/** One block of one run while it is going: what it can read, what it changed, what is recorded of it. */
import type { PartOf } from "../../dsl/ir/limit.ts"
import type { FlowIR, Node, StepContext } from "../../dsl/ir/node.ts"
import type { Ref } from "../model/event.ts"
import type { ArtifactView } from "../services/artifacts.ts"
import type { Budgets } from "../services/budgets.ts"
import type { RunHooks } from "../services/hooks.ts"
import type { Journal } from "../services/journal.ts"
import type { Recorded } from "../services/recorded.ts"
import type { StateView } from "../services/state.ts"
import type { Changes } from "../services/state-changes.ts"
import type { Waiting } from "../services/waiting.ts"
import type { Run } from "./program.ts"
import { inlineRef } from "./record.ts"

/** A value and where it is recorded. */
export interface Slot {
  readonly value: unknown
  readonly ref: Ref
}
/** New values of outer names. */
export type Updates = ReadonlyMap<string, Slot>

/** What running steps may ask for. */
export interface Offers {
  /** State as the run sees it; what is changed is collected. */
  readonly state: (changes: Changes, path: string) => StateView
  /** What steps inside a path change of State is collected together: by whoever has put it here. */
  readonly shared: Map<string, () => Changes>
  readonly artifacts: (step: Pick<StepContext, "path" | "charge">) => ArtifactView
  /** Tells whoever listens how a step gets on. */
  readonly progress: (path: string, news: unknown) => void
  /** Told when State was changed. */
  readonly stateChanged: () => void
}

/** What the nodes of one run share. */
export interface RunContext {
  readonly id: string
  readonly flow: string
  /** What its steps are part of. */
  readonly part: PartOf
  readonly journal: Journal
  /** Only where something in the flow can wait. */
  readonly waiting: Waiting | undefined
  /** The node at a path as it is written. */
  readonly node: (written: string) => Node | undefined
  /** Where somebody may be asked; `undefined` where nobody would ever be. */
  readonly hooks: RunHooks | undefined
  /** Somebody has provided a tracer: nodes have spans. */
  readonly traced: boolean
  /** What it may spend; `undefined` where nothing is bounded. */
  readonly budgets: Budgets | undefined
  /** Where its steps charge what they spend, bounded or not. */
  readonly charges: Pick<Budgets, "spend">
  /** What its steps may ask for. */
  readonly offers: Offers
  /** Ends the run as cancelled, from inside. */
  readonly cancel: (reason: string) => Run<never>
  /** Has another flow started as a run of its own, once for each `key`. */
  readonly spawn: (flow: FlowIR, input: unknown, key: string) => Run<void>
  /** Runs another flow as a run of its own, for the step at `path`; `which`: what tells it from others that were started there. */
  readonly child: (flow: FlowIR, input: unknown, path: string, which: string) => Run<{ readonly id: string; readonly output: unknown }>
  /** Undoes what such a run has done; `onlyState`: if it has changed State. */
  readonly undoChild: (flow: FlowIR, id: string, onlyState: boolean) => Run<unknown>
  /** Rings when something was sent to the run, until the function it gives is called. */
  readonly hears: (bell: () => void) => () => void
  /** Several waits of the flow receive this signal. */
  readonly isShared: (signal: string) => boolean
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
  /** The block around this one, and what changed of its names before this one began. */
  readonly #outer: Frame | undefined
  readonly #before: Updates | undefined

  constructor(
    run: RunContext,
    path: string,
    scope: Record<string, unknown>,
    own: ReadonlySet<string>,
    recorded: Recorded | undefined,
    outer?: Frame,
    before?: Updates,
  ) {
    this.run = run
    this.path = path
    this.scope = scope
    this.recorded = recorded
    this.#own = own
    this.#outer = outer
    this.#before = before
  }

  /** Binds a fresh name. */
  bind(name: string, value: unknown, ref: Ref): void {
    this.scope[name] = value
    this.#refs[name] = ref
  }

  /** This frame, for a step that reads other values. */
  reading(scope: Record<string, unknown>): Frame {
    return new Frame(this.run, this.path, scope, this.#own, this.recorded, this.#outer, this.#before)
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

  /** Where everything that can be read here is recorded. */
  refs(): Readonly<Record<string, Ref>> {
    return Object.fromEntries(Object.keys(this.scope).map((name) => [name, this.#refOf(name)]))
  }

  #refOf(name: string): Ref {
    const own = Object.hasOwn(this.#refs, name) ? this.#refs[name] : (this.updates?.get(name) ?? this.#before?.get(name))?.ref
    if (own !== undefined) return own
    const outer = this.#outer
    // everything else there is bound by a node
    if (outer === undefined) return name === "session" ? inlineRef(this.scope[name]) : 0
    // what the node binds inside (item, index, matched, a nested flow's input) is recorded nowhere else
    return name in outer.scope && Object.is(outer.scope[name], this.scope[name]) ? outer.#refOf(name) : inlineRef(this.scope[name])
  }
}
