// Tools over the Model Context Protocol, both ways: this program serves a flow, and an agent in it uses what is served.
import { openHeddle, run, seq } from "heddle"
import { agent, scripted } from "heddle/agents"
import { mcp, serveMcp } from "heddle/mcp"
import { z } from "zod"

const input = z.object({ order: z.number() })
const track = seq("track", { input, description: "Where an order is." }).returns(({ input }) => ({ place: input.order % 2 === 0 ? "Rome" : "Paris" }))

if (process.argv[2] === "serve") {
  await using heddle = (await openHeddle())._unsafeUnwrap()
  await serveMcp({ heddle, serves: [track] })
} else {
  await using shop = mcp("shop", { command: [process.execPath, ...process.execArgv, import.meta.filename, "serve"] })
  // typed here, started by the first call
  const place = shop.tool("track", { input, output: z.object({ place: z.string() }) })
  const desk = agent("desk", {
    input,
    tools: [place],
    // a script, no language model
    model: scripted(({ messages }) => {
      const last = messages.at(-1)!
      return last.role === "tool" ? `It is in ${JSON.parse(last.text).place}.` : { calls: [{ name: "track", args: { order: 7 } }] }
    }),
  })
  console.log((await run(desk, { order: 7 }))._unsafeUnwrap())
}
// => It is in Paris.
