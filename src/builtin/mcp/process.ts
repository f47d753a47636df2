/**
 * The process of an MCP server, spoken to in newline-delimited JSON-RPC 2.0 over its stdin and stdout.
 *
 * By hand: the client in `effect/ai` (4.1.0, experimental) refuses servers that speak an older version, print a line of their own, or say nothing of
 * capabilities, and takes ten seconds to end one that does not want to.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import type { Socket } from "node:net"
import type { Connection } from "./connection.ts"
import { McpFailed, type McpFailure } from "./error.ts"
import { Lines } from "./lines.ts"
import { type Json, messageIn, replyTo, resultOf } from "./message.ts"

export interface ProcessOptions {
  readonly server: string
  readonly command: readonly [string, ...ReadonlyArray<string>]
  readonly folder: string | undefined
  readonly environment: NodeJS.ProcessEnv
  /** Most bytes of one message. */
  readonly bytes: number
}
/** How long it may take to end when its stdin is closed, and again when it is told to, in milliseconds. */
const grace = 1000

const alive = new Set<ProcessConnection>()
/** They end with this process. */
const endAll = (): void => alive.forEach((one) => one.kill("SIGKILL"))

export class ProcessConnection implements Connection {
  /** Why nothing can be asked any more. */
  over: McpFailed | undefined
  /** It has said that its tools are others now. */
  changed = false
  readonly #child: ChildProcessWithoutNullStreams
  readonly #server: string
  readonly #waiting = new Map<unknown, PromiseWithResolvers<unknown>>()
  readonly #exited = Promise.withResolvers<void>()
  readonly #closed = Promise.withResolvers<void>()
  #next = 1
  #said = ""

  private constructor(child: ChildProcessWithoutNullStreams, { server, bytes }: ProcessOptions) {
    this.#child = child
    this.#server = server
    if (alive.size === 0) process.on("exit", endAll)
    alive.add(this)
    // its end tells more than the pipe does
    child.stdin.on("error", () => undefined)
    child.stderr.on("data", (part: Buffer) => (this.#said = (this.#said + part.toString()).slice(-2000)))
    const lines = new Lines(bytes, (line) => this.#receive(line), () => {
      this.#end("too-much", `a message has more than ${bytes} bytes`)
      this.kill("SIGKILL")
    })
    child.stdout.on("data", (part: Buffer) => lines.read(part))
    const over = (code: number | null, signal: NodeJS.Signals | null) => {
      this.#end("ended", `it has ended (${signal ?? code})${this.#said === "" ? "" : `: ${this.#said.trim()}`}`)
      this.#closed.resolve()
    }
    child.once("exit", (code, signal) => {
      alive.delete(this)
      if (alive.size === 0) process.off("exit", endAll)
      // what it has started ends with it, and may hold its pipes no longer
      this.kill("SIGKILL")
      setTimeout(over, grace / 4, code, signal)
      this.#exited.resolve()
    })
    child.once("close", over)
  }

  /** Resolves when its process has ended and all it has said has been read. */
  get ended(): Promise<void> {
    return this.#closed.promise
  }

  static open(options: ProcessOptions): Promise<ProcessConnection> {
    const { server, command: [program, ...args], folder, environment } = options
    return new Promise<ProcessConnection>((resolve, reject) => {
      // a group of its own, so that what it has started ends with it
      const child = spawn(program, args, { cwd: folder, env: environment, shell: false, detached: true, windowsHide: true, stdio: ["pipe", "pipe", "pipe"] })
      child.once("error", reject)
      child.once("spawn", () => resolve(new ProcessConnection(child, options)))
    }).catch((cause: Error) => {
      throw new McpFailed({ server, code: "start", reason: cause.message })
    })
  }

  request(method: string, params: Json, signal: AbortSignal): Promise<unknown> {
    if (this.over !== undefined || signal.aborted) return Promise.reject(this.over ?? signal.reason)
    const id = this.#next++
    const answer = Promise.withResolvers<unknown>()
    const drop = () => {
      if (method !== "initialize") this.notify("notifications/cancelled", { requestId: id })
      answer.reject(signal.reason)
    }
    signal.addEventListener("abort", drop, { once: true })
    this.#waiting.set(id, answer)
    this.#hold()
    this.#send({ id, method, params })
    return answer.promise.finally(() => {
      signal.removeEventListener("abort", drop)
      this.#waiting.delete(id)
      this.#hold()
    })
  }

  notify(method: string, params: Json = {}): void {
    this.#send({ method, params })
  }

  /** Its stdin is closed; then it is told to end; then it is killed, with what it has started. */
  async close(): Promise<void> {
    this.#end("closed", "it has been closed")
    this.#child.ref()
    this.#child.stdin.end()
    const timers = [setTimeout(() => this.kill("SIGTERM"), grace), setTimeout(() => this.kill("SIGKILL"), 2 * grace)]
    await this.#exited.promise
    timers.forEach(clearTimeout)
  }

  /** Only what is waited for keeps this process alive. */
  #hold(): void {
    const hold = this.#waiting.size > 0 ? "ref" : "unref"
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- pipes of a child are sockets
    for (const one of [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr] as unknown as ReadonlyArray<Socket>) one[hold]()
  }

  /** Tells it, and what it has started, to end. */
  kill(how: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid!, how)
    } catch {
      // nothing of it is left
    }
  }

  #end(code: McpFailure, reason: string): void {
    this.over ??= new McpFailed({ server: this.#server, code, reason })
    for (const { reject } of this.#waiting.values()) reject(this.over)
  }

  #send(message: Json): void {
    if (this.#child.stdin.writable) this.#child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`)
  }

  #receive(line: string): void {
    const message = messageIn(line)
    if (message === undefined) return
    if (typeof message["method"] === "string") {
      if (message["method"] === "notifications/tools/list_changed") this.changed = true
      const reply = replyTo(message)
      if (reply !== undefined) this.#send(reply)
      return
    }
    const answer = this.#waiting.get(message["id"])
    try {
      answer?.resolve(resultOf(this.#server, message))
    } catch (cause) {
      answer?.reject(cause)
    }
  }
}
