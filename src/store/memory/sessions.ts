/** Sessions in this process. */
import * as Effect from "effect/Effect"
import { SessionConflict, SessionNotFound } from "../../model/service-error.ts"
import { newSession, type SessionRecord } from "../../model/session.ts"
import type { Sessions } from "../store.ts"

export function memorySessions(): Sessions {
  const kept = new Map<string, SessionRecord>()
  const known = (id: string) =>
    Effect.suspend(() => {
      const found = kept.get(id)
      return found === undefined ? Effect.fail(new SessionNotFound({ session: id })) : Effect.succeed(found)
    })
  return {
    create: (given) =>
      Effect.sync(() => {
        const found = kept.get(given.id)
        if (found !== undefined) return { created: false, session: found }
        const session = newSession(given, Date.now())
        kept.set(given.id, session)
        return { created: true, session }
      }),
    get: known,
    list: ({ status, user, parent, tag, unusedSince, limit = 50 }) =>
      Effect.sync(() =>
        [...kept.values()].toReversed().filter((session) =>
          (status === undefined || session.status === status) && (user === undefined || session.user === user) &&
          (parent === undefined || session.parent === parent) && (tag === undefined || session.tags.includes(tag)) &&
          (unusedSince === undefined || session.usedAt < unusedSince)
        ).slice(0, limit)
      ),
    save: (session) =>
      Effect.flatMap(known(session.id), (found) => {
        if (found.revision !== session.revision) return Effect.fail(new SessionConflict({ session: session.id }))
        const saved = {
          ...session,
          carried: found.carried,
          usedAt: Math.max(found.usedAt, session.usedAt),
          revision: found.revision + 1,
          updatedAt: Date.now(),
        }
        kept.set(session.id, saved)
        return Effect.succeed(saved)
      }),
    touch: (id, at) =>
      Effect.sync(() => {
        const found = kept.get(id)
        if (found !== undefined) kept.set(id, { ...found, usedAt: Math.max(found.usedAt, at) })
      }),
    carry: (id, used) =>
      Effect.sync(() => {
        const found = kept.get(id)
        if (found !== undefined) kept.set(id, { ...found, carried: used })
      }),
    remove: (ids) => Effect.sync(() => ids.forEach((id) => kept.delete(id))),
  }
}
