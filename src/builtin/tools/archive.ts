/** Archives: zip, tar and tar.gz, read within bounds before anything of them is used, and made of files. */
import { gunzipSync, gzipSync } from "node:zlib"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Tar from "effect/encoding/Tar"
import * as Zip from "effect/encoding/Zip"
import * as Stream from "effect/Stream"
import { messageOf } from "../../model/error.ts"
import { refuse, ToolRefused } from "./error.ts"
import { partsOf } from "./root.ts"

export interface ArchiveBounds {
  /** Most entries. */
  readonly entries: number
  /** Most bytes of one file, and of all. */
  readonly file: number
  readonly total: number
}
export interface ArchivedFile {
  readonly path: string
  readonly bytes: Uint8Array
}
interface Entry<E> {
  readonly header: { readonly path: string; readonly type: string; readonly size?: number | undefined }
  readonly body: Stream.Stream<Uint8Array, E>
}
const tool = "archive"
const refused = (code: string, reason: string) => Effect.fail(new ToolRefused({ tool, code, reason }))

/** By its name: `.zip`, `.tar`, `.tar.gz`, `.tgz`. */
export const formatOf = (name: string): "zip" | "tar" | "tar.gz" =>
  /\.zip$/i.test(name) ?
    "zip" :
    /\.tar$/i.test(name) ?
    "tar" :
    /\.(tar\.gz|tgz)$/i.test(name) ?
    "tar.gz" :
    refuse(tool, "format", "the archive's name is to end with .zip, .tar, .tar.gz or .tgz")

/** Whatever goes wrong is a refusal. */
const refusals = <A>(work: () => Effect.Effect<A, unknown>): Effect.Effect<A, ToolRefused> =>
  Effect.catchCause(Effect.suspend(work), (cause) => {
    const reason = Cause.squash(cause)
    return reason instanceof ToolRefused ? Effect.fail(reason) : refused("syntax", `it is no such archive: ${messageOf(reason)}`.slice(0, 300))
  })

/** The files of an archive, all of them or none: no links, no devices, no name that leads out or comes twice. */
export const unpacked = (name: string, bytes: Uint8Array, bounds: ArchiveBounds): Effect.Effect<ReadonlyArray<ArchivedFile>, ToolRefused> =>
  refusals((): Effect.Effect<ReadonlyArray<ArchivedFile>, unknown> => {
    const format = formatOf(name)
    const content = Stream.fromIterable(parts(format === "tar.gz" ? gunzipped(bytes, bounds.total) : bytes))
    return format === "zip" ? taken(Stream.pipeThroughChannel(content, Zip.decode()), bounds) : taken(Stream.pipeThroughChannel(content, Tar.decode()), bounds)
  })

/** An archive of files, the same for the same files. */
export const packed = (name: string, files: ReadonlyArray<ArchivedFile>): Effect.Effect<Uint8Array, ToolRefused> =>
  refusals(() => {
    const format = formatOf(name)
    const written: Stream.Stream<Uint8Array, unknown> = format === "zip" ?
      Stream.pipeThroughChannel(Stream.fromIterable(files.map(({ path, bytes }) => Zip.file(path, bytes))), Zip.encode()) :
      Stream.pipeThroughChannel(Stream.fromIterable(files.map(({ path, bytes }) => Tar.file(path, bytes))), Tar.encode())
    return Effect.map(Stream.runCollect(written), (all) => {
      const whole = Buffer.concat(all)
      return format === "tar.gz" ? gzipSync(whole) : whole
    })
  })

const gunzipped = (bytes: Uint8Array, most: number): Uint8Array => {
  try {
    // a tar is a little larger than its files
    return gunzipSync(bytes, { maxOutputLength: most + 1024 * 1024 })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_BUFFER_TOO_LARGE") throw cause
    return refuse(tool, "size", `it unpacks to more than ${most} bytes`)
  }
}
const parts = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) => bytes.subarray(i * 65_536, (i + 1) * 65_536))

const taken = <E, F>(entries: Stream.Stream<Entry<E>, F>, bounds: ArchiveBounds): Effect.Effect<ReadonlyArray<ArchivedFile>, E | F | ToolRefused> => {
  const seen = new Set<string>()
  let [count, total] = [0, 0]
  // one after the other: a body has to be read before the next entry comes. What is refused ends it all
  const files = Stream.mapEffect(entries, ({ header: { path, type, size = 0 }, body }): Effect.Effect<ReadonlyArray<ArchivedFile>, E | ToolRefused> => {
    if (++count > bounds.entries) return refused("too-much", `it has more than ${bounds.entries} entries`)
    const at = partsOf(path).join("/")
    if (type === "Directory") return Effect.succeed([])
    if (type !== "File") return refused("link", `'${at}' is a ${type.toLowerCase()}, no file`)
    const key = at.normalize("NFC").toLowerCase()
    if (at === "" || seen.has(key)) return refused("name", `the name '${at}' is empty or comes twice`)
    seen.add(key)
    let length = 0
    const tooMuch = () => refused("size", `it has more than the ${bounds.file} bytes a file, or the ${bounds.total} in all, that may be unpacked`)
    if (size > bounds.file) return tooMuch()
    const read = Stream.mapEffect(body, (part) => {
      length += part.length
      total += part.length
      return length > bounds.file || total > bounds.total ? tooMuch() : Effect.succeed(part)
    })
    return Effect.map(Stream.runCollect(read), (all) => [{ path: at, bytes: Buffer.concat(all) }])
  })
  return Effect.flatMap(Stream.runCollect(files), (all) => {
    const found = all.flat()
    const folder = found.find(({ path }) => found.some((other) => other.path.startsWith(`${path}/`)))
    return folder === undefined ? Effect.succeed(found) : refused("name", `'${folder.path}' is a file and a folder`)
  })
}
