/** An HTTP server that speaks OpenAI's protocol: streams, calls tools, and is busy (429) when it is first asked. Point `OPENAI_BASE_URL` elsewhere for another. */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { json } from "node:stream/consumers"
import type { Message, ModelTool } from "heddle/agents"
import { read } from "./reader.ts"

interface Asked {
  readonly messages: ReadonlyArray<{ readonly role: Message["role"]; readonly content: string | null }>
  readonly tools?: ReadonlyArray<{ readonly function: ModelTool }>
}

export async function serveModel(): Promise<{ readonly baseUrl: string; readonly requests: () => number; readonly server: Server }> {
  let requests = 0
  const server = createServer(async (request, response) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a server for one example
    const { messages, tools = [] } = (await json(request)) as Asked
    if (++requests === 1) {
      response.writeHead(429, { "content-type": "application/json", "retry-after-ms": "20" }).end(JSON.stringify({ error: { message: "one moment" } }))
      return
    }
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what it needs of a message are role and text
    const said = read({ messages: messages.map(({ role, content }) => ({ role, text: content ?? "" }) as Message), tools: tools.map((one) => one.function) })
    const chunk = (delta: object, finish: string | null = null) =>
      response.write(
        `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model: "wink", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`,
      )
    response.writeHead(200, { "content-type": "text/event-stream" })
    if (said.type === "text") { for (const piece of said.text.match(/.{1,8}/gs) ?? []) chunk({ content: piece }) }
    if (said.type === "call") {
      chunk({ tool_calls: [{ index: 0, id: said.call.id, type: "function", function: { name: said.call.name, arguments: said.call.args } }] })
    }
    chunk({}, said.type === "call" ? "tool_calls" : "stop")
    response.end("data: [DONE]\n\n")
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it listens on a port
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, requests: () => requests, server }
}
