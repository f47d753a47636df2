import { run, seq } from "heddle"
import { z } from "zod"

/** A flow is a value: write it, run it, get a result. */
export const flow = seq("hello", { input: z.object({ name: z.string() }) })
  .step("greeting", ({ input }) => `Hello ${input.name}`)
  .returns(({ greeting }) => greeting)

export const input = { name: "Ada" }

if (import.meta.main) console.log((await run(flow, input))._unsafeUnwrap())
// => Hello Ada
