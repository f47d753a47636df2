/** Artifacts as steps see them: named, versioned outputs that are kept outside state. */

/** What can be kept: text, bytes, or bytes as they come. */
export type ArtifactContent = string | Uint8Array | AsyncIterable<Uint8Array | string>

/** Which artifact: the newest version of a name, unless `version` says which; of this session, unless `session` says whose. */
export interface ArtifactPlace {
  readonly version?: number
  readonly session?: string
}
export interface ArtifactOptions {
  /** A MIME type; default: `text/plain` for text, else `application/octet-stream`. */
  readonly mime?: string
  /** What kind of thing it is, in a word; default `artifact`. */
  readonly type?: string
  readonly tags?: ReadonlyArray<string>
  /** More about it: plain data. */
  readonly about?: Readonly<Record<string, unknown>>
  /** What it was made from, for its lineage. */
  readonly from?: ReadonlyArray<Pick<Artifact, "id">>
  /** Keep it in another session, which must have granted that. */
  readonly session?: string
}

/** One version of an artifact, without its content: plain data that steps can give back. */
export interface Artifact {
  /** `session/name@version` */
  readonly id: string
  readonly session: string
  readonly name: string
  /** 1, 2, 3 … */
  readonly version: number
  /** SHA-256 of the content, in hex. */
  readonly hash: string
  /** Bytes. */
  readonly size: number
  readonly mime: string
  readonly type: string
  readonly tags: ReadonlyArray<string>
  readonly about: Readonly<Record<string, unknown>>
  /** `run/path` of the step that made it. */
  readonly by: string | undefined
  /** Ids of what it was made from. */
  readonly from: ReadonlyArray<string>
  /** Milliseconds since 1970. */
  readonly at: number
}
export interface ArtifactQuery {
  /** Only those whose names contain this. */
  readonly name?: string
  readonly type?: string
  readonly mime?: string
  readonly tag?: string
  /** Only what this step (`run/path`), or this run, made. */
  readonly by?: string
  /** Only those of this time or later, in milliseconds since 1970. */
  readonly since?: number
  /** Only the newest version of each name; default true. */
  readonly newest?: boolean
  readonly session?: string
  /** At most this many, default 50, newest first. */
  readonly limit?: number
}

/** Artifacts as a step sees them. The same content under the same name is the same version: a step that runs again after a crash keeps nothing twice. */
export interface ArtifactAccess {
  /** Keeps the next version of a name. */
  readonly put: (name: string, content: ArtifactContent, options?: ArtifactOptions) => Promise<Artifact>
  readonly get: (name: string, place?: ArtifactPlace) => Promise<Artifact>
  readonly bytes: (name: string, place?: ArtifactPlace) => Promise<Uint8Array>
  readonly text: (name: string, place?: ArtifactPlace) => Promise<string>
  /** The content a part at a time, checked against its hash. */
  readonly read: (name: string, place?: ArtifactPlace) => AsyncIterable<Uint8Array>
  readonly list: (query?: ArtifactQuery) => Promise<ReadonlyArray<Artifact>>
  /** Removes one version, or the newest. */
  readonly remove: (name: string, place?: ArtifactPlace) => Promise<void>
  /** What it was made from, and what that was made from: each once, nearest first. */
  readonly lineage: (name: string, place?: ArtifactPlace) => Promise<ReadonlyArray<Artifact>>
}
