/** Which outputs can be recorded, so that a resumed run reads them back. */

/** What our codec round-trips. Inferred object types match this in one cheap comparison. */
export type Storable =
  | string
  | number
  | boolean
  | bigint
  | null
  | undefined
  | void
  | Date
  | Error
  | Uint8Array
  | ReadonlyMap<Storable, Storable>
  | ReadonlySet<Storable>
  | ReadonlyArray<Storable>
  | { readonly [key: string]: Storable }

type Depth = [never, 0, 1, 2, 3, 4, 5]

/**
 * The parts of `T` that cannot be recorded, as `"path: kind"` strings; `never` when all can.
 *
 * Interfaces do not match an index signature, so they are looked at key by key, five levels deep.
 */
export type NotStorable<T, Path extends string = "", D extends number = 5> = unknown extends T ? never :
  [D] extends [never] ? never :
  T extends Storable ? never :
  T extends symbol ? `${Here<Path>}: symbol` :
  T extends (...args: never) => unknown ? `${Here<Path>}: function` :
  T extends PromiseLike<unknown> ? `${Here<Path>}: promise` :
  T extends AsyncIterable<unknown> | ReadableStream ? `${Here<Path>}: stream` :
  T extends Instance ? `${Here<Path>}: class instance` :
  T extends ReadonlyMap<infer K, infer V> ? NotStorable<K, `${Path}<key>`, Depth[D]> | NotStorable<V, `${Path}<value>`, Depth[D]> :
  T extends ReadonlySet<infer V> ? NotStorable<V, `${Path}<value>`, Depth[D]> :
  T extends ReadonlyArray<infer E> ? NotStorable<E, `${Path}[]`, Depth[D]> :
  { [K in keyof T]-?: K extends string ? NotStorable<T[K], Path extends "" ? K : `${Path}.${K}`, Depth[D]> : `${Here<Path>}: symbol key` }[keyof T]

type Here<Path extends string> = Path extends "" ? "the value" : Path
type ReadableStream = { readonly getReader: (...args: never) => unknown }
type Instance = RegExp | WeakMap<WeakKey, unknown> | WeakSet<WeakKey> | ArrayBuffer | { readonly searchParams: unknown } | { readonly aborted: boolean }
