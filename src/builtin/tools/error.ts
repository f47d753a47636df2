/** Why a tool did not do what it was asked. */
import { TaggedError } from "effect/Data"
import * as Effect from "effect/Effect"

/** A tool refused what it was asked: it is outside of what it was given, or too much. */
export class ToolRefused extends TaggedError("ToolRefused")<{ readonly tool: string; readonly code: string; readonly reason: string }> {
  override get message(): string {
    return `tool '${this.tool}' refused (${this.code}): ${this.reason}`
  }
}

/** @throws ToolRefused */
export const refuse = (tool: string, code: string, reason: string): never => {
  throw new ToolRefused({ tool, code, reason })
}

/** The function of a tool whose work may refuse; whatever else it throws is a defect. */
export const refusing = <Input, A>(work: (input: Input, signal: AbortSignal) => A | Promise<A>) => (input: Input): Effect.Effect<A, ToolRefused> =>
  Effect.catch(
    Effect.tryPromise({ try: async (signal) => await work(input, signal), catch: (cause) => cause }),
    (cause) => (cause instanceof ToolRefused ? Effect.fail(cause) : Effect.die(cause)),
  )
