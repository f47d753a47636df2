/**
 * What flows cost the compiler: instantiations of generated flows, the cost of an empty flow subtracted.
 * `--json` prints the table as data. Exits with 1 where a plain flow is over its budget or a flow does not compile.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"

const folder = new URL("generated/", import.meta.url).pathname
const root = new URL("../../../", import.meta.url).pathname
const compilers = { 6: "node_modules/typescript/bin/tsc", 7: "node_modules/typescript7/bin/tsc" } as const
/** Instantiations a step of a plain flow, by number of steps. */
const budget: Readonly<Record<number, number>> = { 100: 250, 500: 500 }

const header = `import { Context, Effect } from "effect"
import { ok, type Result } from "neverthrow"
import { merge, seq } from "heddle"
class Lost { readonly _tag = "Lost" }
class Db extends Context.Service<Db, { readonly q: Effect.Effect<number, Lost> }>()("cost/Db") {}
void Effect; void ok; void merge; void Db; export type { Result }
`
/** Each step reads the one before and returns an object of its own. */
const plain = (i: number): string =>
  i === 0 ?
    `  .step("s0", () => ({ v0: 1, id: "x", flag: true }))` :
    `  .step("s${i}", ({ s${i - 1} }) => ({ v${i}: s${i - 1}.v${i - 1} + 1, id: "x", flag: true }))`
/** Every kind of work and block in turn; step i binds \`s<i>\`. */
const mixed = (i: number): string => {
  const before = i === 0 ? "input" : `s${i - 1}`
  const read = `({ ${before} })`
  switch (i % 8) {
    case 0:
      return `  .step("s${i}", ${read} => ({ n: 1, from: typeof ${before} }))`
    case 1:
      return `  .step("s${i}", async ${read} => ({ later: ${before}.n }))`
    case 2:
      return `  .step("s${i}", ${read} => Effect.map(Db.use(({ q }) => q), (n) => ({ n, ${before} })), { retry: { times: 2 }, timeout: "1 second" })`
    case 3:
      return `  .step("s${i}", ${read}: Result<{ n: number }, Lost> => ok({ n: ${before}.n }))`
    case 4:
      return `  .when(${read} => ${before}.n > 0).step("s${i}", ${read} => ${before}.n)`
    case 5:
      return `  .step("t${i}", () => 0).loop("s${i}", { until: ({ t${i} }) => t${i} > 3, max: 5 }, (b) => b.update("t${i}", ({ t${i} }) => t${i} + 1).step("in${i}", ${read} => ${before} ?? 0))`
    case 6:
      return `  .parallel("s${i}", { a: (b) => b.step("x", ${read} => ${before}.in${i - 1}).update("t${
        i - 1
      }", () => 1), b: (b) => b.step("y", () => "s").update("t${i - 1}", () => 2) }).merge({ t${i - 1}: merge.sum })`
    default:
      return `  .step("s${i}", ${read} => ({ n: ${before}.a.x }))`
  }
}
const flows = { plain, mixed } as const

interface Row {
  readonly typescript: number
  readonly flow: keyof typeof flows
  readonly steps: number
  readonly instantiations: number
  readonly instantiationsPerStep: number
  readonly checkSeconds: number
  readonly errors: number
}

function measure(
  typescript: keyof typeof compilers,
  flow: keyof typeof flows,
  steps: number,
): { readonly instantiations: number; readonly seconds: number; readonly errors: number } {
  const name = `${flow}-${steps}.ts`
  writeFileSync(
    `${folder}${name}`,
    `${header}export const flow = seq<{ n: number }>("f")\n${Array.from({ length: steps }, (_, i) => flows[flow](i)).join("\n")}\n`,
  )
  writeFileSync(`${folder}tsconfig.json`, JSON.stringify({ extends: `${root}tsconfig.check.json`, include: [], exclude: [], files: [name] }))
  const flags = ["-p", `${folder}tsconfig.json`, "--extendedDiagnostics", "--pretty", "false", ...(typescript === 7 ? ["--singleThreaded"] : [])]
  let text: string
  try {
    text = execFileSync(process.execPath, [`${root}${compilers[typescript]}`, ...flags], {
      encoding: "utf8",
      maxBuffer: 1e9,
      stdio: ["ignore", "pipe", "ignore"],
    })
  } catch (error) {
    text = String((error as { stdout?: unknown }).stdout ?? "")
  }
  const figure = (label: string): number => Number(new RegExp(`${label}:\\s+([\\d.]+)`).exec(text)?.[1] ?? Number.NaN)
  return {
    instantiations: figure("Instantiations"),
    seconds: figure("Check time"),
    errors: text.match(/error TS/g)?.length ?? (text.includes("Instantiations") ? 0 : 1),
  }
}

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const rows: Array<Row> = []
for (const typescript of [6, 7] as const) {
  for (const flow of ["plain", "mixed"] as const) {
    const empty = measure(typescript, flow, 0)
    for (const steps of [10, 100, 500]) {
      const full = measure(typescript, flow, steps)
      const instantiations = full.instantiations - empty.instantiations
      rows.push({
        typescript,
        flow,
        steps,
        instantiations,
        instantiationsPerStep: Math.round(instantiations / steps),
        checkSeconds: Number(Math.max(0, full.seconds - empty.seconds).toFixed(2)),
        errors: full.errors,
      })
    }
  }
}
rmSync(folder, { recursive: true, force: true })

if (process.argv.includes("--json")) console.log(JSON.stringify(rows))
else console.table(rows)
const over = rows.filter((row) => row.errors > 0 || (row.flow === "plain" && !(row.instantiationsPerStep <= (budget[row.steps] ?? Number.POSITIVE_INFINITY))))
if (over.length > 0) {
  console.error("over budget or not compiling:", over)
  process.exitCode = 1
}
