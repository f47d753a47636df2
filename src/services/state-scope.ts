/** What the scope of a key means to whoever asks. */
import * as Effect from "effect/Effect"
import type { StateKey, StateScope } from "../../dsl/ir/state.ts"
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
}
export type StateError = StateConflict | StateRefused | SessionNotFound | StoreFailed
export type Asked<A> = Effect.Effect<A, StateError>

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$/
/** A key may be called that. */
export const isStateName = (name: string): boolean => namePattern.test(name) && !name.split("/").some((part) => part === "" || part === "..")

/** The scope that a key means at a place: `session:s1`. */
export function scopeOf(store: Store["Service"], place: Place, key: Pick<StateKey, "name" | "scope" | "of">): Asked<string> {
  const refused = (reason: string) => Effect.fail(new StateRefused({ name: key.name, reason }))
  if (!isStateName(key.name)) {
    return refused("a name has 1 to 256 characters A-Z a-z 0-9 . _ : - and members behind a /")
  }
  const { scope, of } = key
  if (scope === "global") return Effect.succeed(scope)
  if (of !== undefined && !namedScopes.has(scope)) return refused(`scope '${scope}' is found where the key is used: of is for agent, tool and custom`)
  if (namedScopes.has(scope)) {
    return of === undefined ? refused(`scope '${scope}' needs a name: state(name, { scope: "${scope}", of })`) : Effect.succeed(`${scope}:${of}`)
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the others have been answered
  const mine = scope as keyof typeof remedies
  const own = place[mine]
  if (own !== undefined) return Effect.succeed(`${scope}:${own}`)
  if (scope !== "user" || place.session === undefined) return refused(`it belongs to a ${scope}, and there is none here: ${remedies[mine]}`)
  return Effect.flatMap(
    store.sessions.get(place.session),
    ({ id, user }) => user === undefined ? refused(`session '${id}' belongs to no user`) : Effect.succeed(`user:${user}`),
  )
}
/** Scopes whose place the key itself names. */
export const namedScopes: ReadonlySet<StateScope> = new Set(["agent", "tool", "custom"])
const remedies = {
  user: "start the run in a session of a user, or name the user",
  session: "start the run with { session }, or name the session",
  flow: "name the flow",
  run: "name the run",
} as const
