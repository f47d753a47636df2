/** What the scope of a key means to whoever asks. */
import * as Effect from "effect/Effect"
import type { StateKey } from "../../dsl/ir/state.ts"
import type { StoreFailed } from "../model/error.ts"
import { type SessionNotFound, type StateConflict, StateRefused } from "../model/service-error.ts"
import type { Store } from "../store/store.ts"

/** What scopes mean to whoever asks. */
export interface Place {
  readonly run?: string | undefined
  readonly flow?: string | undefined
  readonly session?: string | undefined
  /** Default: the session's. */
  readonly user?: string | undefined
  readonly agent?: string | undefined
  readonly tool?: string | undefined
}
export type StateError = StateConflict | StateRefused | SessionNotFound | StoreFailed
export type Asked<A> = Effect.Effect<A, StateError>

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$/

/** The scope that a key means at a place: `session:s1`. */
export function scopeOf(store: Store["Service"], place: Place, key: Pick<StateKey, "name" | "scope" | "of">): Asked<string> {
  const refused = (reason: string) => Effect.fail(new StateRefused({ name: key.name, reason }))
  if (!namePattern.test(key.name) || key.name.split("/").some((part) => part === "" || part === "..")) {
    return refused("a name has 1 to 256 characters A-Z a-z 0-9 . _ : - and members behind a /")
  }
  const { scope, of } = key
  if (scope === "global") return Effect.succeed(scope)
  if (scope === "custom" || of !== undefined) {
    return of === undefined ? refused("a custom scope needs a name: state(name, { scope: \"custom\", of })") : Effect.succeed(`${scope}:${of}`)
  }
  const own = place[scope]
  if (own !== undefined) return Effect.succeed(`${scope}:${own}`)
  if (scope !== "user" || place.session === undefined) return refused(`it belongs to a ${scope}, and there is none here: ${remedies[scope]}`)
  return Effect.flatMap(
    store.sessions.get(place.session),
    ({ id, user }) => user === undefined ? refused(`session '${id}' belongs to no user`) : Effect.succeed(`user:${user}`),
  )
}
const remedies = {
  user: "start the run in a session of a user, or name the user",
  session: "start the run with { session }, or name the session",
  flow: "name the flow",
  run: "name the run",
  agent: "it is for steps of agents: give the key { of }",
  tool: "it is for tools: give the key { of }",
} as const
