/** The one wrapper around every node: what is recorded is not run again, what ran is recorded, then bound. */
import * as Effect from "effect/Effect"
import type { Node, Values } from "../../dsl/ir/node.ts"
import { insidePath } from "../../dsl/ir/path.ts"
import type { RunEvent } from "../model/event.ts"
import { dataOf, type Known } from "../services/recorded.ts"
import { inNodeSpan } from "../services/tracing.ts"
import { ask } from "./ask.ts"
import { canUndo } from "./compensate.ts"
import { committed } from "./commit.ts"
import type { Frame } from "./frame.ts"
import { hooksAt, sentTo } from "./hooks-at.ts"
import { after, type Body, type Jump, type Outcome, type Program, type Run } from "./program.ts"
import { encodeValue } from "../model/value.ts"
import { asRecorded, encodeOutcome, readUpdates, storable, stored } from "./record.ts"

export function instrument(node: Node, body: Body): Program {
  const kind = `${node.kind}.completed` as const
  const updated = node.kind === "step" ? node.updates : undefined
  const keepsOutput = node.binds || updated !== undefined
  const codec = node.kind === "step" ? node.codec : undefined

  const bind = (frame: Frame, outcome: Outcome, seq: number): Jump => {
    if (updated !== undefined) frame.update(updated, { value: outcome.value, ref: seq })
    else if (node.binds) frame.bind(node.name, outcome.value, seq)
    frame.apply(outcome.updates)
    return outcome.jump
  }

  const answer = (frame: Frame, event: RunEvent): Run<Jump> =>
    Effect.flatMap(
      frame.run.journal.output(event),
      (value) => Effect.map(readUpdates(frame.run.journal, event), (updates) => bind(frame, { value, updates, jump: dataOf(event).jump }, event.seq)),
    )

  const undoable = canUndo(node)

  const encode = (outcome: Outcome, read: string) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the codec was given for this step's output
    const kept = codec === undefined ? outcome : { ...outcome, value: codec.encode(outcome.value as never) }
    const data = encodeOutcome(kept, keepsOutput)
    if (read === "") return data
    const given = outcome.given === undefined ? "" : `,"given":${encodeValue(outcome.given)}`
    return `${data.slice(0, -1)},"undo":${read}${given}}`
  }

  const record = (frame: Frame, path: string, given: Outcome, read: string, nr: number): Run<Jump> => {
    if (given.seq !== undefined) return jumped(bind(frame, given, given.seq))
    const outcome = asRecorded(given)
    const data = storable(path, () => encode(outcome, read))
    if (typeof data !== "string") return data
    frame.run.budgets?.close(path)
    const { changes } = outcome
    if (changes !== undefined && node.kind === "step") {
      return committed(frame, path, node, { data, changes, nr }, (seq) => bind(frame, outcome, seq), () => performed(frame, path, nothing, nr + 1))
    }
    const { journal } = frame.run
    const written = journal.append(kind, frame.path, node.name, data, outcome.takes === undefined ? undefined : { takes: outcome.takes })
    const { seq } = journal
    return after(written, () => jumped(bind(frame, outcome, seq)))
  }

  const perform = (frame: Frame, path: string, past: Known | undefined): Run<Jump> =>
    frame.run.traced ? inNodeSpan(node.kind, node.name, path, () => performed(frame, path, past)) : performed(frame, path, past)

  const performed = (frame: Frame, path: string, past: Known | undefined, nr = 1): Run<Jump> => {
    if (!undoable) return after(body(frame, path, past), (outcome) => record(frame, path, outcome, "", nr))
    // what the step reads, for whoever has to undo it: if that cannot be kept, nothing must be done
    return after(
      stored(path, () => JSON.stringify(frame.refs())),
      (read) => after(body(frame, path, past), (outcome) => record(frame, path, outcome, read, nr)),
    )
  }

  const skip = (frame: Frame): Jump => {
    if (node.binds) frame.bind(node.name, undefined, null)
    return undefined
  }

  const guarded = (frame: Frame, path: string, past: Known | undefined, guard: (scope: Values) => unknown): Run<Jump> => {
    if (past?.guard !== undefined) return perform(frame, path, past)
    const { run, scope } = frame
    const decide = after(ask(path, () => guard(scope)), (holds) => {
      const chosen = holds ? "yes" as const : "no" as const
      return after(hooksAt(run, "guard.decided", path, () => ({ scope, chosen, cases: ["yes", "no"] })), (verdict) => Effect.succeed(sentTo(verdict, chosen)))
    })
    return Effect.flatMap(decide, (chosen) => {
      const decided = run.journal.append("guard.decided", frame.path, node.name, `{"chosen":"${chosen}"}`)
      return chosen === "yes" ? Effect.flatMap(decided, () => perform(frame, path, past)) : Effect.map(decided, () => skip(frame))
    })
  }

  return (frame) => {
    const path = insidePath(frame.path, node.name)
    const known = frame.recorded?.get(node.name)
    if (known?.completed !== undefined) return answer(frame, known.completed)
    if (known?.guard !== undefined && dataOf(known.guard).chosen === "no") return Effect.succeed(skip(frame))
    const past = frame.recorded === undefined ? undefined : known ?? nothing
    // a block runs in order: behind its first unfinished node nothing can be recorded, unless the run was migrated
    if (!frame.run.journal.sparse) frame.recorded = undefined
    return node.guard === undefined ? perform(frame, path, past) : guarded(frame, path, past, node.guard)
  }
}

const unjumped: Run<Jump> = Effect.succeed(undefined)
const jumped = (jump: Jump): Run<Jump> => (jump === undefined ? unjumped : Effect.succeed(jump))

/** Nothing is recorded of the node itself, but something inside it may be. */
const nothing: Known = {}
