/** Changes of State that are collected, and written together or not at all. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { StateKey } from "../../dsl/ir/state.ts"
import type { StoreFailed } from "../model/error.ts"
import { StateRefused } from "../model/service-error.ts"
import type { ChangedState, NextEntry, StateChange, StateEntry, StateWrite } from "../model/state-entry.ts"
import { decodeValue } from "../model/value.ts"
import { withoutSecrets } from "../model/without-secrets.ts"
import type { StateError } from "./state-scope.ts"
import { encodeState, readState } from "./state-value.ts"

export type Change = (now: any) => unknown
/** What a change leaves where it deletes. */
export const gone = Symbol("gone")

/** What was read of one entry, and what is to become of it. */
export interface Pending {
  readonly scope: string
  readonly key: StateKey
  /** What was there when it was first read. */
  read: { readonly entry: StateEntry | undefined } | undefined
  changes: Array<Change>
  /** Its value follows from what was read: nobody may have changed it since. */
  depends: boolean
  /** It was compared: where others have written meanwhile, nothing is combined with that. */
  exact: boolean
  /** It was only added to: how much. */
  by: number | undefined
  ttl: Duration.Input | undefined
  /** It is written anew: how long what was there was to stay does not count. */
  fresh: boolean
}

/** Changes that are not written yet, and what they were made of. */
export class Changes {
  readonly #pending = new Map<string, Pending>()
  #failure: unknown
  #closed = false

  /** What is changed. */
  get changed(): ReadonlyArray<{ readonly scope: string; readonly name: string }> {
    return [...this.#pending.values()].filter(({ changes }) => changes.length > 0).map(({ scope, key: { name } }) => ({ scope, name }))
  }

  get none(): boolean {
    return this.changed.length === 0
  }

  /** What comes now comes too late. */
  close(): void {
    this.#closed = true
  }

  of(scope: string, key: StateKey): Pending {
    if (this.#closed) throw new StateRefused({ name: key.name, reason: "the step has ended: wait for what it does with state before it returns" })
    const id = `${scope} ${key.name}`
    const found = this.#pending.get(id) ??
      { scope, key, read: undefined, changes: [], depends: false, exact: false, by: undefined, ttl: undefined, fresh: false }
    this.#pending.set(id, found)
    return found
  }

  /** Those of a scope that begin so. */
  within(scope: string, prefix: string): ReadonlyArray<Pending> {
    return [...this.#pending.values()].filter((pending) => pending.scope === scope && pending.key.name.startsWith(prefix) && pending.changes.length > 0)
  }

  /** What the store is to write at this time. */
  writes(now: number): ReadonlyArray<StateWrite> {
    return [...this.#pending.values()].filter(({ changes }) => changes.length > 0).map((pending) => this.#write(pending, now))
  }

  /** That what was only read is still as it was; writes nothing. */
  get unchanged(): ReadonlyArray<StateWrite> {
    return [...this.#pending.values()].flatMap(({ scope, key: { name }, read, changes }) =>
      changes.length > 0 || read === undefined ? [] : [{ scope, name, expected: read.entry?.revision ?? 0, next: (now) => now }]
    )
  }

  /** Why writing failed, if it was not the store's fault. */
  get failure(): unknown {
    return this.#failure
  }

  #write(pending: Pending, now: number): StateWrite {
    const { scope, key, read, depends, exact } = pending
    const seen = read?.entry?.revision ?? 0
    return {
      scope,
      name: key.name,
      expected: depends && (exact || key.merge === undefined) ? seen : undefined,
      next: (entry) => {
        try {
          const next = nextOf(pending, depends && (entry?.revision ?? 0) !== seen ? read?.entry : entry, now)
          return next === gone ? undefined : entryOf(pending, depends ? merged(pending, next, entry, now) : next, now, entry?.until)
        } catch (cause) {
          this.#failure = cause
          throw cause
        }
      },
    }
  }

  /** As events keep it, of what has become of the changes. */
  said(changes: ReadonlyArray<StateChange>): ReadonlyArray<ChangedState> {
    return changes.map(({ scope, name, before, after }) => {
      const by = this.#pending.get(`${scope} ${name}`)?.by
      const kept = { scope, name, before: before === undefined ? null : [before.value, before.version, before.until ?? null, before.revision] as const }
      return { ...kept, revision: after?.revision ?? 0, ...(by === undefined ? {} : { by }) }
    })
  }
}

/** What the changes make of an entry, as it will be read. */
export const nextOf = ({ key, changes }: Pending, entry: StateEntry | undefined, now: number): unknown =>
  withoutSecrets(changes.reduce((value: unknown, change) => change(value === gone ? key.initial : value), readState(key, entry, now)))
/** What others have written meanwhile is combined with `next`. */
const merged = ({ key, read }: Pending, next: unknown, entry: StateEntry | undefined, now: number): unknown =>
  key.merge === undefined || entry === undefined || entry.revision === read?.entry?.revision ?
    next :
    key.merge([readState(key, entry, now), next], readState(key, read?.entry, now))
/** What is changed stays as long as it was to stay, unless that is over or its key says otherwise. */
const entryOf = ({ key, ttl, fresh }: Pending, value: unknown, now: number, until: number | undefined): NextEntry => {
  const keeps = ttl ?? key.ttl
  const rest = fresh || until === undefined || until <= now ? undefined : until
  return { value: encodeState(key, value), version: key.version, until: keeps === undefined ? rest : now + Duration.toMillis(keeps) }
}

/** Why changes could not be written: what their own functions have thrown, else the store's failure. */
export const failedWith = (changes: Changes, error: StoreFailed): Effect.Effect<never, StateError> =>
  changes.failure instanceof StateRefused ? Effect.fail(changes.failure) : changes.failure === undefined ? Effect.fail(error) : Effect.die(changes.failure)

/** How changes that an event tells of are undone: what nobody has changed since is as it was before, what was only added to is taken away again. */
export const undoing = (changed: ReadonlyArray<ChangedState>): ReadonlyArray<StateWrite> =>
  changed.toReversed().map(({ scope, name, before, revision, by }) => ({
    scope,
    name,
    expected: undefined,
    next: (now) => {
      if ((now?.revision ?? 0) === revision) {
        // with its revision: steps before this one find it as they left it
        return before === null ? undefined : { value: before[0], version: before[1], until: before[2] ?? undefined, revision: before[3] }
      }
      if (by === undefined || now === undefined) return now
      const value = decodeValue(now.value)
      return typeof value === "number" ? { value: String(value - by), version: now.version, until: now.until } : now
    },
  }))
