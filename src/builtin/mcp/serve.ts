/** Flows, agents and tools as tools of an MCP server: newline-delimited JSON-RPC 2.0 over stdin and stdout. */
import type { Readable, Writable } from "node:stream"
import { bounds, Conversation, tooLong, written } from "./conversation.ts"
import { Lines } from "./lines.ts"
import type { Json } from "./message.ts"
import { type McpServed, offersOf } from "./offers.ts"
import { take } from "./take.ts"

export interface ServeMcpOptions<Services> extends McpServed<Services> {
  /** Default: stdin. */
  readonly input?: Readable
  /** Default: stdout. Whatever else is printed there goes to stderr meanwhile. */
  readonly output?: Writable
}
/**
 * Serves flows, agents and tools to an MCP client, until it closes our stdin and everything it has called has been answered.
 *
 * Every call is a run. One that waits is told with its id: the tools `look_at_run`, `cancel_run` and, for signals that clients may send, `signal_run` go on with
 * it, now or from another client.
 *
 * @throws TypeError where something cannot be served
 * @example
 * await serveMcp({ heddle: (await openHeddle({ store: "heddle.db" }))._unsafeUnwrap(), serves: [triage] })
 */
export async function serveMcp<Services>({ input = process.stdin, output = process.stdout, ...served }: ServeMcpOptions<Services>): Promise<void> {
  const { offers, info } = offersOf(served)
  const { write, giveBack } = take(output)
  const goOn = () => input.resume()
  const send = (message: Json) => {
    // who does not read what it has asked for is not heard until it does
    if (write(`${written(message)}\n`) || input.isPaused()) return
    input.pause()
    output.once("drain", goOn)
  }
  const conversation = new Conversation(offers, info, send)
  try {
    const ended = Promise.withResolvers<void>()
    const lines = new Lines(bounds.bytes, (line) => conversation.receive(line), () => {
      send(tooLong)
      ended.resolve()
    })
    const read = (part: Buffer | string) => lines.read(Buffer.from(part))
    const over = () => ended.resolve()
    // whoever goes away without a word has gone, too
    const ends = ["close", "end", "error"]
    input.on("data", read)
    for (const end of ends) input.once(end, over)
    output.on("error", over)
    await ended.promise
    await conversation.done()
    input.off("data", read)
    for (const end of ends) input.off(end, over)
    output.off("error", over).off("drain", goOn)
    // nothing more is heard: it keeps nobody alive
    input.pause()
  } finally {
    giveBack()
  }
}
