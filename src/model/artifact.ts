/** A named, versioned output that is kept outside state, found by its content. */
import type { Artifact } from "../../dsl/ir/artifact.ts"

/** Who else may do something with an artifact: a session, or everybody (`*`). */
export interface Grant {
  readonly to: string
  readonly may: "read" | "write"
  /** Milliseconds since 1970. */
  readonly until?: number | undefined
}

/** What is known of an artifact; its bytes are a blob. In session `""` it is nobody's: everybody may read and write it. */
export interface ArtifactRecord extends Omit<Artifact, "id" | "about" | "at"> {
  /** Grows with every artifact of the store. */
  readonly nr: number
  /** More about it, encoded. */
  readonly about: string
  readonly grants: ReadonlyArray<Grant>
  /** Milliseconds since 1970. */
  readonly createdAt: number
}
export interface NewArtifact extends Omit<ArtifactRecord, "nr" | "version" | "createdAt"> {
  /** That of an artifact that is brought in; default: the next. */
  readonly version?: number | undefined
}
/** What is known of an artifact that is brought in. */
export type PastArtifact = Pick<ArtifactRecord, "version" | "by" | "grants" | "from">

/** How an artifact is called wherever it is referred to. */
export const artifactId = ({ session, name, version }: Pick<ArtifactRecord, "session" | "name" | "version">): string => `${session}/${name}@${version}`

/** `session/name@version`, taken apart, if it is one; sessions have no `/` in their names. */
export const placeOfId = (id: string): { readonly session: string; readonly name: string; readonly version: number } | undefined => {
  const [, session, name, version] = /^([^/]*)\/(.+)@(\d+)$/.exec(id) ?? []
  return name === undefined ? undefined : { session: session!, name, version: Number(version) }
}

/** Bytes that are kept once, whoever keeps them. */
export interface BlobRecord {
  /** SHA-256 of the content, in hex. */
  readonly hash: string
  readonly size: number
  /** Bytes it takes. */
  readonly stored: number
  readonly encoding: "plain" | "zstd"
  readonly chunks: number
}
