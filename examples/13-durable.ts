import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run, seq } from "heddle"

let worked = 0
/** With a file as its store a run survives the process; the same id and input give the same run, its steps are not repeated. */
export const flow = seq("durable")
  .step("work", () => ++worked)
  .step("more", ({ work }) => work + 1)
  .returns(({ more }) => more)

export const input = undefined

if (import.meta.main) {
  const folder = mkdtempSync(join(tmpdir(), "heddle-"))
  const options = { store: join(folder, "heddle.db"), id: "once" }
  const first = await run(flow, undefined, options)
  const again = await run(flow, undefined, options)
  console.log(first._unsafeUnwrap(), again._unsafeUnwrap(), `worked ${worked} time`)
  rmSync(folder, { recursive: true })
}
// => 2 2 worked 1 time
