import { describe, expect, it } from "vitest"
import { attacks } from "./attacks.ts"

describe("attacks", () => {
  it.each(attacks.map((one) => [`${one.id}: ${one.attack}`, one] as const))("%s", async (_, { run }) => {
    const { outcome, pass } = await run()
    expect(pass, outcome).toBe(true)
  }, 60_000)
})
