/** What each kind of event says: for whoever reads events, and for what comes in from outside. */
import type { EventData, EventKind, LiveKind } from "./event.ts"
import { type LiveData, liveParts, liveSchema } from "./live-data.ts"

type Part = Exclude<keyof EventData, "spent">
interface Parts {
  /** Always there. */
  readonly says: ReadonlyArray<Part>
  /** There where it applies. */
  readonly may: ReadonlyArray<Part>
}
const says = <const Says extends ReadonlyArray<Part>, const May extends ReadonlyArray<Part> = []>(always: Says, may?: May) =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing was given
  ({ says: always, may: may ?? ([] as unknown as May) }) as const
const ended = says([], ["output", "ref", "updates", "jump", "attempts", "child", "received", "undo", "given", "state"])
const failed = says(["error"], ["attempts"])

/** By kind. What is spent of budgets may stand in every event. */
export const eventParts = {
  "run.started": says([], ["output", "session", "trace"]),
  "run.resumed": says([]),
  "run.suspended": says([], ["until"]),
  "run.paused": says([], ["reason"]),
  "run.rewound": says(["reason", "forget"], ["state", "taken"]),
  "run.forked": says(["from", "reason", "forget"]),
  "run.migrated": says(["from", "to", "forget", "bound"]),
  "run.compacted": says(["count"]),
  "run.compensating": says([], ["error", "reason", "cancelled"]),
  "run.compensated": says(["error"]),
  "run.quarantined": says(["count"]),
  "run.completed": says([], ["output", "ref", "updates"]),
  "run.failed": says(["error"]),
  "run.cancelled": says([], ["reason"]),
  "guard.decided": says(["chosen"]),
  "step.started": says([], ["until"]),
  "step.completed": ended,
  "step.failed": failed,
  "step.migrated": says(["output"]),
  "flow.retried": says(["attempts"], ["state", "taken"]),
  "when.decided": says(["chosen"], ["ref"]),
  "when.completed": ended,
  "loop.started": says(["again"], ["count"]),
  "loop.iterated": says([], ["again", "last", "updates", "jump", "ref", "output"]),
  "loop.completed": ended,
  "jump.completed": ended,
  "each.started": says(["count"]),
  "each.completed": ended,
  "parallel.completed": ended,
  "fork.completed": ended,
  "fork.failed": says(["error"], ["undone"]),
  "stream.started": says([]),
  "stream.checkpointed": says(["count", "saved"], ["state", "sent"]),
  "stream.completed": ended,
  "protect.started": says([], ["until"]),
  "protect.caught": says(["error", "tag"], ["updates"]),
  "protect.failed": says(["error"]),
  "protect.completed": ended,
  "wait.started": says([], ["until", "reason"]),
  "wait.refused": says(["received", "reason"]),
  "wait.completed": ended,
  "compensation.completed": says(["of"], ["state"]),
  "compensation.failed": says(["of", "error"]),
} as const satisfies Readonly<Record<EventKind, Parts>>

/** The data of one kind of event, parsed: of one that is kept, and of one that is only told. */
export type EventDataOf<Kind extends EventKind | LiveKind> = Kind extends EventKind ? KeptDataOf<Kind> : Kind extends LiveKind ? LiveDataOf<Kind> : never
type KeptDataOf<Kind extends EventKind> =
  & Required<Pick<EventData, (typeof eventParts)[Kind]["says"][number]>>
  & Pick<EventData, (typeof eventParts)[Kind]["may"][number] | "spent">
type LiveDataOf<Kind extends LiveKind> =
  & Pick<LiveData, (typeof liveParts)[Kind]["says"][number]>
  & Partial<Pick<LiveData, (typeof liveParts)[Kind]["may"][number]>>

/** The first part of `data` that an event of this kind does not have, or lacks. */
export function misfit(kind: EventKind, data: object): string | undefined {
  const { says: wanted, may }: Parts = eventParts[kind]
  const allowed: ReadonlySet<string> = new Set([...wanted, ...may, "spent"])
  return Object.keys(data).find((part) => !allowed.has(part)) ?? wanted.find((part) => !(part in data))
}

type Schema = Readonly<Record<string, unknown>>
const text: Schema = { type: "string" }
const number: Schema = { type: "number" }
const flag: Schema = { type: "boolean" }
const ref: Schema = { description: "where a value is recorded: an event's number, null, {v: the value}, {r: its parts}" }
const value: Schema = { description: "as our codec writes it" }
const partSchemas: Readonly<Record<Part | "spent", Schema>> = {
  output: value,
  ref,
  updates: { type: "object", additionalProperties: ref },
  chosen: text,
  again: flag,
  last: ref,
  count: number,
  jump: { enum: ["break", "continue"] },
  attempts: number,
  error: value,
  tag: text,
  reason: text,
  until: number,
  received: text,
  undo: { type: "object", additionalProperties: ref },
  given: value,
  state: {
    type: "array",
    items: {
      type: "object",
      required: ["scope", "name", "before", "revision"],
      properties: { scope: text, name: text, before: value, revision: number, by: number },
    },
  },
  of: number,
  forget: { type: "array", items: { type: "object", required: ["path"], properties: { path: text, pass: number, only: flag } } },
  bound: { type: "array", items: number },
  child: text,
  cancelled: flag,
  undone: flag,
  session: value,
  taken: { type: "array", items: number },
  trace: text,
  saved: value,
  sent: { type: "object", required: ["from", "items"], properties: { from: number, items: { type: "array", items: value } } },
  from: { type: ["number", "string"] },
  to: number,
  spent: { type: "object", additionalProperties: { type: "object", additionalProperties: number } },
}

/** The JSON Schema (2020-12) of what one kind of event says. */
export function eventSchema(kind: EventKind | LiveKind): Schema {
  if (isLive(kind)) {
    const { says: required, may } = liveParts[kind]
    return schemaOf(kind, required, [...required, ...may].map((part) => [part, liveSchema(part)]))
  }
  const { says: required, may }: Parts = eventParts[kind]
  return schemaOf(kind, required, [...required, ...may, "spent" as const].map((part) => [part, partSchemas[part]]))
}
const isLive = (kind: EventKind | LiveKind): kind is LiveKind => Object.hasOwn(liveParts, kind)
const schemaOf = (title: string, required: ReadonlyArray<string>, properties: ReadonlyArray<readonly [string, object]>): Schema => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title,
  type: "object",
  required,
  properties: Object.fromEntries(properties),
  additionalProperties: false,
})
