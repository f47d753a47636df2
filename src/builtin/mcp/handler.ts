/** Flows, agents and tools as tools of an MCP server behind a URL ("Streamable HTTP", each request by itself). */
import { bounds, Conversation, tooLong, written } from "./conversation.ts"
import { type Json, versions } from "./message.ts"
import { type McpServed, offersOf } from "./offers.ts"

export interface McpHandlerOptions<Services> extends McpServed<Services> {
  /** Web pages that may ask, as `https://app.example`; default none. What is no browser names no page, and may. */
  readonly origins?: ReadonlyArray<string>
}
const isJson = (request: Request) => request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase() === "application/json"
const refused = (status: number, headers: Readonly<Record<string, string>> = {}) => new Response(undefined, { status, headers })
const told = (message: Json, status = 200) => new Response(written(message), { status, headers: { "content-type": "application/json" } })

/**
 * A web handler, request in and response out, that serves flows, agents and tools to MCP clients: for Hono, Next.js, Deno, Bun, or Node by an adapter.
 *
 * **Whoever reaches it may call**: let nobody reach it who has not proved who they are, by what stands before it. It keeps nothing between requests, so that any
 * number of processes may serve one URL; at most 64 calls at once in each. Who goes away before the answer does not end the run.
 *
 * @throws TypeError where something cannot be served
 * @example
 * const handler = mcpHandler({ heddle, serves: [triage] })
 * app.all("/mcp", (context) => handler(context.req.raw))
 */
export function mcpHandler<Services>(options: McpHandlerOptions<Services>): (request: Request) => Promise<Response> {
  const { origins = [], ...served } = options
  const { offers, info } = offersOf(served)
  let calls = 0
  return async (request) => {
    const origin = request.headers.get("origin")
    if (origin !== null && !origins.includes(origin)) return refused(403)
    if (request.method !== "POST") return refused(405, { allow: "POST" })
    if (!isJson(request)) return refused(415)
    const version = request.headers.get("mcp-protocol-version")
    if (version !== null && !versions.includes(version)) return refused(400)
    if (calls >= bounds.calls) return refused(503, { "retry-after": "1" })
    calls++
    try {
      const text = await bodyOf(request)
      if (text === undefined) return told(tooLong, 413)
      let answer: Json | undefined
      const conversation = new Conversation(offers, info, (message) => (answer = message))
      conversation.receive(text)
      await conversation.done()
      return answer === undefined ? refused(202) : told(answer, answer["id"] === null ? 400 : 200)
    } finally {
      calls--
    }
  }
}

/** `undefined` where it is longer than a request may be. */
async function bodyOf({ body }: Request): Promise<string | undefined> {
  const parts: Array<Uint8Array> = []
  let size = 0
  for await (const part of body ?? []) {
    size += part.length
    if (size > bounds.bytes) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}
