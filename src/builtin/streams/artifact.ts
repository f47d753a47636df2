/** An artifact as the end of a stream. */
import { createHash } from "node:crypto"
import type { Artifact, ArtifactAccess, ArtifactOptions } from "../../../dsl/ir/artifact.ts"
import type { Sink } from "../../../dsl/ir/stream.ts"
import { lineOf } from "./file.ts"

/** Characters that are kept together until the artifact is whole. */
const partSize = 256 * 1024

/** What is known of the content so far: the versions of the parts that are kept, and what is behind them. */
interface Written {
  /** Where the parts are. */
  readonly place: string
  readonly parts: ReadonlyArray<number>
  readonly rest: string
  /** Bytes of all of it. */
  readonly size: number
}

/**
 * Writes each item as a line of an artifact, text as it is and everything else as JSON; gives the artifact, which is there once the stream has ended.
 *
 * Until then the lines wait in parts of 256 KiB, artifacts themselves of the type `part`: whatever its length, it is never in memory as a whole. What is
 * written counts twice for quotas and budgets of bytes while it is put together. A resumed run goes on behind the last checkpoint, so each line is there
 * once. Parts of a run that does not end well stay for its next try, until `prune` deletes the run.
 *
 * @example
 * seq("save").stream("rows", () => [1, 2, 3], (s) => s.map((n) => ({ n })).to(toArtifact("rows.ndjson", { mime: "application/x-ndjson" })))
 */
export const toArtifact = (name: string, options: ArtifactOptions = {}): Sink<unknown, Artifact> => ({
  name,
  async open(saved, { run, path, artifacts }) {
    const place = `part-${createHash("sha256").update(`${run}/${path}`).digest("hex").slice(0, 16)}`
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what `save` gave
    const before = (saved as Written | undefined) ?? { place, parts: [], rest: "", size: 0 }
    let { parts, rest, size } = before
    // a fork goes on with parts of its own: its original removes those that are there
    if (before.place !== place) parts = await copied(artifacts, before, place)
    const every = { newest: false, limit: Number.MAX_SAFE_INTEGER } as const
    /** The one that this stream has made; where the same was there before, it is that. */
    const made = (all: ReadonlyArray<Artifact>): Artifact | undefined => {
      const fits = all.filter((one) => one.name === name && one.size === size)
      return fits.find(({ by }) => by === `${run}/${path}`) ?? fits[0]
    }
    return {
      async write(items) {
        const more = items.map((item) => `${lineOf(item)}\n`).join("")
        rest += more
        size += Buffer.byteLength(more)
        if (rest.length < partSize) return
        const { version } = await artifacts.put(`${place}/${parts.length}`, rest, { type: "part" })
        parts = [...parts, version]
        rest = ""
      },
      save: (): Written => ({ place, parts, rest, size }),
      async close() {
        const kept = await artifacts.list({ ...every, name: `${place}/` })
        // parts go once the artifact is there, the first that is in it before all others: without it, another process has come so far and died
        const first = kept.find((part) => part.name === `${place}/0` && part.version === parts[0])
        const artifact = parts.length > 0 && first === undefined ?
          made(await artifacts.list({ ...every, name })) :
          await artifacts.put(name, whole(artifacts, place, parts, rest), { mime: "text/plain", ...options })
        if (artifact === undefined) throw new Error(`artifact '${name}' was removed before it was recorded that this stream has ended`)
        // also what another try has left
        for (const { name: part, version } of new Set([...(first === undefined ? [] : [first]), ...kept])) await artifacts.remove(part, { version })
        return artifact
      },
    }
  },
})

/** The same parts in another place. */
async function copied(artifacts: ArtifactAccess, { place: from, parts }: Written, to: string): Promise<ReadonlyArray<number>> {
  const versions: Array<number> = []
  for (const [nr, version] of parts.entries()) {
    versions.push((await artifacts.put(`${to}/${nr}`, artifacts.read(`${from}/${nr}`, { version }), { type: "part" })).version)
  }
  return versions
}

async function* whole(artifacts: ArtifactAccess, place: string, parts: ReadonlyArray<number>, rest: string): AsyncGenerator<Uint8Array | string> {
  for (const [nr, version] of parts.entries()) yield* artifacts.read(`${place}/${nr}`, { version })
  yield rest
}
