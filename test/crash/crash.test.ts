import { expect, it } from "vitest"
import { crash, numberedExamples } from "./harness.ts"

it("SIGKILL at sampled appends of two examples (all of them: npm run test:crash)", async () => {
  expect(numberedExamples().length).toBeGreaterThan(12)
  for (const [example, every] of [["examples/06-loop.ts", 7], ["examples/08-parallel.ts", 5]] as const) {
    const { points, wrong, repeated } = await crash([example], (at) => at % every === 3)
    expect(points).toBeGreaterThan(2)
    expect({ wrong, repeated }).toEqual({ wrong: 0, repeated: 0 })
  }
}, 120_000)
