import { decide, hook, run, seq } from "heddle"
import { metrics } from "heddle/hooks"
import { err } from "neverthrow"
import { z } from "zod"

const closed = hook("when.decided", ({ path, chosen }) => path === "ship" && chosen === "express" ? decide.redirect("standard") : undefined)
const knownRate = hook("step.error", ({ path }) => path === "rate" ? decide.replace(4.9) : undefined, { name: "knownRate" })

/** Hooks: one redirects a branch while the shop is closed, one recovers a step; those of the run only count. */
export const flow = seq("order", { input: z.object({ kind: z.enum(["express", "standard"]) }), hooks: [closed, knownRate] })
  .step("rate", () => err({ _tag: "RatesDown" } as const))
  .match("ship", ({ input }) => input.kind, {
    express: (b) => b.step("courier", () => "courier today").returns(({ courier }) => courier),
    standard: (b) => b.step("post", () => "post tomorrow").returns(({ post }) => post),
  })
  .returns(({ rate, ship }) => `${ship}, ${String(rate)} EUR`)

export const input = { kind: "express" } as const

if (import.meta.main) {
  const { hooks, snapshot } = metrics()
  const result = await run(flow, input, { hooks })
  console.log(result._unsafeUnwrap(), snapshot()["order/rate"]?.failed, "error recovered")
}
// => post tomorrow, 4.9 EUR 1 error recovered
