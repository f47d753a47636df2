/** Bringing in a session that was exported. The document is not trusted. */
import * as Effect from "effect/Effect"
import type { Grant, PastArtifact } from "../model/artifact.ts"
import { BundleInvalid, type NotStorable, RunConflict, type RunNotFound, type StoreFailed } from "../model/error.ts"
import { isRunId, type RunRecord } from "../model/run.ts"
import {
  type ArtifactNotFound,
  type ArtifactRefused,
  type SessionConflict,
  type SessionNotFound,
  SessionRefused,
  type StateConflict,
} from "../model/service-error.ts"
import { type SessionRecord, type SessionStatus, sessionStatuses } from "../model/session.ts"
import { policyProblem } from "../model/session-policy.ts"
import { decodeValue } from "../model/value.ts"
import type { ArtifactView } from "../services/artifacts.ts"
import { isStateName } from "../services/state-scope.ts"
import type { Store } from "../store/store.ts"
import { importRun } from "./bundle.ts"
import { clearSession, format } from "./session-archive.ts"
import { type Carried, sessionIn } from "./session-meter.ts"
import { encoded, list, record, runId, string, untrusted, whole, Wrong } from "./untrusted.ts"

interface KeptEntry {
  readonly name: string
  readonly value: string
  readonly version: number
  readonly until: number | undefined
}
interface Kept {
  readonly session: SessionRecord
  readonly state: ReadonlyArray<KeptEntry>
  readonly runs: ReadonlyArray<{ readonly id: string; readonly parent: string | undefined; readonly bundle: string; readonly state: ReadonlyArray<KeptEntry> }>
  readonly artifacts: ReadonlyArray<{
    readonly name: string
    readonly mime: string
    readonly type: string
    readonly tags: ReadonlyArray<string>
    readonly about: Readonly<Record<string, unknown>>
    readonly content: Uint8Array
    readonly past: PastArtifact
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
  allowed: (id: string, status: SessionStatus) => Effect.Effect<void, SessionRefused>,
): Effect.Effect<SessionRecord, ImportError> {
  return Effect.gen(function*() {
    const { session, state, runs, artifacts: kept } = yield* parse(text)
    const id = as ?? session.id
    if (!isRunId(id)) return yield* new BundleInvalid({ at: "session.id", reason: "not an id" })
    const there = yield* sessionIn(store, id)
    if (there !== undefined && there.status !== "archived") {
      return yield* new SessionRefused({ session: id, asked: "be imported", reason: "there is one with this id already: give it another" })
    }
    yield* allowed(id, session.status)
    // what an archiving that was cut short has left is in the document
    if (there !== undefined) yield* Effect.andThen(clearSession(store, id), store.sessions.remove([id]))
    for (const { id: run } of runs) {
      const taken: RunRecord | undefined = yield* Effect.catchTag(store.runs.get(run), "RunNotFound", () => Effect.succeed(undefined))
      if (taken !== undefined) return yield* new RunConflict({ run, differs: "exists" })
    }
    const { name, user, context, policy, tags } = session
    const { session: fresh } = yield* store.sessions.create({ id, name, user, parent: undefined, context, policy, tags })
    const put = (scope: string, entries: ReadonlyArray<KeptEntry>) =>
      store.states.commit(entries.map((entry) => ({ scope, name: entry.name, expected: undefined, next: () => entry })))
    const filled = Effect.gen(function*() {
      yield* put(`session:${id}`, state)
      for (const { id: run, parent, bundle, state: own } of runs) {
        yield* importRun(store, bundle, run, { session: id, parent })
        yield* put(`run:${run}`, own)
      }
      // what was made from one of this session's own is made from what that is called now
      const renamed = (made: string) => made.startsWith(`${session.id}/`) ? `${id}${made.slice(session.id.length)}` : made
      for (const { name: of, content, past, ...about } of kept) {
        yield* artifacts.put(of, content, { ...about, session: id }, { ...past, from: past.from.map(renamed) })
      }
      yield* store.sessions.carry(id, session.carried)
      const { status, reason, endedAt } = session
      return yield* store.sessions.save({ ...fresh, status: status === "active" ? "suspended" : status, reason, endedAt })
    })
    // half a session is none
    return yield* Effect.onError(filled, () => Effect.ignore(Effect.andThen(clearSession(store, id), store.sessions.remove([id]))))
  })
}

const positive = (value: unknown, at: string): number => {
  const number = whole(value, at)
  if (number === 0) throw new Wrong(at, "not a whole number from 1")
  return number
}
const grantOf = ({ to, may, until }: Readonly<Record<string, unknown>>, at: string): Grant => {
  if (may !== "read" && may !== "write") throw new Wrong(`${at}.may`, "neither read nor write")
  return { to: string(to, `${at}.to`), may, ...(until === undefined ? {} : { until: whole(until, `${at}.until`) }) }
}
/** What runs that are no more have used: it still counts. */
const carriedOf = (value: unknown): Carried => {
  const at = "session.carried"
  const { spent = {}, runs = 0 } = record(JSON.parse(encoded(value, at)), at)
  const used = Object.entries(record(spent, `${at}.spent`)).map(([item, amount]) => {
    if (typeof amount !== "number" || !(amount >= 0)) throw new Wrong(`${at}.spent.${item}`, "not a number from 0")
    return [item, amount]
  })
  return { spent: Object.fromEntries(used), runs: whole(runs, `${at}.runs`) }
}

const parse = (text: string): Effect.Effect<Kept, BundleInvalid> =>
  untrusted(text, format, (content): Kept => {
    const session = record(content["session"], "session")
    const status = sessionStatuses.find((one) => one === session["status"])
    if (status === undefined || status === "archived") throw new Wrong("session.status", "not a status")
    const optional = (key: string) => (session[key] === undefined ? undefined : string(session[key], `session.${key}`))
    const texts = (value: unknown, at: string) => list(value, at).map((one, i) => string(one, `${at}[${i}]`))
    const plain = (value: unknown, at: string) => record(decodeValue(encoded(value, at)), at)
    const policy = plain(session["policy"], "session.policy")
    const wrong = policyProblem(policy)
    if (wrong !== undefined) throw new Wrong("session.policy", wrong)
    const entries = (value: unknown, at: string): ReadonlyArray<KeptEntry> =>
      list(value, at).map((one, i) => {
        const where = `${at}[${i}]`
        const entry = record(one, where)
        const called = string(entry["name"], `${where}.name`)
        if (!isStateName(called)) throw new Wrong(`${where}.name`, "no name of State")
        return {
          name: called,
          value: encoded(entry["value"], `${where}.value`),
          version: whole(entry["version"], `${where}.version`),
          until: entry["until"] === undefined ? undefined : whole(entry["until"], `${where}.until`),
        }
      })
    return {
      session: {
        id: string(session["id"], "session.id"),
        status,
        name: optional("name"),
        user: optional("user"),
        parent: undefined,
        context: encoded(session["context"], "session.context"),
        policy: JSON.stringify(policy),
        tags: texts(session["tags"], "session.tags"),
        reason: optional("reason"),
        carried: JSON.stringify(carriedOf(session["carried"])),
        revision: 1,
        createdAt: 0,
        updatedAt: 0,
        usedAt: 0,
        endedAt: session["endedAt"] === undefined ? undefined : whole(session["endedAt"], "session.endedAt"),
      },
      state: entries(content["state"], "state"),
      runs: list(content["runs"], "runs").map((value, i) => {
        const at = `runs[${i}]`
        const run = record(value, at)
        return {
          id: runId(run["id"], `${at}.id`),
          parent: run["parent"] === undefined ? undefined : runId(run["parent"], `${at}.parent`),
          bundle: string(run["bundle"], `${at}.bundle`),
          state: entries(run["state"], `${at}.state`),
        }
      }),
      artifacts: list(content["artifacts"], "artifacts").map((value, i) => {
        const at = `artifacts[${i}]`
        const artifact = record(value, at)
        return {
          name: string(artifact["name"], `${at}.name`),
          mime: string(artifact["mime"], `${at}.mime`),
          type: string(artifact["type"], `${at}.type`),
          tags: texts(artifact["tags"], `${at}.tags`),
          about: plain(artifact["about"], `${at}.about`),
          content: Buffer.from(string(artifact["content"], `${at}.content`), "base64"),
          past: {
            version: positive(artifact["version"], `${at}.version`),
            by: artifact["by"] === undefined ? undefined : string(artifact["by"], `${at}.by`),
            from: texts(artifact["from"], `${at}.from`),
            grants: list(artifact["grants"], `${at}.grants`).map((grant, n) => grantOf(record(grant, `${at}.grants[${n}]`), `${at}.grants[${n}]`)),
          },
        }
      }),
    }
  })
