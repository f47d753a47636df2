/** What goes wrong with a server of tools. It has a page in `docs/errors/`. */
import { TaggedError } from "effect/Data"

export type McpFailure = "start" | "refused" | "ended" | "timeout" | "too-much" | "protocol" | "missing" | "changed" | "tool" | "resting" | "closed"

/** An MCP server did not do what it was asked. */
export class McpFailed extends TaggedError("McpFailed")<{ readonly server: string; readonly code: McpFailure; readonly reason: string }> {
  override get message(): string {
    return `MCP server '${this.server}' failed (${this.code}): ${this.reason}`
  }
}
