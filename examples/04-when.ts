import { run, seq } from "heddle"
import { z } from "zod"

/** `.when(condition)` guards exactly the next node; with two blocks it chooses one. */
export const flow = seq("when", { input: z.object({ priority: z.number() }) })
  .when(({ input }) => input.priority > 7).step("page", () => "on call paged")
  .when(
    "answer",
    ({ input }) => input.priority > 3,
    (yes) => yes.step("by", () => "today").returns(({ by }) => by),
    (no) => no.step("by", () => "this week").returns(({ by }) => by),
  )
  .returns(({ page, answer }) => `${page ?? "nobody paged"}, answered ${answer}`)

export const input = { priority: 5 }

if (import.meta.main) console.log((await run(flow, input))._unsafeUnwrap())
// => nobody paged, answered today
