import { err, ok } from "neverthrow"
import { merge, run, seq } from "heddle"

/** `.parallel` runs named forks at once. Where two of them update one name, the compiler asks for a merge policy. */
export const flow = seq("parallel")
  .step("cost", () => 0)
  .parallel("found", {
    shop: (b) => b.step("price", () => 12).update("cost", () => 2),
    market: (b) => b.step("price", () => 9).update("cost", () => 3),
    offline: (b) => b.step("price", () => (Date.now() > 0 ? err({ _tag: "Offline" as const }) : ok(1))),
  }, { optional: ["offline"], concurrency: 2 })
  .merge({ cost: merge.sum })
  .returns(({ found, cost }) => ({ best: Math.min(found.shop.price, found.market.price), offline: found.offline ?? null, cost }))

export const input = undefined

if (import.meta.main) console.log(JSON.stringify((await run(flow))._unsafeUnwrap()))
// => {"best":9,"offline":null,"cost":5}
