/** Models of the `ai` package's many providers, which stays a package of the user's: nothing of it is imported here. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { messageOf } from "../../../model/error.ts"
import { ModelFailed, type ModelFailure } from "../error.ts"
import { estimated, type FinishReason, type Message, type ModelPart, type ModelRequest, type ModelShape, priced } from "../model.ts"

/** What is used of a language model of `ai` 5 to 7. */
export interface AiSdkModel {
  readonly modelId: string
  readonly doStream: (options: any) => PromiseLike<{ readonly stream: ReadableStream<any> }>
}

/**
 * A language model of the `ai` package.
 *
 * @example
 * import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
 * const model = aiSdk(createOpenAICompatible({ name: "local", baseURL: "http://localhost:11434/v1" }).chatModel("llama3.2"))
 */
export function aiSdk(model: AiSdkModel, { price }: { readonly price?: { readonly input: number; readonly output: number } } = {}): ModelShape {
  const name = model.modelId
  const failed = (cause: unknown): ModelFailed => {
    const { statusCode: status, isRetryable, responseHeaders } = Object(cause) as {
      statusCode?: number
      isRetryable?: boolean
      responseHeaders?: Record<string, string>
    }
    const after = Number(responseHeaders?.["retry-after"]) * 1000
    const kind: ModelFailure = status === 429 ?
      "rate-limit" :
      status === 401 || status === 403 ?
      "unauthorized" :
      isRetryable === false ?
      "invalid" :
      "unavailable"
    return new ModelFailed({ model: name, kind, reason: messageOf(cause).slice(0, 500), status, retryAfter: Number.isNaN(after) ? undefined : after })
  }
  const turn = (request: ModelRequest): Stream.Stream<ModelPart, ModelFailed> =>
    Stream.unwrap(
      Effect.map(Effect.tryPromise({ try: (abortSignal) => model.doStream({ ...callOf(request), abortSignal }), catch: failed }), ({ stream }) => {
        let text = ""
        return Stream.flattenIterable(Stream.mapEffect(Stream.fromReadableStream({ evaluate: () => stream, onError: failed }), (part: any) => {
          switch (part.type) {
            case "text-delta":
              text += part.delta
              return parts({ type: "text", text: part.delta })
            case "reasoning-delta":
              return parts({ type: "reasoning", text: part.delta })
            case "tool-call":
              return parts({ type: "call", call: { id: part.toolCallId, name: part.toolName, args: part.input } })
            case "error":
              return Effect.fail(failed(part.error))
            case "finish": {
              if ((part.finishReason?.unified ?? part.finishReason) === "error") {
                return Effect.fail(failed(new Error("the provider ended the answer with an error")))
              }
              const reason = reasons[part.finishReason?.unified ?? part.finishReason] ?? "unknown"
              const [input, output] = [totalOf(part.usage?.inputTokens), totalOf(part.usage?.outputTokens)]
              const usage = input === undefined || output === undefined ? estimated(request, text) : { input, output }
              return parts({ type: "finish", reason, usage: priced(usage, price) })
            }
            default:
              return parts()
          }
        }))
      }),
    )
  return { name, turn }
}

const parts = (...all: ReadonlyArray<ModelPart>): Effect.Effect<ReadonlyArray<ModelPart>, ModelFailed> => Effect.succeed(all)
/** Older versions give a number, newer ones an object. */
const totalOf = (tokens: number | { readonly total?: number } | undefined): number | undefined => (typeof tokens === "object" ? tokens.total : tokens)
const reasons: Readonly<Record<string, FinishReason>> = { stop: "stop", length: "length", "tool-calls": "calls", "content-filter": "filter" }

const callOf = ({ messages, tools, output, settings }: ModelRequest): object => ({
  prompt: messages.map(wire),
  ...(tools.length === 0 ?
    {} :
    {
      tools: tools.map(({ name, description, parameters }) => ({ type: "function", name, description, inputSchema: parameters })),
      toolChoice: { type: "auto" },
    }),
  ...(output === undefined ? {} : { responseFormat: { type: "json", name: output.name, schema: output.schema } }),
  ...settings,
})
const wire = (message: Message): object => {
  switch (message.role) {
    case "system":
      return { role: "system", content: message.text }
    case "user":
      return { role: "user", content: [{ type: "text", text: message.text }] }
    case "assistant":
      return {
        role: "assistant",
        content: [
          ...(message.text === "" ? [] : [{ type: "text", text: message.text }]),
          ...message.calls.map(({ id, name, args }) => ({ type: "tool-call", toolCallId: id, toolName: name, input: parsed(args) })),
        ],
      }
    case "tool":
      return { role: "tool", content: [{ type: "tool-result", toolCallId: message.id, toolName: message.name, output: { type: "text", value: message.text } }] }
  }
}
/** A model may have written anything. */
const parsed = (args: string): unknown => {
  try {
    return JSON.parse(args)
  } catch {
    return { invalid: args }
  }
}
