/** What a run may spend in all, counted down from the engine over the run to its nodes. */
import * as Duration from "effect/Duration"
import type { Budget, BudgetItem, RunBudget } from "../../dsl/ir/limit.ts"
import { LimitExceeded } from "../model/error.ts"

/** How much was spent of each. */
export type Spent = Partial<Record<BudgetItem | "time", number>>
/** A share of a budget that was just passed. */
export interface Warning {
  /** What is bounded. */
  readonly limit: BudgetItem
  /** Whose budget it is: `the engine`, `run r`, `'refine'`. */
  readonly of: string
  readonly used: number
  readonly allowed: number
  readonly percent: number
}

/** Shares at which somebody is told. */
const shares = [50, 75, 90]

/** Something that counts what is spent inside it. */
export interface Counting {
  readonly count: (item: BudgetItem, amount: number) => Counted
}
/** The shares that were passed, and what is too much. */
export interface Counted {
  readonly warnings: ReadonlyArray<Warning>
  readonly exceeded: Omit<Warning, "percent"> | undefined
}

/** One budget and what is used of it. */
export class Meter implements Counting {
  readonly of: string
  readonly allowed: Budget
  readonly used: Spent

  constructor(of: string, allowed: Budget, used: Spent = {}) {
    this.of = of
    this.allowed = allowed
    this.used = used
  }

  count(item: BudgetItem, amount: number): Counted {
    const before = this.used[item] ?? 0
    const now = before + amount
    this.used[item] = now
    const allowed = this.allowed[item]
    if (allowed === undefined) return fine
    const passed = shares.filter((share) => before * 100 < allowed * share && now * 100 >= allowed * share)
    const warnings = passed.map((percent) => ({ limit: item, of: this.of, used: now, allowed, percent }))
    return { warnings, exceeded: now > allowed ? { limit: item, of: this.of, used: now, allowed } : undefined }
  }
}
const fine: Counted = { warnings: [], exceeded: undefined }

/** What an event keeps of the budgets of its run: by the path of the node, `""` for the run. */
export type Stamp = Readonly<Record<string, Spent>>

/** The budgets of one run while it is driven. */
export class Budgets implements Counting {
  readonly #outer: ReadonlyArray<Counting>
  readonly #meters = new Map<string, Meter>()
  readonly #recorded: Stamp
  readonly #began: number
  readonly #now: () => number
  readonly #tell: (kind: "limit.warned" | "limit.exceeded", path: string, data: object) => void
  /** Longest time in which the run may be driven, in milliseconds. */
  readonly #time: number | undefined
  #warned: Array<Warning> = []

  constructor(
    run: string,
    { time, ...allowed }: RunBudget,
    { outer, recorded, now, tell }: {
      readonly outer: ReadonlyArray<Counting>
      /** What was spent before this process drove the run. */
      readonly recorded: Stamp
      readonly now: () => number
      readonly tell: (kind: "limit.warned" | "limit.exceeded", path: string, data: object) => void
    },
  ) {
    this.#outer = outer
    this.#recorded = recorded
    this.#now = now
    this.#tell = tell
    this.#time = time === undefined ? undefined : Duration.toMillis(time)
    this.#began = now() - (recorded[""]?.time ?? 0)
    this.#meters.set("", new Meter(`run '${run}'`, allowed, { ...recorded[""] }))
  }

  /** The node at `path` has a budget of its own, until it is recorded: other tries of it go on with what is left. */
  open(path: string, allowed: Budget): void {
    if (!this.#meters.has(path)) this.#meters.set(path, new Meter(`'${path}'`, allowed, { ...this.#recorded[path] }))
  }
  /** The node at `path` is over, with all inside it. */
  close(path: string): void {
    if (this.#meters.size > 1) { for (const of of this.#meters.keys()) if (isInside(of, path)) this.#meters.delete(of) }
  }

  /** Counts what is spent at `path` in every budget it belongs to; gives the error where it is too much. */
  spend(path: string, item: BudgetItem, amount: number): LimitExceeded | undefined {
    const { warnings, exceeded } = this.#counted(path, item, amount)
    for (const warning of warnings) this.#tell("limit.warned", path, warning)
    this.#warned.push(...warnings)
    if (exceeded === undefined) return undefined
    this.#tell("limit.exceeded", path, exceeded)
    return new LimitExceeded({ path, ...exceeded })
  }

  /** What a run that was started here spends counts for this one as a whole. */
  count(item: BudgetItem, amount: number): Counted {
    return this.#counted("", item, amount)
  }

  #counted(path: string, item: BudgetItem, amount: number): Counted {
    const own = Array.from(this.#meters).filter(([of]) => of === "" || isInside(path, of)).map(([, meter]) => meter)
    const counted = [...own, ...this.#outer].map((one) => one.count(item, amount))
    return { warnings: counted.flatMap(({ warnings }) => warnings), exceeded: counted.find(({ exceeded }) => exceeded !== undefined)?.exceeded }
  }

  /** The warnings since the last time they were asked for. */
  warnings(): ReadonlyArray<Warning> {
    const { length } = this.#warned
    return length === 0 ? [] : this.#warned.splice(0)
  }

  /** How much time is left, in milliseconds; `undefined` if it is not bounded. */
  get left(): number | undefined {
    return this.#time === undefined ? undefined : Math.max(0, this.#time - (this.#now() - this.#began))
  }

  /** The run was driven for longer than it may. */
  outOfTime(): LimitExceeded {
    const limit = { limit: "time", of: this.#meters.get("")!.of, used: this.#now() - this.#began, allowed: this.#time! } as const
    this.#tell("limit.exceeded", "", limit)
    return new LimitExceeded({ path: "", ...limit })
  }

  /** What is spent so far, for the journal. */
  stamp(): Stamp {
    const time = this.#time === undefined ? {} : { time: this.#now() - this.#began }
    return Object.fromEntries(Array.from(this.#meters, ([path, { used }]) => [path, path === "" ? { ...used, ...time } : used]))
  }
}

const isInside = (path: string, of: string): boolean => path === of || (path.startsWith(of) && (path[of.length] === "/" || path[of.length] === "["))
