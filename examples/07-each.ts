import { setTimeout as sleep } from "node:timers/promises"
import { run, seq } from "heddle"
import { z } from "zod"

/** `.each` runs a block for every item, several at once, and keeps the order of the items. */
export const flow = seq("each", { input: z.object({ words: z.array(z.string()) }) })
  .each("lengths", ({ input }) => input.words, (b) =>
    b.step("count", async ({ item, index }) => {
      await sleep(5 - index)
      return `${item}: ${item.length}`
    }).returns(({ count }) => count), { concurrency: 3 })
  .returns(({ lengths }) => lengths.join(", "))

export const input = { words: ["warp", "weft", "heddle"] }

if (import.meta.main) console.log((await run(flow, input))._unsafeUnwrap())
// => warp: 4, weft: 4, heddle: 6
