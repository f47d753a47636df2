import { err, ok, type Result } from "neverthrow"
import { run, seq } from "heddle"

class Busy {
  readonly _tag = "Busy"
}
let calls = 0
const flaky = (): Result<string, Busy> => (++calls < 3 ? err(new Busy()) : ok("answered"))

/** A step that can fail may be tried again; a slow attempt may be interrupted. The key stays the same, so the world can tell. */
export const flow = seq("retry")
  .step("ask", (_scope, step) => flaky().map((answer) => `${answer} with key ${step.key.split("/")[1]}`), {
    retry: { times: 5, while: (error) => error._tag === "Busy", backoff: "1 millis" },
    timeout: "2 seconds",
  })
  .returns(({ ask }) => ask)

export const input = undefined

if (import.meta.main) console.log((await run(flow))._unsafeUnwrap())
// => answered with key ask
