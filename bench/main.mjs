// `npm run bench [-- --quick] [-- --json] [-- --only step10,loop1000]`: ours against hand-written code and peers in one run.
// Contenders take turns round by round, so that noise meets them all; figures are medians over rounds.
import { execFileSync, fork, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const [quick, json] = ["--quick", "--json"].map((flag) => process.argv.includes(flag))
const only = process.argv[process.argv.indexOf("--only") + 1]?.split(",")
const log = (text) => {
  if (!json) process.stderr.write(`${text}\n`)
}

if (!existsSync(here("node_modules"))) {
  log("installing the peers (bench/package-lock.json) …")
  spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: here("."), stdio: ["ignore", json ? "ignore" : "inherit", "inherit"] })
}
if (!existsSync(here("../dist/bundle/index.js"))) {
  execFileSync(process.execPath, [here("../scripts/build.mjs")], { cwd: here(".."), stdio: json ? "ignore" : "inherit" })
}

/** Key, what it is called, units in a batch, the unit's name and its factor from milliseconds. */
const works = [
  ["step10", "step in a flow of 10", 10, "µs/step", 1000],
  ["step100", "step in a flow of 100", 100, "µs/step", 1000],
  ["step1000", "step in a flow of 1,000", 1000, "µs/step", 1000],
  ["loop1000", "pass of a loop of 1,000", 1000, "µs/pass", 1000],
  ["fan10000", "branch of a fan-out of 10,000", 10_000, "µs/branch", 1000],
  ["each100c10", "100 × 1 ms at concurrency 10", 1, "ms", 1],
  ["match8", "match with 8 arms, a run each", 8, "µs/run", 1000],
  ["sqliteNormal1", "SQLite NORMAL, 1 run of 10 steps", 10, "µs/step", 1000],
  ["sqliteFull20", "SQLite FULL, 20 runs of 10 steps", 200, "µs/step", 1000],
  ["resume10000", "resume a loop of 10,000", 1, "ms", 1],
].filter(([key]) => !process.argv.includes("--only") || only.includes(key))

const names = ["floor", "ours", "effect-workflow", "xstate", "mastra", "langgraph"]
/** A batch of these takes seconds: one round is enough. */
const slow = { langgraph: new Set(["fan10000", "step1000"]), "effect-workflow": new Set(["fan10000"]) }
const start = (name) =>
  new Promise((resolve, reject) => {
    const worker = fork(here("worker.mjs"), [here(`contenders/${name}.mjs`)], { stdio: ["ignore", "ignore", "inherit", "ipc"] })
    worker.once("message", () => resolve(worker)).once("error", reject).once("exit", (code) => reject(new Error(`${name} ended with ${code}`)))
  })
const ask = (worker, message) =>
  new Promise((resolve, reject) => {
    worker.once("message", ({ milliseconds, error }) => (error === undefined ? resolve(milliseconds) : reject(new Error(error))))
    worker.send(message)
  })
const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1]
const figure = (value) => (value === undefined ? undefined : Number(value.toPrecision(3)))

const workers = new Map()
for (const name of names) workers.set(name, await start(name))
const rows = []
for (const [key, work, units, unit, factor] of works) {
  const times = new Map(names.map((name) => [name, []]))
  const ratios = []
  const rounds = quick ? 3 : 9
  for (let round = -1; round < rounds; round++) {
    // the first round warms up
    for (const name of names.map((_, i) => names[(i + round + names.length) % names.length])) {
      if (round > 0 && slow[name]?.has(key)) continue
      const milliseconds = await ask(workers.get(name), { key, budget: round < 0 ? 250 : quick ? 60 : 150 })
      if (milliseconds !== undefined && (round >= 0 || slow[name]?.has(key))) times.get(name).push((milliseconds * factor) / units)
    }
    if (round >= 0) ratios.push(times.get("ours").at(-1) / times.get("floor").at(-1))
  }
  const medians = Object.fromEntries(names.map((name) => [name, figure(median(times.get(name)))]))
  const { floor, ours, ...peers } = medians
  rows.push({
    work,
    unit,
    ours,
    floor,
    ratio: figure(median(ratios)),
    peers: Object.fromEntries(Object.entries(peers).filter(([, value]) => value !== undefined)),
  })
  log(`${work}: ours ${ours} ${unit}, floor ${floor}`)
}

if (!process.argv.includes("--only")) {
  const bytes = await ask(workers.get("ours"), { key: "bytes", budget: 0 })
  for (const [what, value] of [["journal rows", bytes.rows], ["database file", bytes.file]]) {
    rows.push({ work: `${what} over data, 200 steps of 1 KB`, unit: "bytes/byte", ours: figure(value), floor: 1, ratio: figure(value), peers: {} })
  }
  // a fresh process each: import, define, first step
  const imports = {
    floor: `const E = await import("effect/Effect"); await E.runPromise(E.sync(() => 1))`,
    ours: `const { run, seq } = await import("${here("../dist/bundle/index.js")}"); await run(seq("f").step("s", () => 1))`,
    "effect-workflow": `await (await (await import("${here("contenders/effect-workflow.mjs")}")).default.step10())()`,
    xstate: `await (await (await import("${here("contenders/xstate.mjs")}")).default.step10())()`,
    mastra: `await (await (await import("${here("contenders/mastra.mjs")}")).default.step10())()`,
    langgraph: `await (await (await import("${here("contenders/langgraph.mjs")}")).default.step10())()`,
  }
  const times = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = 0; round < (quick ? 3 : 9); round++) {
    for (const name of names) {
      const code = `const began = performance.now(); ${imports[name]}; process.stdout.write(String(performance.now() - began)); process.exit()`
      times[name].push(
        Number(execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: here("."), encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })),
      )
    }
  }
  const { floor, ours, ...peers } = Object.fromEntries(names.map((name) => [name, figure(median(times[name]))]))
  rows.push({ work: "import and first step (peers: 10 steps)", unit: "ms", ours, floor, ratio: figure(ours / floor), peers })
}
for (const worker of workers.values()) worker.kill()

if (json) console.log(JSON.stringify(rows))
else console.table(rows.map(({ work, unit, ours, floor, ratio, peers }) => ({ work, unit, ours, floor, ratio, ...peers })))
