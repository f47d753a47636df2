/** `npm run test:security [-- --json]`: every attack, what came of it, and whether that is what must come of it. */
import { attacks } from "./attacks.ts"

const rows: Array<{ readonly id: number; readonly attack: string; readonly outcome: string; readonly pass: boolean }> = []
for (const { id, attack, run } of attacks) {
  const { outcome, pass } = await run().catch((error: unknown) => ({ outcome: String(error), pass: false }))
  rows.push({ id, attack, outcome, pass })
  if (!process.argv.includes("--json")) console.log(`${pass ? "ok  " : "FAIL"} ${id} ${attack}\n       ${outcome}`)
}
if (process.argv.includes("--json")) console.log(JSON.stringify(rows))
process.exit(rows.every(({ pass }) => pass) ? 0 : 1)
