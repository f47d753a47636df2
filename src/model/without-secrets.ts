/** Values without their secrets: strings, keys and bytes are looked at, and where something is found a copy is given. */
import { hasSecrets, mask, redact } from "./secret.ts"

/** Deeper than anything that can be recorded. */
const deepest = 200

/** The value itself where nothing in it is secret; else a copy, of the same classes. What a class keeps in private is not looked at. */
export const withoutSecrets = <A>(value: A): A =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of the same shape
  hasSecrets() && hides(value) ? copied(value, new Map(), 0) as A : value

const isRecord = (value: unknown): value is object => typeof value === "object" && value !== null
/** A getter may throw. */
const read = (value: object, key: PropertyKey): unknown => {
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}
const bytes = (value: Uint8Array): Uint8Array => {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("latin1")
  const clean = redact(text)
  return clean === text ? value : new Uint8Array(Buffer.from(clean, "latin1"))
}

/** Calls nothing of itself, so that no depth breaks it. */
function hides(root: unknown): boolean {
  const seen = new Set<object>()
  const todo: Array<unknown> = [root]
  while (todo.length > 0) {
    const one = todo.pop()
    if (typeof one === "string" && redact(one) !== one) return true
    if (!isRecord(one) || seen.has(one)) continue
    seen.add(one)
    if (one instanceof Uint8Array) {
      if (bytes(one) !== one) return true
    } else {
      if (one instanceof Map || one instanceof Set) { for (const [key, value] of one.entries()) todo.push(key, value) }
      if (one instanceof Error) todo.push(read(one, "message"))
      for (const key of Reflect.ownKeys(one)) todo.push(key, read(one, key))
    }
  }
  return false
}

type Made = Map<object, unknown>
function copied(value: unknown, made: Made, depth: number): unknown {
  if (typeof value === "string") return redact(value)
  if (!isRecord(value)) return value
  if (depth > deepest) return mask
  if (made.has(value)) return made.get(value)
  const copy = shellOf(value)
  made.set(value, copy)
  const inner = (one: unknown) => copied(one, made, depth + 1)
  if (copy instanceof Map) { for (const [key, one] of value as Map<unknown, unknown>) copy.set(free(inner(key), (at) => copy.has(at)), inner(one)) }
  else if (copy instanceof Set) { for (const one of value as Set<unknown>) copy.add(inner(one)) }
  else if (copy !== value && !(copy instanceof Uint8Array)) {
    for (const key of Reflect.ownKeys(value)) {
      if (Array.isArray(value) && key === "length") continue
      const at = typeof key === "string" ? free(redact(key), (one) => Object.hasOwn(copy, one) && one !== "stack") as string : key
      Object.defineProperty(copy, at, {
        value: inner(read(value, key)),
        enumerable: Object.prototype.propertyIsEnumerable.call(value, key),
        writable: true,
        configurable: true,
      })
    }
    if (value instanceof Error) {
      for (const key of ["name", "message"]) {
        Object.defineProperty(copy, key, { value: inner(read(value, key)), enumerable: false, writable: true, configurable: true })
      }
    }
  }
  return copy
}
/** Two keys that are secrets stay two. */
const free = (key: unknown, isTaken: (key: string) => boolean): unknown => {
  let own = key
  for (let i = 2; typeof own === "string" && isTaken(own); i++) own = `${String(key)} ${i}`
  return own
}

/** What the copy is, still empty; what has nothing of its own is itself: dates, URLs. */
const shellOf = (value: object): object => {
  if (Array.isArray(value)) return []
  if (value instanceof Map) return new Map()
  if (value instanceof Set) return new Set()
  if (value instanceof Uint8Array) return bytes(value)
  // a real one: what only errors have cannot be given to another object
  if (value instanceof Error) return Object.setPrototypeOf(new Error(), Object.getPrototypeOf(value) as object) as Error
  return Reflect.ownKeys(value).length === 0 && Object.getPrototypeOf(value) !== Object.prototype ?
    value :
    Object.create(Object.getPrototypeOf(value) as object | null) as object
}
