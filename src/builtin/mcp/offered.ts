/** What a server says of its tools, and what a call has given. */
import { createHash } from "node:crypto"
import type { Issue } from "../../model/error.ts"
import type { Arguments } from "./json-schema.ts"
import { isRecord } from "./message.ts"

export interface Offered {
  readonly name: string
  readonly description: string | undefined
  readonly inputSchema: Arguments
  /** Of its name, its description and its schemas. */
  readonly hash: string
}

/** `undefined` where it is none. */
export const offeredOf = (given: unknown): Offered | undefined => {
  if (!isRecord(given) || typeof given["name"] !== "string" || !isRecord(given["inputSchema"])) return undefined
  const { name, description, inputSchema, outputSchema } = given
  const hash = createHash("sha256").update(JSON.stringify([name, description ?? null, inputSchema, outputSchema ?? null])).digest("hex")
  return { name, description: typeof description === "string" ? description : undefined, inputSchema, hash }
}

/** Text, where it is nothing but text. */
export const contentOf = (content: ReadonlyArray<unknown>): unknown => {
  const texts = content.flatMap((one) => (isRecord(one) && one["type"] === "text" ? [String(one["text"])] : []))
  return texts.length === content.length ? texts.join("\n") : content
}

export const misfit = (name: string, issues: ReadonlyArray<Issue>): string =>
  `its tool '${name}' has answered what does not fit: ${issues.map(({ path, message }) => `${path === "" ? "(all)" : path}: ${message}`).join("; ")}`
