import { describe, expect, it } from "vitest"
import { faults, suffer } from "./faults.ts"

// all of them, thoroughly: npm run test:faults
const sampled = [5, 7, 8, 9, 12, 13, 14, 16, 17, 19, 20, 21, 22, 31]
describe("faults", () => {
  it.each(sampled.map((id) => [id, faults[id]!.fault] as const))("%i: %s", async (id) => {
    expect(await suffer(id, { quick: true, seed: 42 })).toMatchObject({ pass: true })
  }, 60_000)
})
