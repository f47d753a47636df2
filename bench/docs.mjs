// `npm run bench:docs [-- 10 50 200]`: projects of so many flows, each in a file of its own with ten nodes; the time and the most memory that `heddle docs` and `heddle check` take,
// and how long `heddle check --watch` takes from an edit of one file of 50 to its findings.
import { execFileSync, spawn } from "node:child_process"
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { tmpdir } from "node:os"

const heddle = resolve("bin/heddle.js")
/** Every tenth uses the one before it. */
const source = (n) =>
  `import { seq } from "heddle"
import { z } from "zod"
${n === 0 || n % 10 !== 0 ? "" : `import { flow${n - 1} } from "./flow${n - 1}.ts"`}
/** The flow of number ${n}. */
export const flow${n} = seq("flow${n}", { input: z.object({ n: z.number(), text: z.string() }) })
  .step("words", ({ input }) => input.text.split(" "))
  .step("count", ({ words }) => words.length)
  .when(({ count }) => count > 3).step("long", ({ words }) => words.slice(3))
  .match("size", ({ count }) => (count > 9 ? "large" as const : "small" as const), {
    large: (b) => b.step("cut", ({ words }) => words.slice(0, 9)).returns(({ cut }) => cut.length),
    small: (b) => b.returns(({ count }) => count),
  })
  .loop("refine", { until: ({ count }) => count > 20, max: 5 }, (b) => b.update("count", ({ count }) => count + 5))
  .parallel("both", { left: (b) => b.step("a", () => 1), right: (b) => b.step("b", () => "two") })
  ${n === 0 || n % 10 !== 0 ? "" : `.step(flow${n - 1})`}
  .returns(({ size, both }) => ({ size, sum: both.left.a }))
`
function project(count) {
  const folder = mkdtempSync(join(tmpdir(), "heddle-bench-"))
  mkdirSync(join(folder, "node_modules"))
  symlinkSync(resolve("."), join(folder, "node_modules/heddle"))
  for (const name of ["zod", "effect"]) symlinkSync(resolve("node_modules", name), join(folder, "node_modules", name))
  writeFileSync(join(folder, "package.json"), "{\"type\":\"module\"}")
  const tsconfig = {
    compilerOptions: { strict: true, target: "es2024", module: "nodenext", allowImportingTsExtensions: true, noEmit: true, skipLibCheck: true },
    include: ["*.ts"],
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig))
  const files = Array.from({ length: count }, (_, n) => `flow${n}.ts`)
  for (const [n, file] of files.entries()) writeFileSync(join(folder, file), source(n))
  return { folder, files }
}
const measured = (folder, ...args) => {
  const program = `process.argv = ["node", "heddle", ...${JSON.stringify(args)}]; await import(${
    JSON.stringify(heddle)
  }); process.on("exit", () => process.stderr.write("\\n" + process.resourceUsage().maxRSS))`
  const began = performance.now()
  const child = execFileSync("sh", ["-c", `"$0" --input-type=module -e "$1" 2>&1 >/dev/null`, process.execPath, program], { cwd: folder, encoding: "utf8" })
  return { seconds: Number(((performance.now() - began) / 1000).toFixed(1)), MB: Math.round(Number(child.trim().split("\n").at(-1)) / 1024) }
}
/** From an edit to the line that tells how long it took, as whoever edits sees it. */
async function watching({ folder, files }) {
  const child = spawn(process.execPath, [heddle, "check", "--watch", ...files], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] })
  let said = ""
  child.stdout.on("data", (part) => (said += part))
  const until = async (pattern, from) => {
    while (!pattern.test(said.slice(from))) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await until(/\d+ files, \d+ flows/, 0)
  await new Promise((resolve) => setTimeout(resolve, 3000))
  const times = []
  for (let i = 0; i < 10; i++) {
    const [from, began] = [said.length, performance.now()]
    appendFileSync(join(folder, files[i]), "// edited\n")
    await until(/\d+ ms · /, from)
    times.push(Math.round(performance.now() - began))
  }
  const gone = new Promise((resolve) => child.once("exit", resolve))
  child.kill("SIGINT")
  await gone
  return times
}

const sizes = process.argv.slice(2).filter((one) => /^\d+$/.test(one)).map(Number)
const rows = []
for (const size of sizes.length === 0 ? [10, 50, 200] : sizes) {
  const { folder, files } = project(size)
  const docs = measured(folder, "docs", ...files, "--out", "out")
  const check = measured(folder, "check", ...files)
  rows.push({ flows: size, "docs, s": docs.seconds, "docs, MB": docs.MB, "check, s": check.seconds, "check, MB": check.MB })
  rmSync(folder, { recursive: true })
}
const watched = project(50)
const edits = await watching(watched)
rmSync(watched.folder, { recursive: true })
if (process.argv.includes("--json")) console.log(JSON.stringify({ rows, edits }))
else {
  console.table(rows)
  console.log(`an edit of one file of 50, in ms: ${edits.join(", ")}`)
}
