import { run, seq } from "heddle"

/** `.loop` repeats a block until a condition holds, while one does, a number of times, or over items; with break and continue. */
export const flow = seq("loop")
  .step("draft", () => ({ score: 0.2 }))
  .loop("refine", { until: ({ draft }) => draft.score >= 0.9, max: 5 }, (b) => b.update("draft", ({ draft }) => ({ score: draft.score + 0.25 })))
  .loop("odd", { over: () => [1, 2, 3, 4, 5, 6, 7], collect: "all" }, (b) =>
    b.continue(({ item }) => item % 2 === 0)
      .break(({ item }) => item > 5)
      .step("square", ({ item }) => item * item)
      .returns(({ square }) => square))
  .returns(({ draft, odd }) => ({ score: draft.score.toFixed(2), odd }))

export const input = undefined

if (import.meta.main) console.log(JSON.stringify((await run(flow))._unsafeUnwrap()))
// => {"score":"0.95","odd":[1,9,25]}
