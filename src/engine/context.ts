/** What the nodes of one run share while it is driven. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Budget, PartOf } from "../../dsl/ir/limit.ts"
import type { FlowIR, Node } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import { childOf, signalWaits, walk } from "../../dsl/ir/walk.ts"
import type { RunContext } from "../compile/frame.ts"
import type { Run } from "../compile/program.ts"
import { RunCancelled } from "../model/error.ts"
import { redact } from "../model/secret.ts"
import type { RunRecord } from "../model/run.ts"
import { Budgets } from "../services/budgets.ts"
import type { RunHooks } from "../services/hooks.ts"
import type { Journal } from "../services/journal.ts"
import type { Waiting } from "../services/waiting.ts"
import type { Driving } from "./drive.ts"
import { RunOffers } from "./offers.ts"

/** One per run that goes on; its methods cost a run nothing where they are not called. */
export class Context implements RunContext {
  readonly id: string
  readonly flow: string
  readonly journal: Journal
  readonly waiting: Waiting | undefined
  readonly hooks: RunHooks | undefined
  readonly traced: boolean
  readonly budgets: Budgets | undefined
  readonly #ir: FlowIR
  readonly #driving: Driving
  readonly #run: RunRecord
  #offers: RunOffers | undefined
  #ledger: Budgets | undefined
  readonly #stop: Deferred.Deferred<never, RunCancelled> | undefined

  constructor(ir: FlowIR, run: RunRecord, journal: Journal, waiting: Waiting | undefined, budgets: Budgets | undefined, driving: Driving) {
    this.id = run.id
    this.#run = run
    this.flow = ir.name
    this.journal = journal
    this.waiting = waiting
    this.hooks = driving.hooks.of(ir, run.session, (kind, path, data) => journal.notice(kind, path, JSON.stringify(data)))
    this.traced = driving.traced
    this.budgets = budgets
    this.#ir = ir
    this.#driving = driving
    this.#stop = this.hooks === undefined ? undefined : Deferred.makeUnsafe()
    // what was charged before goes on to be said
    if (journal.spending.spent[""] !== undefined) this.#ledger = this.charges
  }

  get part(): PartOf {
    const { id, flow, session } = this.#run
    return { run: id, flow, session, user: this.#driving.user }
  }

  get charges(): Budgets {
    return this.budgets ?? (this.#ledger ??= budgetsOf(this.#ir, this.#run, this.journal, this.#driving, Date.now))
  }

  get offers(): RunOffers {
    return this.#offers ??= new RunOffers(this, this.#driving.store, this.#run, this.#driving.stateNews)
  }

  /** Fails when a hook cancels the run. */
  get cancelled(): Effect.Effect<never, RunCancelled> | undefined {
    return this.#stop === undefined ? undefined : Deferred.await(this.#stop)
  }

  node(path: string): Node | undefined {
    return aboutOf(this.#ir).nodes.get(path)
  }

  cancel(given: string): Run<never> {
    const reason = redact(given)
    return Effect.andThen(Deferred.fail(this.#stop!, new RunCancelled({ run: this.id, reason })), Effect.never)
  }

  spawn(flow: FlowIR, input: unknown, key: string): Run<void> {
    return this.#driving.spawn(flow, input, key)
  }

  child(flow: FlowIR, input: unknown, path: string, which: string): ReturnType<RunContext["child"]> {
    return this.#driving.child(flow, input, path, which)
  }

  undoChild(flow: FlowIR, id: string, onlyState: boolean): Run<unknown> {
    return this.#driving.undoChild(flow, id, onlyState)
  }

  hears(bell: () => void): () => void {
    return this.#driving.hears(bell)
  }

  isShared(signal: string): boolean {
    return signalWaits(this.#ir).get(signal)!.length > 1
  }
}

/** What the run may spend, counted from now on and said with its events. */
export const budgetsOf = (flow: FlowIR, run: RunRecord, journal: Journal, driving: Driving, now: () => number): Budgets => {
  const budgets = new Budgets(run.id, flow.budget ?? {}, {
    outer: driving.outer,
    deadline: driving.deadline,
    recorded: journal.spending.spent,
    now,
    tell: (kind, path, data) => journal.notice(kind, path, JSON.stringify(data)),
    depth: depthIn(flow),
  })
  journal.spending.stamp = () => budgets.stamp()
  driving.bounds(budgets)
  return budgets
}

const budgetOf = (node: Node): Budget | undefined =>
  node.kind === "loop" || node.kind === "protect" ? node.budget : node.kind === "step" && node.work.from === "flow" ? node.work.flow.budget : undefined

interface About {
  readonly nodes: ReadonlyMap<string, Node>
  readonly waits: boolean
  readonly bounded: boolean
}
const known = new WeakMap<FlowIR, About>()
/** A flow's nodes by their paths as written; whether one of them can wait, or spends what others count. */
const aboutOf = (flow: FlowIR): About => {
  let about = known.get(flow)
  if (about === undefined) {
    const placed = [...walk(flow)]
    const waits = placed.some(({ node }) => node.kind === "wait" || childOf(node) !== undefined)
    // what runs of its own spend counts where they are steps
    const bounded = flow.budget !== undefined || placed.some(({ node }) => budgetOf(node) !== undefined || childOf(node) !== undefined)
    about = { nodes: new Map(placed.map(({ path, node }) => [path, node])), waits, bounded }
    known.set(flow, about)
  }
  return about
}
/** Something in the flow can wait: a run of it may leave memory. */
export const canWait = (flow: FlowIR): boolean => aboutOf(flow).waits
/** How many flows are in one another at a path. */
export const depthIn = (flow: FlowIR) => (path: string): number => {
  const { nodes } = aboutOf(flow)
  const parts = writtenPath(path).split("/")
  const holds = (node: Node | undefined) => node?.kind === "step" && node.work.from === "flow"
  return parts.filter((_, i) => holds(nodes.get(parts.slice(0, i + 1).join("/")))).length
}
/** The flow, or something in it, has a budget, or is a run of its own. */
export const isBounded = (flow: FlowIR): boolean => aboutOf(flow).bounded
