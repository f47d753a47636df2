/** `npm run test:crash [-- --json]`: the whole harness. Exits with 1 if an output was wrong or a recorded step repeated. */
import { crash, type Figures, numberedExamples } from "./harness.ts"

const json = process.argv.includes("--json")
const rows: Array<Figures & { readonly example: string }> = []
const waiting = [...numberedExamples()]
const worker = async (): Promise<void> => {
  for (let example = waiting.shift(); example !== undefined; example = waiting.shift()) rows.push({ example, ...(await crash(example)) })
}
await Promise.all([worker(), worker()])
const total = (key: keyof Figures): number => rows.reduce((sum, row) => sum + row[key], 0)
const figures = { points: total("points"), wrong: total("wrong"), repeated: total("repeated"), again: total("again") }
if (json) console.log(JSON.stringify(figures))
else {
  console.table(rows.sort((a, b) => (a.example < b.example ? -1 : 1)))
  console.log(figures)
}
process.exitCode = figures.wrong + figures.repeated === 0 ? 0 : 1
