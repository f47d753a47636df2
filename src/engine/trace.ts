/** A run as a tree of what happened in it, folded from its events. */
import { pathParts } from "../../dsl/ir/path.ts"
import { type EventData, type EventKind, eventPath, type RunEvent } from "../model/event.ts"
import { Floors } from "../services/floors.ts"
import { dataOf } from "../services/recorded.ts"

export interface TraceNode {
  readonly path: string
  readonly name: string
  readonly kind: "step" | "when" | "loop" | "jump" | "each" | "parallel" | "stream" | "protect" | "wait" | "pass" | "block"
  readonly status: "completed" | "failed" | "skipped" | "open"
  /** From the event before it in its block to its own end, in milliseconds. */
  readonly milliseconds: number | undefined
  readonly attempts: number
  /** The recorded output as JSON text; composites only refer to their parts. */
  readonly output: string | undefined
  readonly error: unknown
  readonly note: string | undefined
  readonly children: ReadonlyArray<TraceNode>
}

interface Draft extends Omit<TraceNode, "children"> {
  readonly children: Map<string, Draft>
  readonly began: number
  /** When what comes next inside it begins. */
  next: number
}
type Writable = { -readonly [Key in keyof Draft]: Draft[Key] }

/** The nodes of a run, in the order in which they were first heard of. */
export function trace(events: ReadonlyArray<RunEvent>): ReadonlyArray<TraceNode> {
  const root = draft("", "", events[0]?.at ?? 0)
  const floors = new Floors()
  for (const event of events) floors.lay(event, dataOf(event))
  for (const event of events) {
    if (floors.covers(event)) continue
    if (event.kind.startsWith("run.")) {
      root.next = event.at
      continue
    }
    const node = find(root, event)
    const ended = apply(node, event)
    if (ended) node.milliseconds = Math.max(0, event.at - node.began)
    // what comes next in the block begins now; forks have begun together
    if (!event.kind.startsWith("fork.")) find(root, { parent: event.parent, name: "" }).next = event.at
  }
  return finish(root).children
}

const draft = (path: string, name: string, began: number): Writable => ({
  path,
  name,
  kind: name.startsWith("[") ? "pass" : "block",
  status: "open",
  milliseconds: undefined,
  attempts: 1,
  output: undefined,
  error: undefined,
  note: undefined,
  children: new Map(),
  began,
  next: began,
})
/** What has no end of its own, an arm or the last pass, has ended with what it is in. */
const finish = ({ children, began: _began, next: _next, ...node }: Draft, around: TraceNode["status"] = "open"): TraceNode => {
  const isPart = node.status === "open" && (node.kind === "block" || node.kind === "pass")
  const status = isPart && around === "completed" ? around : node.status
  return { ...node, status, children: [...children.values()].map((child) => finish(child, status)) }
}

function find(root: Writable, event: Pick<RunEvent, "parent" | "name">): Writable {
  let node: Writable = root
  let path = ""
  for (const name of pathParts(eventPath(event))) {
    path = eventPath({ parent: path, name })
    let child = node.children.get(name)
    if (child === undefined) {
      child = draft(path, name, node.next)
      node.children.set(name, child)
    }
    node = child
  }
  return node
}

/** Notes what `event` says of its node; true if the node has ended. */
function apply(node: Writable, { kind, data }: RunEvent): boolean {
  const said = dataOf({ data })
  const [noun, verb] = kind.split(".") as [string, string]
  if (noun !== "guard" && noun !== "fork" && noun !== "flow" && noun !== "compensation" && verb !== "iterated") node.kind = noun as TraceNode["kind"]
  return (verbs[kind] ?? verbs[verb])!(node, said)
}

type Verb = (node: Writable, said: EventData) => boolean
const completed: Verb = (node, { output, attempts = 1, jump }) => {
  node.status = "completed"
  node.attempts = attempts
  node.error = undefined
  node.output = output === undefined ? undefined : JSON.stringify(output)
  if (jump !== undefined) node.note = jump
  return true
}
const verbs: Readonly<Partial<Record<EventKind | (string & {}), Verb>>> = {
  completed,
  iterated: completed,
  failed: (node, { error, attempts = 1 }) => {
    node.status = "failed"
    node.attempts = attempts
    node.error = error
    return true
  },
  decided: (node, { chosen }) => {
    node.note = `chose ${chosen}`
    return false
  },
  "guard.decided": (node, { chosen }) => {
    if (chosen === "no") node.status = "skipped"
    return chosen === "no"
  },
  started: (node, { count }) => {
    if (count !== undefined) node.note = `${count} items`
    return false
  },
  checkpointed: (node, { count }) => {
    node.note = `${count} items`
    return false
  },
  retried: (node, { attempts }) => {
    node.attempts = attempts!
    return false
  },
  migrated: completed,
  "step.started": () => false,
  "protect.started": () => false,
  "wait.started": (node, { reason, until }) => {
    node.note = [reason === undefined ? "" : `for '${reason}'`, until === undefined ? "" : `until ${new Date(until).toISOString()}`].filter(Boolean).join(" ")
    return false
  },
  refused: (node, { reason }) => {
    node.note = `refused a signal: ${reason}`
    return false
  },
  "compensation.completed": (node) => {
    node.note = "undone"
    return false
  },
  "compensation.failed": (node) => {
    node.note = "could not be undone"
    return false
  },
  caught: (node, { tag }) => {
    node.note = `caught ${tag}`
    return false
  },
}
