/** `npm run test:faults [-- --json] [-- --quick] [-- --only 7,9]`: one row a fault; exits with 1 if one did not come out as it must. */
import { faults, type Outcome, suffer } from "./faults.ts"

const flag = (name: string): boolean => process.argv.includes(`--${name}`)
const only = process.argv[process.argv.indexOf("--only") + 1]
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1_000_000))
const ids = Object.keys(faults).map(Number).filter((id) => !flag("only") || only!.split(",").includes(String(id)))
const rows: Array<Outcome> = []
for (const id of ids) {
  const row = await suffer(id, { quick: flag("quick"), seed })
  rows.push(row)
  if (!flag("json")) console.log(`${row.pass ? "✓" : "✗"} ${String(row.id).padStart(2)} ${row.fault}: ${row.outcome}`)
}
if (flag("json")) console.log(JSON.stringify(rows))
console.error(`SEED=${seed} npm run test:faults`)
process.exitCode = rows.every(({ pass }) => pass) ? 0 : 1
