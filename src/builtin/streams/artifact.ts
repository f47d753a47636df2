/** An artifact as the end of a stream. */
import { createHash } from "node:crypto"
import type { Artifact, ArtifactAccess, ArtifactOptions } from "../../../dsl/ir/artifact.ts"
import type { Sink } from "../../../dsl/ir/stream.ts"
import { lineOf } from "./file.ts"

/** Characters that are kept together until the artifact is whole. */
const partSize = 256 * 1024

/** What is known of the content so far: the versions of the parts that are kept, and what is behind them. */
interface Written {
  readonly parts: ReadonlyArray<number>
  readonly rest: string
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
  open(saved, { run, path, artifacts }) {
    const place = `part-${createHash("sha256").update(`${run}/${path}`).digest("hex").slice(0, 16)}`
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what `save` gave
    let { parts, rest } = (saved as Written | undefined) ?? { parts: [], rest: "" }
    const every = { newest: false, limit: Number.MAX_SAFE_INTEGER } as const
    return {
      async write(items) {
        rest += items.map((item) => `${lineOf(item)}\n`).join("")
        if (rest.length < partSize) return
        const { version } = await artifacts.put(`${place}/${parts.length}`, rest, { type: "part" })
        parts = [...parts, version]
        rest = ""
      },
      save: (): Written => ({ parts, rest }),
      async close() {
        const kept = await artifacts.list({ ...every, name: `${place}/` })
        // parts go once the artifact is there, the first that is in it before all others: without it, another process has come so far and died
        const first = kept.find((part) => part.name === `${place}/0` && part.version === parts[0])
        const artifact = parts.length > 0 && first === undefined ?
          (await artifacts.list({ ...every, name, by: `${run}/${path}` })).find((one) => one.name === name) :
          await artifacts.put(name, whole(artifacts, place, parts, rest), { mime: "text/plain", ...options })
        if (artifact === undefined) throw new Error(`artifact '${name}' was removed before it was recorded that this stream has ended`)
        // also what another try has left
        for (const { name: part, version } of new Set([...(first === undefined ? [] : [first]), ...kept])) await artifacts.remove(part, { version })
        return artifact
      },
    }
  },
})

async function* whole(artifacts: ArtifactAccess, place: string, parts: ReadonlyArray<number>, rest: string): AsyncGenerator<Uint8Array | string> {
  for (const [nr, version] of parts.entries()) yield* artifacts.read(`${place}/${nr}`, { version })
  yield rest
}
