import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { messageOf } from "../../src/model/error.ts"
import { decodeValue, encodeValue, limits, revive } from "../../src/model/value.ts"

const round = (value: unknown): unknown => decodeValue(encodeValue(value))

describe("values", () => {
  it.each([
    [new Date("2026-11-22T10:00:00Z")],
    [new Map<unknown, unknown>([["a", 1n], [{ k: 1 }, new Set([new Date(0)])]])],
    [new Set([1, "a", null, undefined])],
    [{ a: undefined, b: [undefined, null], c: Number.NaN, d: -0, e: Number.POSITIVE_INFINITY, f: Number.NEGATIVE_INFINITY }],
    [new Uint8Array([0, 1, 255])],
    [{ $: "date", v: 1 }],
    [{ $: { $: { $: 1 } }, other: new Date(1) }],
    [{ x: { $: "unknown" } }],
    ["\uD800 \u0000 \u2028 🧵"],
    [{ toJSON: 1, a: 1 }],
    [[, 1] as Array<unknown>],
  ])("%# come back as they were", (value) => {
    expect(round(value)).toEqual(Array.isArray(value) ? Array.from(value) : value)
    expect(Object.is((round({ d: -0 }) as { d: number }).d, -0)).toBe(true)
  })

  it("an invalid date stays invalid; a buffer's bytes are its own", () => {
    expect((round(new Date(Number.NaN)) as Date).getTime()).toBeNaN()
    expect(round(Buffer.from("abc"))).toEqual(new Uint8Array([97, 98, 99]))
    expect(round(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toEqual(new Uint8Array([2, 3]))
  })

  it("errors keep name, message, stack, cause and their own fields", () => {
    class Declined extends Error {
      readonly _tag = "Declined"
      readonly at = new Date(3)
    }
    const error = new Declined("over", { cause: new TypeError("inner") })
    const back = round({ error }) as { error: Declined }
    expect(back.error).toBeInstanceOf(Error)
    expect(back.error).toMatchObject({ name: "Error", message: "over", _tag: "Declined", at: new Date(3), stack: error.stack })
    expect(back.error.cause).toMatchObject({ name: "TypeError", message: "inner" })
    const bare = new Error("x")
    delete bare.stack
    expect((round(bare) as Error).stack).toBeUndefined()
  })

  it.each([
    [() => 1, "", "a function"],
    [{ a: { f: () => 1 } }, "a.f", "a function"],
    [[{ s: Symbol("s") }], "[0].s", "a symbol"],
    [{ p: Promise.resolve() }, "p", "a promise"],
    [{ r: /x/ }, "r", "an instance of RegExp"],
    [new (class {})(), "", "an instance of a class"],
    [Object.create(Object.create(null)), "", "an instance of a class"],
    [{ m: new Map([["k", () => 1]]) }, "m<value 0>", "a function"],
    [{ m: new Map([[() => 1, 1]]) }, "m<key 0>", "a function"],
    [new Set([() => 1]), "<value 0>", "a function"],
    [{ [Symbol("k")]: 1 }, "", "a record with symbol keys"],
    [JSON.parse("{\"a\":{\"__proto__\":{\"x\":1}}}"), "a.__proto__", "a key that attacks prototypes"],
    [JSON.parse("{\"constructor\":{\"prototype\":{\"x\":1}}}"), "constructor", "a key that attacks prototypes"],
  ])("%# are refused by path", (value, at, reason) => {
    expect(() => encodeValue(value)).toThrow(expect.objectContaining({ at, reason }))
  })

  it("a key called constructor is fine where it is data", () => {
    expect(round({ constructor: "Ferrari", prototype: 1 })).toEqual({ constructor: "Ferrari", prototype: 1 })
  })

  it("depth, cycles, number and size are bounded, at the limit and one beyond", () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : { d: nested(depth - 1) })
    expect(round(nested(limits.depth))).toEqual(nested(limits.depth))
    expect(() => encodeValue(nested(limits.depth + 1))).toThrow("nested deeper than 128, or part of a cycle")
    const cycle: Record<string, unknown> = {}
    cycle["self"] = cycle
    expect(() => encodeValue(cycle)).toThrow("cycle")
    expect(() => encodeValue(Array.from({ length: limits.nodes + 1 }, () => []))).toThrow("more than 1000000 objects")
    expect(encodeValue("x".repeat(limits.bytes - 2))).toHaveLength(limits.bytes)
    expect(() => encodeValue("x".repeat(limits.bytes - 1))).toThrow("larger than 32 MiB")
  })

  it("lenient encoding never refuses: it describes", () => {
    class Odd {
      readonly _tag = "Odd"
      readonly f = () => 1
    }
    expect(decodeValue(encodeValue(new Odd(), true))).toEqual({ _tag: "Odd", f: "(a function)" })
    expect(decodeValue(encodeValue(Symbol("s"), true))).toBe("(a symbol)")
  })

  it("a marker from the future is said to be one", () => {
    expect(() => decodeValue("{\"$\":\"later\",\"v\":1}")).toThrow("a marker 'later' this version of Heddle does not know")
    expect(() => decodeValue("{\"$\":\"toString\"}")).toThrow("a marker 'toString'")
    expect(revive({ $: 1 })).toEqual({ $: 1 })
  })

  it("any JSON, our markers included, comes back unchanged", () => {
    const key = fc.oneof(fc.constantFrom("$", "v", "toJSON", "length"), fc.string()).filter((k) => k !== "__proto__" && k !== "constructor")
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.string(),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.constant(undefined),
        fc.bigInt(),
        fc.date(),
        fc.constantFrom("date", "map", "error"),
        tie("list"),
        tie("record"),
        tie("map"),
      ),
      list: fc.array(tie("value"), { maxLength: 4 }),
      record: fc.dictionary(key, tie("value"), { maxKeys: 4 }).map((record) => ({ ...record })),
      map: fc.array(fc.tuple(fc.string(), tie("value")), { maxLength: 3 }).map((entries) => new Map(entries)),
    }))
    fc.assert(
      fc.property(value, (given) => {
        expect(round(given)).toEqual(given)
      }),
      { numRuns: 500 },
    )
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined()
  })
})

describe("messages", () => {
  it("say something of whatever was thrown", () => {
    expect(messageOf(new Error("m"))).toBe("m")
    expect(messageOf(new Error(""))).toBe("error {}")
    expect(messageOf("text")).toBe("text")
    expect(messageOf(null)).toBe("null")
    expect(messageOf({ _tag: "T", n: 1 })).toBe("T {\"_tag\":\"T\",\"n\":1}")
    const cycle: Record<string, unknown> = {}
    cycle["self"] = cycle
    expect(messageOf(cycle)).toBe("error (cannot be shown as JSON)")
    expect(messageOf("x".repeat(20_000))).toHaveLength(16_384)
  })
})
