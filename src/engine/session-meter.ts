/** What a session has left, counted over all its runs: what they have recorded, and what is spent here now. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type BudgetItem, budgetItems } from "../../dsl/ir/limit.ts"
import type { StoreFailed } from "../model/error.ts"
import { SessionRefused } from "../model/service-error.ts"
import type { SessionPolicy, SessionRecord } from "../model/session.ts"
import { type Counting, type Deadline, Meter, type Spent } from "../services/budgets.ts"
import { Spending } from "../services/spending.ts"
import type { Store } from "../store/store.ts"
import type { LiveRuns } from "./live.ts"

/** What bounds the runs of a session. */
export interface Bounds {
  readonly meters: ReadonlyArray<Counting>
  readonly deadline: Deadline | undefined
}

export const policyOf = ({ policy }: Pick<SessionRecord, "policy">): SessionPolicy => JSON.parse(policy) as SessionPolicy

/** What a session and those inside it have spent, as their runs have recorded it. */
export function spentIn(store: Store["Service"], session: string): Effect.Effect<Spent, StoreFailed> {
  return Effect.gen(function*() {
    const spent: Spent = {}
    const add = (more: Spent) => budgetItems.forEach((item) => more[item] !== undefined && (spent[item] = (spent[item] ?? 0) + more[item]))
    for (const run of yield* store.runs.list({ session, roots: true, limit: Number.MAX_SAFE_INTEGER })) {
      const spending = new Spending()
      yield* spending.recall(store, run, yield* store.events.head(run))
      add(spending.spent[""] ?? {})
    }
    for (const { id } of yield* store.sessions.list({ parent: session, limit: Number.MAX_SAFE_INTEGER })) add(yield* spentIn(store, id))
    return spent
  })
}

/** The session, the one it is part of, and so on; none where nobody has created it. */
function around(store: Store["Service"], id: string): Effect.Effect<ReadonlyArray<SessionRecord>, StoreFailed> {
  return Effect.gen(function*() {
    const found: Array<SessionRecord> = []
    let next: string | undefined = id
    while (next !== undefined) {
      const session: SessionRecord | undefined = yield* Effect.catchTag(store.sessions.get(next), "SessionNotFound", () => Effect.succeed(undefined))
      if (session !== undefined) found.push(session)
      next = session?.parent
    }
    return found
  })
}

export class SessionMeters {
  readonly #store: Store["Service"]
  readonly #live: LiveRuns
  readonly #meters = new Map<string, Meter>()

  constructor(store: Store["Service"], live: LiveRuns) {
    this.#store = store
    this.#live = live
  }

  /** What bounds a run that is driven from now on: its session's policy, and those around that. */
  of(id: string): Effect.Effect<Bounds, StoreFailed> {
    return Effect.gen({ self: this }, function*() {
      const meters: Array<Counting> = []
      let deadline: Deadline | undefined
      for (const session of yield* around(this.#store, id)) {
        const policy = policyOf(session)
        const end = endOf(session, policy)
        if (end !== undefined && (deadline === undefined || end.at < deadline.at)) deadline = end
        if (budgetItems.some((item) => policy[item] !== undefined)) meters.push(yield* this.#meter(session, policy))
      }
      return { meters, deadline }
    })
  }

  #meter(session: SessionRecord, { steps, iterations, tokens, cost, bytes }: SessionPolicy): Effect.Effect<Meter, StoreFailed> {
    const { id } = session
    const kept = this.#meters.get(id)
    // while its runs go on here, what they spend is counted here; otherwise others may have spent meanwhile
    if (kept !== undefined && this.#live.countOf(id) > 1) return Effect.succeed(kept)
    return Effect.map(spentIn(this.#store, id), (spent) => {
      const bounds = { steps, iterations, tokens, cost, bytes }
      const allowed = Object.fromEntries(Object.entries(bounds).filter(([, bound]) => bound !== undefined)) as Partial<Record<BudgetItem, number>>
      const meter = new Meter(`session '${id}'`, allowed, spent)
      this.#meters.set(id, meter)
      return meter
    })
  }
}

const endOf = ({ id, createdAt }: SessionRecord, { duration }: SessionPolicy): Deadline | undefined => {
  if (duration === undefined) return undefined
  const allowed = Duration.toMillis(duration)
  return { at: createdAt + allowed, of: `session '${id}'`, allowed }
}

/** Fails where the session, or one around it, does not let its runs go on as it is now. */
export const mayGoOn = (store: Store["Service"], id: string): Effect.Effect<void, StoreFailed | SessionRefused> =>
  Effect.flatMap(around(store, id), (sessions) => {
    const now = Date.now()
    const refused = sessions.map((session) => refusal(session, now)).find((one) => one !== undefined)
    return refused === undefined ? Effect.void : Effect.fail(refused)
  })
function refusal(session: SessionRecord, now: number): SessionRefused | undefined {
  const { id, status } = session
  const reason = status === "active" ? overtime(session, now) : status === "suspended" ? "it is suspended: resume it first" : `it is ${status}`
  return reason === undefined ? undefined : new SessionRefused({ session: id, asked: "run anything", reason })
}

/** How it has lasted longer, or been idle longer, than it may, if it has. */
export function overtime(session: SessionRecord, now: number): string | undefined {
  const { duration, idle } = policyOf(session)
  const { createdAt, usedAt } = session
  if (duration !== undefined && now >= createdAt + Duration.toMillis(duration)) return `it lasted longer than the ${Duration.toMillis(duration)} ms it may`
  if (idle !== undefined && now >= usedAt + Duration.toMillis(idle)) {
    return `nothing happened in it for ${now - usedAt} ms, and it may be idle for ${Duration.toMillis(idle)}`
  }
  return undefined
}

/** The same for a new run: there are so many it may start, and so fast. */
export function admit(store: Store["Service"], session: SessionRecord, now: number): Effect.Effect<void, StoreFailed | SessionRefused> {
  return Effect.gen(function*() {
    yield* mayGoOn(store, session.id)
    const { runs, rate } = policyOf(session)
    const { id } = session
    const most = (limit: number, since: number) => Effect.map(store.runs.list({ session: id, roots: true, since, limit }), (found) => found.length >= limit)
    if (runs !== undefined && (yield* most(runs, 0))) {
      return yield* new SessionRefused({ session: id, asked: "start a run", reason: `it has started ${runs} runs, which is what it may` })
    }
    if (rate === undefined) return
    const per = Duration.toMillis(rate.per)
    if (yield* most(rate.limit, now - per + 1)) {
      return yield* new SessionRefused({
        session: id,
        asked: "start a run",
        reason: `it has started ${rate.limit} runs within ${per} ms, which is what it may: try again later`,
      })
    }
  })
}
