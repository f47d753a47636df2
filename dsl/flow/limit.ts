/** Limits of steps: `permits` for how many at once, `rate` for how fast. */
import type { Input as Duration } from "effect/Duration"
import type { Limit, PartOf, Permits, Rate } from "../ir/limit.ts"

const unlimited: ReadonlyArray<Limit> = Object.freeze([])
/** Rates first, so that nobody holds a permit while it waits for its time; then permits in the order everybody takes them. */
export const inOrder = (limits: ReadonlyArray<Limit> | undefined): ReadonlyArray<Limit> =>
  limits === undefined ? unlimited : Object.freeze([...new Set(limits)].sort((a, b) => place(a) - place(b)))
const place = (limit: Limit): number => (limit.kind === "rate" ? 0 : limit.nr)

let made = 0
/**
 * At most `count` steps at once, over all runs of this process that are given this value.
 *
 * A step holds its permits while one attempt of its body runs: not while it waits for its retry, and never for anything inside it, so
 * nesting cannot deadlock. Keys take turns; lower priorities go first.
 *
 * @example
 * const gpu = permits("gpu", 2)
 * const mail = permits("mail", 10, { key: ({ input }: { input: { user: string } }) => input.user, perKey: 1 })
 * seq<{ user: string }>("send").step("render", () => "page", { limits: [gpu, mail] })
 */
export function permits<Scope = unknown>(
  name: string,
  count: number,
  { key, perKey = count, priority }: {
    /** Whom a step works for: waiting keys take turns. What it is part of is known too: `(_, { session }) => session ?? ""`. */
    readonly key?: (scope: Scope, part: PartOf) => string
    /** At most so many of one key, default `count`. */
    readonly perKey?: number
    /** Lower ones go first, default 0. */
    readonly priority?: (scope: Scope) => number
  } = {},
): Permits<Scope> {
  return Object.freeze({ kind: "permits", name, nr: ++made, permits: count, key, perKey, priority })
}

/**
 * At most `limit` attempts of steps `per` time, over all runs of this process that are given this value; those that come too early wait, in order.
 *
 * @example
 * const api = rate("api", { limit: 60, per: "1 minute", burst: 10 })
 * seq("ask").step("answer", () => "42", { limits: [api] })
 */
export function rate<Scope = unknown>(
  name: string,
  { limit, per, burst = limit, key }: {
    readonly limit: number
    readonly per: Duration
    /** How many may come at once after a pause, default `limit`. */
    readonly burst?: number
    /** Each key has a rate of its own. */
    readonly key?: (scope: Scope, part: PartOf) => string
  },
): Rate<Scope> {
  return Object.freeze({ kind: "rate", name, limit, per, burst, key })
}
