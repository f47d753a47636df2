/** What a run may spend in all, counted down from the engine over the run to its nodes. */
import * as Duration from "effect/Duration"
import { type BoundName, type Budget, type BudgetItem, budgetItems, isPeak, peakItems, type RunBudget } from "../../dsl/ir/limit.ts"
import { LimitExceeded } from "../model/error.ts"

/** How much was spent of each. */
export type Spent = Partial<Record<BudgetItem | "time", number>>
/** A share of a budget that was just passed. */
export interface Warning {
  /** What is bounded. */
  readonly limit: BoundName
  /** Whose budget it is: `the engine`, `run r`, `'refine'`. */
  readonly of: string
  readonly used: number
  readonly allowed: number
  readonly percent: number
}

/** Shares at which somebody is told, in percent. */
const shares = [50, 75, 90]
/** The shares of `allowed` that are passed between two amounts. */
export const sharesBetween = (before: number, now: number, allowed: number): ReadonlyArray<number> =>
  shares.filter((share) => before * 100 < allowed * share && now * 100 >= allowed * share)

/** Something that counts what is spent inside it. */
export interface Counting {
  readonly count: (item: BudgetItem, amount: number) => Counted
}
/** The shares that were passed, and what is too much. */
export interface Counted {
  readonly warnings: ReadonlyArray<Warning>
  readonly exceeded: Omit<Warning, "percent"> & { readonly limit: BudgetItem } | undefined
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

  /** What is too much already. */
  get exceeded(): Counted["exceeded"] {
    for (const [item, used] of Object.entries(this.used) as ReadonlyArray<[BudgetItem, number]>) {
      const allowed = this.allowed[item]
      if (allowed !== undefined && used > allowed) return { limit: item, of: this.of, used, allowed }
    }
    return undefined
  }

  count(item: BudgetItem, amount: number): Counted {
    const before = this.used[item] ?? 0
    const allowed = this.allowed[item]
    const now = isPeak(item) ? Math.max(before, amount) : before + amount
    // what is too deep or too wide does not happen
    if (isPeak(item) && allowed !== undefined && amount > allowed) return { warnings: [], exceeded: { limit: item, of: this.of, used: amount, allowed } }
    this.used[item] = now
    if (allowed === undefined) return { warnings: [], exceeded: this.exceeded }
    const warnings = sharesBetween(before, now, allowed).map((percent) => ({ limit: item, of: this.of, used: now, allowed, percent }))
    return { warnings, exceeded: this.exceeded }
  }
}

/** When something has to be over, whatever it has spent. */
export interface Deadline {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Whose it is. */
  readonly of: string
  /** How long it might last, in milliseconds. */
  readonly allowed: number
}

/** What an event keeps of the budgets of its run: by the path of the node, `""` for the run. */
export type Stamp = Readonly<Record<string, Spent>>

/** The budgets of one run while it is driven. */
export class Budgets {
  readonly #outer: ReadonlyArray<Counting>
  /** When the run has to be over: in its own time, and in its session's. */
  readonly #deadlines: ReadonlyArray<Deadline>
  readonly #meters = new Map<string, Meter>()
  readonly #recorded: Record<string, Spent>
  readonly #began: number
  readonly #isTimed: boolean
  readonly #now: () => number
  readonly #tell: (kind: "limit.warned" | "limit.exceeded", path: string, data: object) => void
  /** Runs of their own that are steps of this one, and what is counted of them. */
  readonly #children = new Map<string, { readonly path: string; readonly counted: Spent }>()
  readonly #warned = new Map<string, Array<Warning>>()
  readonly #depth: (path: string) => number

  constructor(
    run: string,
    { time, ...allowed }: RunBudget,
    { outer, deadline, recorded, now, tell, depth }: {
      readonly outer: ReadonlyArray<Counting>
      readonly deadline: Deadline | undefined
      /** What was spent before this process drove the run. */
      readonly recorded: Stamp
      readonly now: () => number
      readonly tell: (kind: "limit.warned" | "limit.exceeded", path: string, data: object) => void
      /** How many flows are in one another at a path. */
      readonly depth: (path: string) => number
    },
  ) {
    this.#outer = outer
    this.#recorded = { ...recorded }
    this.#now = now
    this.#tell = tell
    this.#depth = depth
    this.#began = now() - (recorded[""]?.time ?? 0)
    const whole = new Meter(`run '${run}'`, allowed, { ...recorded[""] })
    this.#meters.set("", whole)
    const milliseconds = time === undefined ? undefined : Duration.toMillis(time)
    this.#isTimed = milliseconds !== undefined
    const own = milliseconds === undefined ? [] : [{ at: this.#began + milliseconds, of: whole.of, allowed: milliseconds }]
    this.#deadlines = [...own, ...(deadline === undefined ? [] : [deadline])]
  }

  /** The node at `path` has a budget of its own, until it is recorded: other tries of it go on with what is left. */
  open(path: string, allowed: Budget): void {
    if (!this.#meters.has(path)) this.#meters.set(path, new Meter(`'${path}'`, allowed, { ...this.#recorded[path] }))
  }
  /** The node at `path` is over, with all inside it. */
  close(path: string): void {
    for (const of of Object.keys(this.#recorded)) if (isInside(of, path)) delete this.#recorded[of]
    if (this.#meters.size > 1) { for (const of of this.#meters.keys()) if (isInside(of, path)) this.#meters.delete(of) }
  }

  /** Counts what is spent at `path` in every budget it belongs to; gives the error where it is too much. */
  spend(path: string, item: BudgetItem, amount: number): LimitExceeded | undefined {
    const { warnings, exceeded } = this.#counted(path, item, amount)
    for (const warning of warnings) this.#tell("limit.warned", path, warning)
    if (warnings.length > 0) this.#warned.set(path, [...(this.#warned.get(path) ?? []), ...warnings])
    if (exceeded === undefined) return undefined
    this.#tell("limit.exceeded", path, exceeded)
    return new LimitExceeded({ path, ...exceeded })
  }

  /** A flow in the run is about to begin as the step at `path`. */
  enter(path: string): LimitExceeded | undefined {
    return this.spend(path, "depth", this.#depth(path))
  }

  /** The run `id` is the step at `path`: what it spends is spent there. */
  adopt(id: string, path: string): void {
    this.#children.set(id, { path, counted: { ...this.#recorded[child(id)] } })
  }
  /** Counts what such a run spends while both are driven here. */
  of(id: string): Counting | undefined {
    const adopted = this.#children.get(id)
    return adopted === undefined ? undefined : {
      count: (item, amount) => {
        const { path, counted } = adopted
        counted[item] = isPeak(item) ? Math.max(counted[item] ?? 0, amount) : (counted[item] ?? 0) + amount
        return this.#counted(path, item, this.#seen(path, item, amount))
      },
    }
  }
  /** Such a run has stopped, and its journal says that it has spent this: what was spent elsewhere counts now. */
  settle(id: string, said: Stamp): LimitExceeded | undefined {
    const { path, counted } = this.#children.get(id)!
    this.#children.delete(id)
    let exceeded: LimitExceeded | undefined
    for (const item of budgetItems) {
      const elsewhere = (said[""]?.[item] ?? 0) - (counted[item] ?? 0)
      if (elsewhere > 0) exceeded = this.spend(path, item, elsewhere) ?? exceeded
    }
    for (const item of peakItems) {
      const peak = said[""]?.[item] ?? 0
      if (peak > (counted[item] ?? 0)) exceeded = this.spend(path, item, this.#seen(path, item, peak)) ?? exceeded
    }
    return exceeded
  }

  /** How much it is here, that a run of its own at `path` says of itself. */
  #seen(path: string, item: BudgetItem, amount: number): number {
    return item === "depth" ? this.#depth(path) + amount : amount
  }

  #counted(path: string, item: BudgetItem, amount: number): Counted {
    const own = Array.from(this.#meters).filter(([of]) => of === "" || isInside(path, of))
    // how deep it is inside whatever has the budget
    const inside = own.map(([of, meter]) => meter.count(item, item === "depth" && of !== "" ? amount - this.#depth(of) : amount))
    const counted = [...inside, ...this.#outer.map((one) => one.count(item, amount))]
    return { warnings: counted.flatMap(({ warnings }) => warnings), exceeded: counted.find(({ exceeded }) => exceeded !== undefined)?.exceeded }
  }

  /** The warnings at `path` since the last time they were asked for. */
  warnings(path: string): ReadonlyArray<Warning> {
    const warned = this.#warned.get(path) ?? []
    this.#warned.delete(path)
    return warned
  }

  /** How much time is left, in milliseconds; `undefined` if it is not bounded. */
  get left(): number | undefined {
    return this.#deadlines.length === 0 ? undefined : Math.max(0, Math.min(...this.#deadlines.map(({ at }) => at)) - this.#now())
  }
  /** The shares of that time that are yet to pass: when each does, soonest first, and what has to be told then. */
  get shares(): ReadonlyArray<{ readonly at: number; readonly tell: () => Warning }> {
    const all = this.#deadlines.flatMap(({ at, of, allowed }) =>
      shares.map((percent) => {
        const warning = { limit: "time", of, used: allowed * percent / 100, allowed, percent } as const
        const tell = () => {
          this.#tell("limit.warned", "", warning)
          return warning
        }
        return { at: at - allowed * (1 - percent / 100), tell }
      })
    )
    return all.filter(({ at }) => at > this.#now()).sort((a, b) => a.at - b.at)
  }

  /** The run was driven for longer than it may. */
  outOfTime(): LimitExceeded {
    const { at, of, allowed } = this.#deadlines.reduce((first, one) => (one.at < first.at ? one : first))
    const limit = { limit: "time", of, used: this.#now() - at + allowed, allowed } as const
    this.#tell("limit.exceeded", "", limit)
    return new LimitExceeded({ path: "", ...limit })
  }

  /** What is spent so far, for the journal. */
  stamp(): Stamp {
    const time = this.#isTimed ? { time: this.#now() - this.#began } : {}
    const own = Array.from(this.#meters, ([path, { used }]) => [path, path === "" ? { ...used, ...time } : used] as const)
    return Object.fromEntries([...own, ...Array.from(this.#children, ([id, { counted }]) => [child(id), counted] as const)])
  }
}

/** Under which name a stamp says what is counted of a run of its own: no path begins so. */
const child = (id: string): string => `>${id}`

const isInside = (path: string, of: string): boolean => path === of || (path.startsWith(of) && (path[of.length] === "/" || path[of.length] === "["))
