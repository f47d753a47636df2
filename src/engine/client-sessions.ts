/** Sessions and artifacts for programs without Effect: every method does what the service's method of the same name does. */
import type * as Effect from "effect/Effect"
import type { ResultAsync } from "neverthrow"
import type { Artifact, ArtifactContent, ArtifactOptions, ArtifactPlace, ArtifactQuery } from "../../dsl/ir/artifact.ts"
import type { Grant } from "../model/artifact.ts"
import type { StoreFailed } from "../model/error.ts"
import type { RunRecord } from "../model/run.ts"
import type { ArtifactError, ArtifactView } from "../services/artifacts.ts"
import type { SessionFilter } from "../store/store.ts"
import type { Doing } from "./client-state.ts"
import type { RetireOptions, Session, SessionChange, SessionOptions } from "./session-types.ts"
import type { Sessions } from "./sessions.ts"

type Done<Method extends (...args: never) => Effect.Effect<any, any>> = ResultAsync<
  Effect.Success<ReturnType<Method>>,
  Effect.Error<ReturnType<Method>> | StoreFailed
>

export class ClientSessions {
  readonly #sessions: Sessions
  readonly #client: Doing

  constructor(sessions: Sessions, client: Doing) {
    this.#sessions = sessions
    this.#client = client
  }

  /**
   * Begins a session.
   *
   * @example
   * await heddle.sessions.create({ id: "ada-1", user: "ada", context: { tier: "gold" }, policy: { tokens: 100_000, duration: "1 hour" } })
   * await heddle.run(chat, { text: "hello" }, { session: "ada-1" })
   */
  create(options?: SessionOptions): Done<Sessions["create"]> {
    return this.#client.do(this.#sessions.create(options))
  }
  get(id: string): Done<Sessions["get"]> {
    return this.#client.do(this.#sessions.get(id))
  }
  list(filter?: SessionFilter): Done<Sessions["list"]> {
    return this.#client.do(this.#sessions.list(filter))
  }
  change(id: string, change: SessionChange | ((session: Session) => SessionChange)): Done<Sessions["change"]> {
    return this.#client.do(this.#sessions.change(id, change))
  }
  suspend(id: string, reason?: string): Done<Sessions["suspend"]> {
    return this.#client.do(this.#sessions.suspend(id, reason))
  }
  resume(id: string): Done<Sessions["resume"]> {
    return this.#client.do(this.#sessions.resume(id))
  }
  complete(id: string, options?: { readonly cancel?: boolean }): Done<Sessions["complete"]> {
    return this.#client.do(this.#sessions.complete(id, options))
  }
  fail(id: string, reason: string): Done<Sessions["fail"]> {
    return this.#client.do(this.#sessions.fail(id, reason))
  }
  runs(id: string): ResultAsync<ReadonlyArray<RunRecord>, StoreFailed> {
    return this.#client.do(this.#sessions.runs(id))
  }
  usage(id: string): Done<Sessions["usage"]> {
    return this.#client.do(this.#sessions.usage(id))
  }
  errors(id: string): Done<Sessions["errors"]> {
    return this.#client.do(this.#sessions.errors(id))
  }
  export(id: string): Done<Sessions["export"]> {
    return this.#client.do(this.#sessions.export(id))
  }
  import(text: string, as?: string): Done<Sessions["import"]> {
    return this.#client.do(this.#sessions.import(text, as))
  }
  archive(id: string): Done<Sessions["archive"]> {
    return this.#client.do(this.#sessions.archive(id))
  }
  retire(options?: RetireOptions): Done<Sessions["retire"]> {
    return this.#client.do(this.#sessions.retire(options))
  }
}

export class ClientArtifacts {
  readonly #artifacts: ArtifactView
  readonly #client: Doing

  constructor(artifacts: ArtifactView, client: Doing) {
    this.#artifacts = artifacts
    this.#client = client
  }

  put(name: string, content: ArtifactContent, options?: ArtifactOptions): ResultAsync<Artifact, ArtifactError> {
    return this.#client.do(this.#artifacts.put(name, content, options))
  }
  get(name: string, place?: ArtifactPlace): Done<ArtifactView["get"]> {
    return this.#client.do(this.#artifacts.get(name, place))
  }
  bytes(name: string, place?: ArtifactPlace): Done<ArtifactView["bytes"]> {
    return this.#client.do(this.#artifacts.bytes(name, place))
  }
  text(name: string, place?: ArtifactPlace): Done<ArtifactView["text"]> {
    return this.#client.do(this.#artifacts.text(name, place))
  }
  /** The content a part at a time, checked against its hash. */
  read(name: string, place?: ArtifactPlace): AsyncIterable<Uint8Array> {
    return this.#client.read(this.#artifacts.read(name, place))
  }
  list(query?: ArtifactQuery): Done<ArtifactView["list"]> {
    return this.#client.do(this.#artifacts.list(query))
  }
  lineage(name: string, place?: ArtifactPlace): Done<ArtifactView["lineage"]> {
    return this.#client.do(this.#artifacts.lineage(name, place))
  }
  grant(name: string, grant: Grant, place?: ArtifactPlace): Done<ArtifactView["grant"]> {
    return this.#client.do(this.#artifacts.grant(name, grant, place))
  }
  revoke(name: string, to: string, place?: ArtifactPlace): Done<ArtifactView["revoke"]> {
    return this.#client.do(this.#artifacts.revoke(name, to, place))
  }
  tag(name: string, tags: ReadonlyArray<string>, place?: ArtifactPlace): Done<ArtifactView["tag"]> {
    return this.#client.do(this.#artifacts.tag(name, tags, place))
  }
  remove(name: string, place?: ArtifactPlace): Done<ArtifactView["remove"]> {
    return this.#client.do(this.#artifacts.remove(name, place))
  }
  verify(session?: string): Done<ArtifactView["verify"]> {
    return this.#client.do(this.#artifacts.verify(session))
  }
}
