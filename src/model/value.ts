/** The one codec for everything that is recorded: values in, JSON text out, and back without loss. */
import { withoutSecrets } from "./without-secrets.ts"

/** Where a value cannot be recorded, and why. */
export class Unstorable extends Error {
  readonly at: string
  readonly reason: string
  constructor(at: string, reason: string) {
    super(`${at}: ${reason}`)
    this.at = at
    this.reason = reason
  }
}

/** Bounds on one value. */
export const limits = { depth: 128, nodes: 1_000_000, bytes: 32 * 1024 * 1024 } as const
/** Errors drag whole requests and sockets along: of them a little is kept, and never refused. */
const lenientLimits = { depth: 8, nodes: 10_000 } as const

/** Our marker: an object with this key is not the author's; theirs with such a key is wrapped. */
const mark = "$"

/**
 * A value as JSON text.
 *
 * `Date`, `Map`, `Set`, `bigint`, bytes, `Error`, `undefined`, `NaN`, `-0` and the infinities come back as they were.
 * With `lenient`, what cannot be kept is replaced by a description: for errors, which must never hide themselves.
 *
 * Secrets are not in it.
 *
 * @throws Unstorable for functions, symbols, class instances, promises, cycles, hostile keys, and beyond `limits`
 */
export function encodeValue(given: unknown, lenient = false): string {
  const value = withoutSecrets(given)
  // plain values are by far the most; one look tells, and the engine's own stringify does the rest
  const text = typeof value === "string" || typeof value === "boolean" || value === null ?
    JSON.stringify(value) :
    typeof value === "number" && Number.isFinite(value) && !Object.is(value, -0) ?
    String(value) :
    JSON.stringify(new Encoder(lenient).encode(value, "", 0))
  if (text.length > limits.bytes) throw new Unstorable("", `larger than ${limits.bytes / 1024 / 1024} MiB as JSON`)
  return text
}

class Encoder {
  readonly #lenient: boolean
  #nodes = 0

  constructor(lenient: boolean) {
    this.#lenient = lenient
  }

  /** `value` itself where it is plain JSON, else a copy with markers. */
  encode(value: unknown, at: string, depth: number): unknown {
    switch (typeof value) {
      case "string":
      case "boolean":
        return value
      case "number":
        return Number.isFinite(value) && !Object.is(value, -0) ? value : { [mark]: "number", v: Object.is(value, -0) ? "-0" : String(value) }
      case "undefined":
        return { [mark]: "undefined" }
      case "bigint":
        return { [mark]: "bigint", v: String(value) }
      case "object":
        return value === null ? null : this.#object(value, at, depth)
      default:
        return this.#refuse(at, `a ${typeof value}`)
    }
  }

  #object(value: object, at: string, depth: number): unknown {
    const { depth: deepest, nodes } = this.#lenient ? lenientLimits : limits
    if (depth >= deepest) return this.#refuse(at, `nested deeper than ${deepest}, or part of a cycle`)
    if (++this.#nodes > nodes) return this.#refuse(at, `more than ${nodes} objects`)
    if (Array.isArray(value)) return this.#list(value, at, depth)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) return this.#record(value, at, depth)
    if (value instanceof Date) return { [mark]: "date", v: Number.isNaN(value.getTime()) ? null : value.toISOString() }
    if (value instanceof Map) {
      return {
        [mark]: "map",
        v: Array.from(value, ([k, v], i) => [this.encode(k, `${at}<key ${i}>`, depth + 1), this.encode(v, `${at}<value ${i}>`, depth + 1)]),
      }
    }
    if (value instanceof Set) return { [mark]: "set", v: Array.from(value, (v, i) => this.encode(v, `${at}<value ${i}>`, depth + 1)) }
    if (value instanceof Uint8Array) return { [mark]: "bytes", v: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") }
    if (value instanceof Error) return this.#error(value, at, depth)
    if (this.#lenient) return this.#record({ ...value }, at, depth)
    return this.#refuse(at, value instanceof Promise ? "a promise" : `an instance of ${nameOfClass(value)}`)
  }

  #list(list: ReadonlyArray<unknown>, at: string, depth: number): unknown {
    let copy: Array<unknown> | undefined
    for (let i = 0; i < list.length; i++) {
      const encoded = this.encode(list[i], `${at}[${i}]`, depth + 1)
      if (copy === undefined && encoded !== list[i]) copy = list.slice(0, i)
      copy?.push(encoded)
    }
    return copy ?? list
  }

  #record(record: object, at: string, depth: number): unknown {
    if (Object.getOwnPropertySymbols(record).length > 0) this.#refuse(at, "a record with symbol keys")
    const source = record as Readonly<Record<string, unknown>>
    const keys = Object.keys(source)
    let copy: Record<string, unknown> | undefined = "toJSON" in source ? {} : undefined
    let marked = false
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!
      const value = source[key]
      if (key === "__proto__" || (key === "constructor" && hasPrototypeKey(value))) {
        return this.#refuse(join(at, key), "a key that attacks prototypes")
      }
      if (key === mark) marked = true
      const encoded = this.encode(value, join(at, key), depth + 1)
      if (copy === undefined && encoded !== value) {
        copy = {}
        for (let j = 0; j < i; j++) copy[keys[j]!] = source[keys[j]!]
      }
      if (copy !== undefined) copy[key] = encoded
    }
    return marked ? { [mark]: "record", v: copy ?? source } : copy ?? source
  }

  #error(error: Error, at: string, depth: number): unknown {
    const own = this.encode({ ...error }, at, depth + 1)
    const cause = error.cause === undefined ? {} : { cause: this.encode(error.cause, join(at, "cause"), depth + 1) }
    return { [mark]: "error", name: error.name, message: error.message.slice(0, 16_384), stack: error.stack?.slice(0, 65_536) ?? null, own, ...cause }
  }

  #refuse(at: string, reason: string): unknown {
    if (this.#lenient) return `(${reason})`
    throw new Unstorable(at, reason)
  }
}

const nameOfClass = (value: object): string => {
  const { constructor: made } = value as { readonly constructor?: unknown }
  return typeof made === "function" && made.name !== "" ? made.name : "a class"
}
const join = (at: string, key: string): string => (at === "" ? key : `${at}.${key}`)
const hasPrototypeKey = (value: unknown): boolean => typeof value === "object" && value !== null && Object.hasOwn(value, "prototype")

/** The value that `encodeValue` turned into `text`. */
export function decodeValue(text: string): unknown {
  const parsed: unknown = JSON.parse(text)
  return text.includes(`"${mark}":`) ? revive(parsed) : parsed
}

/** The same for a part of a parsed text. */
export function revive(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(revive)
  const record = value as Readonly<Record<string, unknown>>
  return typeof record[mark] === "string" ? reviveMarked(record[mark], record) : reviveRecord(record)
}

const reviveRecord = (record: object): Record<string, unknown> => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, revive(value)]))

type Marked = { readonly v?: any; readonly name?: any; readonly message?: any; readonly stack?: any; readonly own?: any; readonly cause?: any }
const revivers: Readonly<Record<string, (marked: Marked) => unknown>> = {
  undefined: () => undefined,
  number: ({ v }) => Number(v),
  bigint: ({ v }) => BigInt(v),
  date: ({ v }) => new Date(v ?? Number.NaN),
  map: ({ v }) => new Map(v.map(([key, value]: [unknown, unknown]) => [revive(key), revive(value)])),
  set: ({ v }) => new Set(v.map(revive)),
  bytes: ({ v }) => new Uint8Array(Buffer.from(v, "base64")),
  record: ({ v }) => reviveRecord(v),
  error: ({ name, message, stack, own, cause }) => {
    const error = new Error(message, cause === undefined ? {} : { cause: revive(cause) })
    Object.defineProperties(error, {
      name: { value: name, configurable: true, writable: true },
      stack: { value: stack ?? undefined, configurable: true, writable: true },
    })
    return Object.assign(error, revive(own))
  },
}
const reviveMarked = (kind: string, marked: Marked): unknown => {
  const reviver = Object.hasOwn(revivers, kind) ? revivers[kind] : undefined
  if (reviver === undefined) throw new Unstorable("", `a marker '${kind}' this version of Heddle does not know`)
  return reviver(marked)
}

/** For `JSON.stringify`: what JSON has no word for. */
export const asJson = (_key: string, value: unknown): unknown =>
  typeof value === "bigint" ? `${value}n` : value instanceof Map ? Object.fromEntries(value) : value instanceof Set ? [...value] : value
