/** Running a block inside a node: its own frame, what is recorded of it, its output. */
import * as Effect from "effect/Effect"
import type { Known } from "../services/journal.ts"
import { Frame, type Updates } from "./frame.ts"
import { after, type BlockProgram, type Outcome, type Run, type Signal } from "./program.ts"

export interface Entered {
  readonly outcome: Outcome
  readonly signal: Signal
  readonly updates: Updates | undefined
}

/** Runs `block` at `path` with `scope`; a pass that was left by a jump has no output. */
export function enter(
  outer: Frame,
  path: string,
  scope: Record<string, unknown>,
  block: BlockProgram,
  past: Known | undefined,
): Run<Entered> {
  if (past === undefined) return inside(new Frame(outer.run, path, scope, block.own, undefined), block)
  return Effect.flatMap(outer.run.journal.under(path), (recorded) => inside(new Frame(outer.run, path, scope, block.own, recorded), block))
}

const inside = (frame: Frame, block: BlockProgram): Run<Entered> =>
  after(block.run(frame), (signal): Run<Entered> =>
    signal === undefined ?
      after(block.output(frame), (outcome) => Effect.succeed({ outcome, signal, updates: frame.updates })) :
      Effect.succeed({ outcome: { value: undefined }, signal, updates: frame.updates }))
