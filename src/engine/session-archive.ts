/** A whole session as one JSON document. */
import * as Effect from "effect/Effect"
import type { RunNotFound, StoreFailed } from "../model/error.ts"
import { type ArtifactNotFound, type ArtifactRefused, type SessionNotFound, SessionRefused } from "../model/service-error.ts"
import type { ArtifactView } from "../services/artifacts.ts"
import type { Store } from "../store/store.ts"
import { exportRun } from "./bundle.ts"
import { digest } from "./untrusted.ts"

export const format = "heddle-session/1"
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
      runs: yield* Effect.forEach(runs.toReversed(), ({ id: run, parent }) =>
        Effect.map(
          Effect.all([exportRun(store, run), store.states.list(`run:${run}`, "", Number.MAX_SAFE_INTEGER)]),
          ([bundle, entries]) => ({ id: run, parent, bundle, state: entries.map(({ name, value, version, until }) => ({ name, value, version, until })) }),
        )),
      artifacts: yield* Effect.forEach(
        kept.toReversed(),
        ({ name, version, mime, type, tags, about, by, from, grants }) =>
          Effect.map(
            artifacts.bytes(name, { session: id, version }),
            (all) => ({ name, version, mime, type, tags, about, by, from, grants, content: Buffer.from(all).toString("base64") }),
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
