/** A whole session as one JSON document: kept when it is put away, brought in elsewhere. What comes in is not trusted. */
import * as Effect from "effect/Effect"
import { BundleInvalid, type NotStorable, type RunConflict, type RunNotFound, type StoreFailed } from "../model/error.ts"
import { isRunId } from "../model/run.ts"
import {
  type ArtifactNotFound,
  type ArtifactRefused,
  type SessionConflict,
  type SessionNotFound,
  SessionRefused,
  type StateConflict,
} from "../model/service-error.ts"
import { type SessionRecord, sessionStatuses } from "../model/session.ts"
import type { ArtifactView } from "../services/artifacts.ts"
import type { Store } from "../store/store.ts"
import { exportRun, importRun } from "./bundle.ts"
import { digest, encoded, list, record, string, untrusted, whole, Wrong } from "./untrusted.ts"

const format = "heddle-session/1"
/** Most bytes of artifacts in one document. */
const largest = 256 * 1024 * 1024

/** The session with its state, its runs with all they started, and its artifacts with their content, as JSON text. */
export function exportSession(
  store: Store["Service"],
  artifacts: ArtifactView,
  id: string,
): Effect.Effect<string, StoreFailed | SessionNotFound | SessionRefused | RunNotFound | ArtifactNotFound | ArtifactRefused> {
  return Effect.gen(function*() {
    const session = yield* store.sessions.get(id)
    const { bytes } = yield* store.artifacts.usage(id)
    if (bytes > largest) {
      return yield* new SessionRefused({
        session: id,
        asked: "be exported",
        reason: `its artifacts have ${bytes} bytes, and a document holds ${largest}: remove some first`,
      })
    }
    const runs = yield* store.runs.list({ session: id, limit: Number.MAX_SAFE_INTEGER })
    const kept = yield* store.artifacts.list({ session: id, limit: Number.MAX_SAFE_INTEGER })
    const content = {
      session,
      state: (yield* store.states.list(`session:${id}`, "", Number.MAX_SAFE_INTEGER)).map(({ name, value, version, until }) => ({
        name,
        value,
        version,
        until,
      })),
      runs: yield* Effect.forEach(runs.toReversed(), (run) => exportRun(store, run.id)),
      artifacts: yield* Effect.forEach(
        kept.toReversed(),
        ({ name, version, mime, type, tags, about, by, from }) =>
          Effect.map(
            artifacts.bytes(name, { session: id, version }),
            (all) => ({ name, mime, type, tags, about, by, from, content: Buffer.from(all).toString("base64") }),
          ),
      ),
    }
    return JSON.stringify({ format, sha256: digest(content), ...content })
  })
}

/** Deletes a session's runs, its state and its artifacts. */
export function clearSession({ runs, states, artifacts }: Store["Service"], id: string): Effect.Effect<void, StoreFailed> {
  return Effect.gen(function*() {
    yield* runs.remove((yield* runs.list({ session: id, limit: Number.MAX_SAFE_INTEGER })).map((run) => run.id))
    yield* states.clear(`session:${id}`)
    yield* artifacts.remove((yield* artifacts.list({ session: id, limit: Number.MAX_SAFE_INTEGER })).map(({ nr }) => nr))
  })
}

interface Kept {
  readonly session: SessionRecord
  readonly state: ReadonlyArray<{ readonly name: string; readonly value: string; readonly version: number; readonly until: number | undefined }>
  readonly runs: ReadonlyArray<string>
  readonly artifacts: ReadonlyArray<{
    readonly name: string
    readonly mime: string
    readonly type: string
    readonly tags: ReadonlyArray<string>
    readonly about: Readonly<Record<string, unknown>>
    readonly content: Uint8Array
  }>
}
type ImportError =
  | StoreFailed
  | StateConflict
  | BundleInvalid
  | RunConflict
  | RunNotFound
  | SessionNotFound
  | SessionConflict
  | SessionRefused
  | ArtifactNotFound
  | ArtifactRefused
  | NotStorable

/** Brings a session in, under its own id or another. It takes the place of an archived one; any other one stays as it is. */
export function importSession(
  store: Store["Service"],
  artifacts: ArtifactView,
  text: string,
  as: string | undefined,
): Effect.Effect<SessionRecord, ImportError> {
  return Effect.gen(function*() {
    const { session, state, runs, artifacts: kept } = yield* parse(text)
    const id = as ?? session.id
    if (!isRunId(id)) return yield* new BundleInvalid({ at: "session.id", reason: "not an id" })
    const there = yield* Effect.catchTag(store.sessions.get(id), "SessionNotFound", () => Effect.succeed(undefined))
    if (there?.status === "archived") yield* store.sessions.remove([id])
    const { name, user, context, policy, tags } = session
    const { created, session: fresh } = yield* store.sessions.create({ id, name, user, parent: undefined, context, policy, tags })
    if (!created) return yield* new SessionRefused({ session: id, asked: "be imported", reason: "there is one with this id already: give it another" })
    yield* store.states.commit(state.map((entry) => ({ scope: `session:${id}`, name: entry.name, expected: undefined, next: () => entry })))
    for (const run of runs) yield* importRun(store, run, undefined, id)
    for (const { name: of, content, ...about } of kept) yield* artifacts.put(of, content, { ...about, session: id })
    const { status, reason, endedAt } = session
    return yield* store.sessions.save({ ...fresh, status: status === "active" ? "suspended" : status, reason, endedAt })
  })
}

const parse = (text: string): Effect.Effect<Kept, BundleInvalid> =>
  untrusted(text, format, (content): Kept => {
    const session = record(content["session"], "session")
    const status = sessionStatuses.find((one) => one === session["status"])
    if (status === undefined || status === "archived") throw new Wrong("session.status", "not a status")
    const optional = (key: string) => (session[key] === undefined ? undefined : string(session[key], `session.${key}`))
    const texts = (value: unknown, at: string) => list(value, at).map((one, i) => string(one, `${at}[${i}]`))
    const plain = (value: unknown, at: string) => JSON.parse(encoded(value, at)) as Readonly<Record<string, unknown>>
    return {
      session: {
        id: string(session["id"], "session.id"),
        status,
        name: optional("name"),
        user: optional("user"),
        parent: undefined,
        context: encoded(session["context"], "session.context"),
        policy: JSON.stringify(record(plain(session["policy"], "session.policy"), "session.policy")),
        tags: texts(session["tags"], "session.tags"),
        reason: optional("reason"),
        revision: 1,
        createdAt: 0,
        updatedAt: 0,
        usedAt: 0,
        endedAt: session["endedAt"] === undefined ? undefined : whole(session["endedAt"], "session.endedAt"),
      },
      state: list(content["state"], "state").map((value, i) => {
        const at = `state[${i}]`
        const entry = record(value, at)
        return {
          name: string(entry["name"], `${at}.name`),
          value: encoded(entry["value"], `${at}.value`),
          version: whole(entry["version"], `${at}.version`),
          until: entry["until"] === undefined ? undefined : whole(entry["until"], `${at}.until`),
        }
      }),
      runs: texts(content["runs"], "runs"),
      artifacts: list(content["artifacts"], "artifacts").map((value, i) => {
        const at = `artifacts[${i}]`
        const artifact = record(value, at)
        return {
          name: string(artifact["name"], `${at}.name`),
          mime: string(artifact["mime"], `${at}.mime`),
          type: string(artifact["type"], `${at}.type`),
          tags: texts(artifact["tags"], `${at}.tags`),
          about: record(plain(artifact["about"], `${at}.about`), `${at}.about`),
          content: Buffer.from(string(artifact["content"], `${at}.content`), "base64"),
        }
      }),
    }
  })
