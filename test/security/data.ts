/** Attacks by data. */
import { gzipSync } from "node:zlib"
import { seq, state } from "heddle"
import { findText, parseData, replaceText, web } from "heddle/tools"
import { z } from "zod"
import { makeHeddle } from "../../src/engine/heddle.ts"
import { decodeValue, encodeValue } from "../../src/model/value.ts"
import { memoryStore } from "../../src/store/memory/store.ts"
import { allRefused, type Attack, effect, hostile, isClean, serving, thrown, used } from "./kit.ts"

export const data: ReadonlyArray<Attack> = [
  {
    id: 32,
    attack: "keys that attack prototypes, in input, state, signal, tool output and every format",
    run: async () => {
      const heddle = makeHeddle(memoryStore())
      const key = state<any, "k">("k", { scope: "global" })
      const any = z.any()
      const flow = seq("f", { input: any }).step("s", (): any => JSON.parse(hostile)).wait("go", { schema: any })
      const outcomes = [
        await effect(heddle.run(flow, JSON.parse(hostile))),
        await effect(heddle.run(flow, 1)),
        await effect(heddle.state().set(key, JSON.parse(hostile))),
        thrown(() => encodeValue({ constructor: { prototype: { x: 1 } } })),
        thrown(() => decodeValue("{\"$\":\"record\",\"v\":{\"__proto__\":1}}")),
        ...await Promise.all(
          [["json", hostile], ["ndjson", hostile], ["yaml", "__proto__: {a: 1}"], ["toml", "[__proto__]\na = 1"], ["csv", "__proto__\n1\n"]].map((
            [format, text],
          ) => used(parseData, { format, text })),
        ),
        ...await Promise.all(["constructor", "prototype"].map((name) => used(parseData, { format: "json", text: JSON.stringify({ [name]: 1 }) }))),
      ]
      const refused = outcomes.filter((one) => !String(one).startsWith("done"))
      return { outcome: [...new Set(refused)].join(", "), pass: isClean() && outcomes.length - refused.length <= 1 }
    },
  },
  {
    id: 33,
    attack: "depth, width, size, cycles, lone surrogates, NaN, -0, bigint, NUL",
    run: async () => {
      let deep: unknown = 1
      for (let i = 0; i < 100_000; i++) deep = [deep]
      const cycle: Record<string, unknown> = {}
      cycle["self"] = cycle
      const refused = [thrown(() => encodeValue(deep)), thrown(() => encodeValue(cycle)), thrown(() => encodeValue("x".repeat(33 * 2 ** 20)))]
      const odd = [Number.NaN, -0, 10n ** 30n, "\uD800", "\u0000", Number.POSITIVE_INFINITY]
      const back = decodeValue(encodeValue(odd)) as ReadonlyArray<unknown>
      const texts = [
        await used(parseData, { format: "json", text: "[".repeat(100_000) }),
        await used(parseData, { format: "json", text: `${"[".repeat(200)}${"]".repeat(200)}` }),
        await used(parseData, { format: "yaml", text: "[".repeat(50_000) }),
      ]
      return {
        outcome: [...refused, ...texts].join(", "),
        pass: refused.every((one) => one === "Error") && odd.every((value, i) => Object.is(value, back[i])) &&
          texts.every((one) => ["syntax", "too-deep", "too-much"].includes(one)),
      }
    },
  },
  {
    id: 34,
    attack: "YAML alias bomb, packed bombs, endless CSV and XML, entity bombs",
    run: async () => {
      const aliases = [
        "a: &a [x,x,x,x,x,x,x,x,x,x]",
        ..."bcdefgh".split("").map((name, i) => `${name}: &${name} [${Array.from({ length: 10 }, () => `*${"abcdefg"[i]}`).join(",")}]`),
      ].join("\n")
      const outcomes = [
        await used(parseData, { format: "yaml", text: aliases }),
        await used(parseData, { format: "csv", text: `a\n${"x".repeat(100_000)}` }),
        await used(parseData, { format: "xml", text: "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>" }),
        await used(parseData, { format: "xml", text: "<a>".repeat(5000) }),
        await used(parseData, { format: "json", text: JSON.stringify(Array.from({ length: 60 }, () => "x".repeat(100_000))).slice(0, 999_999) }),
      ]
      const bomb = gzipSync(Buffer.alloc(100 * 2 ** 20))
      const packed = await serving(
        (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(bomb),
        (port) => used(web({ addresses: ["127.0.0.1"], ports: [port] }).request, { url: `http://127.0.0.1:${port}/` }),
      )
      const odd = await serving(
        (_, response) => response.writeHead(200, { "content-encoding": "gzip, gzip" }).end(bomb),
        (port) => used(web({ addresses: ["127.0.0.1"], ports: [port] }).request, { url: `http://127.0.0.1:${port}/` }),
      )
      return allRefused([...outcomes, packed, odd], ["too-much", "syntax", "too-deep", "size", "encoding"])
    },
  },
  {
    id: 45,
    attack: "patterns that take for ever",
    run: async () => {
      const began = performance.now()
      const outcomes = [
        await used(findText, { text: `${"a".repeat(50_000)}!`, pattern: "^(a+)+$" }),
        await used(findText, { text: "a".repeat(20_000), pattern: "a.*Z|a" }),
        await used(replaceText, { text: "x".repeat(100_000), pattern: "(x+x+)+y", by: "" }),
        await used(findText, { text: "a", pattern: "(".repeat(1001) }),
      ]
      const took = performance.now() - began
      return {
        outcome: `${outcomes.map((one) => String(one).slice(0, 20)).join(", ")} in ${took < 2000 ? "under 2 s" : `${Math.round(took)} ms`}`,
        pass: took < 2000,
      }
    },
  },
  {
    id: 47,
    attack: "values that look like our own markers",
    run: async () => {
      const values = [{ $: "date", v: "2020-01-01" }, { $: "record", v: 1 }, { blob: "x".repeat(64) }, { _tag: "RunFailed" }, { $: { $: "undefined" } }, [{
        $: "map",
        v: [],
      }], { v: 1, r: {} }]
      const heddle = makeHeddle(memoryStore())
      const flow = seq("f", { input: z.any() }).step("same", ({ input }): any => input).wait("go").step("again", ({ same }): any => same)
      const back = await Promise.all(values.map(async (value, i) => {
        await effect(heddle.run(flow as any, value, { id: `r${i}`, onSuspend: "return" }))
        await effect((heddle as any).signal(flow, `r${i}`, "go", undefined))
        return (await effect(heddle.resume(flow as any, `r${i}`)) as { again: unknown }).again
      }))
      return { outcome: "come back as they were", pass: JSON.stringify(back) === JSON.stringify(values) }
    },
  },
]
