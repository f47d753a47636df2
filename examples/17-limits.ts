import { permits, run, seq } from "heddle"
import { z } from "zod"

const lookups = permits("lookups", 2, { key: ({ input }: { input: { customer: string } }) => input.customer })

/** Limits: two lookups at once for each customer, and a budget that ends a search when the money is gone. */
export const flow = seq("search", { input: z.object({ customer: z.string() }) })
  .protect("hits", (b) =>
    b.loop("pages", { times: 100, collect: "all" }, (c) =>
      c.step("page", async ({ index }, { charge }) => {
        charge({ cost: 0.3 })
        return `page ${index}`
      }, { limits: [lookups] })).returns(({ pages }) => `${pages.length} pages`), {
    budget: { cost: 1 },
    catch: { LimitExceeded: ({ used, allowed, path }) => `stopped at ${path}: ${used.toFixed(1)} of ${allowed}` },
  })
  .returns(({ hits }) => hits)

export const input = { customer: "Ada" } as const

if (import.meta.main) console.log((await run(flow, input))._unsafeUnwrap())
// => stopped at hits/pages[3]/page: 1.2 of 1
