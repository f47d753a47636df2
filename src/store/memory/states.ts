/** State in this process. */
import * as Effect from "effect/Effect"
import { StateConflict } from "../../model/service-error.ts"
import type { StateChange, StateEntry, StateWrite } from "../../model/state-entry.ts"
import { messageOf, StoreFailed } from "../../model/error.ts"
import { attempting } from "../attempt.ts"
import type { States } from "../store.ts"

/** State, and the way in for whoever writes something else with it. */
export function memoryStates(): { readonly states: States; readonly apply: (writes: ReadonlyArray<StateWrite>, now: number) => ReadonlyArray<StateChange> } {
  const scopes = new Map<string, Map<string, StateEntry>>()
  let revision = 0
  const find = (scope: string, name: string) => scopes.get(scope)?.get(name)
  /** @throws StateConflict, and whatever a write throws: then nothing has changed. */
  const apply = (writes: ReadonlyArray<StateWrite>, at: number): ReadonlyArray<StateChange> => {
    const undo: Array<() => void> = []
    const put = (scope: string, name: string, entry: StateEntry | undefined) => {
      const own = scopes.get(scope) ?? new Map<string, StateEntry>()
      scopes.set(scope, own)
      if (entry === undefined) own.delete(name)
      else own.set(name, entry)
    }
    try {
      return writes.flatMap(({ scope, name, expected, next }): ReadonlyArray<StateChange> => {
        const before = find(scope, name)
        if (expected !== undefined && expected !== (before?.revision ?? 0)) throw new StateConflict({ scope, name })
        const made = next(before)
        if (made === before) return []
        revision++
        const after = made === undefined ?
          undefined :
          { scope, name, value: made.value, version: made.version, until: made.until, revision: made.revision ?? revision, at }
        undo.push(() => put(scope, name, before))
        put(scope, name, after)
        return [{ scope, name, before, after }]
      })
    } catch (cause) {
      undo.toReversed().forEach((one) => one())
      throw cause
    }
  }
  const states: States = {
    get: (scope, name) => Effect.sync(() => find(scope, name)),
    list: (scope, prefix, limit = 1000, now = 0, after = "") =>
      Effect.sync(() =>
        [...scopes.get(scope)?.values() ?? []]
          .filter(({ name, until }) => name.startsWith(prefix) && name > after && (until === undefined || until > now))
          .sort((a, b) => (a.name < b.name ? -1 : 1))
          .slice(0, limit)
      ),
    commit: (writes) => attempting(() => apply(writes, Date.now()), stateFailure),
    revision: Effect.sync(() => revision),
    clear: (scope) =>
      Effect.sync(() => {
        if (scopes.delete(scope)) revision++
      }),
    expire: (now) =>
      Effect.sync(() => {
        let gone = 0
        for (const own of scopes.values()) for (const { name, until } of own.values()) if (until !== undefined && until <= now && own.delete(name)) gone++
        if (gone > 0) revision++
        return gone
      }),
  }
  return { states, apply }
}

/** What a write itself has thrown: whoever made it knows why. */
export const stateFailure = (cause: unknown): StoreFailed => new StoreFailed({ store: "memory", operation: "state", reason: messageOf(cause), cause })
