/**
 * A real model that ships on npm and runs offline: wink-nlp's English model finds entities and sentiment, learned from text. It is no language model: it
 * reads, and what it says are sentences of ours.
 */
import { createRequire } from "node:module"
import { Stream } from "effect"
import type { ModelPart, ModelRequest, ModelShape } from "heddle/agents"
import type { Model, WinkMethods } from "wink-nlp"

const require = createRequire(import.meta.url)
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the package says nothing of its type
const english = require("wink-eng-lite-web-model") as Model
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a CommonJS function
const nlp: WinkMethods = (require("wink-nlp") as (model: Model) => WinkMethods)(english)

/** What it makes of a conversation: first it asks for the order it reads of, then it answers. */
export function read({ messages, tools }: Pick<ModelRequest, "messages" | "tools">): ModelPart {
  const asked = nlp.readDoc(messages.findLast(({ role }) => role === "user")?.text ?? "")
  const found = messages.findLast(({ role }) => role === "tool")?.text
  const [number] = asked.entities().filter((entity) => entity.out(nlp.its.type) === "CARDINAL").out()
  const [tool] = tools
  if (found === undefined && tool !== undefined && number !== undefined) {
    return { type: "call", call: { id: "call-1", name: tool.name, args: JSON.stringify({ nr: Number(number) }) } }
  }
  const feeling = Number(asked.out(nlp.its.sentiment))
  return { type: "text", text: JSON.stringify({ mood: feeling < -0.1 ? "cross" : feeling > 0.1 ? "glad" : "calm", reply: found ?? "Which order?" }) }
}

/** The same in this process. */
export const reader: ModelShape = {
  name: "wink-nlp",
  turn: (request) => {
    const said = read(request)
    const usage = { input: request.messages.map(({ text }) => text).join("").length >> 2, output: JSON.stringify(said).length >> 2, estimated: true }
    return Stream.fromIterable<ModelPart>([said, { type: "finish", reason: said.type === "call" ? "calls" : "stop", usage }])
  },
}
