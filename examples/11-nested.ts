import { nest, run, seq } from "heddle"
import { z } from "zod"

const price = seq("price", { input: z.object({ amount: z.number(), rate: z.number() }) })
  .step("tax", ({ input }) => input.amount * input.rate)
  .returns(({ input, tax }) => input.amount + tax)

/** A flow is a step of another: by its own name when the scope has what it needs, or with an input made for it. */
export const flow = seq("order", { input: z.object({ amount: z.number() }) })
  .step("rate", () => 0.25)
  .step(price)
  .step("express", nest(price, ({ input, rate }) => ({ amount: input.amount * 2, rate })))
  .returns(({ price, express }) => ({ price, express }))

export const input = { amount: 100 }

if (import.meta.main) console.log(JSON.stringify((await run(flow, input))._unsafeUnwrap()))
// => {"price":125,"express":250}
