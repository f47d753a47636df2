// `npm run bench:stream-memory [-- 10 100 1000]`: a log of so many megabytes, made from 200,000 real flights by repetition, through parse, classify and a window of a
// thousand into a file; the most memory that a process of its own has taken for each, and what its journal takes on disk. V8 lets its young generation grow while much
// is made: `fixed` is the same with one of 4 MB, as a container with little memory would be given.
import { execFileSync } from "node:child_process"
import { createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

if (process.argv[2] === "--child") {
  const { run, seq } = await import("../dist/bundle/index.js")
  const { linesTo, ndjson } = await import("../dist/bundle/streams.js")
  const [, , , file, out] = process.argv
  const kindOf = (delay) => delay > 60 ? "late" : delay > 15 ? "slow" : delay < -10 ? "early" : "fine"
  const flow = seq("flights").stream("bytes", () => ndjson(file), (s) =>
    s.map(({ delay, distance }) => ({ kind: kindOf(delay), distance }))
      .window({ count: 1000 })
      .map((window) => ({ late: window.filter(({ kind }) => kind === "late").length, miles: window.reduce((sum, { distance }) => sum + distance, 0) }))
      .to(linesTo(out)), { buffer: 256 })
  const began = performance.now()
  const { bytes } = (await run(flow, undefined, { store: `${out}.db` }))._unsafeUnwrap()
  const seconds = (performance.now() - began) / 1000
  console.log(JSON.stringify({ bytes, seconds, rss: process.resourceUsage().maxRSS / 1024 }))
  process.exit(0)
}
const sizes = process.argv.slice(2).filter((one) => /^\d+$/.test(one)).map(Number)
const flights = JSON.parse(readFileSync("node_modules/vega-datasets/data/flights-200k.json", "utf8")).map((flight) => JSON.stringify(flight)).join("\n") + "\n"
const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"))
const rows = []
for (const size of sizes.length === 0 ? [10, 100, 1000] : sizes) {
  const file = join(folder, `${size}.ndjson`)
  const writing = createWriteStream(file)
  for (let left = size * 1e6; left > 0; left -= flights.length) {
    const part = left >= flights.length ? flights : flights.slice(0, flights.lastIndexOf("\n", left) + 1)
    if (part === "") break
    if (!writing.write(part)) await once(writing, "drain")
  }
  writing.end()
  await once(writing, "close")
  const measured = (...flags) => {
    for (const name of readdirSync(folder)) if (name.includes(".out")) rmSync(join(folder, name))
    const args = [...flags, "--disable-warning=ExperimentalWarning", fileURLToPath(import.meta.url), "--child", file, `${file}.out`]
    return JSON.parse(execFileSync(process.execPath, args).toString())
  }
  const { rss: fixed } = measured("--max-semi-space-size=4")
  const { seconds, rss } = measured()
  rows.push({
    "log, MB": Math.round(statSync(file).size / 1e6),
    "peak RSS, MB": Math.round(rss),
    "fixed, MB": Math.round(fixed),
    "journal, KB": Math.round(statSync(`${file}.out.db`).size / 1000),
    seconds: Number(seconds.toFixed(1)),
    "MB/s": Math.round(statSync(file).size / 1e6 / seconds),
  })
  rmSync(file)
}
rmSync(folder, { recursive: true })
if (process.argv.includes("--json")) console.log(JSON.stringify(rows))
else console.table(rows)
