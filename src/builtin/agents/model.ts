/** Language models: one turn in, its parts out as they come. */
import { Service } from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { ModelFailed } from "./error.ts"

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
 * run(flow, input, { layer: Model.layer(openai({ baseUrl: "http://localhost:11434/v1", model: "llama3.2" })) })
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
const nothing: ModelTurn = { text: "", calls: [], reason: "unknown", usage: { input: 0, output: 0 } }

/** Takes a turn to its end; whoever listens hears its parts as they come. */
export const collect = (parts: Stream.Stream<ModelPart, ModelFailed>, heard: (part: ModelPart) => void): Effect.Effect<ModelTurn, ModelFailed> =>
  Stream.runFold(parts, () => nothing, (turn, part) => {
    heard(part)
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

/** What a turn costs: tokens at prices for a million of each. */
export const priced = (usage: ModelUsage, price: { readonly input: number; readonly output: number } | undefined): ModelUsage =>
  price === undefined ? usage : { ...usage, cost: (usage.input * price.input + usage.output * price.output) / 1_000_000 }

/** Where a provider does not count: a quarter of the characters. */
export const estimated = ({ messages }: ModelRequest, output: string): ModelUsage => ({
  input: Math.ceil(messages.reduce((sum, { text }) => sum + text.length, 0) / 4),
  output: Math.ceil(output.length / 4),
  estimated: true,
})
