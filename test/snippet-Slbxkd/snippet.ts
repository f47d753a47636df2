import { openHeddle, seq } from "heddle"
import { z } from "zod"

const flow = seq("leave")
  .wait("approval", { schema: z.object({ by: z.string() }), timeout: "2 days" })
  .wait({ for: "10 millis" })
  .returns(({ approval }) => `by ${approval.by}`)

await using heddle = (await openHeddle())._unsafeUnwrap()
const running = heddle.run(flow, undefined, { id: "r" })
await heddle.signal(flow, "r", "approval", { by: "Ada" })
console.log((await running)._unsafeUnwrap())
// => by Ada
