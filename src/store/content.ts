/** Content in chunks: compressed where that pays, checked when it is read. */
import { createHash, randomUUID } from "node:crypto"
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BlobRecord } from "../model/artifact.ts"
import { StoreFailed } from "../model/error.ts"
import type { Store } from "./store.ts"

type Service = Store["Service"]

/** Bytes of one chunk. */
export const chunkSize = 1024 * 1024
/** Content up to this size is not worth compressing. */
const worthwhile = 10 * 1024

const packed = (bytes: Uint8Array, encoding: BlobRecord["encoding"]): Uint8Array => (encoding === "zstd" ? zstdCompressSync(bytes) : bytes)

/** Keeps content as it comes, a chunk at a time in memory; gives what it is. Interrupted or failed, it leaves nothing. */
export function writeContent<E>(store: Service, content: Stream.Stream<Uint8Array, E>): Effect.Effect<BlobRecord, E | StoreFailed> {
  return Effect.suspend(() => {
    const upload = randomUUID()
    const hash = createHash("sha256")
    let [size, stored, chunks] = [0, 0, 0]
    let encoding: BlobRecord["encoding"] | undefined
    const rest: Array<Uint8Array> = []
    let pending = 0
    const write = (bytes: Uint8Array): Effect.Effect<void, StoreFailed> => {
      encoding ??= bytes.length > worthwhile && zstdCompressSync(bytes).length < bytes.length * 0.9 ? "zstd" : "plain"
      const kept = packed(bytes, encoding)
      stored += kept.length
      return store.blobs.write(upload, chunks++, kept)
    }
    const take = (bytes: Uint8Array): Effect.Effect<void, StoreFailed> => {
      hash.update(bytes)
      size += bytes.length
      rest.push(bytes)
      pending += bytes.length
      if (pending < chunkSize) return Effect.void
      const whole = Buffer.concat(rest)
      const full = whole.length - (whole.length % chunkSize)
      rest.splice(0, rest.length, whole.subarray(full))
      pending = whole.length - full
      return Effect.forEach(Array.from({ length: full / chunkSize }, (_, i) => whole.subarray(i * chunkSize, (i + 1) * chunkSize)), write, { discard: true })
    }
    const last = Effect.suspend(() => (pending === 0 ? Effect.void : write(Buffer.concat(rest))))
    const sealed = Effect.suspend(() => {
      const blob: BlobRecord = { hash: hash.digest("hex"), size, stored, encoding: encoding ?? "plain", chunks }
      return Effect.as(store.blobs.seal(upload, blob), blob)
    })
    const whole = Effect.andThen(Effect.andThen(Stream.runForEach(content, take), last), sealed)
    return Effect.onError(whole, () => Effect.ignore(store.blobs.abandon(upload)))
  })
}

/** Content that is in memory. */
export const writeWhole = (store: Service, hash: string, bytes: Uint8Array): Effect.Effect<void, StoreFailed> =>
  Effect.flatMap(store.blobs.get(hash), (found) => (found === undefined ? Effect.asVoid(writeContent(store, Stream.make(bytes))) : store.blobs.renew(hash)))

/** Content as it is kept, a chunk at a time; damaged content is an error and never taken for what it was. */
export function readContent(store: Service, { hash, chunks, encoding }: BlobRecord): Stream.Stream<Uint8Array, StoreFailed> {
  const damaged = (reason: string) => new StoreFailed({ store: store.name, operation: "read", reason: `content ${hash} ${reason}`, cause: undefined })
  return Stream.suspend(() => {
    const digest = createHash("sha256")
    const parts = Stream.mapEffect(Stream.range(0, chunks - 1), (n) =>
      Effect.flatMap(store.blobs.read(hash, n), (bytes) => {
        if (bytes === undefined) return Effect.fail(damaged(`lacks chunk ${n}`))
        try {
          const part = encoding === "zstd" ? zstdDecompressSync(bytes, { maxOutputLength: chunkSize }) : bytes
          digest.update(part)
          return Effect.succeed(part)
        } catch {
          return Effect.fail(damaged(`has a damaged chunk ${n}`))
        }
      }))
    const checked = Effect.suspend(() => (digest.digest("hex") === hash ? Effect.void : Effect.fail(damaged("is not what its hash says: it is damaged"))))
    return Stream.concat(parts, Stream.drain(Stream.fromEffect(checked)))
  })
}

/** All of it at once; `undefined` if there is none. */
export const readWhole = (store: Service, hash: string): Effect.Effect<Uint8Array | undefined, StoreFailed> =>
  Effect.flatMap(
    store.blobs.get(hash),
    (blob) => blob === undefined ? Effect.succeed(undefined) : Effect.map(Stream.runCollect(readContent(store, blob)), (parts) => Buffer.concat(parts)),
  )
