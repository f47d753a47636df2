/** What a session has left, counted over all its runs: what they have recorded, and what is spent here now. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { budgetItems } from "../../dsl/ir/limit.ts"
import type { StoreFailed } from "../model/error.ts"
import { hasEnded, type RunRecord } from "../model/run.ts"
import { SessionRefused } from "../model/service-error.ts"
import type { SessionPolicy, SessionRecord } from "../model/session.ts"
import { type Counting, type Deadline, Meter, sharesBetween, type Spent, type Warning } from "../services/budgets.ts"
import { Spending } from "../services/spending.ts"
import { Recent } from "../store/recent.ts"
import type { Store } from "../store/store.ts"

/** What bounds the runs of a session. */
export interface Bounds {
  readonly meters: ReadonlyArray<Counting>
  readonly deadline: Deadline | undefined
  /** Whose session it is. */
  readonly user: string | undefined
  /** The run has stopped here. */
  readonly leave: () => void
}

export const policyOf = ({ policy }: Pick<SessionRecord, "policy">): SessionPolicy => JSON.parse(policy) as SessionPolicy

/** The session, if somebody has created it. */
export const sessionIn = (store: Store["Service"], id: string): Effect.Effect<SessionRecord | undefined, StoreFailed> =>
  Effect.catchTag(store.sessions.get(id), "SessionNotFound", () => Effect.succeed(undefined))

/** What deleted runs of a session have used. */
export interface Carried {
  readonly spent: Spent
  readonly runs: number
}
export const carriedBy = (session: Pick<SessionRecord, "carried"> | undefined): Carried => ({
  spent: {},
  runs: 0,
  ...JSON.parse(session?.carried ?? "{}") as Partial<Carried>,
})
export const added = (a: Spent, b: Spent): Spent =>
  Object.fromEntries(budgetItems.flatMap((item) => (a[item] === undefined && b[item] === undefined ? [] : [[item, (a[item] ?? 0) + (b[item] ?? 0)]])))

/** What runs that have ended have spent, by their id and when they last changed: that is never another again. */
const known = new WeakMap<Store["Service"], Recent<string, Spent>>()
/** What one run has spent itself: what it was forked with is its original's. */
export const spentBy = (store: Store["Service"], run: RunRecord): Effect.Effect<Spent, StoreFailed> => {
  const own = known.get(store) ?? new Recent<string, Spent>(10_000)
  known.set(store, own)
  const key = `${run.id} ${run.createdAt} ${run.updatedAt}`
  const found = own.get(key)
  if (found !== undefined) return Effect.succeed(found)
  return Effect.gen(function*() {
    const spending = new Spending()
    yield* spending.recall(store, run, yield* store.events.head(run), 2)
    const forked = run.origin === undefined ? undefined : yield* store.events.last(run, "", "run.forked")
    const before = new Spending()
    if (forked !== undefined) yield* before.recall(store, run, forked.seq - 1, 2)
    const minus = Object.fromEntries(Object.entries(before.spent[""] ?? {}).map(([item, amount]) => [item, -amount]))
    const spent = added(spending.spent[""] ?? {}, minus)
    if (hasEnded(run.status)) own.set(key, spent)
    return spent
  })
}

/** What a session and those inside it have spent, as their runs have recorded it. */
export function spentIn(store: Store["Service"], session: string): Effect.Effect<Spent, StoreFailed> {
  return Effect.gen(function*() {
    let { spent } = carriedBy(yield* sessionIn(store, session))
    for (const run of yield* store.runs.list({ session, roots: true, limit: Number.MAX_SAFE_INTEGER })) spent = added(spent, yield* spentBy(store, run))
    for (const { id } of yield* store.sessions.list({ parent: session, limit: Number.MAX_SAFE_INTEGER })) spent = added(spent, yield* spentIn(store, id))
    return spent
  })
}

/** Keeps what runs have used that are about to be deleted: their sessions' budgets go on without them. */
export function carry(store: Store["Service"], gone: ReadonlyArray<RunRecord>): Effect.Effect<void, StoreFailed> {
  return Effect.forEach(
    Map.groupBy(gone.filter(({ session, parent }) => session !== undefined && parent === undefined), ({ session }) => session!),
    ([id, runs]) =>
      Effect.gen(function*() {
        const record = yield* sessionIn(store, id)
        if (record === undefined) return
        const before = carriedBy(record)
        let { spent } = before
        for (const run of runs) spent = added(spent, yield* spentBy(store, run))
        yield* store.sessions.carry(id, JSON.stringify({ spent, runs: before.runs + runs.length }))
      }),
    { discard: true },
  )
}

/** The session, the one it is part of, and so on; none where nobody has created it. */
export function around(store: Store["Service"], id: string): Effect.Effect<ReadonlyArray<SessionRecord>, StoreFailed> {
  return Effect.gen(function*() {
    const found: Array<SessionRecord> = []
    let next: string | undefined = id
    // a store that somebody else has written to may hold a circle
    while (next !== undefined && !found.some((one) => one.id === next)) {
      const session: SessionRecord | undefined = yield* sessionIn(store, next)
      if (session !== undefined) found.push(session)
      next = session?.parent
    }
    return found
  })
}

export class SessionMeters {
  readonly #store: Store["Service"]
  /** What each session has spent, while runs in it, or in one inside it, go on here. */
  readonly #open = new Map<string, { readonly used: Spent; runs: number }>()

  constructor(store: Store["Service"]) {
    this.#store = store
  }

  /** What bounds a run that is driven from now on, until it is left: its session's policy, and those around that. */
  of(id: string): Effect.Effect<Bounds, StoreFailed> {
    return Effect.gen({ self: this }, function*() {
      const meters: Array<Counting> = []
      const entered: Array<string> = []
      let deadline: Deadline | undefined
      const all = yield* around(this.#store, id)
      for (const session of all) {
        const policy = policyOf(session)
        const end = endOf(session, policy)
        if (end !== undefined && (deadline === undefined || end.at < deadline.at)) deadline = end
        const { steps, iterations, tokens, cost, bytes } = policy
        const bounds = Object.entries({ steps, iterations, tokens, cost, bytes }).filter(([, bound]) => bound !== undefined)
        if (bounds.length === 0) continue
        const open = this.#open.get(session.id) ?? { used: yield* spentIn(this.#store, session.id), runs: 0 }
        // another run may have come first while that was read
        const shared = this.#open.get(session.id) ?? open
        shared.runs++
        this.#open.set(session.id, shared)
        entered.push(session.id)
        meters.push(new Meter(`session '${session.id}'`, Object.fromEntries(bounds), shared.used))
      }
      return { meters, deadline, user: all[0]?.user, leave: () => entered.forEach((one) => this.#leave(one)) }
    })
  }

  /** Where nothing goes on any more, others may spend: it is read again by whoever comes next. */
  #leave(id: string): void {
    const open = this.#open.get(id)!
    if (--open.runs === 0) this.#open.delete(id)
  }
}

const endOf = ({ id, createdAt }: SessionRecord, { duration }: SessionPolicy): Deadline | undefined => {
  if (duration === undefined) return undefined
  const allowed = Duration.toMillis(duration)
  return { at: createdAt + allowed, of: `session '${id}'`, allowed }
}

/** Fails where the session, or one around it, does not let its runs go on as it is now. */
export const mayGoOn = (store: Store["Service"], id: string): Effect.Effect<void, StoreFailed | SessionRefused> =>
  Effect.flatMap(
    around(store, id),
    (sessions) =>
      Effect.forEach(sessions, (session) =>
        Effect.flatMap(refusal(store, session), (reason) =>
          reason === undefined ? Effect.void : Effect.fail(new SessionRefused({ session: session.id, asked: "run anything", reason }))), { discard: true }),
  )
const refusal = (store: Store["Service"], session: SessionRecord): Effect.Effect<string | undefined, StoreFailed> => {
  const { status } = session
  if (status === "active") return overtime(store, session, Date.now())
  return Effect.succeed(status === "suspended" ? "it is suspended: resume it first" : `it is ${status}`)
}

/** How it has lasted longer, or been idle longer, than it may, if it has; while a run in it goes on, it is not idle. */
export function overtime(store: Store["Service"], session: SessionRecord, now: number): Effect.Effect<string | undefined, StoreFailed> {
  const { duration, idle } = policyOf(session)
  const { id, createdAt, usedAt } = session
  if (duration !== undefined && now >= createdAt + Duration.toMillis(duration)) {
    return Effect.succeed(`it lasted longer than the ${Duration.toMillis(duration)} ms it may`)
  }
  if (idle === undefined || now < usedAt + Duration.toMillis(idle)) return Effect.succeed(undefined)
  return Effect.map(
    store.runs.list({ session: id, status: "running", limit: 1 }),
    (running) => running.length > 0 ? undefined : `nothing happened in it for ${now - usedAt} ms, and it may be idle for ${Duration.toMillis(idle)}`,
  )
}

/** The same for a new run: there are so many it may start, and so fast. `warned` is told how it gets near to that. */
export function admit(
  store: Store["Service"],
  session: SessionRecord,
  now: number,
  warned: (warning: Warning) => Effect.Effect<void, SessionRefused>,
): Effect.Effect<void, StoreFailed | SessionRefused> {
  return Effect.gen(function*() {
    yield* mayGoOn(store, session.id)
    const { runs, rate } = policyOf(session)
    const { id } = session
    const before = carriedBy(session).runs
    const started = (limit: number, since: number) => Effect.map(store.runs.list({ session: id, roots: true, since, limit }), ({ length }) => length)
    const used = runs === undefined || before >= runs ? before : before + (yield* started(runs - before, 0))
    if (runs !== undefined && used >= runs) {
      return yield* new SessionRefused({ session: id, asked: "start a run", reason: `it has started ${runs} runs, which is what it may` })
    }
    const per = rate === undefined ? 0 : Duration.toMillis(rate.per)
    const lately = rate === undefined ? 0 : yield* started(rate.limit, now - per + 1)
    if (rate !== undefined && lately >= rate.limit) {
      return yield* new SessionRefused({
        session: id,
        asked: "start a run",
        reason: `it has started ${rate.limit} runs within ${per} ms, which is what it may: try again later`,
      })
    }
    for (const [limit, begun, allowed] of [["runs", used, runs], ["rate", lately, rate?.limit]] as const) {
      if (allowed === undefined) continue
      for (const percent of sharesBetween(begun, begun + 1, allowed)) {
        yield* warned({ limit, of: `session '${id}'`, used: begun + 1, allowed, percent })
      }
    }
  })
}
