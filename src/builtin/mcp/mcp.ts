/** Tools of an MCP server, as tools of ours. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Redacted } from "effect/Redacted"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import { tool, type ToolDefinition } from "../../../dsl/flow/tool.ts"
import type { BreakerPolicy } from "../../../dsl/ir/hook.ts"
import type { ToolLevel } from "../../../dsl/ir/tool.ts"
import { validate } from "../../compile/schema.ts"
import { messageOf } from "../../model/error.ts"
import { Breaker } from "../../services/breaker.ts"
import type { Connection } from "./connection.ts"
import { McpFailed, type McpFailure } from "./error.ts"
import { HttpConnection, type McpHeaders } from "./http.ts"
import { type Arguments, checking } from "./json-schema.ts"
import { isRecord, revealing, versions } from "./message.ts"
import { contentOf, misfit, type Offered, offeredOf } from "./offered.ts"
import { ProcessConnection } from "./process.ts"

interface McpBounds {
  /** Longest time for its start, for a list and for a call, default 30 seconds. */
  readonly timeout?: Duration.Input
  /** Most tools, default 1000, and most bytes of one message, over HTTP of one answer, default 4 MiB. */
  readonly most?: { readonly tools?: number; readonly bytes?: number }
  /** When a server that keeps ending is left alone: default after 5 times in 60 seconds, for 30 seconds. */
  readonly restarts?: Partial<BreakerPolicy>
}
/** A server that is a process of ours, spoken to over its stdin and stdout. */
export interface McpProcessOptions extends McpBounds {
  /** Program and arguments; no shell reads them. They come from code, never from a run's input. */
  readonly command: readonly [string, ...ReadonlyArray<string>]
  /** The folder it runs in. */
  readonly folder?: string
  /** Variables of its environment beside HOME, LANG, LOGNAME, PATH, SHELL, TERM, TMPDIR, TZ and USER; nothing else of ours is handed on. */
  readonly environment?: Readonly<Record<string, string | Redacted>>
}
/** A server behind a URL, spoken to over HTTP. */
export interface McpHttpOptions extends McpBounds {
  /** It comes from code, never from a run's input. Where it sends us elsewhere, we do not go. */
  readonly url: string | URL
  /** Sent with every request; a function is asked each time, for tokens that do not last. */
  readonly headers?: McpHeaders | (() => McpHeaders | PromiseLike<McpHeaders>)
}
export type McpOptions = McpProcessOptions | McpHttpOptions
interface Shown {
  readonly description?: string
  /** How much harm the tool can do; default `restricted`. */
  readonly level?: ToolLevel
  /** A person has to approve a model's call of it: always, or where this holds. */
  readonly approval?: boolean
  /** Capabilities that a flow has to grant; default `mcp.<server>`. */
  readonly needs?: ReadonlyArray<string>
}
export interface McpToolOptions<Input, Output> extends Shown {
  /** What it is given; any Standard Schema. */
  readonly input: StandardSchemaV1<any, Input>
  /** What it gives back; any Standard Schema. What does not fit is a failure of the server. */
  readonly output?: StandardSchemaV1<any, Output>
  /** Its name here, where the server's is none that models and paths take. */
  readonly as?: string
  /** It is called only as long as it is what it was, as `hashes()` tells: neither its description nor its schemas have changed. */
  readonly hash?: string
}
export interface McpToolsOptions extends Shown {
  /** Only these, by their names at the server. */
  readonly only?: ReadonlyArray<string>
  /** Before each name, so that two servers may have tools of one name. */
  readonly prefix?: string
}
/** A tool elsewhere: what it gives is what the server says. */
export type RemoteTool = ToolDefinition<string, Arguments, Effect.Effect<unknown, McpFailed>>

const inherited = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"]

/** A server of tools as a value: the first call starts or greets it, and again the first after it has ended; a process of ours ends with this one. */
export class McpServer {
  readonly name: string
  readonly #options: McpOptions
  readonly #timeout: number
  readonly #breaker: Breaker
  #connection: Promise<Connection> | undefined
  #offered = new WeakMap<Connection, Promise<ReadonlyMap<string, Offered>>>()
  #isClosed = false
  readonly #closing = new AbortController()

  constructor(name: string, options: McpOptions) {
    this.name = name
    this.#options = options
    // the longest that a timer can be set to
    this.#timeout = Math.min(Duration.toMillis(options.timeout ?? 30_000), 2 ** 31 - 1)
    this.#breaker = new Breaker({ failures: 5, window: 60_000, open: 30_000, ...options.restarts })
  }

  /**
   * One of its tools, typed here. Nothing is started: that it is there, and what it was, is looked at when it is called.
   *
   * @example
   * const search = mcp("docs", { command: ["node", "server.js"] }).tool("search", { input: z.object({ text: z.string() }) })
   */
  tool<const Name extends string, Input, Output = unknown, const As extends string = Name>(
    name: Name,
    { input, output, as, hash, description = `The tool ${name} of ${this.name}.`, ...shown }: McpToolOptions<Input, Output> & { readonly as?: As },
  ): ToolDefinition<As, Input, Effect.Effect<Output, McpFailed>> {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- without another name it is the name; what comes back is checked where a schema says what it is
    return this.#tool((as ?? name) as As, { input, description, ...shown }, name, hash, output) as never
  }

  /**
   * What it offers, as tools with its own descriptions and schemas: for agents.
   *
   * @throws McpFailed
   * @example
   * agent("reader", { input: z.object({ text: z.string() }), tools: await mcp("docs", { command: ["node", "server.js"] }).tools({ only: ["search"] }) })
   */
  async tools({ only, prefix = "", ...shown }: McpToolsOptions = {}): Promise<ReadonlyArray<RemoteTool>> {
    const offered = await this.#list(await this.#connected())
    const missing = only?.find((name) => !offered.has(name))
    if (missing !== undefined) throw this.#failed("missing", `it has no tool '${missing}', only: ${[...offered.keys()].join(", ")}`)
    const wanted = [...offered.values()].filter(({ name }) => only?.includes(name) !== false)
    return Promise.all(wanted.map(async ({ name, description = `The tool ${name} of ${this.name}.`, inputSchema, hash }) => {
      const given = { description, ...shown, input: await checking(inputSchema), parameters: inputSchema }
      return this.#tool(`${prefix}${name}`.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, 64), given, name, hash, undefined)
    }))
  }

  /**
   * A hash of each tool's name, description and schemas, to be kept with the code.
   *
   * @throws McpFailed
   */
  async hashes(): Promise<Readonly<Record<string, string>>> {
    const offered = await this.#list(await this.#connected())
    return Object.fromEntries([...offered.values()].map(({ name, hash }) => [name, hash]))
  }

  /** Ends its process: its stdin is closed, then it is asked to end, then it is killed. Over HTTP its session is ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#closing.abort()
    const connection = await this.#connection?.catch(() => undefined)
    await connection?.close()
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #tool(
    name: string,
    { needs = [`mcp.${this.name}`], ...shown }: Shown & { readonly description: string; readonly input: StandardSchemaV1; readonly parameters?: Arguments },
    remote: string,
    hash: string | undefined,
    output: StandardSchemaV1 | undefined,
  ): RemoteTool {
    const call = (input: unknown) =>
      Effect.flatMap(
        Effect.tryPromise({
          try: (signal) => this.#call(remote, hash, input, signal),
          catch: (cause) => cause,
        }),
        (value) => Effect.mapError(validate(output, value), (issues) => this.#failed("protocol", misfit(remote, issues))),
      )
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `#call` throws nothing else
    return tool(name, { needs, ...shown }, call) as unknown as RemoteTool
  }

  #failed(code: McpFailure, reason: string): McpFailed {
    return new McpFailed({ server: this.name, code, reason })
  }

  /** Asks it something, until there is no more time. */
  async #ask(connection: Connection, method: string, params: Arguments, until: AbortSignal): Promise<unknown> {
    try {
      return await connection.request(method, params, until)
    } catch (cause) {
      if (cause instanceof McpFailed) throw cause
      throw until.aborted ?
        this.#failed("timeout", `it has not answered '${method}' within ${this.#timeout} ms`) :
        this.#failed("ended", `its answer to '${method}' broke off: ${messageOf(cause)}`)
    }
  }

  async #call(name: string, hash: string | undefined, input: unknown, signal: AbortSignal): Promise<unknown> {
    const connection = await this.#connected()
    const now = (await this.#list(connection)).get(name)
    if (now === undefined) throw this.#failed("missing", `it has no tool '${name}'`)
    if (hash !== undefined && hash !== now.hash) {
      throw this.#failed("changed", `its tool '${name}' has another description or schema than it had: look at it, and take its hash anew`)
    }
    const until = AbortSignal.any([signal, AbortSignal.timeout(this.#timeout)])
    const result = await this.#ask(connection, "tools/call", { name, arguments: input }, until)
    if (!isRecord(result) || !Array.isArray(result["content"])) throw this.#failed("protocol", `its tool '${name}' has answered without content`)
    const said = contentOf(result["content"])
    if (result["isError"] === true) throw this.#failed("tool", `its tool '${name}' says: ${typeof said === "string" ? said : JSON.stringify(said)}`)
    return result["structuredContent"] ?? said
  }

  /** Its tools by name, read again where it says that they have changed. */
  async #list(connection: Connection): Promise<ReadonlyMap<string, Offered>> {
    let offered = this.#offered.get(connection)
    if (offered === undefined || connection.changed) {
      connection.changed = false
      offered = this.#read(connection)
      this.#offered.set(connection, offered)
      // a list that could not be read is no list
      offered.catch(() => this.#offered.delete(connection))
    }
    return offered
  }

  async #read(connection: Connection): Promise<ReadonlyMap<string, Offered>> {
    const offered = new Map<string, Offered>()
    const { tools: most = 1000 } = this.#options.most ?? {}
    const until = AbortSignal.timeout(this.#timeout)
    let cursor: unknown
    for (let page = 0; page < 100; page++) {
      const got = await this.#ask(connection, "tools/list", cursor === undefined ? {} : { cursor }, until)
      if (!isRecord(got) || !Array.isArray(got["tools"])) throw this.#failed("protocol", "it gives no list of tools")
      for (const one of got["tools"] as ReadonlyArray<unknown>) {
        const told = offeredOf(one)
        if (told === undefined) throw this.#failed("protocol", "it lists a tool without a name or a schema")
        if (offered.set(told.name, told).size > most) throw this.#failed("too-much", `it has more than ${most} tools`)
      }
      cursor = got["nextCursor"]
      if (typeof cursor !== "string") return offered
    }
    throw this.#failed("too-much", "its list of tools has more than 100 pages")
  }

  #connected(): Promise<Connection> {
    if (this.#isClosed) return Promise.reject(this.#failed("closed", "it has been closed"))
    if (this.#connection !== undefined) return this.#connection
    if (!this.#breaker.isClosed && !this.#breaker.allows(Date.now())) {
      return Promise.reject(this.#failed("resting", "it has ended or failed to start too often: it is left alone for a while"))
    }
    const connection = this.#start()
    this.#connection = connection
    // its process has ended or never got going: whoever asks next starts another
    const lost = () => {
      this.#connection = undefined
      this.#breaker.failed(Date.now())
    }
    connection.then(({ ended }) => {
      this.#breaker.succeeded()
      return ended.then(lost)
    }, lost)
    return connection
  }

  #open(): Promise<Connection> {
    const { most: { bytes = 4 * 1024 * 1024 } = {} } = this.#options
    if ("url" in this.#options) {
      const { url, headers = {} } = this.#options
      return Promise.resolve(new HttpConnection({ server: this.name, url, headers, bytes }))
    }
    const { command, folder, environment = {} } = this.#options
    const kept = inherited.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
    return ProcessConnection.open({ server: this.name, command, folder, environment: { ...Object.fromEntries(kept), ...revealing(environment) }, bytes })
  }

  async #start(): Promise<Connection> {
    const connection = await this.#open()
    try {
      const asked = { protocolVersion: versions[0], capabilities: {}, clientInfo: { name: "heddle", version: "0.1.0" } }
      const hello = await this.#ask(connection, "initialize", asked, AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#timeout)]))
      const spoken = isRecord(hello) ? hello["protocolVersion"] : undefined
      if (!versions.includes(spoken)) {
        throw this.#failed("protocol", `it speaks version ${String(spoken)} of the protocol, not one of ${versions.join(", ")}`)
      }
    } catch (cause) {
      void connection.close()
      throw cause
    }
    connection.notify("notifications/initialized")
    return connection
  }
}

/**
 * A server of tools that speaks the Model Context Protocol, over its stdin and stdout or, behind a URL, over HTTP.
 *
 * Its process is started by the first call, and again where it has ended; it does not keep ours alive. Its tools are steps like all others, recorded, retried and
 * limited. Its list of tools is read when it is started, when it says that it has changed and, over HTTP, when it is a minute old: a tool that is not what it was
 * is not called.
 *
 * @example
 * const docs = mcp("docs", { command: ["npx", "-y", "@acme/docs-server"], environment: { KEY: secret(process.env.KEY ?? "none-given") } })
 * const search = docs.tool("search", { input: z.object({ text: z.string() }), output: z.array(z.string()) })
 * seq("find", { input: z.object({ text: z.string() }) }).step(search)
 */
export const mcp = (name: string, options: McpOptions): McpServer => new McpServer(name, options)
