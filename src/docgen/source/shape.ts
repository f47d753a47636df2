/** Types as text that stands alone: named types are spelled out, so that a change inside them is seen. */
import type { Node, Type } from "ts-morph"

/** Written by their names: they mean the same everywhere. */
const known = new Set(["Date", "Map", "Set", "ReadonlyMap", "ReadonlySet", "Uint8Array", "Error"])
/** Deeper types are written as `unknown`. */
const deepest = 12

/** `type`, as it is seen from `at`. */
export function shapeOf(type: Type, at: Node, depth = 0): string {
  const inner = (of: Type) => shapeOf(of, at, depth + 1)
  if (depth > deepest) return "unknown"
  if (type.isBoolean()) return "boolean"
  if (type.isUnion()) return union(type, inner)
  if (type.isTuple()) return `${isReadonly(type) ? "readonly " : ""}[${type.getTupleElements().map(inner).join(", ")}]`
  const name = type.getSymbol()?.getName() ?? ""
  const element = type.getArrayElementType()
  if (element !== undefined) return `${name === "ReadonlyArray" ? name : "Array"}<${inner(element)}>`
  if (known.has(name)) {
    const args = name === "Date" || name === "Error" || name === "Uint8Array" ? [] : type.getTypeArguments()
    return args.length === 0 ? name : `${name}<${args.map(inner).join(", ")}>`
  }
  if (!type.isObject()) return type.getText(at)
  const index = type.getStringIndexType()
  const properties = type.getProperties().map((property) => {
    const optional = property.isOptional()
    return `${JSON.stringify(property.getName())}${optional ? "?" : ""}: ${inner(property.getTypeAtLocation(at))}`
  }).sort()
  return `{ ${[...(index === undefined ? [] : [`[key: string]: ${inner(index)}`]), ...properties].join("; ")} }`
}

/** Only the compiler's own object tells whether a tuple may be changed. */
const isReadonly = (tuple: Type): boolean => (tuple.compilerType as { readonly target?: { readonly readonly?: boolean } }).target?.readonly === true

const union = (type: Type, inner: (of: Type) => string): string => {
  const members = type.getUnionTypes()
  // the compiler sees boolean as true | false
  const both = members.filter((member) => member.isBooleanLiteral()).length === 2
  const parts = members.filter((member) => !both || !member.isBooleanLiteral()).map(inner)
  return [...new Set([...parts, ...(both ? ["boolean"] : [])])].sort().join(" | ")
}
