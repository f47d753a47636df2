/** Language models: one turn in, its parts out as they come. */
import { Service } from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { schemaOf } from "../schema.ts"
import { ModelFailed } from "./error.ts"

/** A call of a tool, as the model asks for it. */
export interface ModelCall {
  readonly id: string
  readonly name: string
  /** JSON, as the model wrote it: whatever it is, it has not been checked. */
  readonly args: string
}
export type Message =
  | { readonly role: "system" | "user"; readonly text: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls: ReadonlyArray<ModelCall> }
  | { readonly role: "tool"; readonly id: string; readonly name: string; readonly text: string }

/** A tool as a model sees it. */
export interface ModelTool {
  readonly name: string
  readonly description: string
  /** JSON Schema of its input. */
  readonly parameters: Readonly<Record<string, unknown>>
}
export interface ModelRequest {
  readonly messages: ReadonlyArray<Message>
  readonly tools: ReadonlyArray<ModelTool>
  /** The answer is to be JSON of this schema. */
  readonly output?: { readonly name: string; readonly schema: Readonly<Record<string, unknown>> | undefined } | undefined
  /** Settings of the provider: `temperature`, `max_tokens` … */
  readonly settings: Readonly<Record<string, unknown>>
  /** The same for every try of this turn. */
  readonly key: string
}
export interface ModelUsage {
  /** Tokens. */
  readonly input: number
  readonly output: number
  /** In the currency of the model's prices. */
  readonly cost?: number
  /** The provider has not said: counted as a quarter of the characters. */
  readonly estimated?: boolean
}
/** Why a turn ended. */
export type FinishReason = "stop" | "calls" | "length" | "filter" | "unknown"
/** A piece of a turn; the last one is `finish`. */
export type ModelPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "call"; readonly call: ModelCall }
  | { readonly type: "finish"; readonly reason: FinishReason; readonly usage: ModelUsage }

export interface ModelShape {
  /** For messages and records. */
  readonly name: string
  readonly turn: (request: ModelRequest) => Stream.Stream<ModelPart, ModelFailed>
}

/**
 * The model of agents that name none.
 *
 * @example
 * run(agent("greet", { input: z.object({ text: z.string() }) }), { text: "hello" }, { layer: Model.layer(openai({ baseUrl: "http://localhost:11434/v1", model: "llama3.2" })) })
 */
export class Model extends Service<Model, ModelShape>()("heddle/Model") {
  static readonly layer = (model: ModelShape): Layer.Layer<Model> => Layer.succeed(Model, model)
}

/** A whole turn. */
export interface ModelTurn {
  readonly text: string
  readonly calls: ReadonlyArray<ModelCall>
  readonly reason: FinishReason
  readonly usage: ModelUsage
}
const isText = (value: unknown): value is string => typeof value === "string"
/** What a model is asked, where a hook has changed it. */
export const asked = schemaOf((given): { readonly value: { readonly messages: ReadonlyArray<Message> } } | { readonly wrong: string } => {
  const { messages } = Object(given) as { readonly messages?: unknown }
  const isMessage = (one: unknown) => isText(Object(one).role) && isText(Object(one).text)
  return Array.isArray(messages) && messages.every(isMessage) ? { value: { messages } } : { wrong: "a turn is given { messages: [{ role, text }] }" }
})
/** A turn, where a hook has put one in its place. */
export const turned = schemaOf((given): { readonly value: ModelTurn } | { readonly wrong: string } => {
  const { text, calls = [], reason = "stop", usage = { input: 0, output: 0 } } = Object(given) as Partial<ModelTurn>
  const isCall = (one: unknown) => isText(Object(one).id) && isText(Object(one).name) && isText(Object(one).args)
  return isText(text) && Array.isArray(calls) && calls.every(isCall) ?
    { value: { text, calls, reason, usage } } :
    { wrong: "a turn is { text, calls?: [{ id, name, args }], reason?, usage? }" }
})

const nothing: ModelTurn = { text: "", calls: [], reason: "unknown", usage: { input: 0, output: 0 } }

/** Takes a turn to its end; whoever listens hears its parts as they come. */
export const collect = (
  model: string,
  parts: Stream.Stream<ModelPart, ModelFailed>,
  heard: (part: ModelPart) => void,
): Effect.Effect<ModelTurn, ModelFailed> => {
  let isWhole = false
  const folded = Stream.runFold(parts, () => nothing, (turn, part) => {
    heard(part)
    isWhole ||= part.type === "finish"
    switch (part.type) {
      case "text":
        return { ...turn, text: turn.text + part.text }
      case "reasoning":
        return turn
      case "call":
        return { ...turn, calls: [...turn.calls, part.call] }
      case "finish":
        return { ...turn, reason: part.reason, usage: part.usage }
    }
  })
  return Effect.flatMap(
    folded,
    (turn) => isWhole ? Effect.succeed(turn) : Effect.fail(new ModelFailed({ model, kind: "malformed", reason: "the answer ended before it was complete" })),
  )
}

/** What a turn costs: tokens at prices for a million of each. */
export const priced = (usage: ModelUsage, price: { readonly input: number; readonly output: number } | undefined): ModelUsage =>
  price === undefined ? usage : { ...usage, cost: (usage.input * price.input + usage.output * price.output) / 1_000_000 }

/** Where a provider does not count: a quarter of the characters. */
export const estimated = ({ messages }: ModelRequest, output: string): ModelUsage => ({
  input: Math.ceil(messages.reduce((sum, { text }) => sum + text.length, 0) / 4),
  output: Math.ceil(output.length / 4),
  estimated: true,
})
