/**
 * `npm run test:crash [-- --json] [-- --quick]`: kills with SIGKILL at every write of the examples and of every pattern inside every other, and kills
 * twice; the same in this process, exhaustively. Exits with 1 if an output was wrong or a recorded step repeated.
 */
import { crashEverywhere } from "heddle/testing"
import { crash, type Figures, numberedExamples } from "./harness.ts"
import { flowOf, names, targets } from "./patterns.ts"

const json = process.argv.includes("--json")
const quick = process.argv.includes("--quick")
const sum = (rows: ReadonlyArray<Figures>): Figures => {
  const total = (key: keyof Figures): number => rows.reduce((all, row) => all + row[key], 0)
  return { points: total("points"), wrong: total("wrong"), repeated: total("repeated"), again: total("again") }
}
const inProcess = async (kills: 1 | 2, chosen: ReadonlyArray<string>): Promise<Figures> => {
  const rows: Array<Figures> = []
  for (const target of chosen) {
    const { flow, signals } = flowOf(target)
    const { points, wrong, repeated, again } = await crashEverywhere(flow, undefined as never, { signals, kills })
    for (const harm of [...wrong, ...repeated]) console.error(target, harm)
    rows.push({ points, wrong: wrong.length, repeated: repeated.length, again })
  }
  return sum(rows)
}

const nested = targets().filter((_, i) => !quick || i % 16 === 0)
const every = (n: number) => (at: number) => at % n === 1
const timed = async <A>(what: string, work: () => Promise<A>): Promise<A> => {
  const from = Date.now()
  const done = await work()
  console.error(`${what}: ${Math.round((Date.now() - from) / 1000)} s`, done)
  return done
}
// examples alone: whoever is killed beside others has written by then what may be written late
const examples = await timed("each example alone", async () => {
  const rows: Array<Figures> = []
  for (const example of numberedExamples().filter((_, i) => !quick || i % 5 === 0)) rows.push(await crash([example], quick ? every(4) : undefined))
  return sum(rows)
})
const patterns = await timed("patterns together", () => crash([...names, ...nested], quick ? every(9) : undefined))
const killed = sum([examples, patterns])
const killedTwice = await timed("killed twice", () => crash(nested, every(quick ? 9 : 2), (at) => 1 + (at * 7) % 5))
const simulated = await timed("in this process", () => inProcess(1, nested))
const simulatedTwice = await timed("twice in this process", () => inProcess(2, quick ? nested.slice(0, 3) : nested))
const figures = {
  ...sum([killed, simulated]),
  killed,
  simulated,
  twice: { ...sum([killedTwice, simulatedTwice]), killed: killedTwice, simulated: simulatedTwice },
}
console.log(json ? JSON.stringify(figures) : figures)
process.exitCode = figures.wrong + figures.repeated + figures.twice.wrong + figures.twice.repeated === 0 ? 0 : 1
