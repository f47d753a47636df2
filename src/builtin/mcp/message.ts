/** Messages of the Model Context Protocol: JSON-RPC 2.0. */
import { McpFailed } from "./error.ts"

export type Json = Readonly<Record<string, unknown>>
export const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** Of the protocol, newest first. */
export const versions: ReadonlyArray<unknown> = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]

/** What a server is told that asks us something: we have nothing to offer but that we are there. */
export const replyTo = ({ id, method }: Json): Json | undefined =>
  id === undefined ? undefined : method === "ping" ? { id, result: {} } : { id, error: { code: -32_601, message: "Method not found" } }

/** @throws McpFailed where the server says that it could not */
export function resultOf(server: string, { error, result }: Json): unknown {
  if (isRecord(error)) throw new McpFailed({ server, code: "protocol", reason: `${String(error["message"])} (${String(error["code"])})` })
  return result
}
