import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run, seq } from "heddle"
import { lines, linesTo } from "heddle/streams"
import { z } from "zod"

const folder = mkdtempSync(join(tmpdir(), "heddle-example-"))
const [log, report] = [join(folder, "app.log"), join(folder, "report.ndjson")]
writeFileSync(log, "10:00 ok\n10:01 slow 900\nnonsense\n10:01 ok\n10:02 slow 1200\n")

/** A stream: lines of a file through bounded stages into a file, exactly once, whatever happens meanwhile. */
export const flow = seq("report", { input: z.object({ log: z.string(), slower: z.number() }) })
  .stream("written", ({ input }) => lines(input.log), (s) =>
    s.map("parse", (line) => {
      const [time, what, ms = "0"] = line.split(" ")
      if (what === undefined) throw new Error(`no log line: ${line}`)
      return { time: time!, what, ms: Number(ms) }
    }, { failure: "reject" }) // recorded and left out, at most 1,000 of them
      .filter(({ ms }, { input }) => ms > input.slower)
      .map(({ time, ms }) => `${time} took ${ms} ms`)
      .to(linesTo(report)), { buffer: 64 })

await run(flow, { log, slower: 500 })
console.log(readFileSync(report, "utf8").trim().split("\n"))
// => [ '10:01 took 900 ms', '10:02 took 1200 ms' ]
