import { Effect } from "effect"
import { ok } from "neverthrow"
import { run, seq, step } from "heddle"

const double = step("double", ({ plain }: { plain: number }) => plain * 2)

/** A step may return a value, a Promise, a neverthrow Result, an Effect, or be a generator of Effects. */
export const flow = seq("steps")
  .step("plain", () => 1)
  .step(double)
  .step("later", async ({ double }) => double + 1)
  .step("result", ({ later }) => ok(later + 1))
  .step("effect", ({ result }) => Effect.succeed(result + 1))
  .step("generator", function*({ effect }) {
    const one = yield* Effect.succeed(1)
    return effect + one
  })

export const input = undefined

if (import.meta.main) console.log(JSON.stringify((await run(flow))._unsafeUnwrap()))
// => {"plain":1,"double":2,"later":3,"result":4,"effect":5,"generator":6}
