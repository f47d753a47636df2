/** Data out of text: JSON, NDJSON, CSV, YAML, TOML, XML, as a tool. */
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
import { refuse, ToolRefused } from "./error.ts"
import { object, oneOf, optional, text } from "./input.ts"
import { plain } from "./plain.ts"

const name = "parse_data"
/** Longest text that is read or written, in characters. */
export const longest = 1_000_000
/** Longest record in it. */
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
