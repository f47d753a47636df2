/** What nodes compile to. */
import * as Effect from "effect/Effect"
import type { Block, Node } from "../../dsl/ir/node.ts"
import type { Ref } from "../model/event.ts"
import { isDone } from "../services/done.ts"
import type { Known } from "../services/recorded.ts"
import type { Changes } from "../services/state-changes.ts"
import type { Frame, Updates } from "./frame.ts"

/** A node asks the loop around it to go on with the next pass, or to end. */
export type Jump = "break" | "continue" | undefined

/** How a node ended: its output, where the output's parts are recorded, and the outer names it changed. */
export interface Outcome {
  readonly value: unknown
  /** Where `value` is recorded already; without it the value itself is written. */
  readonly ref?: Ref | undefined
  readonly updates?: Updates | undefined
  readonly jump?: Jump
  /** How many tries it took, if more than one. */
  readonly attempts?: number
  /** Id of the run of its own that it was. */
  readonly child?: string
  /** Id of the signal it received. */
  readonly takes?: string
  /** What it has changed of State, to be written with it. */
  readonly changes?: Changes | undefined
  /** What it was given, where that is not what its scope says: for whoever has to undo it. */
  readonly given?: unknown
  /** Number of the event that records it already. */
  readonly seq?: number
}

/** Failures and services are in the flow's type; the compiled program carries them unseen. */
export type Run<A> = Effect.Effect<A, any, any>

/** `next` with the value of `run`: at once where there is one already. To be called while the run goes on, not before. */
export const after = <A, B>(run: Run<A>, next: (value: A) => Run<B>): Run<B> => (isDone(run) ? next(run.value) : Effect.flatMap(run, next))

/** The work of one node that is not finished; `past` is what is recorded of it, `undefined` if nothing can be. */
export type Body = (frame: Frame, path: string, past: Known | undefined) => Run<Outcome>
/** A node in its wrapper: done when it is recorded and bound. Begins when called. */
export type Program = (frame: Frame) => Run<Jump>

/** A compiled block. */
export interface BlockProgram {
  readonly own: ReadonlySet<string>
  /** Runs the block's nodes in `frame`. Begins when called. */
  readonly run: (frame: Frame) => Run<Jump>
  /** The block's output once its nodes are done. */
  readonly output: (frame: Frame) => Run<Outcome>
}

/** Compiles an inner block; passed to each node's compiler, so that none imports another. */
export type CompileBlock = (block: Block) => BlockProgram
export type CompileNode<N extends Node> = (node: N, compileBlock: CompileBlock) => Body
