/** Calls of tools as nodes of a flow: each tool is a case of its own, checked, approved where it must be, and told to the model however it ends. */
import { createHash } from "node:crypto"
import type { Input as Duration } from "effect/Duration"
import * as Effect from "effect/Effect"
import { nest } from "../../../dsl/flow/definition.ts"
import type { AnyDefinition } from "../../../dsl/flow/flow.ts"
import type { FlowIR, StepContext } from "../../../dsl/ir/node.ts"
import { nameProblem } from "../../../dsl/ir/path.ts"
import type { ToolInfo } from "../../../dsl/ir/tool.ts"
import { validate } from "../../compile/schema.ts"
import { messageOf, tagOf } from "../../model/error.ts"
import { schemaOf } from "../schema.ts"
import { jsonSchemaOf } from "./json-schema.ts"
import type { ModelCall, ModelTool } from "./model.ts"

/** A tool, an agent or a flow that an agent may call; a hand-off's output is the agent's own answer. */
export interface Callable {
  readonly definition: AnyDefinition
  readonly info: ToolInfo
  readonly final: boolean
}
/** What somebody has to say before a call happens. */
export interface Approval {
  /** Of the call that is meant, as the step `ask` of the call gives it: another one, of the same tool with the same arguments too, is not approved by it. */
  readonly hash: string
  readonly approved: boolean
  readonly by?: string | undefined
  readonly reason?: string | undefined
}
/** Chains are typed where authors write them; here the agents' options have been checked. */
type Chain = any

/** The agent's own answer is whatever this one gives: the conversation goes over to it. */
export interface HandOff<out Definition extends AnyDefinition> extends AnyDefinition {
  readonly "~types": Definition["~types"]
  readonly handOff: Definition
}

/** Hands the conversation over: when the model calls it, its output is the agent's answer. */
export const handOff = <Definition extends AnyDefinition>(definition: Definition): HandOff<Definition> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `~types` exists for the compiler only
  ({ handOff: definition }) as HandOff<Definition>

/** @throws TypeError where it cannot be called by a model */
export function callable(where: string, given: AnyDefinition, allowsPrivileged: boolean): Callable {
  const { handOff: handed } = given as AnyDefinition & { readonly handOff?: AnyDefinition }
  const definition = handed ?? given
  const { tool, ir } = definition as AnyDefinition & { readonly tool?: ToolInfo; readonly ir?: FlowIR }
  const refused = (what: string) => new TypeError(`${where}: ${what}`)
  const info = tool ?? (ir === undefined ? undefined : infoOf(ir))
  if (ir !== undefined && info === undefined) throw refused(`flow '${ir.name}' has no input schema that would tell what it takes: seq("${ir.name}", { input })`)
  if (info === undefined) {
    throw refused("a tool is made with tool(), agent() or seq() with an input schema: a step has no description and no schema for a model to read")
  }
  const bad = nameProblem(info.name) ?? (/^[A-Za-z0-9_-]{1,64}$/.test(info.name) ? undefined : "models take names of 1 to 64 characters A-Z a-z 0-9 _ -")
  if (bad !== undefined) throw refused(`tool '${info.name}': ${bad}`)
  if (info.level === "privileged" && info.approval === false && !allowsPrivileged) {
    throw refused(`tool '${info.name}' is privileged: give it an approval, or say allow: "privileged"`)
  }
  return { definition, info, final: handed !== undefined }
}

const infoOf = ({ name, description = `The flow ${name}.`, input }: FlowIR): ToolInfo | undefined =>
  input === undefined ? undefined : { name, description, input, parameters: undefined, level: "restricted", needs: [], approval: false }

/** Tools as the model sees them. */
export const described = (tools: ReadonlyArray<Callable>): ReadonlyArray<ModelTool> =>
  tools.map(({ info: { name, description, input, parameters } }) => {
    try {
      return { name, description, parameters: parameters ?? jsonSchemaOf(input) ?? { type: "object" } }
    } catch (cause) {
      throw new TypeError(`the input of '${name}' has no JSON Schema: ${messageOf(cause)}. Give a tool its parameters, or take another schema`, { cause })
    }
  })

/** What is to be done with a call: which tool with which input, or what is wrong with it. */
const checked = (tools: ReadonlyMap<string, Callable>, { name, args }: ModelCall): Effect.Effect<object> => {
  const refused = (text: string) => Effect.succeed({ tool: "$refused", text: `Error: ${text}` })
  const found = tools.get(name)
  if (found === undefined) return refused(`there is no tool '${name.slice(0, 64)}'; there are: ${[...tools.keys()].join(", ")}`)
  if (args.length > 262_144) return refused("the arguments are longer than 262,144 characters")
  let input: unknown
  try {
    input = JSON.parse(args === "" ? "{}" : args)
  } catch {
    return refused("the arguments are not JSON")
  }
  return Effect.matchEffect(validate(found.info.input, input), {
    onSuccess: () => Effect.succeed({ tool: name, input }),
    onFailure: (issues) => refused(`the arguments do not fit: ${issues.map(({ path, message }) => `${path === "" ? "(all)" : path}: ${message}`).join("; ")}`),
  })
}

/** What a person is asked to approve: the hash stands for this very call of the tool, and for exactly these arguments. What its schema makes of them is what is judged and shown. */
const asked = ({ name, approval, input: schema }: ToolInfo, given: unknown, key: string): Effect.Effect<object | null, unknown> =>
  Effect.map(validate(schema, given), (input) => {
    const isNeeded = typeof approval === "function" ? approval(input as never) : approval
    return isNeeded ? { tool: name, input, hash: createHash("sha256").update(JSON.stringify([key, name, given])).digest("hex") } : null
  })
const approvalSchema = schemaOf((value): { readonly value: Approval } | { readonly wrong: string } => {
  const { hash, approved, by, reason } = Object(value) as Partial<Record<keyof Approval, unknown>>
  return typeof hash === "string" && typeof approved === "boolean" ?
    { value: { hash, approved, ...(typeof by === "string" ? { by } : {}), ...(typeof reason === "string" ? { reason } : {}) } } :
    { wrong: "an approval is { hash: string, approved: boolean, by?, reason? }" }
})

const shown = (value: unknown, longest: number): string => {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "(nothing)"
  return text.length <= longest ? text : `${text.slice(0, longest)} … (${text.length - longest} characters left out)`
}

interface Calling {
  /** Longest result that the model is shown, in characters. */
  readonly longest: number
  /** The model is told of a tool that fails; else the agent fails. */
  readonly tells: boolean
  /** How long a call may wait for its approval. */
  readonly patience: Duration | undefined
}
/** The body of the `each` over a turn's calls. */
export const callBlock = (tools: ReadonlyArray<Callable>, calling: Calling) => (block: Chain): Chain => {
  const byName = new Map(tools.map((one) => [one.info.name, one]))
  const cases = Object.fromEntries(tools.map((one) => [one.info.name, (d: Chain) => called(d, one, calling)]))
  return block
    .step("check", ({ item }: { item: ModelCall }) => checked(byName, item))
    .match("done", ({ check }: { check: { tool: string } }) => check.tool, {
      ...cases,
      $refused: (d: Chain) => d.returns(({ check }: { check: { text: string } }) => ({ text: check.text })),
    })
    .returns(({ item, done }: { item: ModelCall; done: object }) => ({ id: item.id, name: item.name, ...done }))
}

const called = (block: Chain, { definition, info, final }: Callable, { longest, tells, patience }: Calling): Chain => {
  const result = (value: unknown) => ({ text: shown(value, longest), ...(final ? { final: { value } } : {}) })
  const work = (d: Chain): Chain =>
    d.step("call", nest(definition, ({ check }: { check: { input: never } }) => check.input)).returns(({ call }: { call: unknown }) => result(call))
  const run = (d: Chain): Chain =>
    tells ?
      d.protect("run", work, { fallback: (error: unknown) => ({ text: `Error: ${tagOf(error) ?? "failed"}: ${shown(messageOf(error), longest)}` }) })
        .returns(({ run: done }: { run: unknown }) => done) :
      work(d)
  if (info.approval === false) return run(block)
  type Asked = { readonly ask: { readonly hash: string } | null; readonly verdict: Approval | undefined }
  return block
    .step("ask", ({ check }: { check: { input: unknown } }, { key }: StepContext) => asked(info, check.input, key), { description: "what has to be approved" })
    .when(({ ask }: Asked) => ask !== null)
    // answers with another hash are for other calls
    .wait("verdict", {
      signal: "approval",
      schema: approvalSchema,
      where: ({ hash }: Approval, { ask }: Asked) => hash === ask?.hash,
      ...(patience === undefined ? {} : { timeout: patience, atTimeout: "continue" }),
    })
    .when(
      "allowed",
      ({ ask, verdict }: Asked) => ask === null || verdict?.approved === true,
      run,
      (d: Chain) => d.returns(({ verdict }: Asked) => ({ text: `Error: not approved${refusal(verdict)}` })),
    )
    .returns(({ allowed }: { allowed: unknown }) => allowed)
}

const refusal = (verdict: Approval | undefined): string =>
  verdict === undefined ? ": nobody has answered in time" : verdict.reason === undefined ? "" : `: ${verdict.reason}`
