/** Any endpoint that speaks OpenAI's chat completions: OpenAI, Ollama, llama.cpp, vLLM and many more. */
import type { Input as Duration } from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { messageOf } from "../../../model/error.ts"
import { mask } from "../../../model/secret.ts"
import { ModelFailed, type ModelFailure } from "../error.ts"
import { estimated, type FinishReason, type Message, type ModelPart, type ModelRequest, type ModelShape, priced } from "../model.ts"

export interface OpenAiOptions {
  /** Up to the version: `https://api.openai.com/v1`, `http://localhost:11434/v1`. */
  readonly baseUrl: string
  readonly model: string
  readonly apiKey?: string | Redacted.Redacted
  readonly headers?: Readonly<Record<string, string>>
  /** How the endpoint is told to answer with JSON: by schema (default), as any object, or only by the prompt. */
  readonly structured?: "schema" | "object" | "prompt"
  /** What a million tokens cost, to be counted as `cost`. */
  readonly price?: { readonly input: number; readonly output: number }
  /** Longest time without a sign of life, default 2 minutes. */
  readonly timeout?: Duration
  /** Added to every request. */
  readonly settings?: Readonly<Record<string, unknown>>
}

/**
 * A model behind an OpenAI-compatible endpoint; its parts stream.
 *
 * @example
 * const model = openai({ baseUrl: "http://localhost:11434/v1", model: "llama3.2" })
 */
export function openai(options: OpenAiOptions): ModelShape {
  const { baseUrl, model, headers = {}, timeout = "2 minutes", price } = options
  const { apiKey = "" } = options
  // servers of one's own want none, or an empty one
  const key = typeof apiKey === "string" ? apiKey : Redacted.value(apiKey)
  const failed = (kind: ModelFailure, reason: string, more: { readonly status?: number; readonly retryAfter?: number | undefined } = {}) => {
    // before it is cut: half a key is too much as well
    const text = key === "" ? reason : reason.replaceAll(key, mask)
    return new ModelFailed({ model, kind, reason: text.slice(0, 500), ...more })
  }
  const late = () => failed("timeout", "no sign of life for too long")
  const post = (request: ModelRequest) =>
    Effect.timeoutOrElse(
      Effect.tryPromise({
        try: (signal) =>
          fetch(`${baseUrl.replace(/\/$/, "")}/chat/completions`, {
            method: "POST",
            headers: {
              "content-type": "application/json",
              "idempotency-key": request.key,
              ...(key === "" ? {} : { authorization: `Bearer ${key}` }),
              ...headers,
            },
            body: JSON.stringify(bodyOf(options, request)),
            signal,
          }),
        catch: (cause) => failed("unavailable", messageOf(cause instanceof Error && cause.cause !== undefined ? cause.cause : cause)),
      }),
      { duration: timeout, orElse: () => Effect.fail(late()) },
    )
  const refused = (response: Response) =>
    Effect.flatMap(
      // what it says of its refusal may not end
      Effect.timeoutOrElse(beginningOf(response), { duration: timeout, orElse: () => Effect.succeed("") }),
      (text) => Effect.fail(failed(kindOf(response.status, text), text || response.statusText, { status: response.status, retryAfter: restOf(response) })),
    )
  const turn = (request: ModelRequest): Stream.Stream<ModelPart, ModelFailed> =>
    Stream.unwrap(Effect.flatMap(post(request), (response): Effect.Effect<Stream.Stream<ModelPart, ModelFailed>, ModelFailed> => {
      if (!response.ok || response.body === null) return refused(response)
      const answer = new Answer()
      const broken = (cause: unknown) => (cause instanceof ModelFailed ? cause : failed("malformed", messageOf(cause)))
      const chunks = Stream.fromReadableStream({ evaluate: () => response.body!, onError: (cause) => failed("unavailable", messageOf(cause)) })
      const text = Stream.timeoutOrElse(chunks, { duration: timeout, orElse: () => Stream.fail(late()) }).pipe(Stream.decodeText)
      const isStream = response.headers.get("content-type")?.includes("event-stream") === true
      const events: Stream.Stream<string, unknown> = isStream ?
        text.pipe(Stream.pipeThroughChannel(Sse.decode()), Stream.map(({ data }) => data)) :
        Stream.fromEffect(Stream.runFold(text, () => "", (all, part) => all + part))
      const parts = Stream.mapEffect(events, (data) => Effect.try({ try: () => answer.take(data), catch: broken }))
      const end = Stream.suspend(() => {
        if (answer.reason === undefined) return Stream.fail(failed("malformed", "the answer ended before it was complete"))
        const usage = answer.usage ?? estimated(request, answer.text)
        const calls = answer.calls.map((call): ModelPart => ({ type: "call", call }))
        return Stream.fromIterable<ModelPart>([...calls, { type: "finish", reason: answer.reason, usage: priced(usage, price) }])
      })
      return Effect.succeed(Stream.concat(Stream.mapError(Stream.flattenIterable(parts), broken), end))
    }))
  return { name: model, turn }
}

const bodyOf = ({ model, structured = "schema", settings }: OpenAiOptions, request: ModelRequest): object => {
  const { output, tools } = request
  const format = output === undefined || structured === "prompt" ?
    {} :
    structured === "object" || output.schema === undefined ?
    { response_format: { type: "json_object" } } :
    { response_format: { type: "json_schema", json_schema: { name: output.name, schema: output.schema, strict: true } } }
  return {
    model,
    messages: [...request.messages.map(wire), ...(output === undefined || structured === "schema" ? [] : [asJson(output.schema)])],
    stream: true,
    stream_options: { include_usage: true },
    ...(tools.length === 0 ? {} : { tools: tools.map((one) => ({ type: "function", function: one })) }),
    ...format,
    ...settings,
    ...request.settings,
  }
}
const asJson = (schema: object | undefined) => ({
  role: "system",
  content: `Answer with JSON and nothing else${schema === undefined ? "" : `, that fits this JSON Schema: ${JSON.stringify(schema)}`}`,
})

const wire = (message: Message): object => {
  switch (message.role) {
    case "system":
    case "user":
      return { role: message.role, content: message.text }
    case "assistant": {
      const calls = message.calls.map(({ id, name, args }) => ({ id, type: "function", function: { name, arguments: args } }))
      return { role: "assistant", content: message.text === "" ? null : message.text, ...(calls.length === 0 ? {} : { tool_calls: calls }) }
    }
    case "tool":
      return { role: "tool", tool_call_id: message.id, content: message.text }
  }
}

const kindOf = (status: number, text: string): ModelFailure => {
  if (status === 429) return text.includes("insufficient_quota") ? "unauthorized" : "rate-limit"
  if (status === 401 || status === 403) return "unauthorized"
  if (status === 408 || status === 409 || status >= 500) return "unavailable"
  return /context.{0,10}length|too many tokens|maximum context/i.test(text) ? "context-length" : "invalid"
}
/** As much of what an endpoint says of its refusal as anybody reads. */
const beginningOf = ({ body }: Response): Effect.Effect<string> => {
  if (body === null) return Effect.succeed("")
  let text = ""
  // its connection ends with whoever reads it
  const parts = Stream.fromReadableStream({ evaluate: () => body, onError: messageOf }).pipe(Stream.decodeText)
  const read = Stream.runForEachWhile(parts, (part) => Effect.sync(() => (text += part).length <= 65_536))
  return Effect.map(Effect.ignore(read), () => text)
}
/** `Retry-After-Ms`, or `Retry-After` in seconds or as a date, in milliseconds. */
const restOf = ({ headers }: Response): number | undefined => {
  const exact = headers.get("retry-after-ms")
  if (exact !== null && Number(exact) >= 0) return Number(exact)
  const given = headers.get("retry-after")
  if (given === null) return undefined
  const seconds = Number(given)
  const rest = Number.isNaN(seconds) ? Date.parse(given) - Date.now() : seconds * 1000
  return Number.isNaN(rest) ? undefined : Math.max(0, rest)
}
const reasons: Readonly<Record<string, FinishReason>> = {
  stop: "stop",
  length: "length",
  tool_calls: "calls",
  function_call: "calls",
  content_filter: "filter",
}

/** What of an answer has come. */
class Answer {
  text = ""
  reason: FinishReason | undefined
  usage: { readonly input: number; readonly output: number } | undefined
  readonly calls: Array<{ readonly id: string; name: string; args: string }> = []
  /** The one that is being told of, by the number that the endpoint gives it. */
  readonly #open = new Map<number, Answer["calls"][number]>()

  /** Some endpoints give all their calls one number, or none: another id is another call. */
  #call(index: number, id: string | undefined): Answer["calls"][number] {
    const open = this.#open.get(index)
    if (open !== undefined && (id === undefined || id === "" || id === open.id)) return open
    const call = { id: id || `call_${this.calls.length}`, name: "", args: "" }
    this.#open.set(index, call)
    this.calls.push(call)
    return call
  }

  /** @throws where it is no answer */
  take(data: string): ReadonlyArray<ModelPart> {
    if (data === "[DONE]" || data === "") return []
    const { choices, usage, error } = JSON.parse(data) as Chunk
    if (error !== undefined) throw new Error(messageOf(error.message ?? error))
    const { prompt_tokens: input = 0, completion_tokens: output = 0 } = usage ?? {}
    // who counts wrong does not count
    if (usage !== undefined && usage !== null && isCount(input) && isCount(output)) this.usage = { input, output }
    const choice = choices?.[0]
    if (choice === undefined) return []
    const { content, reasoning_content: reasoning, tool_calls: calls = [] } = choice.delta ?? choice.message ?? {}
    for (const [i, { index = i, id, function: called = {} }] of calls.entries()) {
      const call = this.#call(index, id)
      call.name += called.name ?? ""
      call.args += called.arguments ?? ""
    }
    if (typeof choice.finish_reason === "string") this.reason = this.calls.length > 0 ? "calls" : reasons[choice.finish_reason] ?? "unknown"
    this.text += content ?? ""
    return [
      ...(typeof reasoning === "string" && reasoning !== "" ? [{ type: "reasoning", text: reasoning } as const] : []),
      ...(typeof content === "string" && content !== "" ? [{ type: "text", text: content } as const] : []),
    ]
  }
}
const isCount = (tokens: unknown): boolean => Number.isInteger(tokens) && Number(tokens) >= 0

interface Said {
  readonly content?: string | null
  readonly reasoning_content?: string | null
  readonly tool_calls?: ReadonlyArray<
    { readonly index?: number; readonly id?: string; readonly function?: { readonly name?: string; readonly arguments?: string } }
  >
}
interface Chunk {
  readonly choices?: ReadonlyArray<{ readonly delta?: Said; readonly message?: Said; readonly finish_reason?: string | null }>
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number } | null
  readonly error?: { readonly message?: unknown }
}
