/** Forks at once: started together, recorded one by one, joined by the node's failure mode, their updates merged. */
import * as Effect from "effect/Effect"
import type { EachNode, ParallelNode } from "../../dsl/ir/node.ts"
import { insidePath } from "../../dsl/ir/path.ts"
import { JoinFailed } from "../model/error.ts"
import { eventPath, type Ref } from "../model/event.ts"
import { errorOf, type Known, type Recorded } from "../services/journal.ts"
import { enter } from "./enter.ts"
import type { Frame, Slot, Updates } from "./frame.ts"
import { ask } from "./instrument.ts"
import { after, type BlockProgram, type Outcome, type Run } from "./program.ts"
import { encodeError, encodeOutcome, inlineRef, readUpdates, stored } from "./record.ts"

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

type JoinNode = EachNode | ParallelNode

/** Runs `forks` and gives how each ended, in their order; fails as the node's failure mode says. */
export function join(node: JoinNode, frame: Frame, path: string, forks: ReadonlyArray<Fork>, past: Known | undefined): Run<ReadonlyArray<Ended>> {
  const recorded = past === undefined ? Effect.succeed(undefined) : frame.run.journal.under(path)
  return Effect.flatMap(recorded, (known) => modes[modeOf(node)](node, path, forks.map((fork) => forkRunner(frame, path, fork, known))))
}

interface Runner {
  readonly label: string
  readonly required: boolean
  /** Already recorded as ended. */
  readonly known: boolean
  /** Fails with the fork's own error. */
  readonly run: Run<Won>
  /** Writes that the fork failed, so that a resumed run does not try it again. */
  readonly note: (error: unknown) => Run<Lost>
}

function forkRunner(frame: Frame, path: string, fork: Fork, recorded: Recorded | undefined): Runner {
  const { journal } = frame.run
  const known = recorded?.get(fork.label)
  const at = eventPath({ parent: path, name: fork.label })
  const note = (error: unknown) => Effect.as(journal.append("fork.failed", path, fork.label, `{"error":${encodeError(error)}}`), { label: fork.label, error })
  if (known?.completed !== undefined) {
    const event = known.completed
    const answer = Effect.flatMap(
      journal.output(event),
      (value) => Effect.map(readUpdates(journal, event), (updates): Won => ({ label: fork.label, value, seq: event.seq, updates })),
    )
    return { label: fork.label, required: fork.required, known: true, run: answer, note }
  }
  if (known?.failed !== undefined) {
    const error = errorOf(known.failed)
    return { label: fork.label, required: fork.required, known: true, run: Effect.fail(error), note: () => Effect.succeed({ label: fork.label, error }) }
  }
  const run = Effect.suspend(() =>
    after(
      enter(frame, at, fork.scope, fork.block, recorded === undefined ? undefined : {}),
      ({ outcome, updates }) =>
        after(stored(at, () => encodeOutcome(updates === undefined ? outcome : { ...outcome, updates }, true)), (data) => {
          const written = journal.append("fork.completed", path, fork.label, data)
          const { seq } = journal
          return after(written, () => Effect.succeed({ label: fork.label, value: outcome.value, seq, updates }))
        }),
    )
  )
  return { label: fork.label, required: fork.required, known: false, run, note }
}

type AtLeast = Exclude<JoinNode["failure"], string>
type Mode = (node: JoinNode, path: string, runners: ReadonlyArray<Runner>) => Run<ReadonlyArray<Ended>>
const modeOf = ({ failure }: JoinNode): keyof typeof modes => (typeof failure === "string" ? failure : "atLeast")
const all = (node: JoinNode, runners: ReadonlyArray<Runner>, run: (runner: Runner) => Run<Ended>): Run<ReadonlyArray<Ended>> =>
  Effect.forEach(runners, run, { concurrency: node.concurrency })
const lenient = (runner: Runner): Run<Ended> => Effect.catch(runner.run, runner.note)
const lost = (ended: ReadonlyArray<Ended>): ReadonlyArray<Lost> => ended.filter((one): one is Lost => !isWon(one))
const failed = (path: string, losers: ReadonlyArray<Lost>): Effect.Effect<never, JoinFailed> =>
  Effect.fail(new JoinFailed({ path, failures: losers.map(({ label, error }) => ({ fork: label, error })) }))

const modes = {
  failFast: (node, _path, runners) => all(node, runners, (runner) => (runner.required ? runner.run : lenient(runner))),
  waitAll: (node, path, runners) => {
    const required = new Set(runners.filter((runner) => runner.required).map(({ label }) => label))
    return Effect.flatMap(all(node, runners, lenient), (ended) => {
      const losers = lost(ended).filter(({ label }) => required.has(label))
      return losers.length === 0 ? Effect.succeed(ended) : failed(path, losers)
    })
  },
  atLeast: (node, path, runners) =>
    Effect.flatMap(all(node, runners, lenient), (ended) => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `modeOf` has chosen this mode by it
      const { atLeast } = node.failure as AtLeast
      const losers = lost(ended)
      return ended.length - losers.length >= atLeast ? Effect.succeed(ended) : failed(path, losers)
    }),
  first: (node, path, runners) => {
    // a fork recorded before a crash has won; else the first success ends the others, by being the failure of a fail-fast join
    const order = [...runners.filter(({ known }) => known), ...runners.filter(({ known }) => !known)]
    return Effect.catch(
      Effect.flatMap(
        all(node, order, (runner) =>
          Effect.flatMap(
            Effect.catch(Effect.flatMap(runner.run, (won) => Effect.succeed<Ended>(won)), runner.note),
            (ended) => (isWon(ended) ? Effect.fail(new Winner(ended)) : Effect.succeed(ended)),
          )),
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
/** The value of one fork, `undefined` where it failed and did not have to succeed. */
export const valueOf = (ended: Ended): unknown => (isWon(ended) ? ended.value : undefined)
export const refOf = (ended: Ended): Ref => (isWon(ended) ? ended.seq : null)
