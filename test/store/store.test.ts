import { Effect } from "effect"
import { layerMemory, layerSqlite } from "heddle"
import { storeConformance } from "heddle/testing"
import { describe, expect, it } from "vitest"
import { file } from "../support.ts"

const stores = {
  memory: () => layerMemory,
  "sqlite, synchronous full": () => layerSqlite(file()),
  "sqlite, synchronous normal": () => layerSqlite(file(), { synchronous: "normal" }),
}

describe.each(Object.entries(stores))("store: %s", (_name, layer) => {
  it.each(Object.entries(storeConformance))("%s", async (_check, check) => {
    await Effect.runPromise(Effect.provide(check, layer()))
  })
})

it("a check can fail", async () => {
  const broken = layerMemory
  const check = Effect.flatMap(Effect.void, () => storeConformance["a run that does not exist is a typed error"]!)
  await Effect.runPromise(Effect.provide(check, broken))
  const { Store } = await import("heddle")
  const lying = Effect.provideService(storeConformance["a run that does not exist is a typed error"]!, Store, {
    runs: { get: () => Effect.succeed({}), claim: () => Effect.succeed({}) },
  } as never)
  await expect(Effect.runPromise(lying)).rejects.toThrow("wanted")
})
