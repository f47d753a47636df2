/** Artifacts: whose they are, who may see them, what they were made from. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Artifact, ArtifactContent, ArtifactOptions, ArtifactPlace, ArtifactQuery } from "../../dsl/ir/artifact.ts"
import { artifactId, type ArtifactRecord, type BlobRecord, type Grant, type PastArtifact, placeOfId } from "../model/artifact.ts"
import type { StoreFailed } from "../model/error.ts"
import { redact } from "../model/secret.ts"
import { ArtifactNotFound, ArtifactRefused } from "../model/service-error.ts"
import { decodeValue, encodeValue, Unstorable } from "../model/value.ts"
import { readContent, writeContent } from "../store/content.ts"
import type { Quota, Store } from "../store/store.ts"
import { countdown, parts } from "./artifact-content.ts"
import { sharesBetween, type Warning } from "./budgets.ts"

export type ArtifactError = ArtifactNotFound | ArtifactRefused | StoreFailed
type Asked<A> = Effect.Effect<A, ArtifactError>

/** Who asks. */
export interface Asker {
  /** Its session; `""`: none. `undefined`: somebody outside of runs, who may see everything. */
  readonly session: string | undefined
  /** `run/path` */
  readonly by: string | undefined
  /** What a session may keep. */
  readonly quota: (session: string) => Effect.Effect<Quota, StoreFailed>
  /** Told of what was kept; too much may fail. */
  readonly kept: (artifact: Artifact) => void
  /** Told of what was removed. */
  readonly removed?: ((artifact: Artifact) => void) | undefined
  /** Told how a session gets near to what it may keep. */
  readonly warned: (session: string, warning: Warning) => Effect.Effect<void, any>
  /** Asked about what is to be kept, and about what is. */
  readonly guard?: ArtifactGuard | undefined
}
/** What an artifact is to be called, and what is to be said about it. */
type Description = Required<Pick<ArtifactOptions, "mime" | "type" | "tags" | "about">> & { readonly name: string }
export interface ArtifactGuard {
  readonly before: (description: Description) => Effect.Effect<Description, any>
  readonly after: (artifact: Artifact) => Effect.Effect<void, any>
  /** Before its content is read. */
  readonly read: (artifact: Artifact) => Effect.Effect<void, any>
  /** Before it is removed: whether it is to be. */
  readonly remove: (artifact: Artifact) => Effect.Effect<boolean, any>
}

const namePattern = /^[\p{L}\p{N}][\p{L}\p{N} ._:/@+()-]{0,255}$/u
const mimePattern = /^[\w.+-]{1,100}\/[\w.+-]{1,100}(; ?[\w.+-]+=[\w.+"-]+)*$/

export class ArtifactView {
  readonly #store: Store["Service"]
  readonly #asker: Asker

  constructor(store: Store["Service"], asker: Asker) {
    this.#store = store
    this.#asker = asker
  }

  put<E = never>(
    called: string,
    content: ArtifactContent | Stream.Stream<Uint8Array, E>,
    options: ArtifactOptions = {},
    past?: PastArtifact,
  ): Effect.Effect<Artifact, E | ArtifactError> {
    return Effect.gen({ self: this }, function*() {
      const { mime: given = typeof content === "string" ? "text/plain" : "application/octet-stream", from = [] } = options
      const description = { name: called, mime: given, type: options.type ?? "artifact", tags: options.tags ?? [], about: options.about ?? {} }
      const { guard } = this.#asker
      const { name, mime, type, tags, about } = guard === undefined ? description : yield* guard.before(description)
      const session = options.session ?? this.#asker.session ?? ""
      const described = yield* this.#described(name, mime, about)
      const stray = [...from.map(({ id }) => id), ...past?.from ?? []].find((id) => placeOfId(id) === undefined)
      if (stray !== undefined) {
        return yield* new ArtifactRefused({ artifact: name, reason: `it was made from '${stray.slice(0, 300)}', which is no id of an artifact` })
      }
      yield* this.#may(session, name, "write")
      const quota = yield* this.#asker.quota(session)
      const used = yield* this.#store.artifacts.usage(session)
      const newest = yield* this.#store.artifacts.get(session, name)
      // what is there already takes no more room; exactly how much there is, is seen when it is kept
      const left = quota.bytes - used.bytes + (newest?.size ?? 0)
      const bounded = Stream.mapEffect(parts(name, content), countdown(name, left))
      const { hash, size } = yield* writeContent(this.#store, bounded)
      const record = yield* this.#store.artifacts.put(
        {
          session,
          name,
          hash,
          size,
          mime,
          type: redact(type),
          tags: tags.map(redact),
          about: described,
          by: this.#asker.by,
          from: from.map(({ id }) => id),
          grants: newest?.grants ?? [],
          ...past,
        },
        quota,
      )
      const artifact = toArtifact(record)
      this.#asker.kept(artifact)
      yield* this.#warn(session, used, quota)
      if (guard !== undefined) yield* guard.after(artifact)
      return artifact
    })
  }

  /** What `session` has used of its quota since it had used `before`. */
  #warn(session: string, before: Quota, quota: Quota): Effect.Effect<void, StoreFailed> {
    const { warned } = this.#asker
    return Effect.flatMap(this.#store.artifacts.usage(session), (now) => {
      const near = ([["artifacts", "count"], ["artifactBytes", "bytes"]] as const).flatMap(([limit, of]) =>
        sharesBetween(before[of], now[of], quota[of]).map((percent) => ({ limit, of: `session '${session}'`, used: now[of], allowed: quota[of], percent }))
      )
      return Effect.forEach(near, (warning) => warned(session, warning), { discard: true })
    })
  }

  get(name: string, place?: ArtifactPlace): Asked<Artifact> {
    return Effect.map(this.#find(name, place), toArtifact)
  }

  bytes(name: string, place?: ArtifactPlace): Asked<Uint8Array> {
    return Effect.map(Stream.runCollect(this.read(name, place)), (all) => new Uint8Array(Buffer.concat(all)))
  }

  text(name: string, place?: ArtifactPlace): Asked<string> {
    return Effect.map(this.bytes(name, place), (all) => new TextDecoder().decode(all))
  }

  read(name: string, place?: ArtifactPlace): Stream.Stream<Uint8Array, ArtifactError> {
    return Stream.unwrap(Effect.map(this.#blob(name, place), (blob) => readContent(this.#store, blob)))
  }

  list({ name, type, mime, tag, by, since, newest = true, session, limit }: ArtifactQuery = {}): Effect.Effect<ReadonlyArray<Artifact>, StoreFailed> {
    const of = session ?? this.#asker.session
    const after = since === undefined ? undefined : since - 1
    return Effect.map(
      this.#store.artifacts.list({ session: of, name, type, mime, tag, by, after, newest, limit }),
      (found) => found.filter((artifact) => this.#isOpen(artifact, "read")).map(toArtifact),
    )
  }

  /** What it was made from, and what that was made from: each once, nearest first. */
  lineage(name: string, place?: ArtifactPlace): Asked<ReadonlyArray<Artifact>> {
    return Effect.gen({ self: this }, function*() {
      const found = new Map<string, Artifact>()
      let next: ReadonlyArray<string> = (yield* this.#find(name, place)).from
      while (next.length > 0) {
        const further: Array<string> = []
        for (const id of next.filter((one) => !found.has(one))) {
          const { session, name: of, version } = placeOfId(id)!
          const artifact = yield* this.#store.artifacts.get(session, of, version)
          if (artifact === undefined || !this.#isOpen(artifact, "read")) continue
          found.set(id, toArtifact(artifact))
          further.push(...artifact.from)
        }
        next = further
      }
      return [...found.values()]
    })
  }

  /** Lets another session (`*`: everybody) read it, or write versions of it; only whoever owns it can. */
  grant(name: string, grant: Grant, place?: ArtifactPlace): Asked<void> {
    return Effect.flatMap(
      this.#owned(name, place),
      ({ nr, grants }) => this.#store.artifacts.change(nr, { grants: [...grants.filter(({ to, may }) => to !== grant.to || may !== grant.may), grant] }),
    )
  }

  /** Takes back all that `to` was granted, of every version. */
  revoke(name: string, to: string, place?: ArtifactPlace): Asked<void> {
    const versions = Effect.flatMap(
      this.#owned(name, place),
      ({ session }) => this.#store.artifacts.list({ session, name, newest: false, limit: Number.MAX_SAFE_INTEGER }),
    )
    return Effect.flatMap(versions, (all) =>
      // `list` takes what begins so
      Effect.forEach(all.filter((one) => one.name === name), ({ nr, grants }) =>
        this.#store.artifacts.change(nr, { grants: grants.filter((one) => one.to !== to) }), { discard: true }))
  }

  tag(name: string, tags: ReadonlyArray<string>, place?: ArtifactPlace): Asked<void> {
    return Effect.flatMap(this.#owned(name, place), ({ nr }) => this.#store.artifacts.change(nr, { tags: tags.map(redact) }))
  }

  /** Removes one version, or the newest; its content goes when nothing refers to it any more. */
  remove(name: string, place?: ArtifactPlace): Asked<void> {
    return Effect.flatMap(this.#owned(name, place), (found) => {
      const artifact = toArtifact(found)
      const { guard, removed } = this.#asker
      const asked: Effect.Effect<boolean, any> = guard === undefined ? Effect.succeed(true) : guard.remove(artifact)
      return Effect.flatMap(asked, (may) => (may ? Effect.map(this.#store.artifacts.remove([found.nr]), () => removed?.(artifact)) : Effect.void))
    })
  }

  /** Reads all content of a session, or of everybody, and gives the artifacts whose content is damaged or missing. */
  verify(session?: string): Effect.Effect<ReadonlyArray<Artifact & { readonly reason: string }>, StoreFailed> {
    return Effect.gen({ self: this }, function*() {
      const damaged: Array<Artifact & { readonly reason: string }> = []
      const all = yield* this.#store.artifacts.list({ session, limit: Number.MAX_SAFE_INTEGER })
      for (const artifact of all.map(toArtifact)) {
        const { session: of, version } = artifact
        const reason = yield* Effect.match(Stream.runDrain(this.read(artifact.name, { session: of, version })), {
          onSuccess: () => undefined,
          onFailure: ({ message }) => message,
        })
        if (reason !== undefined) damaged.push({ ...artifact, reason })
      }
      return damaged
    })
  }

  #described(name: string, mime: string, about: object): Effect.Effect<string, ArtifactRefused> {
    const refused = (reason: string) => Effect.fail(new ArtifactRefused({ artifact: name.slice(0, 256), reason }))
    if (!namePattern.test(name) || name.normalize("NFC") !== name || name.split("/").some((part) => part === "" || part === "." || part === "..")) {
      return refused("a name has 1 to 256 letters, digits and . _ : / @ + ( ) -, starts with a letter or digit and never goes up with ..")
    }
    if (!mimePattern.test(mime)) return refused(`'${mime.slice(0, 100)}' is no MIME type`)
    try {
      return Effect.succeed(encodeValue(about))
    } catch (cause) {
      return cause instanceof Unstorable ? refused(`what it says about itself at ${cause.at} is ${cause.reason}, which cannot be kept`) : Effect.die(cause)
    }
  }

  #find(name: string, { version, session }: ArtifactPlace = {}): Asked<ArtifactRecord> {
    const of = session ?? this.#asker.session ?? ""
    return Effect.flatMap(this.#store.artifacts.get(of, name, version), (found) =>
      // who may not see it is not told that it is there
      found === undefined || !this.#isOpen(found, "read") ?
        Effect.fail(new ArtifactNotFound({ artifact: version === undefined ? `${of}/${name}` : artifactId({ session: of, name, version }) })) :
        Effect.succeed(found))
  }

  #owned(name: string, place?: ArtifactPlace): Asked<ArtifactRecord> {
    return Effect.flatMap(this.#find(name, place), (found) =>
      this.#isOwn(found.session) ?
        Effect.succeed(found) :
        Effect.fail(new ArtifactRefused({ artifact: artifactId(found), reason: "it belongs to another session, and only that can change it" })))
  }

  #blob(name: string, place?: ArtifactPlace): Asked<BlobRecord> {
    return Effect.flatMap(
      this.#find(name, place),
      (found) =>
        Effect.flatMap(
          Effect.andThen(this.#asker.guard?.read(toArtifact(found)) ?? Effect.void, this.#store.blobs.get(found.hash)),
          (blob) =>
            blob === undefined ?
              Effect.fail(new ArtifactRefused({ artifact: artifactId(found), reason: "its content is missing: the store is damaged" })) :
              Effect.succeed(blob),
        ),
    )
  }

  #may(session: string, name: string, may: Grant["may"]): Asked<void> {
    if (this.#isOwn(session)) return Effect.void
    return Effect.flatMap(this.#store.artifacts.get(session, name), (found) =>
      found !== undefined && this.#isOpen(found, may) ?
        Effect.void :
        Effect.fail(new ArtifactRefused({ artifact: `${session}/${name}`, reason: "it belongs to another session, which has not granted that" })))
  }

  #isOwn(session: string): boolean {
    return session === "" || this.#asker.session === undefined || this.#asker.session === session
  }

  #isOpen({ session, grants }: ArtifactRecord, may: Grant["may"]): boolean {
    const now = Date.now()
    const isMine = (to: string) => to === "*" || to === this.#asker.session
    return this.#isOwn(session) || grants.some((grant) => isMine(grant.to) && grant.may === may && (grant.until === undefined || grant.until > now))
  }
}

/** What is known of an artifact, as steps see it. */
const toArtifact = (record: ArtifactRecord): Artifact => {
  const { session, name, version, hash, size, mime, type, tags, about, by, from, createdAt } = record
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- encoded from a record when it was kept
  return {
    id: artifactId(record),
    session,
    name,
    version,
    hash,
    size,
    mime,
    type,
    tags,
    about: decodeValue(about) as Artifact["about"],
    by,
    from,
    at: createdAt,
  }
}
