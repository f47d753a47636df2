/** Data in text: JSON, NDJSON, CSV, YAML, TOML, XML, as tools. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Csv from "effect/encoding/Csv"
import * as Toml from "effect/encoding/Toml"
import * as Xml from "effect/encoding/Xml"
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { tool } from "../../../dsl/flow/tool.ts"
import { messageOf } from "../../model/error.ts"
import { refuse, refusing, ToolRefused } from "./error.ts"
import { anything, object, oneOf, optional, text } from "./input.ts"
import { plain } from "./plain.ts"

const name = "parse_data"
/** Longest text, in characters, and longest record in it. */
const longest = 1_000_000
const record = 65_536

type Parse = (text: string, path: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>
const lines = (given: string): ReadonlyArray<string> => given.split("\n").filter((line) => line.trim() !== "")
const at = (value: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce((inner: unknown, key) => {
    const found = typeof inner === "object" && inner !== null && Object.hasOwn(inner, key) ?
      (inner as Record<string, unknown>)[key] :
      refuse(name, "missing", `there is no '${key}'`)
    return found
  }, value)
const rows = <A, E>(stream: Stream.Stream<A, E>) => Stream.runCollect(Stream.take(stream, 100_001))

const parsers: Readonly<Record<"json" | "ndjson" | "csv" | "yaml" | "toml" | "xml", Parse>> = {
  json: (given, path) => Effect.try({ try: () => at(plain(name, JSON.parse(given)), path), catch: (cause) => cause }),
  ndjson: (given, path) => Effect.try({ try: () => plain(name, lines(given).map((line) => at(JSON.parse(line), path))), catch: (cause) => cause }),
  yaml: (given, path) => Effect.try({ try: () => at(plain(name, Yaml.parse(given)), path), catch: (cause) => cause }),
  toml: (given, path) => Effect.try({ try: () => at(plain(name, Result.getOrThrow(Toml.parse(given))), path), catch: (cause) => cause }),
  csv: (given) =>
    Effect.map(
      rows(Stream.make(given).pipe(Stream.pipeThroughChannel(Csv.decodeString({ headers: true, ignoreEmptyLines: true, maxRecordSize: record })))),
      (all) => plain(name, all),
    ),
  xml: (given, path) =>
    Effect.map(
      rows(
        Stream.make(given).pipe(
          Stream.pipeThroughChannel(Xml.decodeString({ maxTokenSize: record, maxDepth: 64 })),
          Stream.pipeThroughChannel(Xml.elements(path.length === 0 ? ["*"] : [...path], { maxElementSize: longest })),
        ),
      ),
      (all) => plain(name, all),
    ),
}

const formatting = "format_data"
const listIn = (value: unknown, format: string): ReadonlyArray<unknown> =>
  Array.isArray(value) ? value : refuse(formatting, "value", `${format} is written from a list`)
const cell = (value: unknown): string => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value))

/** @throws ToolRefused where the format has no such values */
const written: Readonly<Record<"json" | "ndjson" | "csv", (value: unknown) => Effect.Effect<string>>> = {
  json: (value) => Effect.succeed(JSON.stringify(value, undefined, 2)),
  ndjson: (value) => Effect.succeed(listIn(value, "ndjson").map((one) => `${JSON.stringify(one)}\n`).join("")),
  csv: (value) => {
    const records = listIn(value, "csv").map((one) => {
      const fits = typeof one === "object" && one !== null && !Array.isArray(one)
      return new Map(Object.entries(fits ? one : refuse(formatting, "value", "CSV is written from a list of objects, one a line")))
    })
    const columns = [...new Set(records.flatMap((cells) => [...cells.keys()]))]
    const lines = Stream.fromIterable([columns, ...records.map((cells) => columns.map((key) => cell(cells.get(key))))])
    return Effect.map(Stream.runCollect(Stream.pipeThroughChannel(lines, Csv.encodeString())), (parts) => parts.join(""))
  },
}

/** Writes data as text. */
export const formatData = tool(formatting, {
  description: "Writes data as JSON, NDJSON (one value of a list a line) or CSV (one object of a list a line, the first line has the names).",
  input: object({ value: anything, format: oneOf("json", "ndjson", "csv") }),
  level: "safe",
}, ({ value, format }) =>
  Effect.gen(function*() {
    const text = yield* yield* refusing(() => written[format](plain(formatting, value)))(undefined)
    if (text.length <= longest) return text
    return yield* new ToolRefused({ tool: formatting, code: "too-much", reason: `it is longer than ${longest} characters` })
  }))

/** Reads data out of text. */
export const parseData = tool(name, {
  description: "Reads JSON, NDJSON, CSV (first line: names), YAML, TOML or XML; `path` (a.b.c) chooses a part, for XML the elements.",
  input: object({ text: text({ longest }), format: oneOf("json", "ndjson", "csv", "yaml", "toml", "xml"), path: optional(text({ longest: 1000 })) }),
  level: "safe",
}, ({ text: given, format, path }) =>
  Effect.catchCause(parsers[format](given, path === undefined ? [] : path.split(".")), (cause) => {
    const reason = Cause.squash(cause)
    return Effect.fail(
      reason instanceof ToolRefused ?
        reason :
        new ToolRefused({ tool: name, code: reason instanceof RangeError ? "too-deep" : "syntax", reason: messageOf(reason).slice(0, 300) }),
    )
  }))
