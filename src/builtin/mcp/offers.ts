/** What an MCP server of ours offers: flows as tools, and tools for the runs they make. */
import { randomUUID } from "node:crypto"
import type { ResultAsync } from "neverthrow"
import { seq } from "../../../dsl/flow/builder.ts"
import { nest } from "../../../dsl/flow/definition.ts"
import type { AnyDefinition, Flow } from "../../../dsl/flow/flow.ts"
import type { FlowIR } from "../../../dsl/ir/node.ts"
import type { Client } from "../../engine/client.ts"
import { messageOf, RunSuspended } from "../../model/error.ts"
import { asJson } from "../../model/value.ts"
import { callable, described } from "../agents/calls.ts"
import { isRecord } from "./wire.ts"

type AnyFlow = Flow<any, any, any, any>
type Json = Readonly<Record<string, unknown>>
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
  readonly #heddle: Client<any>
  readonly #flows: ReadonlyMap<string, AnyFlow>

  constructor(server: string, heddle: Client<any>, serves: ReadonlyArray<AnyDefinition>, allowsPrivileged: boolean) {
    this.#heddle = heddle
    const where = `MCP server '${server}'`
    const callables = serves.map((one) => callable(where, one, allowsPrivileged))
    for (const [i, { info }] of callables.entries()) {
      if (callables.findIndex((one) => one.info.name === info.name) !== i || forRuns.some(({ name }) => name === info.name)) {
        throw new TypeError(`${where}: the name '${info.name}' is taken`)
      }
      if (info.approval !== false && !allowsPrivileged) {
        throw new TypeError(`${where}: nobody is asked to approve '${info.name}' here: put it into a flow that waits, or say allow: "privileged"`)
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
  call(name: unknown, given: unknown): Call | undefined {
    const flow = this.#flows.get(String(name))
    if (flow !== undefined) return this.#run(String(name), flow, given)
    const result = isRecord(given) ? this.#command(name, given)?.catch(failed) : undefined
    return result && { result, stop: () => result }
  }

  #run(name: string, flow: AnyFlow, given: unknown): Call {
    const id = `${name}-${randomUUID()}`
    const result = this.#heddle.run(flow as never, given as never, { id, onSuspend: "return" }).match((output) => told(output), (error) => ended(id, error))
    return { result, stop: async () => await this.#heddle.cancel(id, { flow }) }
  }

  #command(name: unknown, { run, signal, payload }: Json): Promise<Json> | undefined {
    const id = String(run)
    switch (name) {
      case "look_at_run":
        return this.#look(id)
      case "signal_run":
        return this.#signal(id, String(signal), payload)
      case "cancel_run":
        return this.#flowOf(id).then(async (flow) => told({ run: id, status: await got(this.#heddle.cancel(id, { flow })) }))
      default:
        return undefined
    }
  }

  async #look(id: string): Promise<Json> {
    await this.#flowOf(id)
    const { status, flow } = await got(this.#heddle.get(id))
    return told({ run: id, flow, status, ...(status === "completed" ? { output: await got(this.#heddle.output(id)) } : {}) })
  }

  async #signal(id: string, signal: string, payload: unknown): Promise<Json> {
    const flow = await this.#flowOf(id)
    await got(this.#heddle.signal(flow, id, signal as never, payload as never))
    return this.#heddle.resume(flow as never, id, { onSuspend: "return" }).match((output) => told(output), (error) => ended(id, error))
  }

  /** The flow of a run that is ours to touch. */
  async #flowOf(id: string): Promise<AnyFlow> {
    const found = (await this.#heddle.get(id)).unwrapOr(undefined)
    const flow = found && this.#flows.get(found.flow)
    if (flow === undefined) throw new Error(`there is no run '${id}' of what is served here`)
    return flow
  }
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
  return { content: [{ type: "text", text: json }], ...(isRecord(value) ? { structuredContent: JSON.parse(json) } : {}), isError: false }
}
const failed = (error: unknown): Json => ({ content: [{ type: "text", text: messageOf(error) }], isError: true })
const ended = (id: string, error: unknown): Json =>
  error instanceof RunSuspended ?
    told({ run: id, status: "suspended", waits: error.waits, until: error.until, next: "signal_run, or look_at_run later" }) :
    failed(error)
