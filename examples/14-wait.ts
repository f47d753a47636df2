import { openHeddle, seq } from "heddle"
import { z } from "zod"

/** A run that waits for a signal, and is undone when nobody approves. */
export const flow = seq("leave", { input: z.object({ days: z.number() }) })
  .step("hold", ({ input }) => input.days, { effects: "holds days", compensate: (days) => console.log("gave back", days) })
  .wait("approval", { schema: z.object({ by: z.string() }), timeout: "2 days" })
  .returns(({ hold, approval }) => `${hold} days by ${approval.by}`)

export const input = { days: 3 }
export const signals = [{ name: "approval", payload: { by: "Ada" }, id: "a1" }]

if (import.meta.main) {
  const heddle = (await openHeddle())._unsafeUnwrap()
  const running = heddle.run(flow, input, { id: "leave" })
  await heddle.signal(flow, "leave", "approval", { by: "Ada" })
  console.log((await running)._unsafeUnwrap())
  await heddle.close()
}
// => 3 days by Ada
