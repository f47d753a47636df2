import type { McpFailed } from "./error.ts"
import type { Json } from "./message.ts"

/** A server that is spoken to. */
export interface Connection {
  /** Why nothing can be asked any more. */
  readonly over: McpFailed | undefined
  /** It has said, or it may be, that its tools are others now. */
  changed: boolean
  /** Resolves when it has ended and all it has said has been read. */
  readonly ended: Promise<void>
  /** @throws McpFailed, or why the signal was aborted */
  request(method: string, params: Json, signal: AbortSignal): Promise<unknown>
  notify(method: string, params?: Json): void
  close(): Promise<void>
}
