/** Data as text: JSON, NDJSON, CSV, XML, as a tool. */
import * as Effect from "effect/Effect"
import * as Csv from "effect/encoding/Csv"
import * as Xml from "effect/encoding/Xml"
import * as Stream from "effect/Stream"
import { tool } from "../../../dsl/flow/tool.ts"
import { longest } from "./data.ts"
import { refuse, refusing, ToolRefused } from "./error.ts"
import { anything, object, oneOf } from "./input.ts"
import { plain } from "./plain.ts"

const name = "format_data"
const no = (reason: string) => refuse(name, "value", reason)
const listIn = (value: unknown, format: string): ReadonlyArray<unknown> => Array.isArray(value) ? value : no(`${format} is written from a list`)
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null && !Array.isArray(value)
const joined = <E>(parts: Stream.Stream<string, E>) => Effect.map(Stream.runCollect(parts), (all) => all.join(""))

const cell = (value: unknown): string => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value))

/** An element as `parse_data` gives it, as what is written. */
const elementEvents = (value: unknown): ReadonlyArray<Xml.Event> => {
  if (typeof value === "string") return [{ _tag: "Text", text: value }]
  const { name: called, attributes = {}, children = [] } = isRecord(value) ? value : {}
  const texts = isRecord(attributes) ? Object.entries(attributes) : []
  if (typeof called !== "string" || !isRecord(attributes) || !Array.isArray(children) || texts.some(([, one]) => typeof one !== "string")) {
    return no("XML is written from an element: { name, attributes: { of: texts }, children: [elements and texts] }")
  }
  const start = { _tag: "StartElement", name: called, attributes: Object.fromEntries(texts) as Readonly<Record<string, string>> } as const
  return [start, ...children.flatMap(elementEvents), { _tag: "EndElement", name: called }]
}

/** @throws ToolRefused where the format has no such values */
const written: Readonly<Record<"json" | "ndjson" | "csv" | "xml", (value: unknown) => Effect.Effect<string, { readonly message: string }>>> = {
  json: (value) => Effect.succeed(JSON.stringify(value, undefined, 2)),
  ndjson: (value) => Effect.succeed(listIn(value, "ndjson").map((one) => `${JSON.stringify(one)}\n`).join("")),
  csv: (value) => {
    const records = listIn(value, "csv").map((one) => new Map(Object.entries(isRecord(one) ? one : no("CSV is written from a list of objects, one a line"))))
    const columns = [...new Set(records.flatMap((cells) => [...cells.keys()]))]
    if (columns.length * records.length > longest) no(`it would have ${columns.length} columns in ${records.length} lines`)
    const lines = Stream.fromIterable([columns, ...records.map((cells) => columns.map((key) => cell(cells.get(key))))])
    return joined(Stream.pipeThroughChannel(lines, Csv.encodeString()))
  },
  xml: (value) => joined(Stream.pipeThroughChannel(Stream.fromIterable([value].flat().flatMap(elementEvents)), Xml.encodeString())),
}

/** Writes data as text. */
export const formatData = tool(name, {
  description: "Writes data as JSON, NDJSON (one value of a list a line), CSV (one object of a list a line, the first line has the names) or XML " +
    "(an element: { name, attributes, children }).",
  input: object({ value: anything, format: oneOf("json", "ndjson", "csv", "xml") }),
  level: "safe",
}, ({ value, format }) =>
  Effect.gen(function*() {
    const writing = yield* refusing(() => written[format](plain(name, value)))(undefined)
    const text = yield* Effect.mapError(writing, ({ message }) => new ToolRefused({ tool: name, code: "value", reason: message.slice(0, 300) }))
    if (text.length <= longest) return text
    return yield* new ToolRefused({ tool: name, code: "too-much", reason: `it is longer than ${longest} characters` })
  }))
