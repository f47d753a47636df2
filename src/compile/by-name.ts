/** Tools, turns and agents: work that has a name of its own, and hooks beside those of its step. */
import * as Effect from "effect/Effect"
import type { FlowIR, Work } from "../../dsl/ir/node.ts"
import { isStoreError } from "../model/error.ts"
import { hooksAt } from "./hooks-at.ts"
import type { RunContext } from "./frame.ts"
import type { Outcome, Run } from "./program.ts"

export interface Named {
  readonly kind: "tool" | "turn" | "agent"
  readonly name: string
}
/** What it is known as, if it is anything but a step. */
export const nameOf = (work: Extract<Work, { from: "definition" }>): Named | undefined =>
  work.tool !== undefined ? { kind: "tool", name: work.tool.name } : work.turn !== undefined ? { kind: "turn", name: work.turn } : undefined

interface About<A> {
  readonly run: RunContext
  readonly path: string
  readonly named: Named | undefined
  readonly input: unknown
  /** Checks an input that a hook has made. */
  readonly check: (input: unknown) => Run<unknown>
  readonly output: (done: A) => unknown
  /** Another output, as far as it fits. */
  readonly replaced: (output: unknown) => Run<A>
  /** It is given another input. */
  readonly changed?: (input: unknown) => void
  /** Which attempt it is, where there is more than one. */
  readonly time?: string
  /** Something of it is recorded: it has begun, and was asked about then. */
  readonly begun?: () => Run<boolean>
}

/** `work`, told as what it is known as, with the hooks of that before it, after it and where it fails. */
export function byName<A>(about: About<A>, work: (input: unknown) => Run<A>): Run<A> {
  const { run, path, named, begun } = about
  if (named === undefined) return work(about.input)
  const { kind, name } = named
  const tell = (verb: "started" | "completed" | "failed", said: object = {}) =>
    run.journal.notice(`${kind}.${verb}`, path, () => JSON.stringify({ name, ...said }))
  // what a turn has used is said of one that was made, not of what a hook has put in its place
  let used: object = {}
  const done = (input: unknown): Run<A> =>
    kind !== "turn" ? work(input) : Effect.tap(work(input), (value) =>
      Effect.sync(() => {
        used = { usage: (about.output(value) as { readonly usage?: unknown }).usage }
      }))
  return Effect.flatMap(begun === undefined ? Effect.succeed(false) : begun(), (isResumed) => {
    if (!isResumed) tell("started")
    const spanned = run.traced ? Effect.annotateCurrentSpan(`gen_ai.${kind === "turn" ? "agent" : kind}.name`, name) : Effect.void
    const ended = run.hooks?.surround(kind, path) === true ? hooked(about, named, !isResumed, done) : done(about.input)
    return Effect.andThen(
      spanned,
      Effect.tapError(Effect.tap(ended, () => Effect.sync(() => tell("completed", used))), () => Effect.sync(() => tell("failed"))),
    )
  })
}

function hooked<A>(
  { run, path, input, check, output, replaced, changed, time = "" }: About<A>,
  { kind, name }: Named,
  isNew: boolean,
  work: (input: unknown) => Run<A>,
): Run<A> {
  return Effect.gen(function*() {
    const scope = { input }
    const before = isNew ? yield* hooksAt(run, `${kind}.before`, path, () => ({ scope, name, input }), time) : undefined
    const first = before?.decided?.decision
    const given = before === undefined || before.told.input === input ?
      input :
      yield* Effect.tap(check(before.told.input), (now) => Effect.sync(() => changed?.(now)))
    const failed = (error: unknown): Run<A> =>
      isStoreError(error) ? Effect.fail(error) : Effect.flatMap(
        hooksAt(run, `${kind}.error`, path, () => ({ scope, name, input: given, error }), time),
        (errored) => {
          const decision = errored?.decided?.decision
          return decision?.does === "replace" ? replaced(decision.value) : Effect.fail(error)
        },
      )
    const done = yield* first?.does === "replace" ? replaced(first.value) : Effect.catch(work(given), failed)
    const last = yield* hooksAt(run, `${kind}.after`, path, () => ({ scope, name, input: given, output: output(done) }), time)
    return last?.decided?.decision.does === "replace" ? yield* replaced(last.decided.decision.value) : done
  })
}

/** A flow that may be an agent, as a step or as a run. */
export const asAgent = (
  { agent }: FlowIR,
  run: RunContext,
  path: string,
  input: unknown,
  check: (input: unknown) => Run<unknown>,
  /** It is new, or was begun by another process. */
  isResumed: boolean,
  work: (input: unknown) => Run<Outcome>,
): Run<Outcome> => {
  const named: Named | undefined = agent === undefined ? undefined : { kind: "agent", name: agent.name }
  const replaced = (value: unknown) => Effect.succeed({ value })
  const begun = () => (isResumed ? Effect.map(run.journal.under(path), (recorded) => recorded.size > 0) : Effect.succeed(false))
  return byName({ run, path, named, input, check, output: ({ value }) => value, replaced, begun }, work)
}
