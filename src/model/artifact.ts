/** A named, versioned output that is kept outside state, found by its content. */

/** Who else may do something with an artifact: a session, or everybody (`*`). */
export interface Grant {
  readonly to: string
  readonly may: "read" | "write"
  /** Milliseconds since 1970. */
  readonly until?: number | undefined
}

/** What is known of an artifact; its bytes are a blob. */
export interface ArtifactRecord {
  /** Grows with every artifact of the store. */
  readonly nr: number
  /** Whose it is; `""`: nobody's, everybody may read and write it. */
  readonly session: string
  readonly name: string
  /** 1, 2, 3 … of this name in this session. */
  readonly version: number
  /** SHA-256 of the content, in hex. */
  readonly hash: string
  /** Bytes of the content. */
  readonly size: number
  /** A MIME type. */
  readonly mime: string
  /** What kind of thing it is, in a word of the author's: `report`, `model-output`. */
  readonly type: string
  readonly tags: ReadonlyArray<string>
  /** More about it, encoded. */
  readonly about: string
  /** `run/path` of the step that made it. */
  readonly by: string | undefined
  /** The artifacts it was made from, as `session/name@version`. */
  readonly from: ReadonlyArray<string>
  readonly grants: ReadonlyArray<Grant>
  /** Milliseconds since 1970. */
  readonly createdAt: number
}
export type NewArtifact = Omit<ArtifactRecord, "nr" | "version" | "createdAt">

/** How an artifact is called wherever it is referred to. */
export const artifactId = ({ session, name, version }: Pick<ArtifactRecord, "session" | "name" | "version">): string => `${session}/${name}@${version}`

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
