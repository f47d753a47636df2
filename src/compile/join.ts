/** Forks at once: started together, recorded one by one, joined by the node's failure mode, their updates merged. */
import * as Effect from "effect/Effect"
import type { EachNode, ParallelNode } from "../../dsl/ir/node.ts"
import { insidePath } from "../../dsl/ir/path.ts"
import { isStoreError, JoinFailed } from "../model/error.ts"
import { eventPath, type RunEvent } from "../model/event.ts"
import { dataOf, errorOf, type Known, type Recorded } from "../services/recorded.ts"
import { enter } from "./enter.ts"
import type { Frame, Slot, Updates } from "./frame.ts"
import { hooksAt } from "./hooks-at.ts"
import { ask } from "./ask.ts"
import { after, type BlockProgram, type Outcome, type Run } from "./program.ts"
import { asRecorded, encodeError, encodeOutcome, inlineRef, readUpdates, stored } from "./record.ts"
import { spend } from "./spend.ts"

/** One fork to run: its label is its part of the path. */
export interface Fork {
  readonly label: string
  readonly scope: Record<string, unknown>
  readonly block: BlockProgram
  readonly required: boolean
}
/** A fork that ended well. */
export interface Won {
  readonly label: string
  readonly value: unknown
  /** Number of the event that records it. */
  readonly seq: number
  readonly updates: Updates | undefined
}
/** A fork that ended with an error. */
interface Lost {
  readonly label: string
  readonly error: unknown
}
export type Ended = Won | Lost
export const isWon = (ended: Ended): ended is Won => "seq" in ended

/** Forks that run at once at most; the others queue. */
const inFlight = 1000
const concurrencyOf = ({ concurrency }: JoinNode): number => (concurrency === "unbounded" ? inFlight : Math.min(concurrency, inFlight))

type JoinNode = EachNode | ParallelNode

/** Runs `forks` and gives how each ended, in their order; fails as the node's failure mode says. */
export function join(node: JoinNode, frame: Frame, path: string, forks: ReadonlyArray<Fork>, past: Known | undefined): Run<ReadonlyArray<Ended>> {
  const recorded = past === undefined ? Effect.succeed(undefined) : frame.run.journal.under(path)
  const { journal } = frame.run
  const { waiting } = frame.run
  const joined = (lane: Lane) =>
    Effect.flatMap(recorded, (known) => modes[modeOf(node)](node, path, forks, (fork) => new Runner(frame, path, fork, known), known, lane))
  const most = concurrencyOf(node)
  const all = () => {
    journal.joins++
    if (node.kind === "parallel" && past === undefined) journal.notice("parallel.started", path, () => JSON.stringify({ count: forks.length }))
    return Effect.ensuring(
      waiting === undefined ?
        joined((run) => run()) :
        waiting.split(forks.length, most, (lanes) => joined((run) => waiting.lane(lanes, run))),
      Effect.sync(() => journal.joins--),
    )
  }
  return after(spend(frame, path, "fanOut", forks.length), all)
}

/** One fork of one join, from its start to its record. */
class Runner {
  readonly #frame: Frame
  readonly #path: string
  readonly #fork: Fork
  readonly #known: Known | undefined
  readonly #past: Known | undefined

  constructor(frame: Frame, path: string, fork: Fork, recorded: Recorded | undefined) {
    this.#frame = frame
    this.#path = path
    this.#fork = fork
    this.#known = recorded?.get(fork.label)
    this.#past = recorded === undefined ? undefined : {}
  }

  get required(): boolean {
    return this.#fork.required
  }

  /** Runs the fork, or answers what is recorded of it; fails with the fork's own error. */
  run(): Run<Won> {
    const { label, scope } = this.#fork
    if (this.#known?.completed !== undefined) return this.#answer(this.#known.completed)
    if (this.#known?.failed !== undefined) return Effect.fail(this.#failed(this.#known.failed))
    const at = eventPath({ parent: this.#path, name: label })
    if (this.#frame.run.hooks === undefined) return this.#perform(at)
    const told = { scope, fork: label }
    const asks = (point: "fork.before" | "fork.after" | "fork.error", more: object): Run<unknown> =>
      hooksAt(this.#frame.run, point, this.#path, () => ({ ...told, ...more }) as never)
    return Effect.andThen(
      asks("fork.before", {}),
      Effect.tap(
        Effect.tapError(Effect.suspend(() => this.#perform(at)), (error) => isStoreError(error) ? Effect.succeed(undefined) : asks("fork.error", { error })),
        ({ value }) => asks("fork.after", { output: value }),
      ),
    )
  }

  #perform(at: string): Run<Won> {
    const { journal } = this.#frame.run
    const { label, scope, block } = this.#fork
    return after(
      enter(this.#frame, at, scope, block, this.#past),
      ({ outcome: made, updates }) => {
        const outcome = asRecorded(made)
        return after(stored(at, () => encodeOutcome(updates === undefined ? outcome : { ...outcome, updates }, true)), (data) => {
          const written = journal.append("fork.completed", this.#path, label, data)
          const { seq } = journal
          return after(written, () => Effect.succeed({ label, value: outcome.value, seq, updates }))
        })
      },
    )
  }

  #answer(event: RunEvent): Run<Won> {
    const { journal } = this.#frame.run
    return Effect.flatMap(
      journal.output(event),
      (value) => Effect.map(readUpdates(journal, event), (updates): Won => ({ label: this.#fork.label, value, seq: event.seq, updates })),
    )
  }

  #failed(event: RunEvent): unknown {
    const error = errorOf(event)
    if (dataOf(event).undone === true) this.#frame.run.journal.undone.mark(error)
    return error
  }

  /** The same, but an error is recorded and given back, so that a resumed run does not try again. */
  readonly settle = (): Run<Ended> => Effect.catch(this.run(), (error) => (isStoreError(error) ? Effect.fail(error) : this.#note(error)))

  #note(error: unknown): Run<Lost> {
    const lost = { label: this.#fork.label, error }
    if (this.#known?.failed !== undefined) return Effect.succeed(lost)
    const { journal } = this.#frame.run
    this.#frame.run.budgets?.close(eventPath({ parent: this.#path, name: this.#fork.label }))
    const undone = journal.undone.has(error) ? ",\"undone\":true" : ""
    return Effect.as(journal.append("fork.failed", this.#path, this.#fork.label, `{"error":${encodeError(error)}${undone}}`), lost)
  }
}

type Start = (fork: Fork) => Runner
/** Runs one fork as a part of the run of its own. */
type Lane = (run: () => Run<Ended>) => Run<Ended>
type Mode = (node: JoinNode, path: string, forks: ReadonlyArray<Fork>, start: Start, recorded: Recorded | undefined, lane: Lane) => Run<ReadonlyArray<Ended>>
const modeOf = ({ failure }: JoinNode): keyof typeof modes => (typeof failure === "string" ? failure : "atLeast")
const all = (node: JoinNode, forks: ReadonlyArray<Fork>, lane: Lane, run: (fork: Fork) => Run<Ended>): Run<ReadonlyArray<Ended>> =>
  Effect.forEach(forks, (fork) => lane(() => run(fork)), { concurrency: concurrencyOf(node) })
const lost = (ended: ReadonlyArray<Ended>): ReadonlyArray<Lost> => ended.filter((one): one is Lost => !isWon(one))
const failed = (path: string, losers: ReadonlyArray<Lost>): Effect.Effect<never, JoinFailed> =>
  Effect.fail(new JoinFailed({ path, failures: losers.map(({ label, error }) => ({ fork: label, error })) }))

type AtLeast = Exclude<JoinNode["failure"], string>
const modes = {
  failFast: (node, _path, forks, start, _recorded, lane) =>
    all(node, forks, lane, (fork) => {
      const runner = start(fork)
      return runner.required ? runner.run() : runner.settle()
    }),
  waitAll: (node, path, forks, start, _recorded, lane) =>
    Effect.flatMap(all(node, forks, lane, (fork) => start(fork).settle()), (ended) => {
      const required = new Set(forks.filter((fork) => fork.required).map(({ label }) => label))
      const losers = lost(ended).filter(({ label }) => required.has(label))
      return losers.length === 0 ? Effect.succeed(ended) : failed(path, losers)
    }),
  atLeast: (node, path, forks, start, _recorded, lane) =>
    Effect.flatMap(all(node, forks, lane, (fork) => start(fork).settle()), (ended) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `modeOf` has chosen this mode by it
      const { atLeast } = node.failure as AtLeast
      const losers = lost(ended)
      return ended.length - losers.length >= atLeast ? Effect.succeed(ended) : failed(path, losers)
    }),
  collect: (node, _path, forks, start, _recorded, lane) => all(node, forks, lane, (fork) => start(fork).settle()),
  first: (node, path, forks, start, recorded, lane) => {
    // a fork recorded before a crash has won; else the first success ends the others, by being the failure of a fail-fast join
    const order = forks.toSorted((a, b) => Number(recorded?.has(b.label) === true) - Number(recorded?.has(a.label) === true))
    return Effect.catch(
      Effect.flatMap(
        all(
          node,
          order,
          lane,
          (fork) => Effect.flatMap(start(fork).settle(), (ended) => (isWon(ended) ? Effect.fail(new Winner(ended)) : Effect.succeed(ended))),
        ),
        (ended) => failed(path, lost(ended)),
      ),
      (error) => (error instanceof Winner ? Effect.succeed([error.won]) : Effect.fail(error)),
    )
  },
} satisfies Record<string, Mode>

class Winner {
  readonly won: Won
  constructor(won: Won) {
    this.won = won
  }
}

/** The updates of all forks as one: a name that one fork changed keeps its record, others are merged by policy. */
export function mergeUpdates(node: JoinNode, frame: Frame, path: string, ended: ReadonlyArray<Ended>): Run<Updates | undefined> {
  const changes = new Map<string, Array<Slot>>()
  for (const one of ended) {
    if (!isWon(one) || one.updates === undefined) continue
    for (const [name, slot] of one.updates) changes.set(name, [...(changes.get(name) ?? []), slot])
  }
  if (changes.size === 0) return Effect.succeed(undefined)
  return Effect.map(
    Effect.forEach(changes, ([name, slots]): Run<[string, Slot]> => {
      const policy = node.merge[name]
      if (policy === undefined) return Effect.succeed([name, slots[0]!])
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the policy was given for this name's type
      const combine = () => policy.combine(slots.map(({ value }) => value as never), frame.scope[name] as never)
      return Effect.flatMap(
        ask(insidePath(path, name), combine),
        (value) => Effect.map(stored(path, () => JSON.stringify(inlineRef(value))), (text): [string, Slot] => [name, { value, ref: JSON.parse(text) }]),
      )
    }),
    (slots) => new Map(slots),
  )
}

/** The outcome of a join whose mode is `first`. */
export const firstOutcome = ({ label, value, seq, updates }: Won, labelled: boolean): Outcome => ({
  value: labelled ? { fork: label, value } : value,
  ref: labelled ? { r: { fork: { v: label }, value: seq } } : seq,
  updates,
})
/** What one fork gives to the output: its value, `undefined` where it failed and did not have to succeed, or with `collect` how it ended. */
export function slotOf({ failure }: JoinNode, ended: Ended): Slot {
  if (failure !== "collect") return isWon(ended) ? { value: ended.value, ref: ended.seq } : { value: undefined, ref: null }
  return isWon(ended) ?
    { value: { ok: true, value: ended.value }, ref: { r: { ok: { v: true }, value: ended.seq } } } :
    { value: { ok: false, error: ended.error }, ref: { r: { ok: { v: false }, error: { v: JSON.parse(encodeError(ended.error)) } } } }
}
