/** What examples in doc comments take for granted. */
import { openHeddle, seq, state } from "heddle"
import { agent, classifier, scripted } from "heddle/agents"
import { z } from "zod"

export { Effect } from "effect"
export { default as fc } from "fast-check"
export { err, ok } from "neverthrow"
export { expect } from "vitest"
export { z } from "zod"

export const input = z.object({ text: z.string() })
export const baseUrl = "http://localhost:11434/v1"
export const flow = seq<{ name: string }>("greet").returns(({ input: { name } }) => `Hello ${name}`)
export const chat = seq<{ text: string }>("chat").returns(({ input: { text } }) => text)
export const triage = seq("triage", { input }).step("classify", () => ({ kind: "bug" }))
export const order = seq("order", { input: z.object({ n: z.number() }) }).step("charge", ({ input: { n } }) => ({ id: `c${n}` }))
  .wait("approval", { schema: z.object({ by: z.string() }) }).returns(() => "paid")
export const [engineer, clerk] = [agent("engineer", { input, model: scripted([]) }), agent("clerk", { input, model: scripted([]) })]
const labels = { bug: "something is broken", bill: "something is not paid" }
export const chooser = classifier("kind", { input, labels: { engineer: "something is broken", clerk: "something is not paid" }, model: scripted([]) })
export const [strict, lenient, other] = [classifier("a", { input, labels }), classifier("b", { input, labels }), classifier("c", { input, labels })]
export const credit = state("credit", { scope: "user", initial: 0 })
export const spent = state("spent", { scope: "user", initial: 0 })
export const heddle = (await openHeddle())._unsafeUnwrap()
/** A web framework. */
export const app = { all: (_path: string, _answer: (context: { readonly req: { readonly raw: Request } }) => Promise<Response>): void => undefined }
