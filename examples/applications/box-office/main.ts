/** `npm start`: runs the pipeline with visible progress, then prints its result, its diagram and where its journal lies. */
import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

const slow = process.argv.includes("--slow")
const store = ".heddle/box-office.db"
const here = fileURLToPath(new URL("flow.ts", import.meta.url))
const heddle = (...args: ReadonlyArray<string>): number =>
  spawnSync(process.execPath, ["bin/heddle.js", ...args, "--store", store], { stdio: "inherit" }).status ?? 1

mkdirSync(".heddle", { recursive: true })
const id = `box-office-${new Date().toISOString().replaceAll(/[:.]/g, "-")}`
const status = heddle("run", here, "--id", id, "--input", JSON.stringify({ report: ".heddle/box-office.html", pause: slow ? 700 : 0 }))
if (status === 0) {
  console.log("\nThe flow, drawn from its value:\n")
  heddle("graph", here)
  console.log(`\nReport   .heddle/box-office.html\nJournal  ${store}\nLook     npx heddle show ${id} --store ${store}`)
}
process.exitCode = status
