/** What an agent knows so far, and what a turn makes of it. */
import type { Input as Duration } from "effect/Duration"
import * as Effect from "effect/Effect"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import { validate } from "../../compile/schema.ts"
import type { Issue } from "../../model/error.ts"
import { AgentFailed } from "./error.ts"
import type { Message, ModelTurn } from "./model.ts"

/** Bounds of one agent. */
export interface AgentLimits {
  /** Turns of its model, default 25. */
  readonly turns?: number
  /** Calls of tools, default 100. */
  readonly calls?: number
  /** How often an answer that does not fit may be mended, default 2. */
  readonly repairs?: number
  /** Tokens of all its turns, its tools' included. */
  readonly tokens?: number
  /** In the currency of the model's prices. */
  readonly cost?: number
  /** Longest time from its beginning to its answer, calls and their approvals included, counted also while no process runs; default: none. */
  readonly time?: Duration
  /** How long a call may wait for its approval, default: for ever. Then it is not made, and the model is told so. */
  readonly approval?: Duration
  /** Calls of tools at once, default 4. */
  readonly concurrency?: number
  /** Longest result of a tool that its model is shown, in characters, default 32,768. */
  readonly result?: number
}

export interface Chat {
  readonly messages: ReadonlyArray<Message>
  readonly turns: number
  readonly calls: number
  readonly repairs: number
  readonly answer: { readonly value: unknown } | undefined
}
/** What a call of a tool came to. */
export interface CallResult {
  readonly id: string
  readonly name: string
  /** As the model is shown it. */
  readonly text: string
  /** It is the agent's answer. */
  readonly final?: { readonly value: unknown } | undefined
}

/** JSON, also where a model has put it into a code fence. */
const json = (text: string): unknown => JSON.parse(/^\s*```(?:json)?\s*\n([\s\S]*?)\n?```\s*$/.exec(text)?.[1] ?? text)

/** What the schema makes of an answer, or what does not fit. */
const answered = (text: string, schema: StandardSchemaV1): Effect.Effect<unknown, ReadonlyArray<Issue>> =>
  Effect.suspend(() => {
    try {
      return validate(schema, json(text))
    } catch (cause) {
      return Effect.fail([{ path: "", message: `it is not JSON: ${(cause as Error).message}` }])
    }
  })

const mostCalls = 100
/** A turn asks for more calls than are left: none of them is made. */
export const isTooMany = ({ calls = mostCalls }: AgentLimits, chat: Chat, turn: ModelTurn): boolean => chat.calls + turn.calls.length > calls

/** The chat after a turn and the calls it asked for. */
export function advance(
  agent: string,
  limits: AgentLimits,
  output: StandardSchemaV1 | undefined,
  chat: Chat,
  turn: ModelTurn,
  results: ReadonlyArray<CallResult>,
): Effect.Effect<Chat, AgentFailed> {
  const { turns = 25, calls = mostCalls, repairs = 2 } = limits
  const failed = (kind: AgentFailed["kind"], reason: string, issues: ReadonlyArray<Issue> = []) => Effect.fail(new AgentFailed({ agent, kind, reason, issues }))
  const next: Chat = {
    ...chat,
    messages: [
      ...chat.messages,
      { role: "assistant", text: turn.text, calls: turn.calls },
      ...results.map(({ id, name, text }): Message => ({ role: "tool", id, name, text })),
    ],
    turns: chat.turns + 1,
    calls: chat.calls + results.length,
    answer: results.find(({ final }) => final !== undefined)?.final,
  }
  if (next.answer !== undefined) return Effect.succeed(next)
  if (isTooMany(limits, chat, turn)) {
    const wanted = chat.calls + turn.calls.length
    return failed("calls", `it asked for ${wanted} calls of tools, and may make ${calls}: raise limits.calls, or give it fewer tools`)
  }
  const onward = (chatted: Chat): Effect.Effect<Chat, AgentFailed> =>
    chatted.turns < turns ? Effect.succeed(chatted) : failed("turns", `it used its ${turns} turns: raise limits.turns, or make the task smaller`)
  if (turn.calls.length > 0) return onward(next)
  if (turn.reason === "length") return failed("length", "its answer was cut off: let the model write more tokens, or ask for less")
  if (turn.reason === "filter") return failed("filter", "its answer was filtered by the provider")
  if (output === undefined) return Effect.succeed({ ...next, answer: { value: turn.text } })
  return Effect.matchEffect(answered(turn.text, output), {
    onSuccess: (value) => Effect.succeed({ ...next, answer: { value } }),
    onFailure: (issues) => {
      if (chat.repairs >= repairs) return failed("output", `its answer does not fit after ${repairs} repairs`, issues)
      const listed = issues.map(({ path, message }) => `- ${path === "" ? "the answer" : path}: ${message}`).join("\n")
      const ask: Message = { role: "user", text: `Your answer does not fit the schema:\n${listed}\nAnswer again with JSON that fits it, and nothing else.` }
      return onward({ ...next, repairs: chat.repairs + 1, messages: [...next.messages, ask] })
    },
  })
}
