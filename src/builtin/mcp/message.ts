/** Messages of the Model Context Protocol: JSON-RPC 2.0. */
import { isRedacted, type Redacted, value as revealed } from "effect/Redacted"
import { McpFailed } from "./error.ts"

export type Json = Readonly<Record<string, unknown>>
export const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

/** A message, if the text is one. */
export function messageIn(text: string): Json | undefined {
  try {
    const message: unknown = JSON.parse(text)
    return isRecord(message) && message["jsonrpc"] === "2.0" ? message : undefined
  } catch {
    // a line of its own
    return undefined
  }
}

/** Texts that may be secret, as the server is to have them. */
export const revealing = (texts: Readonly<Record<string, string | Redacted>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, isRedacted(text) ? revealed(text) : text]))

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
