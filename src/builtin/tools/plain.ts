/** Whatever a parser gave, as plain JSON within bounds: no alias is followed for ever, no key attacks prototypes. */
import { refuse } from "./error.ts"

const bounds = { depth: 64, nodes: 100_000, characters: 5_000_000 } as const
const attacks: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])

/** A copy; it does not call itself, so that no depth breaks it. */
export function plain(tool: string, value: unknown): unknown {
  const box: Record<string, unknown> = {}
  const todo: Array<{ readonly value: unknown; readonly into: Record<string, unknown>; readonly key: string; readonly depth: number }> = [{
    value,
    into: box,
    key: "value",
    depth: 0,
  }]
  let [nodes, characters] = [0, 0]
  const count = (text: string) => {
    characters += text.length
    if (characters > bounds.characters) refuse(tool, "too-much", `it has more than ${bounds.characters} characters`)
  }
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { into, key, depth } = next
    if (++nodes > bounds.nodes) refuse(tool, "too-much", `it has more than ${bounds.nodes} parts`)
    if (depth > bounds.depth) refuse(tool, "too-deep", `it is nested deeper than ${bounds.depth}`)
    into[key] = copied(tool, next.value, count, (inner, own, at) => todo.push({ value: inner, into: own, key: at, depth: depth + 1 }))
  }
  return box["value"]
}

const copied = (
  tool: string,
  value: unknown,
  count: (text: string) => void,
  push: (value: unknown, into: Record<string, unknown>, key: string) => void,
): unknown => {
  if (typeof value === "string") return count(value), value
  if (value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return value
  if (value instanceof Date) return value.toISOString()
  if (typeof value !== "object") return refuse(tool, "value", "it has a value that JSON does not have: NaN, an infinity, a bigint")
  const keys = Object.keys(value)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an array's keys are its indices
  const copy = (Array.isArray(value) ? [] : {}) as Record<string, unknown>
  for (const key of keys) {
    if (attacks.has(key)) refuse(tool, "key", `the key '${key}' attacks prototypes`)
    count(key)
    // in their order, before they are filled
    copy[key] = undefined
    push((value as Record<string, unknown>)[key], copy, key)
  }
  return copy
}
