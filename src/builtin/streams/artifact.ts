/** An artifact as the end of a stream. */
import { createHash } from "node:crypto"
import type { Artifact, ArtifactAccess, ArtifactOptions } from "../../../dsl/ir/artifact.ts"
import type { Sink } from "../../../dsl/ir/stream.ts"
import { lineOf } from "./file.ts"

/** Characters that are kept together until the artifact is whole. */
const partSize = 1024 * 1024

/** What is known of the content so far: parts that are kept, and what is behind them. */
interface Written {
  readonly parts: number
  readonly rest: string
}

/**
 * Writes each item as a line of an artifact, text as it is and everything else as JSON; gives the artifact, which is there once the stream has ended.
 *
 * Until then the lines wait in parts of 1 MiB, artifacts themselves, which count against the session's quota: whatever its length, it is never in memory as
 * a whole. A resumed run goes on behind the last checkpoint, so each line is there once.
 *
 * @example
 * seq("save").stream("rows", () => [1, 2, 3], (s) => s.map((n) => ({ n })).to(toArtifact("rows.ndjson", { mime: "application/x-ndjson" })))
 */
export const toArtifact = (name: string, options: ArtifactOptions = {}): Sink<unknown, Artifact> => ({
  name,
  open(saved, { run, path, artifacts }) {
    const place = `part-${createHash("sha256").update(`${run}/${path}`).digest("hex").slice(0, 16)}`
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is what `save` gave
    let { parts, rest } = (saved as Written | undefined) ?? { parts: 0, rest: "" }
    return {
      async write(items) {
        rest += items.map((item) => `${lineOf(item)}\n`).join("")
        if (rest.length < partSize) return
        await artifacts.put(`${place}/${parts}`, rest, { type: "part" })
        parts++
        rest = ""
      },
      save: (): Written => ({ parts, rest }),
      async close() {
        const all = await artifacts.list({ name: `${place}/`, newest: false, limit: Number.MAX_SAFE_INTEGER })
        const first = all.filter((part) => part.name === `${place}/0`)
        // parts go once the artifact is there, the first one first: where it has gone, another process has come so far and died
        const artifact = parts > 0 && first.length === 0 ?
          (await artifacts.list({ name, by: `${run}/${path}` })).find((one) => one.name === name)! :
          await artifacts.put(name, whole(artifacts, place, parts, rest), { mime: "text/plain", ...options })
        // also what another try has left, the older first
        for (const { name: part, version } of new Set([...first.toReversed(), ...all])) await artifacts.remove(part, { version })
        return artifact
      },
    }
  },
})

async function* whole(artifacts: ArtifactAccess, place: string, parts: number, rest: string): AsyncGenerator<Uint8Array | string> {
  for (let nr = 0; nr < parts; nr++) yield* artifacts.read(`${place}/${nr}`)
  yield rest
}
