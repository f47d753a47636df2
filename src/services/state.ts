/** State: typed keys at one place, read and changed. */
import { currentTimeMillis } from "effect/Clock"
import type { Input as Duration } from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { makeUnsafe } from "effect/Semaphore"
import type { Replace, Skip } from "../../dsl/ir/hook.ts"
import type { StateKey, StateListOptions, StateMember, StateSetOptions } from "../../dsl/ir/state.ts"
import type { StoreFailed } from "../model/error.ts"
import { StateConflict, StateRefused } from "../model/service-error.ts"
import type { StateWrite } from "../model/state-entry.ts"
import type { Store } from "../store/store.ts"
import { type Change, Changes, failedWith, gone, nextOf, type Pending } from "./state-changes.ts"
import { type Asked, type Place, scopeOf, type StateError } from "./state-scope.ts"
import { encodeState, readState } from "./state-value.ts"

/** Asked about what is done here, where somebody is to be asked. */
export interface StateGuard {
  /** Before a change is taken: another value in its place, or nothing of it. */
  readonly change: ((key: StateKey, value: unknown) => Effect.Effect<Replace | Skip | undefined, any>) | undefined
  /** Of what was read: another value in its place. */
  readonly read: ((key: StateKey, value: unknown) => Effect.Effect<Replace | undefined, any>) | undefined
}

/** State at one place; changes are written at once, or collected for whoever writes them. */
export class StateView {
  readonly #store: Store["Service"]
  readonly #place: Place
  readonly #collected: Changes | undefined
  /** Told when something was written. */
  readonly #news: () => void
  readonly #guard: StateGuard | undefined
  readonly #turns = makeUnsafe(1)

  constructor(store: Store["Service"], place: Place, collected: Changes | undefined, news: () => void, guard?: StateGuard) {
    this.#store = store
    this.#place = place
    this.#collected = collected
    this.#news = news
    this.#guard = guard
  }

  get<Value, Empty>(key: StateKey<Value, Empty>): Asked<Value | Empty> {
    return this.#in(key, "readers", (scope, changes, now) =>
      // what is written after this follows from it
      Effect.flatMap(this.#read(changes.of(scope, key)), (pending) => this.#seen(key, valueOf(key, nextOf(pending, pending.read!.entry, now)))))
  }

  set<Value>(key: StateKey<Value, any>, value: Value, { ttl }: StateSetOptions = {}): Asked<void> {
    return this.#change(
      key,
      (pending) => {
        encodeState(key, value)
        put(pending, () => value, ttl)
        pending.fresh = true
        return Effect.void
      },
      nothing,
      true,
    )
  }

  delete(key: StateKey): Asked<void> {
    return this.#change(
      key,
      (pending) => {
        put(pending, () => gone, undefined)
        pending.fresh = true
        return Effect.void
      },
      nothing,
      true,
    )
  }

  update<Value, Empty>(key: StateKey<Value, Empty>, change: (value: Value | Empty) => Value): Asked<Value> {
    const changed = (pending: Pending) =>
      Effect.map(this.#read(pending), () => {
        pending.changes.push(change)
        pending.by = undefined
      })
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `change` has given it
    return this.#change(key, changed, (next) => next() as Value)
  }

  increment(key: StateKey<number, any>, by = 1): Asked<number> {
    const added = (pending: Pending) =>
      Effect.map(this.#read(pending), () => {
        const sum = pending.changes.length === 0 ? by : pending.by === undefined ? undefined : pending.by + by
        pending.changes.push((value: number | undefined) => (value ?? 0) + by)
        pending.by = sum
      })
    return this.#change(key, added, (next) => Number(next() ?? 0))
  }

  compareAndSet<Value, Empty>(key: StateKey<Value, Empty>, expected: Value | Empty, next: Value): Asked<boolean> {
    let is = false
    const changed = (pending: Pending, now: number) =>
      Effect.map(this.#read(pending), () => {
        const value = nextOf(pending, pending.read!.entry, now)
        is = value === undefined || value === gone ?
          expected === undefined :
          expected !== undefined && encodeState(key, value) === encodeState(key, expected)
        if (!is) return
        // what it was to stay is as it was
        put(pending, () => next, pending.ttl)
        pending.exact = true
      })
    return this.#change(key, changed, (_next, taken) => is && taken)
  }

  list<Value>(key: StateKey<Value, any>, { limit = 1000, after }: StateListOptions = {}): Asked<ReadonlyArray<StateMember<Value>>> {
    const prefix = `${key.name}/`
    const behind = after === undefined ? "" : prefix + after
    return this.#in(key, "readers", (scope, changes, now) => {
      const own = changes.within(scope, prefix)
      // as many more as this step may have deleted
      return Effect.flatMap(this.#store.states.list(scope, prefix, limit + own.length, now, behind), (entries) => {
        const values = new Map(
          entries.map((entry) => [entry.name, readState(key.at(entry.name.slice(prefix.length)), entry, now)]),
        )
        for (const pending of own) {
          const value = nextOf(pending, pending.read?.entry, now)
          if (value === gone) values.delete(pending.key.name)
          else values.set(pending.key.name, value)
        }
        const names = [...values.keys()].filter((name) => name > behind).sort().slice(0, limit)
        const seen = Effect.forEach(names, (name) => {
          const member = name.slice(prefix.length)
          return Effect.map(this.#seen<Value | undefined>(key.at(member), values.get(name)), (value) => (value === undefined ? [] : [{ member, value }]))
        })
        return Effect.map(seen, (members) => members.flat())
      })
    })
  }

  /** Several changes, all of them or none; if others change what it has read meanwhile, it is done again with what is there then, at most 10 times. */
  transaction<A, E, R>(work: (state: StateView) => Effect.Effect<A, E, R>, tries = 10): Effect.Effect<A, E | StateError, R> {
    return Effect.suspend(() => {
      const changes = new Changes()
      const done = Effect.flatMap(
        work(new StateView(this.#store, this.#place, changes, this.#news)),
        (value) => Effect.as(this.#write(changes, changes.unchanged), value),
      )
      return tries <= 1 ? done : Effect.catchIf(
        done,
        (error): error is StateConflict & E => error instanceof StateConflict,
        () => this.transaction(work, tries - 1),
      )
    })
  }

  /** The scope of a key that may be read here, for whoever watches it. */
  reading(key: StateKey<any, any>): Asked<string> {
    return Effect.andThen(this.#allowed(key, "readers"), this.scope(key))
  }

  /** The scope of a key, for whoever copies it. */
  scope(key: Pick<StateKey, "name" | "scope" | "of">): Asked<string> {
    return scopeOf(this.#store, this.#place, key)
  }

  /** What was read, as it is let through. */
  #seen<Value>(key: StateKey<any, any>, value: unknown): Asked<Value> {
    const asked = this.#guard?.read?.(key, value) ?? Effect.undefined
    return Effect.map(asked, (decision) => {
      // `undefined`: as if there were none
      if (decision?.value !== undefined) encodeState(key, decision.value)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the key's schema, or whoever wrote it, has checked it
      return (decision === undefined ? value : decision.value ?? key.initial) as Value
    })
  }

  #read(pending: Pending): Effect.Effect<Pending, StoreFailed> {
    if (pending.read !== undefined) return Effect.succeed(pending)
    return Effect.map(this.#store.states.get(pending.scope, pending.key.name), (entry) => {
      pending.read ??= { entry }
      return pending
    })
  }

  /** Takes a change, if nobody objects; gives what `result` makes of what is there then, and of whether it was taken. `isBlind`: whatever was there. */
  #change<A>(
    key: StateKey,
    take: (pending: Pending, now: number) => Asked<void>,
    result: (next: () => unknown, taken: boolean) => A,
    isBlind = false,
  ): Asked<A> {
    const changed = this.#in(key, "writers", (scope, changes, now) => {
      const pending = changes.of(scope, key)
      const next = () => valueOf(key, nextOf(pending, pending.read?.entry, now))
      const guard = this.#guard?.change
      if (guard === undefined) return Effect.map(take(pending, now), () => result(next, true))
      // one after the other: each is asked about on what the one before has left
      return this.#turns.withPermits(1)(Effect.suspend(() => Effect.map(guarded(guard, pending, () => take(pending, now)), (taken) => result(next, taken))))
    })
    // what a change is made of, and what comes of it, is read
    return isBlind ? changed : Effect.andThen(this.#allowed(key, "readers"), changed)
  }

  #allowed(key: StateKey<any, any>, may: "readers" | "writers"): Asked<void> {
    const { flow } = this.#place
    if (flow === undefined || key[may]?.includes(flow) !== false) return Effect.void
    return Effect.fail(new StateRefused({ name: key.name, reason: `flow '${flow}' is not among its ${may}: ${key[may].join(", ")}` }))
  }

  #in<A>(key: StateKey, may: "readers" | "writers", work: (scope: string, changes: Changes, now: number) => Asked<A>): Asked<A> {
    return Effect.flatMap(Effect.andThen(this.#allowed(key, may), this.scope(key)), (scope) =>
      Effect.flatMap(currentTimeMillis, (now) => {
        const changes = this.#collected ?? new Changes()
        const worked = refusable(() => work(scope, changes, now))
        return this.#collected === undefined && may === "writers" ? Effect.tap(worked, () => this.#write(changes)) : worked
      }))
  }

  #write(changes: Changes, also: ReadonlyArray<StateWrite> = []): Asked<void> {
    return Effect.flatMap(currentTimeMillis, (now) => {
      const written = Effect.map(this.#store.states.commit([...also, ...changes.writes(now)]), this.#news)
      return Effect.catchTag(written, "StoreFailed", (error) => failedWith(changes, error))
    })
  }
}

const nothing = (): void => undefined
const valueOf = (key: StateKey, next: unknown): unknown => (next === gone ? key.initial : next)

/** `take`, if nobody objects; where it is left out, or anybody fails, all is as it was before. */
const guarded = (guard: NonNullable<StateGuard["change"]>, pending: Pending, take: () => Asked<void>): Asked<boolean> => {
  const { key } = pending
  const before = { ...pending, changes: [...pending.changes] }
  // what was read stays read
  const back = Effect.sync(() => Object.assign(pending, { ...before, changes: [...before.changes], read: pending.read }))
  const asked = Effect.gen(function*() {
    yield* take()
    const { changes } = pending
    if (changes.length === before.changes.length && changes[0] === before.changes[0]) return true
    const next = nextOf(pending, pending.read?.entry, yield* currentTimeMillis)
    const decision = yield* guard(key, next === gone ? undefined : next)
    if (decision?.does === "skip") {
      yield* back
      return false
    }
    if (decision !== undefined) {
      encodeState(key, decision.value)
      put(pending, () => decision.value, pending.ttl)
    }
    return true
  })
  return Effect.onExit(asked, (exit) => (Exit.isFailure(exit) ? back : Effect.void))
}

const put = (pending: Pending, change: Change, ttl: Duration | undefined): void => {
  // what is written without having been read overwrites whatever is there
  pending.depends = pending.read !== undefined
  pending.changes = [change]
  pending.exact = false
  pending.by = undefined
  pending.ttl = ttl
}

/** `work`, which may refuse by throwing. */
const refusable = <A>(work: () => Asked<A>): Asked<A> => {
  const tried = Effect.suspend(work)
  return Effect.catchDefect(tried, (defect) => (defect instanceof StateRefused ? Effect.fail(defect) : Effect.die(defect)))
}
