/** Why a tool did not do what it was asked. */
import { TaggedError } from "effect/Data"

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
