import { Effect } from "effect"
import { run, seq } from "heddle"
import { Pool } from "heddle/agents"

interface Worker {
  readonly nr: number
  busy: boolean
}
const workers = new Pool<Worker>("workers", {
  size: { min: 1, max: 4 },
  strategy: "least-busy",
  make: (nr) => Effect.delay(Effect.succeed({ nr, busy: false }), 10),
})

let [overlaps, broke] = [0, false]
/** A pool under load: four members that are dear to make serve a hundred items, one breaks, and none is had twice at once. */
export const flow = seq("load")
  .each("all", () => Array.from({ length: 100 }, (_, i) => i), (b) =>
    b.step("work", ({ item }) =>
      workers.use((worker) =>
        Effect.gen(function*() {
          if (worker.busy) overlaps++
          worker.busy = true
          yield* Effect.sleep(2)
          worker.busy = false
          if (item !== 50 || broke) return worker.nr
          broke = true
          return yield* Effect.fail({ _tag: "Broke" } as const)
        })
      ), { retry: { times: 2 } }), { concurrency: "unbounded" })
  .returns(({ all }) => all.length)

if (import.meta.main) {
  const done = (await run(flow))._unsafeUnwrap()
  const { made, gone } = workers.stats
  await Effect.runPromise(workers.close)
  console.log(`${done} items, ${made} members made, ${gone} replaced, ${overlaps} had twice`)
}
// => 100 items, 5 members made, 1 replaced, 0 had twice
