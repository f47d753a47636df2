/** What each kind of event says that is told while it happens and not kept. */
import type { BoundName } from "../../dsl/ir/limit.ts"
import type { LiveKind } from "./event.ts"

/** What they are made of. */
export interface LiveData {
  /** Of a tool, an agent, or the agent whose turn it is. */
  readonly name: string
  readonly usage: { readonly input: number; readonly output: number; readonly cost?: number; readonly estimated?: boolean }
  /** What a step tells of how it gets on. */
  readonly news: unknown
  /** How many branches begin; how many steps are undone. */
  readonly count: number
  /** How many of them could not be. */
  readonly failed: number
  /** How many items a stream has taken so far. */
  readonly items: number
  readonly perSecond: number
  /** How many wait. */
  readonly buffered: number
  readonly dropped: number
  /** How many came when their windows were closed. */
  readonly late: number
  /** How long the oldest that waits has waited, in milliseconds. */
  readonly lag: number
  readonly rejected: number
  /** The buffer is full, or has room again. */
  readonly on: boolean
  readonly hook: string
  readonly point: string
  readonly decision: string
  readonly reason: string
  /** A permit or a rate by its name; what is bounded of a budget. */
  readonly limit: BoundName | (string & {})
  /** Whose budget it is. */
  readonly of: string
  readonly used: number
  readonly allowed: number
  readonly percent: number
  /** Its id. */
  readonly artifact: string
  /** In bytes. */
  readonly size: number
  readonly changed: ReadonlyArray<{ readonly scope: string; readonly name: string }>
  /** Of a value of State that others have changed. */
  readonly scope: string
  readonly key: string
  readonly user: string
  readonly pool: string
  /** Of a member. */
  readonly nr: number
  readonly from: string
  readonly to: string
}
type Part = keyof LiveData
interface Parts {
  readonly says: ReadonlyArray<Part>
  readonly may: ReadonlyArray<Part>
}
const says = <const Says extends ReadonlyArray<Part>, const May extends ReadonlyArray<Part> = []>(always: Says, ...[may]: [May?]) =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing was given
  ({ says: always, may: may ?? ([] as unknown as May) }) as const
const nothing = says([])
const named = says(["name"])
const became = says([], ["reason", "user"])
const spent = ["limit", "of", "used", "allowed"] as const

/** By kind. */
export const liveParts = {
  "step.retried": nothing,
  "step.progressed": says(["news"]),
  "tool.started": named,
  "tool.completed": named,
  "tool.failed": named,
  "agent.started": named,
  "agent.completed": named,
  "agent.failed": named,
  "turn.started": named,
  "turn.completed": says(["name"], ["usage"]),
  "turn.failed": named,
  "parallel.started": says(["count"]),
  "stream.flowed": says(["items", "perSecond", "buffered", "dropped", "late", "lag", "rejected"]),
  "stream.pressed": says(["on", "buffered"]),
  "wait.blocked": nothing,
  "hook.decided": says(["hook", "point", "decision"]),
  "hook.failed": says(["hook", "point", "reason"]),
  "limit.waited": says(["limit"]),
  "limit.warned": says([...spent, "percent"]),
  "limit.exceeded": says(spent),
  "artifact.kept": says(["artifact", "size"]),
  "artifact.removed": says(["artifact"]),
  "state.changed": says(["changed"]),
  "state.conflicted": says(["scope", "key"]),
  "rollback.started": says(["count"]),
  "rollback.completed": says(["count", "failed"]),
  "compensation.started": nothing,
  "session.active": became,
  "session.suspended": became,
  "session.completed": became,
  "session.failed": became,
  "session.archived": became,
  "pool.changed": says(["pool", "nr", "from", "to"]),
} as const satisfies Readonly<Record<LiveKind, Parts>>

const [text, number]: ReadonlyArray<object> = [{ type: "string" }, { type: "number" }]
const each = { name: text, scope: text }
const special: Partial<Record<Part, object>> = {
  news: {},
  on: { type: "boolean" },
  usage: { type: "object", required: ["input", "output"], properties: { input: number, output: number, cost: number, estimated: { type: "boolean" } } },
  changed: { type: "array", items: { type: "object", required: ["scope", "name"], properties: each } },
}
const texts: ReadonlySet<Part> = new Set([
  "name",
  "hook",
  "point",
  "decision",
  "reason",
  "limit",
  "of",
  "artifact",
  "user",
  "pool",
  "from",
  "to",
  "scope",
  "key",
])
/** The JSON Schema of one part. */
export const liveSchema = (part: Part): object => special[part] ?? (texts.has(part) ? text! : number!)
