/**
 * An MCP server behind a URL ("Streamable HTTP"): each message is a POST, answered with JSON or with events.
 *
 * What a server says between our requests is not listened to: a connection that is open all the time would keep this process alive.
 */
import type { Redacted } from "effect/Redacted"
import { makeParser } from "effect/encoding/Sse"
import { messageOf } from "../../model/error.ts"
import type { Connection } from "./connection.ts"
import { McpFailed, type McpFailure } from "./error.ts"
import { isRecord, type Json, messageIn, replyTo, resultOf, revealing } from "./message.ts"

export type McpHeaders = Readonly<Record<string, string | Redacted>>
export interface HttpOptions {
  readonly server: string
  readonly url: string | URL
  readonly headers: McpHeaders | (() => McpHeaders | PromiseLike<McpHeaders>)
  /** Most bytes of one answer. */
  readonly bytes: number
}
/** How long a list of tools is believed, and how long the server may take to hear that we are done, in milliseconds. */
const trust = 60_000
const farewell = 1000

export class HttpConnection implements Connection {
  over: McpFailed | undefined
  readonly #options: HttpOptions
  readonly #ended = Promise.withResolvers<void>()
  readonly #closing = new AbortController()
  #session: string | undefined
  #version: string | undefined
  #next = 1
  #changed = false
  #listed = 0

  constructor(options: HttpOptions) {
    this.#options = options
  }

  get ended(): Promise<void> {
    return this.#ended.promise
  }

  get changed(): boolean {
    return this.#changed || performance.now() - this.#listed > trust
  }
  set changed(is: boolean) {
    this.#changed = is
    this.#listed = performance.now()
  }

  async request(method: string, params: Json, signal: AbortSignal): Promise<unknown> {
    const id = this.#next++
    const until = AbortSignal.any([signal, this.#closing.signal])
    try {
      const response = await this.#post({ id, method, params }, until)
      const result = await this.#answer(id, response)
      if (method === "initialize" && isRecord(result)) {
        this.#session = response.headers.get("mcp-session-id") ?? undefined
        this.#version = String(result["protocolVersion"])
      }
      return result
    } catch (cause) {
      if (this.over !== undefined) throw this.over
      if (!signal.aborted) throw cause
      if (method !== "initialize") this.notify("notifications/cancelled", { requestId: id })
      throw signal.reason
    }
  }

  notify(method: string, params: Json = {}): void {
    void this.#say({ method, params })
  }

  /** Its session is ended, if it has given us one. */
  async close(): Promise<void> {
    this.#end("closed", "it has been closed")
    this.#closing.abort()
    if (this.#session === undefined) return
    // it may know no such thing, or be gone
    await this.#fetch("DELETE", undefined, AbortSignal.timeout(farewell)).then((response) => response.body?.cancel()).catch(() => undefined)
  }

  #failed(code: McpFailure, reason: string): McpFailed {
    return new McpFailed({ server: this.#options.server, code, reason })
  }
  #end(code: McpFailure, reason: string): McpFailed {
    this.over ??= this.#failed(code, reason)
    this.#ended.resolve()
    return this.over
  }

  async #fetch(method: string, body: string | undefined, signal: AbortSignal): Promise<Response> {
    const { url, headers } = this.#options
    const own = revealing(typeof headers === "function" ? await headers() : headers)
    return fetch(url, {
      method,
      // whoever is sent elsewhere would carry the key along
      redirect: "error",
      signal,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        accept: "application/json, text/event-stream",
        ...(this.#session === undefined ? {} : { "mcp-session-id": this.#session }),
        ...(this.#version === undefined ? {} : { "mcp-protocol-version": this.#version }),
        ...own,
      },
      ...(body === undefined ? {} : { body }),
    })
  }

  /** What cannot be told is lost, as it is on a pipe. */
  async #say(message: Json): Promise<void> {
    await this.#fetch("POST", JSON.stringify({ jsonrpc: "2.0", ...message }), this.#closing.signal).then((response) => response.body?.cancel()).catch(() =>
      undefined
    )
  }

  async #post(message: Json, until: AbortSignal): Promise<Response> {
    const response = await this.#fetch("POST", JSON.stringify({ jsonrpc: "2.0", ...message }), until).catch((cause: unknown) => {
      if (until.aborted) throw cause
      throw this.#end(this.#version === undefined ? "start" : "ended", messageOf(cause instanceof Error && cause.cause !== undefined ? cause.cause : cause))
    })
    if (response.ok) return response
    const { status, statusText } = response
    const why = `it answers ${status} ${statusText}`.trim()
    // a session that it has forgotten, or a server that is down: whoever asks next starts anew
    if ((status === 404 && this.#session !== undefined) || status >= 500) {
      await response.body?.cancel()
      throw this.#end("ended", why)
    }
    const said = (await this.#text(response)).slice(0, 2000).trim()
    throw this.#failed(status === 401 || status === 403 || status === 429 ? "refused" : "protocol", said === "" ? why : `${why}: ${said}`)
  }

  /** What it says to a request of ours; what else it says on the way is heard. */
  async #answer(id: number, response: Response): Promise<unknown> {
    const type = response.headers.get("content-type") ?? ""
    let answer: Json | undefined
    const hear = (text: string): void => {
      const message = messageIn(text)
      if (message === undefined) return
      if (typeof message["method"] !== "string") {
        if (message["id"] === id) answer = message
        return
      }
      if (message["method"] === "notifications/tools/list_changed") this.#changed = true
      const reply = replyTo(message)
      if (reply !== undefined) void this.#say(reply)
    }
    if (type.includes("event-stream")) {
      const parser = makeParser((event) => {
        if (event._tag === "Event") hear(event.data)
      })
      for await (const part of this.#read(response)) {
        parser.feed(part)
        if (answer !== undefined) break
      }
    } else hear(await this.#text(response))
    if (answer === undefined) throw this.#failed("protocol", `its answer (${type}) holds none to what it was asked`)
    return resultOf(this.#options.server, answer)
  }

  async #text(response: Response): Promise<string> {
    let text = ""
    for await (const part of this.#read(response)) text += part
    return text
  }

  async *#read({ body }: Response): AsyncGenerator<string> {
    const { bytes } = this.#options
    const decoder = new TextDecoder()
    let read = 0
    for await (const part of body ?? []) {
      read += part.length
      if (read > bytes) throw this.#failed("too-much", `an answer has more than ${bytes} bytes`)
      yield decoder.decode(part, { stream: true })
    }
  }
}
