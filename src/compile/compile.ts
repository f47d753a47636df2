/** The table of node kinds: a flow becomes a program before its first run, and only once. */
import * as Effect from "effect/Effect"
import type { Block, Node } from "../../dsl/ir/node.ts"
import { ownNames, visit } from "../../dsl/ir/walk.ts"
import { compileEach } from "./each.ts"
import type { Frame } from "./frame.ts"
import { hooked } from "./hooked.ts"
import { ask } from "./ask.ts"
import { instrument } from "./instrument.ts"
import { compileJump } from "./jump.ts"
import { compileLoop } from "./loop.ts"
import { compileParallel } from "./parallel.ts"
import { after, type BlockProgram, type Body, type CompileBlock, type Jump, type Program, type Run } from "./program.ts"
import { compileProtect } from "./protect.ts"
import { compileStep } from "./step.ts"
import { compileStream } from "./stream/stream.ts"
import { compileWait } from "./wait.ts"
import { compileWhen } from "./when.ts"

const compiled = new WeakMap<Block, BlockProgram>()

/** `block` as a program. */
export const compile: CompileBlock = (block) => {
  let program = compiled.get(block)
  if (program === undefined) {
    program = compileBlock(block)
    compiled.set(block, program)
  }
  return program
}

const compileBlock = (block: Block): BlockProgram => {
  const { returns } = block
  const programs = block.nodes.map(compileNode)
  return {
    own: new Set(ownNames(block)),
    run: inOrder(programs),
    output: returns === undefined ?
      (frame) => Effect.succeed(frame.own()) :
      (frame) => after(ask(frame.path, () => returns(frame.scope)), (value) => Effect.succeed({ value })),
  }
}

/** One after the other, until one of them jumps. */
const inOrder = (programs: ReadonlyArray<Program>): (frame: Frame) => Run<Jump> => {
  const [only] = programs
  if (only !== undefined && programs.length === 1) return only
  return (frame) => {
    let next = 0
    let jump: Jump
    const loop = Effect.whileLoop({
      while: () => next < programs.length && jump === undefined,
      body: () => programs[next++]!(frame),
      step: (given: Jump) => {
        jump = given
      },
    })
    return Effect.map(loop, () => jump)
  }
}

const compileNode = (node: Node): Program =>
  instrument(
    node,
    hooked(
      node,
      visit<Body>(node, {
        step: (step) => compileStep(step, compile),
        when: (when) => compileWhen(when, compile),
        loop: (loop) => compileLoop(loop, compile),
        jump: (jump) => compileJump(jump, compile),
        each: (each) => compileEach(each, compile),
        parallel: (parallel) => compileParallel(parallel, compile),
        protect: (protect) => compileProtect(protect, compile),
        stream: (stream) => compileStream(stream, compile),
        wait: (wait) => compileWait(wait, compile),
      }),
    ),
  )
