/** Flows, agents and tools as tools of an MCP server: newline-delimited JSON-RPC 2.0 over stdin and stdout. */
import type { Readable, Writable } from "node:stream"
import type { AnyDefinition } from "../../../dsl/flow/flow.ts"
import type { Client } from "../../engine/client.ts"
import { redact } from "../../model/secret.ts"
import { Lines } from "./lines.ts"
import { Offers } from "./offers.ts"
import { take } from "./take.ts"
import { isRecord, versions } from "./wire.ts"

export interface ServeMcpOptions<Services> {
  /** Runs what is called. */
  readonly heddle: Client<Services>
  /** Flows with an input schema, agents and tools; each is a tool under its name. */
  readonly serves: ReadonlyArray<AnyDefinition>
  /** What clients call the server, default `heddle`, and its version, default `1.0.0`. */
  readonly name?: string
  readonly version?: string
  /** `privileged`: tools may be privileged, or ask for an approval, which then nobody is asked for here. */
  readonly allow?: "privileged"
  /** The signals that clients may send to runs they have started; default none. Whoever approves something must not be who asks for it. */
  readonly signals?: ReadonlyArray<string>
  /** The session that its runs belong to. */
  readonly session?: string
  /** Default: stdin. */
  readonly input?: Readable
  /** Default: stdout. Whatever else is printed there goes to stderr meanwhile. */
  readonly output?: Writable
}
/** Most bytes of one request, and most calls at once. */
const bounds = { bytes: 4 * 1024 * 1024, calls: 64 } as const

class Refused extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
type Json = Readonly<Record<string, unknown>>

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
export async function serveMcp<Services>(
  { heddle, serves, name = "heddle", version = "1.0.0", allow, signals = [], session, input = process.stdin, output = process.stdout }: ServeMcpOptions<
    Services
  >,
): Promise<void> {
  const offers = new Offers(heddle, serves, { name, allowsPrivileged: allow === "privileged", signals, session })
  const running = new Map<unknown, { readonly stop: () => void; readonly done: Promise<unknown> }>()
  const { write, giveBack } = take(output)
  const send = (message: Json) => write(`${redact(JSON.stringify({ jsonrpc: "2.0", ...message }))}\n`)

  const call = (id: unknown, params: Json): void => {
    if (running.size >= bounds.calls) throw new Refused(-32_000, `more than ${bounds.calls} calls at once`)
    if (running.has(id)) throw new Refused(-32_600, `the id ${String(id)} is that of a call that goes on`)
    const { name: called, arguments: given = {} } = params
    const going = typeof called === "string" ? offers.call(called, given) : undefined
    if (going === undefined) throw new Refused(-32_602, `Unknown tool: ${JSON.stringify(called)}`)
    let stopped: Promise<unknown> | undefined
    const stop = () => void (stopped ??= going.stop())
    const done = going.result.then(async (result) => {
      // who has cancelled it does not wait for an answer
      if (stopped === undefined) send({ id, result })
      else await stopped
      running.delete(id)
    })
    running.set(id, { stop, done })
  }
  const answer = (method: string, params: Json): Json => {
    switch (method) {
      case "initialize": {
        const asked = params["protocolVersion"]
        return {
          // one of 2025-03-26 may send several requests in one, which nobody does
          protocolVersion: asked !== "2025-03-26" && versions.includes(asked) ? asked : versions[0],
          capabilities: { tools: {} },
          serverInfo: { name, version },
        }
      }
      case "ping":
        return {}
      case "tools/list":
        return { tools: offers.tools }
      default:
        throw new Refused(-32_601, `Method not found: ${method}`)
    }
  }
  const receive = (line: string): void => {
    if (line.trim() === "") return
    let id: unknown = null
    try {
      const message = parsed(line)
      if (!isRecord(message) || message["jsonrpc"] !== "2.0") throw new Refused(-32_600, "Invalid request")
      if (typeof message["id"] === "string" || typeof message["id"] === "number") ({ id } = message)
      const { method } = message
      // an answer, though nothing was asked
      if (typeof method !== "string") return
      const params = isRecord(message["params"]) ? message["params"] : {}
      if (id === null) {
        if (method === "notifications/cancelled") running.get(params["requestId"])?.stop()
      } else if (method === "tools/call") call(id, params)
      else send({ id, result: answer(method, params) })
    } catch (error) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else is thrown: what is called fails in its promise
      const { code, message } = error as Refused
      send({ id, error: { code, message } })
    }
  }

  try {
    const ended = Promise.withResolvers<void>()
    const lines = new Lines(bounds.bytes, receive, () => {
      send({ id: null, error: { code: -32_600, message: `a request has more than ${bounds.bytes} bytes` } })
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
    await Promise.all([...running.values()].map(({ done }) => done))
    input.off("data", read)
    for (const end of ends) input.off(end, over)
    output.off("error", over)
    // nothing more is heard: it keeps nobody alive
    input.pause()
  } finally {
    giveBack()
  }
}

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    throw new Refused(-32_700, "Parse error")
  }
}
