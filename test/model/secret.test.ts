/** Values without their secrets, and what stays as it was. */
import { inspect } from "node:util"
import { Data } from "effect"
import { secret } from "heddle"
import { describe, expect, it } from "vitest"
import { redact } from "../../src/model/secret.ts"
import { decodeValue, encodeValue } from "../../src/model/value.ts"
import { withoutSecrets } from "../../src/model/without-secrets.ts"

const keys = ["90210777", "nvapi-XYZ123", "undefined", "p@ss w0rd!'(x)\"y", "\u00fcml\u00e4uts!!"]
const hidden = (value: unknown) => keys.filter((key) => key !== "undefined" && inspect(value, { depth: 50, showHidden: true }).includes(key))

describe("secrets", () => {
  const before = { plain: "nvapi-XYZ123" }
  it("nothing is looked for before there is one", () => {
    expect(withoutSecrets(before)).toBe(before)
    for (const key of keys) secret(key)
  })

  it("numbers, times, markers and text around them come back as they were", () => {
    const value = {
      user: 90210777,
      ts: 1790210777000,
      big: 90210777n,
      none: undefined,
      text: "x\nnvapi-XYZ123",
      date: new Date(90210777),
      odd: [Number.NaN, -0],
    }
    const back = decodeValue(encodeValue(value)) as typeof value
    expect(back).toEqual({ ...value, text: "x\n[redacted]" })
    expect(withoutSecrets(value)).toEqual(back)
  })

  it("is found in every form it may be written in", () => {
    const key = keys[3]!
    for (
      const text of [
        key,
        JSON.stringify({ key }),
        JSON.stringify({ a: JSON.stringify({ key }) }),
        `https://x/?k=${encodeURIComponent(key)}`,
        `https://x/?${new URLSearchParams({ k: key }).toString()}`,
        encodeURIComponent(key).toLowerCase().replace("p%40ss%20w0rd", "p%40ss%20w0rd"),
        ...["", "u:", "us:"].map((user) => Buffer.from(`${user}${key}`).toString("base64")),
      ]
    ) {
      expect([text, redact(text).includes("[redacted]")]).toEqual([text, true])
    }
    expect(() => secret("\ud800 lone surrogate")).not.toThrow()
  })

  it("is taken out of everything a value is made of; two keys stay two", () => {
    const shared = { k: "nvapi-XYZ123" }
    const cycle: Record<string, unknown> = { shared, again: shared, list: ["nvapi-XYZ123", 1] }
    cycle["self"] = cycle
    const clean = withoutSecrets(cycle) as any
    expect([clean.self === clean, clean.shared === clean.again, clean.list, hidden(clean)]).toEqual([true, true, ["[redacted]", 1], []])
    expect(shared.k).toBe("nvapi-XYZ123")
    expect(withoutSecrets({ "nvapi-XYZ123": 1, "90210777": 2 })).toEqual({ "[redacted]": 2, "[redacted] 2": 1 })
    expect(withoutSecrets(new Map([["nvapi-XYZ123", 1], ["90210777", 2]]))).toEqual(new Map([["[redacted]", 1], ["[redacted] 2", 2]]))
    expect(withoutSecrets(new Set(["nvapi-XYZ123"]))).toEqual(new Set(["[redacted]"]))
    expect(Buffer.from(withoutSecrets(Buffer.from("xx \u00fcml\u00e4uts!!"))).toString()).toBe("xx [redacted]")
    const bytes = Buffer.from("none")
    expect(withoutSecrets(bytes)).toBe(bytes)
    expect(withoutSecrets({ bytes, k: "nvapi-XYZ123" }).bytes).toBe(bytes)
    class Point {
      readonly at = "nvapi-XYZ123"
      get there() {
        return this.at
      }
    }
    const point = withoutSecrets({ point: new Point(), when: new Date(5), work: () => 1, none: Object.create(null) as object, nil: null })
    expect([point.point instanceof Point, point.point.there, point.when.getTime(), point.work()]).toEqual([true, "[redacted]", 5, 1])
    expect(withoutSecrets(Object.defineProperty({ k: "nvapi-XYZ123" }, "bad", {
      enumerable: true,
      get: () => {
        throw new Error("no")
      },
    }))).toEqual({ k: "[redacted]", bad: undefined })
    let deep: unknown = "nvapi-XYZ123"
    for (let i = 0; i < 50_000; i++) deep = [deep]
    expect(hidden(withoutSecrets(deep))).toEqual([])
  })

  it("errors stay what they are", () => {
    const plain = new Error("fine")
    expect(withoutSecrets(plain)).toBe(plain)
    class Tagged extends Data.TaggedError("Tagged")<{ readonly why: string }> {}
    class Odd extends Error {
      readonly #code = "nvapi-XYZ123"
      get code() {
        return this.#code
      }
    }
    const errors = [
      new DOMException("bad nvapi-XYZ123", "AbortError"),
      new Tagged({ why: "nvapi-XYZ123" }),
      new Odd("nvapi-XYZ123", { cause: new Error("nvapi-XYZ123") }),
      Object.assign(new TypeError("nvapi-XYZ123"), { config: { headers: { authorization: "Bearer nvapi-XYZ123" }, validate: () => true } }),
    ]
    for (const error of errors) {
      const clean = withoutSecrets(error)
      expect([clean instanceof error.constructor, clean.name, hidden([clean.message, clean.stack, JSON.stringify(clean), clean.cause])]).toEqual([
        true,
        error.name,
        [],
      ])
    }
    expect(Object.prototype.toString.call(withoutSecrets(errors[1])) === "[object Error]").toBe(true)
    const all = Array.from({ length: 8 }, (_, i) => new Error(`nvapi-XYZ123 ${i}`))
    for (const one of all) Object.assign(one, { others: all, cause: one })
    const began = performance.now()
    expect(hidden(withoutSecrets(all[0]))).toEqual([])
    expect(performance.now() - began).toBeLessThan(5000)
  })
})
