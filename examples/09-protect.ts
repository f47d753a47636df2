import { err, ok, type Result } from "neverthrow"
import { run, seq } from "heddle"
import { z } from "zod"

class Declined {
  readonly _tag = "Declined"
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

const charge = (amount: number): Result<{ readonly receipt: number }, Declined> => amount > 100 ? err(new Declined("over the limit")) : ok({ receipt: 7 })

/** `.protect` catches typed errors by tag; a caught error leaves the flow's error type, an impossible catch does not compile. */
export const flow = seq("protect", { input: z.object({ amount: z.number() }) })
  .protect("payment", (b) => b.step("charge", ({ input }) => charge(input.amount)).returns(({ charge }) => `receipt ${charge.receipt}`), {
    catch: { Declined: (error) => `declined: ${error.reason}` },
  })
  .returns(({ payment }) => payment)

export const input = { amount: 250 }

if (import.meta.main) console.log((await run(flow, input))._unsafeUnwrap())
// => declined: over the limit
