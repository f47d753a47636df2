/** Sessions: what several runs share, from its beginning to its end. */
import { randomUUID } from "node:crypto"
import { currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import { stored } from "../compile/record.ts"
import type { NotStorable, RunNotFound, StoreFailed } from "../model/error.ts"
import { isRunId, type RunRecord } from "../model/run.ts"
import type { Artifact } from "../../dsl/ir/artifact.ts"
import { type ArtifactNotFound, type ArtifactRefused, SessionConflict, type SessionNotFound, SessionRefused } from "../model/service-error.ts"
import { policyProblem } from "../model/session-policy.ts"
import { type NewSession, type SessionPolicy, type SessionRecord, type SessionStatus, sessionTransitions } from "../model/session.ts"
import { withoutSecrets } from "../model/without-secrets.ts"
import { decodeValue, encodeValue } from "../model/value.ts"
import type { ArtifactView } from "../services/artifacts.ts"
import type { SessionFilter, Store } from "../store/store.ts"
import type { Control } from "./control.ts"
import { archived } from "./offers.ts"
import { around, overtime, policyOf } from "./session-meter.ts"
import type { Conductor } from "./conduct.ts"
import { clearSession, exportSession } from "./session-archive.ts"
import { digest } from "./untrusted.ts"
import { createdSession, sessionAsked, sessionBecame, sessionTold } from "./session-hooks.ts"
import { importSession } from "./session-import.ts"
import type { Retired, RetireOptions, Session, SessionChange, SessionOptions } from "./session-types.ts"
import { free, openRuns, pausedWith, unended } from "./session-runs.ts"
import { failuresOf, type SessionFailure, type SessionUsage, usageOf } from "./session-look.ts"

type Asked<A> = Effect.Effect<A, StoreFailed | SessionNotFound | SessionConflict | SessionRefused>
type Listed = Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed>
const toSession = ({ context, policy: _policy, revision: _revision, ...session }: SessionRecord, policy: SessionPolicy): Session => ({
  ...session,
  context: decodeValue(context),
  policy,
})
const shown = (record: SessionRecord): Session => toSession(record, policyOf(record))
/** How often a change is tried again when others change the session too. */
const tries = 10

export class Sessions {
  readonly #conductor: Conductor
  readonly #control: Control

  readonly #artifacts: ArtifactView

  constructor(conductor: Conductor, control: Control, artifacts: ArtifactView) {
    this.#artifacts = artifacts
    this.#conductor = conductor
    this.#control = control
  }

  get #store(): Store["Service"] {
    return this.#conductor.keeping.store
  }

  create(
    { id = randomUUID(), name, user, parent, context = {}, policy = {}, tags = [] }: SessionOptions = {},
  ): Effect.Effect<Session, StoreFailed | SessionNotFound | SessionRefused | NotStorable> {
    return Effect.gen({ self: this }, function*() {
      const refused = (reason: string) => new SessionRefused({ session: id.slice(0, 256), asked: "be created", reason })
      if (!isRunId(id)) return yield* refused("an id is 1 to 256 characters of A-Z a-z 0-9 . _ : -")
      const wrong = policyProblem(policy)
      if (wrong !== undefined) return yield* refused(`its policy: ${wrong}`)
      if (parent !== undefined) {
        yield* this.#store.sessions.get(parent)
        const outer = yield* around(this.#store, parent)
        if (parent === id || outer.some((one) => one.parent === id)) {
          return yield* refused(`it would be inside itself: session '${parent}' is, or was, inside it`)
        }
      }
      const told = withoutSecrets({ name, user, tags })
      const given: NewSession = { id, ...told, parent, context: yield* stored("context", () => encodeValue(context)), policy: JSON.stringify(policy) }
      const { created, session } = yield* createdSession(this.#conductor, given)
      if (!created) return yield* refused("there is one with this id already")
      return shown(session)
    })
  }

  get(id: string): Effect.Effect<Session, StoreFailed | SessionNotFound> {
    return Effect.map(this.#store.sessions.get(id), shown)
  }

  /** Newest first. */
  list(filter: SessionFilter = {}): Effect.Effect<ReadonlyArray<Session>, StoreFailed> {
    return Effect.map(this.#store.sessions.list(filter), (found) => found.map(shown))
  }

  /** Changes what is given, as long as it has not ended; runs that go on keep the context they began with. */
  change(
    id: string,
    change: SessionChange | ((session: Session) => SessionChange),
  ): Effect.Effect<Session, StoreFailed | SessionNotFound | SessionConflict | SessionRefused | NotStorable> {
    const changed = this.#changed(id, (record) =>
      Effect.gen(function*() {
        if (record.endedAt !== undefined) return yield* new SessionRefused({ session: id, asked: "be changed", reason: `it is ${record.status}` })
        const { name = record.name, user = record.user, tags = record.tags, policy = policyOf(record), context } = typeof change === "function" ?
          change(shown(record)) :
          change
        const encoded = yield* context === undefined ? Effect.succeed(record.context) : stored("context", () => encodeValue(context))
        const wrong = policyProblem(policy)
        if (wrong !== undefined) return yield* new SessionRefused({ session: id, asked: "be changed", reason: `its policy: ${wrong}` })
        return { ...record, ...withoutSecrets({ name, user, tags }), context: encoded, policy: JSON.stringify(policy) }
      }))
    return Effect.map(changed, shown)
  }

  /** Stops it until it is resumed: its runs are paused, and nothing can be started in it. */
  suspend(id: string, reason = ""): Asked<Session> {
    return this.#allowed(id, "suspended", reason, () =>
      Effect.tap(this.#move(id, "suspended", reason), () =>
        Effect.flatMap(
          openRuns(this.#store, id, ["pending", "running", "suspended"]),
          Effect.forEach(({ id: run }) => Effect.ignore(this.#control.pause(run, { reason: pausedWith(id) })), { discard: true }),
        )))
  }

  /** Goes on with it; the runs that were paused with it are left to workers, or to `resume`. */
  resume(id: string): Asked<Session> {
    const freed = Effect.flatMap(openRuns(this.#store, id, ["paused"]), Effect.forEach((run) => free(this.#conductor, run, pausedWith(id)), { discard: true }))
    return this.#allowed(id, "active", undefined, () => Effect.tap(this.#move(id, "active", undefined), freed))
  }

  /** Ends it. Runs that have not ended refuse that, unless they are to be cancelled. */
  complete(id: string, { cancel = false }: { readonly cancel?: boolean } = {}): Asked<Session> {
    return this.#allowed(id, "completed", undefined, () => Effect.flatMap(this.#end(id, cancel, "complete"), () => this.#move(id, "completed", undefined)))
  }

  /** Ends it as failed; its runs are cancelled. */
  fail(id: string, reason: string): Asked<Session> {
    return this.#allowed(id, "failed", reason, () => Effect.flatMap(this.#end(id, true, "fail"), () => this.#move(id, "failed", reason)))
  }

  /** The runs in it, newest first. */
  runs(id: string): Listed {
    return this.#store.runs.list({ session: id, limit: Number.MAX_SAFE_INTEGER })
  }

  /** What it has used: what its runs have charged, bounded or not, and what they have kept. Steps and passes are counted where something bounds them. */
  usage(id: string): Effect.Effect<SessionUsage, StoreFailed> {
    return usageOf(this.#store, id)
  }

  /** What went wrong in it, newest first. */
  errors(id: string): Effect.Effect<ReadonlyArray<SessionFailure>, StoreFailed> {
    return Effect.flatMap(this.runs(id), (runs) => failuresOf(this.#store, runs))
  }

  /** It with its state, runs and artifacts as one JSON document. */
  export(id: string): Effect.Effect<string, StoreFailed | SessionNotFound | SessionRefused | RunNotFound | ArtifactNotFound | ArtifactRefused> {
    return exportSession(this.#store, this.#artifacts, id)
  }

  /** Brings in what `export` gave, or an archive, under its own id or another. One that had not ended is suspended; nothing runs until it is resumed. */
  import(text: string, as?: string): Effect.Effect<Session, Effect.Error<ReturnType<typeof importSession>>> {
    const asked = (session: string, to: SessionStatus) => sessionAsked(this.#conductor, { session, from: undefined, to }, "be imported")
    return Effect.flatMap(importSession(this.#store, this.#artifacts, text, as, asked), (record) => {
      sessionTold(this.#conductor, record)
      return Effect.as(sessionBecame(this.#conductor, { session: record.id, from: undefined, to: record.status }), shown(record))
    })
  }

  /** Puts an ended session away: all of it becomes one artifact, `sessions/<id>.json` (what is behind 200 characters of an id is hashed), which `import` brings back. */
  archive(
    id: string,
  ): Effect.Effect<Artifact, StoreFailed | SessionNotFound | SessionConflict | SessionRefused | RunNotFound | ArtifactNotFound | ArtifactRefused> {
    return Effect.gen({ self: this }, function*() {
      const { status } = yield* this.#store.sessions.get(id)
      const name = `sessions/${id.length > 200 ? `${id.slice(0, 200)}-${digest({ id }).slice(0, 20)}` : id}.json`
      if (status === "archived") {
        // somebody else has come so far
        yield* clearSession(this.#store, id)
        return yield* this.#artifacts.get(name, { session: archived })
      }
      if (!sessionTransitions[status].includes("archived")) {
        return yield* new SessionRefused({ session: id, asked: "be archived", reason: `it is ${status}: it must have ended` })
      }
      yield* sessionAsked(this.#conductor, { session: id, from: status, to: "archived" }, "become archived")
      const artifact = yield* this.#artifacts.put(name, yield* this.export(id), { mime: "application/json", type: "session", session: archived })
      yield* this.#move(id, "archived", undefined)
      yield* clearSession(this.#store, id)
      yield* sessionBecame(this.#conductor, { session: id, from: status, to: "archived" })
      return artifact
    })
  }

  /**
   * Ends sessions that lasted or were idle longer than they may, and puts away, or deletes, those that ended longer ago than `olderThan` milliseconds.
   * One that cannot be put away does not keep the others from it.
   */
  retire({ olderThan = 30 * 24 * 3_600_000, remove = false }: RetireOptions = {}): Effect.Effect<Retired, StoreFailed> {
    return Effect.gen({ self: this }, function*() {
      const now = yield* currentTimeMillis
      const [ended, retired, failed]: [Array<string>, Array<string>, Array<Retired["failed"][number]>] = [[], [], []]
      const each = (id: string, to: Array<string>, work: Effect.Effect<unknown, { readonly message: string }>) =>
        Effect.match(work, { onSuccess: () => void to.push(id), onFailure: ({ message }) => void failed.push({ session: id, reason: message }) })
      for (const session of yield* this.#store.sessions.list({ limit: Number.MAX_SAFE_INTEGER })) {
        const { id, endedAt, status } = session
        const over = status === "active" || status === "suspended" ? yield* overtime(this.#store, session, now) : undefined
        if (over !== undefined) yield* each(id, ended, this.fail(id, over))
        else if (endedAt !== undefined && status !== "archived" && endedAt <= now - olderThan) {
          const deleted = Effect.andThen(clearSession(this.#store, id), this.#store.sessions.remove([id]))
          yield* each(id, retired, remove ? deleted : this.archive(id))
        }
      }
      return { ended, retired, failed }
    })
  }

  /** Moves it to another status, if that may follow. */
  #move(id: string, to: SessionStatus, reason: string | undefined): Asked<Session> {
    const moved = this.#changed(id, (record) =>
      Effect.gen(function*() {
        const { status } = record
        if (!sessionTransitions[status].includes(to)) {
          const next = sessionTransitions[status]
          const reasons = `it is ${status}, ${next.length === 0 ? "and stays so" : `and can only become ${next.join(" or ")}`}`
          return yield* new SessionRefused({ session: id, asked: `become ${to}`, reason: reasons })
        }
        const now = yield* currentTimeMillis
        return { ...record, status: to, reason: withoutSecrets(reason), usedAt: now, endedAt: to === "completed" || to === "failed" ? now : record.endedAt }
      }))
    return Effect.map(moved, (record) => {
      sessionTold(this.#conductor, record)
      return shown(record)
    })
  }

  /** `work`, if hooks let it become that; what it cannot become anyhow is refused by the work itself. */
  #allowed<A, E>(
    id: string,
    to: SessionStatus,
    reason: string | undefined,
    work: () => Effect.Effect<A, E>,
  ): Effect.Effect<A, E | StoreFailed | SessionNotFound | SessionRefused> {
    return Effect.flatMap(this.#store.sessions.get(id), ({ status }) => {
      if (!sessionTransitions[status].includes(to)) return work()
      const becoming = { session: id, from: status, to, reason }
      const asked = sessionAsked(this.#conductor, becoming, `become ${to}`)
      return Effect.tap(Effect.andThen(asked, Effect.suspend(work)), sessionBecame(this.#conductor, becoming))
    })
  }

  /** Reads, changes and writes it; again if others have changed it meanwhile. */
  #changed<E>(
    id: string,
    change: (record: SessionRecord) => Effect.Effect<SessionRecord, E>,
    left = tries,
  ): Effect.Effect<SessionRecord, E | StoreFailed | SessionNotFound | SessionConflict> {
    const changed = Effect.flatMap(this.#store.sessions.get(id), (record) => Effect.flatMap(change(record), (next) => this.#store.sessions.save(next)))
    return left === 1 ?
      changed :
      Effect.catchIf(changed, (error): error is SessionConflict & E => error instanceof SessionConflict, () => this.#changed(id, change, left - 1))
  }

  #end(id: string, cancel: boolean, asked: string): Asked<void> {
    return Effect.gen({ self: this }, function*() {
      const open = yield* openRuns(this.#store, id, unended)
      if (open.length > 0 && !cancel) {
        const names = open.slice(0, 5).map(({ id: run }) => `'${run}'`).join(", ")
        return yield* new SessionRefused({
          session: id,
          asked,
          reason: `${open.length} of its runs have not ended (${names}): wait for them, or have them cancelled`,
        })
      }
      for (const { id: run } of open) yield* Effect.ignore(this.#control.cancel(run, { reason: `session '${id}' has ended` }))
    })
  }
}
