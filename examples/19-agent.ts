/** An agent with a tool, behind HTTP and in this process: the same flow on an endpoint that speaks OpenAI's protocol and on a model that runs offline. */
import { Context } from "effect"
import { openHeddle, seq, tool } from "heddle"
import { agent, Model, openai } from "heddle/agents"
import { z } from "zod"
import { reader } from "./applications/local-model/reader.ts"
import { serveModel } from "./applications/local-model/server.ts"

const orderStatus = tool(
  "order_status",
  { description: "Where an order is.", input: z.object({ nr: z.number().int() }) },
  ({ nr }) => `order ${nr} is on its way`,
)
const desk = agent("desk", {
  input: z.object({ text: z.string() }),
  output: z.object({ mood: z.enum(["glad", "calm", "cross"]), reply: z.string() }),
  instructions: "Answer customers. Look orders up; never guess.",
  prompt: ({ text }) => text,
  tools: [orderStatus],
  limits: { turns: 4, calls: 3, tokens: 10_000 },
})

/** Answers a customer in the tone that the customer needs. */
export const flow = seq("support", { input: z.object({ text: z.string() }) })
  .step(desk)
  .match("route", ({ desk }) => desk.mood, {
    cross: (b) => b.step("apologise", ({ desk }) => `We are sorry: ${desk.reply}.`).returns(({ apologise }) => apologise),
    calm: (b) => b.step("answer", ({ desk }) => `${desk.reply}.`).returns(({ answer }) => answer),
    glad: (b) => b.step("thank", ({ desk }) => `Thank you! ${desk.reply}.`).returns(({ thank }) => thank),
  })
  .returns(({ route }) => route)

export const input = { text: "Where is my order 1047? I am very disappointed." }
/** A model that runs in this process, for whoever runs the flow. */
export const services = Context.make(Model, reader)

if (import.meta.main) {
  const { baseUrl, requests, server } = await serveModel()
  const over = openai({ baseUrl: process.env["OPENAI_BASE_URL"] ?? baseUrl, model: process.env["OPENAI_MODEL"] ?? "wink" })
  const said: Array<string> = []
  for (const model of [over, reader]) {
    await using heddle = (await openHeddle({ layer: Model.layer(model) }))._unsafeUnwrap()
    said.push((await heddle.run(flow, input))._unsafeUnwrap())
  }
  server.close()
  console.log(said[0], said[0] === said[1] ? "Offline: the same." : said[1], `${requests()} requests.`)
}
// => We are sorry: order 1047 is on its way. Offline: the same. 3 requests.
