import { openHeddle, seq } from "heddle"
import { jsonLines } from "heddle/telemetry"

/** Events: a run followed from another place while it goes on, from any number on; and what happens live, with a buffer that never stops a run. */
export const flow = seq("parcel").step("pack", () => "box 7").wait("pickedUp").step("deliver", ({ pack }) => `${pack} delivered`)
export const signals = [{ name: "pickedUp", id: "scan-1" }]

if (import.meta.main) {
  await using heddle = (await openHeddle())._unsafeUnwrap()
  const lines: Array<string> = []
  heddle.listen(jsonLines((line) => lines.push(line)))
  const running = heddle.run(flow, undefined, { id: "parcel-1", correlation: "order-5" })
  const seen: Array<string> = []
  for await (const { seq: number, kind, path, cause } of heddle.follow("parcel-1", { kinds: ["*.completed", "run.suspended"] })) {
    seen.push(`${number} ${kind} ${path}${cause === undefined ? "" : ` (${cause})`}`.trim())
    if (kind === "run.suspended") await heddle.signal(flow, "parcel-1", "pickedUp", undefined, { id: "scan-1" })
  }
  await running
  console.log(seen.join(", "), "·", lines.length, "log lines")
}
// => 2 step.completed pack, 4 run.suspended, 6 wait.completed pickedUp (signal:scan-1), 7 step.completed deliver, 8 run.completed · 11 log lines
