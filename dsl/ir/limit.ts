/** Limits as data: how many at once, how fast, how much in all. */
import type { Input as Duration } from "effect/Duration"

/** What a step that wants a limit is part of. */
export interface PartOf {
  readonly run: string
  readonly flow: string
  readonly session: string | undefined
  /** Whose session it is. */
  readonly user: string | undefined
}
/** At most so many steps at once, wherever in this process they hold it. */
export interface Permits<in Scope = never> {
  readonly kind: "permits"
  readonly name: string
  /** Several are taken in this order, by everybody. */
  readonly nr: number
  readonly permits: number
  /** Whom a step works for; keys take turns. */
  readonly key: ((scope: Scope, part: PartOf) => string) | undefined
  /** At most so many of one key. */
  readonly perKey: number
  /** Lower ones go first. */
  readonly priority: ((scope: Scope) => number) | undefined
}
/** At most so many steps in a time; those that come too early wait. */
export interface Rate<in Scope = never> {
  readonly kind: "rate"
  readonly name: string
  readonly limit: number
  readonly per: Duration
  /** How many may come at once after a pause. */
  readonly burst: number
  /** Each key has a rate of its own. */
  readonly key: ((scope: Scope, part: PartOf) => string) | undefined
}
export type Limit<Scope = never> = Permits<Scope> | Rate<Scope>

/** What a step may spend of, counted where it is spent. */
export interface Spending {
  readonly tokens?: number
  /** In whatever currency the author counts. */
  readonly cost?: number
  readonly bytes?: number
}
/** How much there is of each in all; what is not named is not bounded. */
export interface Budget extends Spending {
  /** Attempts of steps. */
  readonly steps?: number
  /** Passes of loops, all together. */
  readonly iterations?: number
  /** Flows in one another at any node, runs of their own included. */
  readonly depth?: number
  /** Items of any `each`, forks of any `parallel`. */
  readonly fanOut?: number
}
export type BudgetItem = keyof Budget
/** All that may be nearly used up: what a budget bounds, and what a session may have. */
export type BoundName = BudgetItem | "time" | "runs" | "rate" | "artifacts" | "artifactBytes"
/** What steps say that they have spent, and all that a budget adds up. */
export const spendingItems = ["tokens", "cost", "bytes"] as const satisfies ReadonlyArray<keyof Spending>
export const budgetItems = ["steps", "iterations", ...spendingItems] as const satisfies ReadonlyArray<BudgetItem>
/** What is never added up: each node may have so much. */
export const peakItems = ["depth", "fanOut"] as const satisfies ReadonlyArray<BudgetItem>
export const isPeak = (item: BudgetItem): boolean => item === "depth" || item === "fanOut"
/** What is counted, for people. */
export const unitOf = (limit: BudgetItem | "time"): string =>
  limit === "time" ? "ms" : limit === "depth" ? "flows in one another" : limit === "fanOut" ? "forks of one node" : limit
/** A budget of whole runs. */
export interface RunBudget extends Budget {
  /** Time in which the run is driven; what it waits does not count. */
  readonly time?: Duration
}
