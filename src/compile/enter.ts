/** Running a block inside a node: its own frame, what is recorded of it, its output. */
import * as Effect from "effect/Effect"
import type { Known } from "../services/recorded.ts"
import { Frame, type Updates } from "./frame.ts"
import { after, type BlockProgram, type Jump, type Outcome, type Run } from "./program.ts"

export interface Entered {
  readonly outcome: Outcome
  readonly jump: Jump
  readonly updates: Updates | undefined
}

/** The frame of `block` at `path` with `scope`; `before` is what changed of the outer names since the node began. */
export function open(
  outer: Frame,
  path: string,
  scope: Record<string, unknown>,
  block: BlockProgram,
  past: Known | undefined,
  before?: Updates,
): Run<Frame> {
  if (past === undefined) return Effect.succeed(new Frame(outer.run, path, scope, block.own, undefined, outer, before))
  return Effect.map(outer.run.journal.under(path), (recorded) => new Frame(outer.run, path, scope, block.own, recorded, outer, before))
}

/** Runs `block` in its frame; a pass that was left by a jump has no output. */
export const inside = (frame: Frame, block: BlockProgram): Run<Entered> =>
  after(block.run(frame), (jump): Run<Entered> =>
    jump === undefined ?
      after(block.output(frame), (outcome) => Effect.succeed({ outcome, jump, updates: frame.updates })) :
      Effect.succeed({ outcome: { value: undefined }, jump, updates: frame.updates }))

/** Opens and runs. */
export const enter = (...args: Parameters<typeof open>): Run<Entered> => after(open(...args), (frame) => inside(frame, args[3]))
