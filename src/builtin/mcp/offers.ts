/** What an MCP server of ours offers: flows as tools, and tools for the runs they make. */
import { randomUUID } from "node:crypto"
import type { ResultAsync } from "neverthrow"
import { seq } from "../../../dsl/flow/builder.ts"
import { nest } from "../../../dsl/flow/definition.ts"
import type { AnyDefinition, Flow } from "../../../dsl/flow/flow.ts"
import type { FlowIR } from "../../../dsl/ir/node.ts"
import { readsSession } from "../../compile/session-scope.ts"
import type { Client } from "../../engine/client.ts"
import { messageOf, RunSuspended } from "../../model/error.ts"
import type { RunRecord } from "../../model/run.ts"
import { asJson } from "../../model/value.ts"
import { callable, described } from "../agents/calls.ts"
import { isRecord, type Json } from "./message.ts"

/** What a server of ours serves, and how. */
export interface McpServed<Services> {
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
}
/** What it needs of a client. */
type Runs = Pick<Client<any>, "run" | "get" | "output" | "signal" | "resume" | "cancel">
export interface OffersOptions {
  readonly name: string
  readonly allowsPrivileged: boolean
  /** What clients may send. */
  readonly signals: ReadonlyArray<string>
  readonly session: string | undefined
}
type AnyFlow = Flow<any, any, any, any>
export interface ServerInfo {
  readonly name: string
  readonly version: string
}
export interface Call {
  readonly result: Promise<Json>
  /** Ends the run; what can be undone is undone. */
  readonly stop: () => Promise<unknown>
}
const text = { type: "string" } as const
/** Tools for runs. */
const forRuns = [
  {
    name: "look_at_run",
    description: "The status of a run, and its output if it has completed.",
    inputSchema: { type: "object", properties: { run: text }, required: ["run"], additionalProperties: false },
  },
  {
    name: "signal_run",
    description: "Sends a run the signal that it waits for, and goes on with it.",
    inputSchema: { type: "object", properties: { run: text, signal: text, payload: {} }, required: ["run", "signal"], additionalProperties: false },
  },
  {
    name: "cancel_run",
    description: "Ends a run; what can be undone is undone.",
    inputSchema: { type: "object", properties: { run: text }, required: ["run"], additionalProperties: false },
  },
] as const

export class Offers {
  /** As clients see them. */
  readonly tools: ReadonlyArray<Json>
  readonly #heddle: Runs
  readonly #flows: ReadonlyMap<string, AnyFlow>

  readonly #options: OffersOptions
  /** What its runs belong to: those of others are not touched. */
  readonly #correlation: string

  /** @throws TypeError where something cannot be served */
  constructor(heddle: Runs, serves: ReadonlyArray<AnyDefinition>, options: OffersOptions) {
    this.#heddle = heddle
    this.#options = options
    this.#correlation = `mcp:${options.name.replaceAll(/[^A-Za-z0-9._:-]/g, "-")}`.slice(0, 256)
    const where = `MCP server '${options.name}'`
    const callables = serves.map((one) => callable(where, one, true))
    for (const [i, { definition, info }] of callables.entries()) {
      if (callables.findIndex((one) => one.info.name === info.name) !== i || forRuns.some(({ name }) => name === info.name)) {
        throw new TypeError(`${where}: the name '${info.name}' is taken`)
      }
      if ((info.approval !== false || info.level === "privileged") && !options.allowsPrivileged) {
        const what = info.approval === false ? "is privileged" : "asks for an approval"
        throw new TypeError(
          `${where}: '${info.name}' ${what}, and nobody is asked here: put it into a flow that waits for a person, or say allow: "privileged"`,
        )
      }
      const { ir } = definition as AnyDefinition & { readonly ir?: FlowIR }
      if (ir !== undefined && readsSession(ir) && options.session === undefined) {
        throw new TypeError(`${where}: flow '${info.name}' reads its session's context: say which session its runs belong to`)
      }
    }
    this.#flows = new Map(callables.map(({ definition, info }) => [info.name, flowOf(definition, info.name, info.input)]))
    const own = described(callables).map(({ name, description, parameters }) => {
      if (parameters["type"] !== "object") throw new TypeError(`${where}: the input of '${name}' is to be an object`)
      return { name, description, inputSchema: parameters }
    })
    this.tools = [...own, ...forRuns]
  }

  /** `undefined` where there is no such tool. */
  call(name: string, given: unknown): Call | undefined {
    const flow = this.#flows.get(name)
    if (flow !== undefined) return this.#run(name, flow, given)
    const result = isRecord(given) ? this.#command(name, given)?.catch((error) => failed(error)) : undefined
    return result && { result, stop: () => result }
  }

  #run(name: string, flow: AnyFlow, given: unknown): Call {
    const id = `${name}-${randomUUID()}`
    const { session } = this.#options
    const how = { id, onSuspend: "return", correlation: this.#correlation, session } as const
    const result = this.#heddle.run(flow as never, given as never, how as never).match((output) => told(output), (error) => ended(id, error))
    return { result, stop: async () => await this.#heddle.cancel(id, { flow }) }
  }

  #command(name: string, given: Json): Promise<Json> | undefined {
    switch (name) {
      case "look_at_run":
        return this.#look(given)
      case "signal_run":
        return this.#signal(given)
      case "cancel_run":
        return this.#cancel(given)
      default:
        return undefined
    }
  }

  async #look(given: Json): Promise<Json> {
    const { id, record: { flow, status, waits } } = await this.#found(given)
    const output = status === "completed" ? { output: await got(this.#heddle.output(id)) } : {}
    return told({ run: id, flow, status, ...(status === "suspended" ? { waits } : {}), ...output })
  }

  async #cancel(given: Json): Promise<Json> {
    const { id, flow } = await this.#found(given)
    return told({ run: id, status: await got(this.#heddle.cancel(id, { flow })) })
  }

  async #signal(given: Json): Promise<Json> {
    const { id, flow, record: { status } } = await this.#found(given)
    const signal = textOf(given, "signal")
    const { signals } = this.#options
    if (!signals.includes(signal)) {
      const others = signals.length === 0 ? "none" : `only ${signals.join(", ")}`
      throw new Error(`this server sends no signal '${signal}', ${others}: a person may, with heddle signal ${id} ${signal}`)
    }
    if (status === "paused") throw new Error(`run '${id}' is paused by somebody: it goes on when it is resumed`)
    await got(this.#heddle.signal(flow, id, signal as never, given["payload"] as never))
    return this.#heddle.resume(flow as never, id, { onSuspend: "return" }).match((output) => told(output), (error) => ended(id, error))
  }

  /** The flow of a run that is ours to touch. */
  async #found(given: Json): Promise<{ readonly id: string; readonly flow: AnyFlow; readonly record: RunRecord }> {
    const id = textOf(given, "run")
    const record = (await this.#heddle.get(id)).unwrapOr(undefined)
    const flow = record?.correlation === this.#correlation ? this.#flows.get(record.flow) : undefined
    if (record === undefined || flow === undefined) throw new Error(`there is no run '${id}' that was started here`)
    return { id, flow, record }
  }
}

/** @throws TypeError where something cannot be served */
export function offersOf<Services>(
  { heddle, serves, name = "heddle", version = "1.0.0", allow, signals = [], session }: McpServed<Services>,
): { readonly offers: Offers; readonly info: ServerInfo } {
  const offers = new Offers(heddle, serves, { name, allowsPrivileged: allow === "privileged", signals, session })
  return { offers, info: { name, version } }
}

const textOf = (given: Json, name: string): string => {
  const value = given[name]
  if (typeof value !== "string") throw new TypeError(`'${name}' is missing, or no text`)
  return value
}

const flowOf = (definition: AnyDefinition, name: string, input: FlowIR["input"]): AnyFlow =>
  "ir" in definition ?
    definition as AnyDefinition & AnyFlow :
    (seq(name, { input } as never) as any).step("call", nest(definition, ({ input: given }: { readonly input: never }) => given))
      .returns(({ call }: { readonly call: unknown }) => call)

const got = <A>(result: ResultAsync<A, unknown>): Promise<A> =>
  result.match((value) => value, (error) => {
    throw error
  })

const told = (value: unknown): Json => {
  const json = typeof value === "string" ? value : JSON.stringify(value, asJson) ?? "(nothing)"
  const structured: unknown = typeof value === "object" && value !== null ? JSON.parse(json) : undefined
  return { content: [{ type: "text", text: json }], ...(isRecord(structured) ? { structuredContent: structured } : {}), isError: false }
}
const failed = (error: unknown): Json => ({ content: [{ type: "text", text: messageOf(error) }], isError: true })
const ended = (id: string, error: unknown): Json =>
  error instanceof RunSuspended ?
    told({
      run: id,
      status: "suspended",
      waits: error.waits,
      until: error.until,
      next: "look_at_run, later; signal_run, where this server may send what it waits for",
    }) :
    failed(error)
