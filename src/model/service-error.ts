/** Errors of what a step may ask for: state, sessions, artifacts. Each has a page in `docs/errors/`, named by its tag. */
import { TaggedError } from "effect/Data"

/** Somebody else has changed a value of State since it was read; nothing was written. */
export class StateConflict extends TaggedError("StateConflict")<{ readonly scope: string; readonly name: string }> {
  override get message(): string {
    return `state '${this.name}' of ${this.scope} was changed by somebody else since it was read. Change it with update or increment, give its key a merge policy, or try again`
  }
}
/** State cannot be read or written so. */
export class StateRefused extends TaggedError("StateRefused")<{ readonly name: string; readonly reason: string }> {
  override get message(): string {
    return `state '${this.name}': ${this.reason}`
  }
}
/** The store has no session with this id. */
export class SessionNotFound extends TaggedError("SessionNotFound")<{ readonly session: string }> {
  override get message(): string {
    return `there is no session '${this.session}' in this store. Create it with sessions.create`
  }
}
/** Somebody else has changed a session since it was read. */
export class SessionConflict extends TaggedError("SessionConflict")<{ readonly session: string }> {
  override get message(): string {
    return `session '${this.session}' was changed by somebody else meanwhile. Read it again and repeat the change`
  }
}
/** A session does not allow what was asked of it as it is now. */
export class SessionRefused extends TaggedError("SessionRefused")<{ readonly session: string; readonly asked: string; readonly reason: string }> {
  override get message(): string {
    return `session '${this.session}' does not allow to ${this.asked}: ${this.reason}`
  }
}
/** There is no such artifact, or whoever asks may not see it. */
export class ArtifactNotFound extends TaggedError("ArtifactNotFound")<{ readonly artifact: string }> {
  override get message(): string {
    return `there is no artifact '${this.artifact}' here. artifacts.list shows what there is`
  }
}
/** An artifact cannot be kept or changed so. */
export class ArtifactRefused extends TaggedError("ArtifactRefused")<{ readonly artifact: string; readonly reason: string }> {
  override get message(): string {
    return `artifact '${this.artifact}': ${this.reason}`
  }
}

const errors = [StateConflict, StateRefused, SessionNotFound, SessionRefused, ArtifactNotFound, ArtifactRefused] as const
export const isServiceError = (error: unknown): error is ServiceError => errors.some((one) => error instanceof one)

/** What a step can meet when it asks for state, its session or artifacts. */
export type ServiceError = StateConflict | StateRefused | SessionNotFound | SessionRefused | ArtifactNotFound | ArtifactRefused
