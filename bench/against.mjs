// `npm run bench:against -- <another built checkout> [step10,match8]`: this checkout against an older one, in turns of one run.
import { fork } from "node:child_process"
import { resolve } from "node:path"

const [other, only] = process.argv.slice(2)
const units = { step10: 10, step100: 100, step1000: 1000, loop1000: 1000, fan10000: 10_000, match8: 8, sqliteNormal1: 10, sqliteFull20: 200, resume10000: 1 }
const start = (root) => {
  const worker = fork(`${root}/bench/worker.mjs`, [`${root}/bench/contenders/ours.mjs`], { stdio: ["ignore", "ignore", "inherit", "ipc"] })
  return new Promise((done, failed) => worker.once("message", () => done(worker)).once("exit", () => failed(new Error(`${root} is not built`))))
}
const ask = (worker, key, budget) =>
  new Promise((done, failed) => {
    worker.once("message", ({ milliseconds, error }) => (error === undefined ? done(milliseconds) : failed(new Error(error))))
    worker.send({ key, budget })
  })
const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1]

const before = await start(resolve(other))
const now = await start(resolve(import.meta.dirname, ".."))
for (const key of only?.split(",") ?? Object.keys(units)) {
  for (const worker of [before, now]) await ask(worker, key, 400)
  const rounds = []
  for (let i = 0; i < 9; i++) rounds.push([await ask(before, key, 120), await ask(now, key, 120)])
  const figure = (times) => ((median(times) * 1000) / units[key]).toPrecision(3)
  const [was, is] = [rounds.map(([a]) => a), rounds.map(([, b]) => b)]
  console.log(`${key.padEnd(14)} ${figure(was)} -> ${figure(is)} µs, ratio ${median(rounds.map(([a, b]) => b / a)).toFixed(2)}`)
}
before.kill()
now.kill()
