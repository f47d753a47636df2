/** The one wrapper around every node: what is recorded is not run again, what ran is recorded, then bound. */
import * as Effect from "effect/Effect"
import type { Node, Values } from "../../dsl/ir/node.ts"
import { insidePath } from "../../dsl/ir/path.ts"
import { ConditionThrew } from "../model/error.ts"
import type { RunEvent } from "../model/event.ts"
import { dataOf, type Known } from "../services/journal.ts"
import type { Frame } from "./frame.ts"
import { after, type Body, type Outcome, type Program, type Run, type Signal } from "./program.ts"
import { encodeOutcome, readUpdates, storable } from "./record.ts"

/** A pure function of the scope; if it throws, the error names the place. */
export function ask<A>(path: string, question: () => A): Effect.Effect<A, ConditionThrew> {
  try {
    return Effect.succeed(question())
  } catch (cause) {
    return Effect.fail(new ConditionThrew({ path, cause }))
  }
}

export function instrument(node: Node, body: Body): Program {
  const kind = `${node.kind}.completed` as const
  const updated = node.kind === "step" ? node.updates : undefined
  const keepsOutput = node.binds || updated !== undefined
  const codec = node.kind === "step" ? node.codec : undefined

  const bind = (frame: Frame, outcome: Outcome, seq: number): Signal => {
    if (updated !== undefined) frame.update(updated, { value: outcome.value, ref: seq })
    else if (node.binds) frame.bind(node.name, outcome.value, seq)
    frame.apply(outcome.updates)
    return outcome.signal
  }

  const answer = (frame: Frame, event: RunEvent): Run<Signal> =>
    Effect.flatMap(
      frame.run.journal.output(event),
      (value) => Effect.map(readUpdates(frame.run.journal, event), (updates) => bind(frame, { value, updates, signal: dataOf(event).signal }, event.seq)),
    )

  const encode = (outcome: Outcome) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the codec was given for this step's output
    const kept = codec === undefined ? outcome : { ...outcome, value: codec.encode(outcome.value as never) }
    return encodeOutcome(kept, keepsOutput)
  }

  const record = (frame: Frame, path: string, outcome: Outcome): Run<Signal> => {
    const data = storable(path, () => encode(outcome))
    if (typeof data !== "string") return data
    const { journal } = frame.run
    const written = journal.append(kind, frame.path, node.name, data)
    const { seq } = journal
    return after(written, () => signalled(bind(frame, outcome, seq)))
  }

  const perform = (frame: Frame, path: string, past: Known | undefined): Run<Signal> =>
    after(body(frame, path, past), (outcome) => record(frame, path, outcome))

  const skip = (frame: Frame): Signal => {
    if (node.binds) frame.bind(node.name, undefined, null)
    return undefined
  }

  const guarded = (frame: Frame, path: string, past: Known | undefined, guard: (scope: Values) => unknown): Run<Signal> => {
    if (past?.guard !== undefined) return perform(frame, path, past)
    return Effect.flatMap(ask(path, () => guard(frame.scope)), (holds) => {
      const decided = frame.run.journal.append("guard.decided", frame.path, node.name, holds ? "{\"chosen\":\"yes\"}" : "{\"chosen\":\"no\"}")
      return holds ? Effect.flatMap(decided, () => perform(frame, path, past)) : Effect.map(decided, () => skip(frame))
    })
  }

  return (frame) => {
    const path = insidePath(frame.path, node.name)
    const known = frame.recorded?.get(node.name)
    if (known?.completed !== undefined) return answer(frame, known.completed)
    if (known?.guard !== undefined && dataOf(known.guard).chosen === "no") return Effect.succeed(skip(frame))
    const past = frame.recorded === undefined ? undefined : known ?? nothing
    // a block runs in order: behind its first unfinished node nothing can be recorded
    frame.recorded = undefined
    return node.guard === undefined ? perform(frame, path, past) : guarded(frame, path, past, node.guard)
  }
}

const unsignalled: Run<Signal> = Effect.succeed(undefined)
const signalled = (signal: Signal): Run<Signal> => (signal === undefined ? unsignalled : Effect.succeed(signal))

/** Nothing is recorded of the node itself, but something inside it may be. */
const nothing: Known = {}
