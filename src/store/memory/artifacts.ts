/** Artifacts and their content in this process. */
import * as Effect from "effect/Effect"
import type { ArtifactRecord, BlobRecord } from "../../model/artifact.ts"
import type { Artifacts, Blobs } from "../store.ts"
import { overQuota } from "../quota.ts"

/** `referred` are the hashes that events refer to. */
export function memoryArtifacts(referred: () => ReadonlySet<string>): { readonly artifacts: Artifacts; readonly blobs: Blobs } {
  let kept: ReadonlyArray<ArtifactRecord> = []
  let made = 0
  const uploads = new Map<string, { readonly at: number; readonly chunks: Array<Uint8Array> }>()
  const blobs = new Map<string, { readonly blob: BlobRecord; readonly at: number; readonly chunks: ReadonlyArray<Uint8Array> }>()
  const own = (session: string, name: string) => kept.filter((one) => one.session === session && one.name === name)
  const usageOf = (session: string) => {
    const all = kept.filter((one) => one.session === session)
    return { count: all.length, bytes: all.reduce((sum, { size }) => sum + size, 0) }
  }
  return {
    artifacts: {
      put: (given, quota) =>
        Effect.suspend(() => {
          const versions = own(given.session, given.name)
          const newest = versions.at(-1)
          const same = versions.findLast(({ hash, by, version }) =>
            hash === given.hash && (version === newest?.version || (by !== undefined && by === given.by))
          )
          if (same !== undefined && given.version === undefined) return Effect.succeed(same)
          const refused = overQuota(given, usageOf(given.session), quota)
          if (refused !== undefined) return Effect.fail(refused)
          const artifact = { ...given, nr: ++made, version: given.version ?? (newest?.version ?? 0) + 1, createdAt: Date.now() }
          kept = [...kept, artifact]
          return Effect.succeed(artifact)
        }),
      get: (session, name, version) => Effect.sync(() => own(session, name).findLast((one) => version === undefined || one.version === version)),
      list: ({ session, name, type, mime, tag, hash, by, newest = false, after, before, limit = 50, below }) =>
        Effect.sync(() =>
          kept.toReversed().filter((one) =>
            (session === undefined || one.session === session) && (name === undefined || one.name.includes(name)) &&
            (type === undefined || one.type === type) &&
            (mime === undefined || one.mime === mime) && (tag === undefined || one.tags.includes(tag)) && (hash === undefined || one.hash === hash) &&
            (by === undefined || one.by === by || one.by?.startsWith(`${by}/`) === true) && (after === undefined || one.createdAt > after) &&
            (before === undefined || one.createdAt < before) && (below === undefined || one.nr < below) &&
            (!newest || own(one.session, one.name).at(-1) === one)
          ).slice(0, limit)
        ),
      usage: (session) => Effect.sync(() => usageOf(session)),
      change: (nr, change) => Effect.sync(() => void (kept = kept.map((one) => (one.nr === nr ? { ...one, ...change } : one)))),
      remove: (nrs) => Effect.sync(() => void (kept = kept.filter(({ nr }) => !nrs.includes(nr)))),
    },
    blobs: {
      write: (upload, n, bytes) =>
        Effect.sync(() => {
          const found = uploads.get(upload) ?? { at: Date.now(), chunks: [] }
          found.chunks[n] = bytes.slice()
          uploads.set(upload, found)
        }),
      seal: (upload, blob) =>
        Effect.sync(() => {
          const there = blobs.get(blob.hash)
          const existed = there !== undefined
          blobs.set(blob.hash, { blob, chunks: uploads.get(upload)?.chunks ?? [], ...there, at: Date.now() })
          uploads.delete(upload)
          return { existed }
        }),
      abandon: (upload) => Effect.sync(() => void uploads.delete(upload)),
      get: (hash) => Effect.sync(() => blobs.get(hash)?.blob),
      renew: (hash) =>
        Effect.sync(() => {
          const there = blobs.get(hash)
          if (there !== undefined) blobs.set(hash, { ...there, at: Date.now() })
        }),
      read: (hash, n) => Effect.sync(() => blobs.get(hash)?.chunks[n]),
      sweep: (before) =>
        Effect.sync(() => {
          let bytes = 0
          const wanted = new Set([...kept.map(({ hash }) => hash), ...referred()])
          for (const [hash, { blob, at }] of blobs) {
            if (at >= before || wanted.has(hash)) continue
            blobs.delete(hash)
            bytes += blob.stored
          }
          for (const [upload, { at }] of uploads) if (at < before) uploads.delete(upload)
          return bytes
        }),
    },
  }
}
