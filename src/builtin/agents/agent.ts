/** Agents: a model and tools as a flow of its own; every turn and every call is a recorded step. */
import * as Effect from "effect/Effect"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import { err } from "neverthrow"
import { seq } from "../../../dsl/flow/builder.ts"
import type { LimitExceeded } from "../../../dsl/flow/failure.ts"
import type { AnyDefinition, AnyFlow, FailureOf, NeedsIn, OutputOf, Types } from "../../../dsl/flow/flow.ts"
import type { SignalMark } from "../../../dsl/flow/mark.ts"
import type { Declared, Frame } from "../../../dsl/flow/scope.ts"
import { defined, nest } from "../../../dsl/flow/definition.ts"
import type { AgentInfo } from "../../../dsl/ir/agent.ts"
import type { Hook } from "../../../dsl/ir/hook.ts"
import type { StepContext } from "../../../dsl/ir/node.ts"
import { type Approval, callable, callBlock, described, type HandOff } from "./calls.ts"
import { advance, type AgentLimits, type CallResult, type Chat, isTooMany } from "./chat.ts"
import { AgentFailed, ModelFailed } from "./error.ts"
import { jsonSchemaOf } from "./json-schema.ts"
import { asked, collect, type Message, Model, type ModelShape, type ModelTurn, turned } from "./model.ts"

/** An agent is a flow: to be run, drawn, used as a step under its name, or given to other agents as a tool. */
export interface Agent<out Name extends string, in Input, out Output, out Failure, out Needs> extends AnyFlow {
  readonly "~types": Types<Name, Input, Output, Failure, Needs>
  readonly "~frame": Frame<Name, Declared<unknown, 1, never>, never, never>
  readonly agent: AgentInfo
}

export interface AgentOptions<Input, Output, Tool extends AnyDefinition, Own, OnError> {
  /** What it is given; any Standard Schema. */
  readonly input: StandardSchemaV1<any, Input>
  /** What it answers, as JSON that is checked and, where it does not fit, mended by the model; without it: text. */
  readonly output?: StandardSchemaV1<any, Output>
  /** JSON Schema of the output, where the schema's library gives none. */
  readonly outputSchema?: Readonly<Record<string, unknown>>
  /** Default: the `Model` of the run's layer. */
  readonly model?: Own
  /** What it is and how it is to work. */
  readonly instructions?: string | ((input: Input) => string)
  /** What it is asked; default: its input as JSON. */
  readonly prompt?: (input: Input) => string | ReadonlyArray<Message>
  /** Tools, agents, or flows with an input schema, and hand-offs to them. No other is ever called. */
  readonly tools?: ReadonlyArray<Tool>
  readonly limits?: AgentLimits
  /** Settings for the provider: `temperature`, `max_tokens` … */
  readonly settings?: Readonly<Record<string, unknown>>
  /** A tool that fails: the model is told (default), or the agent fails with its error. */
  readonly onToolError?: OnError
  /** `privileged`: its tools may be privileged without an approval. */
  readonly allow?: "privileged"
  /** Asked where it begins, ends and fails, at each of its turns and calls, and at every step of it. */
  readonly hooks?: ReadonlyArray<Hook>
  /** One sentence for diagrams, docs, and models that may call it. */
  readonly description?: string
}
type FailureIn<Tool extends AnyDefinition, OnError, Limits> =
  | AgentFailed
  | ModelFailed
  | (OnError extends "fail" ? FailureOf<Tool> : never)
  | Limits
/** What a conversation that is handed over gives is the agent's own answer. */
type HandedBy<Tool extends AnyDefinition> = Tool extends HandOff<infer Definition> ? OutputOf<Definition> : never
type NeedsOfAll<Tool extends AnyDefinition, Own> =
  | ([Own] extends [never] ? Model : never)
  | NeedsIn<Tool>
  | ([Tool] extends [never] ? never : SignalMark<"approval", Approval>)

/** What the span of a turn says, in the names of OpenTelemetry's conventions for generative AI. */
const spanOf = (model: string, { usage, reason }: ModelTurn): Readonly<Record<string, unknown>> => ({
  "gen_ai.operation.name": "chat",
  "gen_ai.request.model": model,
  "gen_ai.response.finish_reasons": [reason],
  "gen_ai.usage.input_tokens": usage.input,
  "gen_ai.usage.output_tokens": usage.output,
  ...(usage.cost === undefined ? {} : { "heddle.cost": usage.cost }),
})

/** How often a turn is tried again where that may help, and the longest time that a model's wish to be left alone is granted. */
const tries = { times: 3, backoff: "500 millis", maxBackoff: "30 seconds" } as const
const longestRest = 60_000

/**
 * Defines an agent: a bounded loop of turns of a model and calls of its tools.
 *
 * One turn is one recorded step and one call is one recorded step: a crash never repeats a turn that was paid for. Turns, calls, repairs, tokens and cost are
 * bounded; arguments that do not fit a tool's schema are told to the model and never run; tools with an `approval` wait for the signal `approval` with the
 * hash of exactly the arguments that will run.
 *
 * @example
 * const classify = agent("classify", {
 *   input: z.object({ text: z.string() }),
 *   output: z.object({ kind: z.enum(["bug", "question"]) }),
 *   instructions: "Say what kind of ticket this is.",
 *   prompt: ({ text }) => text,
 * })
 * seq("triage", { input: z.object({ text: z.string() }) }).step(classify)
 *   .match(({ classify }) => classify.kind, { bug: (b) => b.step("fix", () => 1), question: (b) => b.step("answer", () => 2) })
 */
export function agent<
  const Name extends string,
  Input,
  Output = string,
  Tool extends AnyDefinition = never,
  Own extends ModelShape = never,
  const OnError extends "tell" | "fail" = "tell",
>(
  name: Name,
  options: AgentOptions<Input, Output, Tool, Own, OnError>,
): Agent<Name, Input, Output | HandedBy<Tool>, FailureIn<Tool, OnError, LimitExceeded>, NeedsOfAll<Tool, Own>> {
  const { input, output, outputSchema, model, instructions, prompt, limits = {}, settings = {}, onToolError = "tell", allow, description } = options
  const tools = (options.tools ?? []).map((one) => callable(`agent '${name}'`, one, allow === "privileged"))
  const twice = tools.find(({ info }, i) => tools.findIndex((one) => one.info.name === info.name) !== i)
  if (twice !== undefined) throw new TypeError(`agent '${name}': two of its tools are called '${twice.info.name}'`)
  const { turns = 25, tokens, cost, time, approval, concurrency = 4, result = 32_768 } = limits
  const seen = described(tools)
  const wanted = output === undefined ? undefined : { name, schema: outputSchema ?? jsonSchemaOf(output) }

  const begin = ({ input: given }: { readonly input: Input }): Chat => {
    const said = typeof instructions === "function" ? instructions(given) : instructions
    const prompted = prompt?.(given) ?? JSON.stringify(given)
    const system: ReadonlyArray<Message> = said === undefined ? [] : [{ role: "system", text: said }]
    return {
      messages: [...system, ...(typeof prompted === "string" ? [{ role: "user", text: prompted } as const] : prompted)],
      turns: 0,
      calls: 0,
      repairs: 0,
      answer: undefined,
    }
  }
  const ask = ({ messages }: Pick<Chat, "messages">, step: StepContext) =>
    Effect.gen(function*() {
      const used: ModelShape = model ?? (yield* Model)
      const parts = used.turn({ messages, tools: seen, output: wanted, settings, key: step.key })
      // what is not tried again has nobody to wait for
      const rest = ({ retryable, retryAfter = 0 }: ModelFailed) =>
        retryable && step.attempt <= tries.times ? Effect.sleep(Math.min(retryAfter, longestRest)) : Effect.void
      const said = yield* Effect.tapError(collect(used.name, parts, step.progress), rest)
      const { usage } = said
      yield* Effect.annotateCurrentSpan(spanOf(used.name, said))
      step.charge({ tokens: usage.input + usage.output, ...(usage.cost === undefined ? {} : { cost: usage.cost }) })
      return said
    })
  const next = ({ chat, turn: said, calls = [] }: { readonly chat: Chat; readonly turn: ModelTurn; readonly calls?: ReadonlyArray<CallResult> }) =>
    advance(name, limits, output, chat, said, calls)

  const budget = { ...(tokens === undefined ? {} : { tokens }), ...(cost === undefined ? {} : { cost }) }
  const turn = defined("turn", ask, { input: asked, output: turned }, { turn: name }) as unknown as AnyDefinition
  const info: AgentInfo = Object.freeze({ name, description, tools: seen.map((one) => one.name), model: model?.name })
  const head = {
    input,
    agent: info,
    hooks: options.hooks ?? [],
    ...(description === undefined ? {} : { description }),
    ...(Object.keys(budget).length === 0 ? {} : { budget }),
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the author sees is typed above; the chain inside is ours
  const chain = seq(name as string, head) as any
  const talk = (before: any) =>
    before.loop("turns", { until: ({ chat }: { chat: Chat }) => chat.answer !== undefined, max: turns + 1, collect: "none" }, (b: any) => {
      const said = b.step("turn", nest(turn, ({ chat }: { readonly chat: Chat }) => ({ messages: chat.messages }) as never), {
        retry: { ...tries, while: (error: unknown) => error instanceof ModelFailed && error.retryable },
      })
      const done = tools.length === 0 ?
        said :
        said.each(
          "calls",
          (so: { chat: Chat; turn: ModelTurn }) => (isTooMany(limits, so.chat, so.turn) ? [] : so.turn.calls),
          callBlock(tools, { longest: result, tells: onToolError === "tell", patience: approval }),
          { concurrency },
        )
      return done.update("chat", next)
    })
  const late = () => new AgentFailed({ agent: name, kind: "time", reason: "its time was over: raise limits.time, or make the task smaller", issues: [] })
  const begun = chain.step("chat", begin, { description: "what it is asked" })
  const flow = (time === undefined ? talk(begun) : begun.protect("in time", talk, { timeout: time, catch: { ProtectTimedOut: () => err(late()) } }))
    .returns(({ chat }: { chat: Chat }) => chat.answer!.value)
  return Object.defineProperty(flow, "agent", { value: info })
}
