/** How the values that several forks gave to one name become one. */

/** Combines `values`, in the order the forks are written; `before` is the value the forks started from. */
export interface Policy<in out Value> {
  readonly policy: string
  readonly combine: (values: ReadonlyArray<Value>, before: Value) => Value
}

const policy = <Value>(name: string, combine: Policy<Value>["combine"]): Policy<Value> => Object.freeze({ policy: name, combine })
const numbers = (name: string, combine: (values: ReadonlyArray<number>) => number): Policy<number> => policy(name, combine)

type Plain = Readonly<Record<string, unknown>>
const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null)

/** Both records' keys; where both have one, records are merged again and anything else is the later one's. */
const deeply = (left: unknown, right: unknown): unknown => {
  if (!isPlain(left) || !isPlain(right)) return right
  const merged = new Map(Object.entries(left))
  for (const [key, value] of Object.entries(right)) merged.set(key, merged.has(key) ? deeply(merged.get(key), value) : value)
  // `fromEntries` defines keys and never runs a setter, so `__proto__` stays data
  return Object.fromEntries(merged)
}

/**
 * Merge policies for `.parallel(…).merge({ name: policy })`.
 *
 * A policy combines the values that the forks wrote, in the order the forks are written (items: in their order);
 * the value from before the forks is not among them, only `custom` is given it.
 *
 * @example
 * seq("count").step("n", () => 0)
 *   .parallel({ a: (b) => b.update("n", () => 2), b: (b) => b.update("n", () => 3) })
 *   .merge({ n: merge.sum })
 */
export const merge = {
  /** The sum of the forks' numbers. */
  sum: numbers("sum", (values) => values.reduce((total, value) => total + value, 0)),
  /** The largest of the forks' numbers. */
  max: numbers("max", (values) => values.reduce((a, b) => Math.max(a, b))),
  /** The smallest of the forks' numbers. */
  min: numbers("min", (values) => values.reduce((a, b) => Math.min(a, b))),
  /** The mean of the forks' numbers. */
  average: numbers("average", (values) => values.reduce((total, value) => total + value, 0) / values.length),
  /** The forks' lists, one after the other. */
  append: policy<any>("append", (values: ReadonlyArray<ReadonlyArray<unknown>>) => values.flat()),
  /** Every distinct element of the forks' lists or sets; objects are told apart by their content. */
  union: policy<any>("union", (values: ReadonlyArray<Iterable<unknown>>) => {
    const distinct = new Map<unknown, unknown>()
    for (const value of values) {
      for (const element of value) {
        const identity = typeof element === "object" && element !== null ? JSON.stringify(element) : element
        if (!distinct.has(identity)) distinct.set(identity, element)
      }
    }
    return values[0] instanceof Set ? new Set(distinct.values()) : [...distinct.values()]
  }),
  /** The forks' records merged key by key, at every depth; a later fork wins where both set a key. */
  deep: policy<any>("deep", (values) => values.reduce(deeply)),
  /** The forks' records merged key by key, at the top only; a later fork wins where both set a key. */
  shallow: policy<any>("shallow", (values: ReadonlyArray<Plain>) => Object.fromEntries(values.flatMap((value) => Object.entries(value)))),
  /** What the first fork wrote. */
  first: policy<any>("first", (values) => values[0]),
  /** What the last fork wrote. */
  last: policy<any>("last", (values) => values.at(-1)),
  /** Your own; must not depend on anything but its arguments. */
  custom: <Value>(combine: (values: ReadonlyArray<Value>, before: Value) => Value): Policy<Value> => policy("custom", combine),
} as const
