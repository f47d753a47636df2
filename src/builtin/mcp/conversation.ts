/** What a client says to a server of ours, and what it is told. */
import { redact } from "../../model/secret.ts"
import { isRecord, type Json, versions } from "./message.ts"
import type { Offers, ServerInfo } from "./offers.ts"

/** Most bytes of one request, and most calls at once. */
export const bounds = { bytes: 4 * 1024 * 1024, calls: 64 } as const

class Refused extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
/** @returns what is sent: one message, with nothing secret in it */
export const written = (message: Json): string => redact(JSON.stringify({ jsonrpc: "2.0", ...message }))
export const tooLong: Json = { id: null, error: { code: -32_600, message: `a request has more than ${bounds.bytes} bytes` } }

export class Conversation {
  readonly #offers: Offers
  readonly #info: ServerInfo
  readonly #send: (message: Json) => void
  /** Calls that go on. */
  readonly #running: Map<unknown, { readonly stop: () => void; readonly done: Promise<unknown> }> = new Map()

  constructor(offers: Offers, info: ServerInfo, send: (message: Json) => void) {
    this.#offers = offers
    this.#info = info
    this.#send = send
  }

  /** Resolves when every call has been answered. */
  async done(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ done }) => done))
  }

  receive(text: string): void {
    if (text.trim() === "") return
    let id: unknown = null
    try {
      const message = parsed(text)
      if (!isRecord(message) || message["jsonrpc"] !== "2.0") throw new Refused(-32_600, "Invalid request")
      if (typeof message["id"] === "string" || typeof message["id"] === "number") ({ id } = message)
      const { method } = message
      // an answer, though nothing was asked
      if (typeof method !== "string") return
      const params = isRecord(message["params"]) ? message["params"] : {}
      if (id === null) {
        if (method === "notifications/cancelled") this.#running.get(params["requestId"])?.stop()
      } else if (method === "tools/call") this.#call(id, params)
      else this.#send({ id, result: this.#answer(method, params) })
    } catch (error) {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else is thrown: what is called fails in its promise
      const { code, message } = error as Refused
      this.#send({ id, error: { code, message } })
    }
  }

  #call(id: unknown, params: Json): void {
    const running = this.#running
    if (running.size >= bounds.calls) throw new Refused(-32_000, `more than ${bounds.calls} calls at once`)
    if (running.has(id)) throw new Refused(-32_600, `the id ${String(id)} is that of a call that goes on`)
    const { name: called, arguments: given = {} } = params
    const going = typeof called === "string" ? this.#offers.call(called, given) : undefined
    if (going === undefined) throw new Refused(-32_602, `Unknown tool: ${JSON.stringify(called)}`)
    let stopped: Promise<unknown> | undefined
    const stop = () => void (stopped ??= going.stop())
    const done = going.result.then(async (result) => {
      // who has cancelled it does not wait for an answer
      if (stopped === undefined) this.#send({ id, result })
      else await stopped
      running.delete(id)
    })
    running.set(id, { stop, done })
  }

  #answer(method: string, params: Json): Json {
    switch (method) {
      case "initialize": {
        const asked = params["protocolVersion"]
        return {
          // one of 2025-03-26 may send several requests in one, which nobody does
          protocolVersion: asked !== "2025-03-26" && versions.includes(asked) ? asked : versions[0],
          capabilities: { tools: {} },
          serverInfo: this.#info,
        }
      }
      case "ping":
        return {}
      case "tools/list":
        return { tools: this.#offers.tools }
      default:
        throw new Refused(-32_601, `Method not found: ${method}`)
    }
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw new Refused(-32_700, "Parse error")
  }
}
