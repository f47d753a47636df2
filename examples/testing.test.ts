/** How to test a flow: copy this file beside yours. Run it with `npx vitest`. */
import * as fc from "fast-check"
import { err, ok } from "neverthrow"
import { nest, seq } from "heddle"
import { chaotic, crashEverywhere, faulty, type HeddleMatchers, inputs, matchers, testFlow } from "heddle/testing"
import { beforeEach, expect, it } from "vitest"
import { z } from "zod"

expect.extend(matchers)
declare module "vitest" {
  interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> extends HeddleMatchers<R> {}
}

const ledger: Array<string> = []
const ship = seq("ship", { input: z.object({ seat: z.number() }) }).step("label", ({ input }) => `seat-${input.seat}`)
export const order = seq("order", { input: z.object({ seats: z.int().min(1).max(5), price: z.number().min(0).max(1000) }) })
  .step("reserve", ({ input }) => (ledger.push("reserve"), { seats: input.seats }), {
    effects: "reserves seats",
    compensate: () => void ledger.push("release"),
  })
  .when(({ input }) => input.price > 100).wait("approval", { schema: z.object({ by: z.string() }), timeout: "2 days" })
  .step("charge", ({ input }) => input.price > 900 ? err({ _tag: "Declined" } as const) : ok({ receipt: input.price }), { retry: { times: 2 } })
  .each("tickets", ({ input }) => Array.from({ length: input.seats }, (_, i) => i), (b) => b.step("ticket", nest(ship, ({ item }) => ({ seat: item }))))
  .returns(({ charge, tickets }) => ({ receipt: charge.receipt, tickets: tickets.length }))

beforeEach(() => void ledger.splice(0))

it("runs on a virtual clock, with signals; what happened can be asked", async () => {
  const tested = await testFlow(order, { seats: 2, price: 200 }, { signals: [{ name: "approval", payload: { by: "Ada" } }] })
  expect(tested.result).toEqual({ ok: true, value: { receipt: 200, tickets: 2 } })
  expect(tested).toHaveCompleted("tickets[1]/ticket/label")
  expect(tested).toHaveCalled("charge", 1)
  expect(tested).toHaveOrder(["step.completed reserve", "wait.completed approval", "run.completed"])
  expect(tested).toHaveState({ approval: { by: "Ada" } })
  expect(tested).toBeCorrelated()
})

it("two days pass in a moment: nobody approves, and the seats are given back", async () => {
  const tested = await testFlow(order, { seats: 1, price: 200 })
  expect(tested).toHaveFailedWith("WaitTimedOut")
  expect(tested).toHaveEmitted("compensation.completed", 1)
  expect(ledger).toEqual(["reserve", "release"])
})

it("steps are replaced, or go wrong, by their paths", async () => {
  const mocked = await testFlow(order, { seats: 1, price: 50 }, { mocks: { charge: { receipt: 7 }, "tickets/ticket/label": "x" } })
  expect(mocked.result).toEqual({ ok: true, value: { receipt: 7, tickets: 1 } })
  const retried = await testFlow(faulty(order, [{ path: "charge", call: 1, fail: { _tag: "Down" } }]), { seats: 1, price: 50 })
  expect(retried).toHaveCalled("charge", 2)
  expect(retried.result.ok).toBe(true)
})

it("survives a crash at every point, and one while it resumes", async () => {
  const report = await crashEverywhere(order, { seats: 2, price: 200 }, {
    signals: [{ name: "approval", payload: { by: "Ada" } }],
    reset: () => void ledger.splice(0),
    kills: 2,
  })
  expect(report.points).toBeGreaterThan(100)
  expect(report).toMatchObject({ wrong: [], repeated: [] })
})

it("holds for every input its schema accepts, under chaos: paid, or given back", async () => {
  await fc.assert(
    fc.asyncProperty(inputs<typeof order, fc.Arbitrary<any>>(order, fc), fc.integer(), async (input, seed) => {
      ledger.splice(0)
      const tested = await testFlow(chaotic(order, seed), input, { signals: [{ name: "approval", payload: { by: "Ada" } }] })
      if (tested.result.ok) expect(tested.result.value.tickets).toBe(input.seats)
      else expect(ledger.filter((one) => one === "reserve").length).toBe(ledger.filter((one) => one === "release").length)
    }),
    { numRuns: 50 },
  )
})
