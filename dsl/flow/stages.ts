/** The recorder behind `Stages`: every stage appends one to a copy. It knows nothing of types. */
import type { Input as Duration } from "effect/Duration"
import type { Ask, Call, StepNode, Values, Work } from "../ir/node.ts"
import type { ItemCall, Sink, SinkTo, Stage, StreamShape } from "../ir/stream.ts"
import type { StreamOptions } from "./stream-verb.ts"

type Options = Readonly<Record<string, any>>
type Writes = (stages: Recording) => Recording
/** How a step is recorded; the flow's recorder knows. */
export type RecordStep = (name: string, work: Work, options: Options) => StepNode
/** The work that something carries, if it does. */
export type Carries = (value: unknown) => Work | undefined

/** What the stages of one stream share while they are written. */
export interface Writing {
  readonly step: RecordStep
  readonly carries: Carries
}

/** Options that make a plain function the work of a step. */
const policies = ["concurrency", "ordered", "failure", "retry", "timeout", "limits", "hooks", "description"]

export class Recording {
  readonly stages: ReadonlyArray<Stage>
  readonly nodes: ReadonlyArray<StepNode>
  readonly sink: SinkTo
  readonly #writing: Writing

  constructor(writing: Writing, stages: ReadonlyArray<Stage> = [], nodes: ReadonlyArray<StepNode> = [], sink: SinkTo = { to: "count" }) {
    this.#writing = writing
    this.stages = stages
    this.nodes = nodes
    this.sink = sink
  }

  map(...args: ReadonlyArray<unknown>): Recording {
    return this.#work("map", args, false)
  }
  each(...args: ReadonlyArray<unknown>): Recording {
    return this.#work("each", args, true)
  }
  filter(...args: ReadonlyArray<unknown>): Recording {
    return this.#plain("filter", args)
  }
  flatMap(...args: ReadonlyArray<unknown>): Recording {
    return this.#plain("flatMap", args)
  }
  tap(...args: ReadonlyArray<unknown>): Recording {
    return this.#plain("tap", args)
  }
  takeWhile(...args: ReadonlyArray<unknown>): Recording {
    return this.#plain("takeWhile", args)
  }
  scan(initial: unknown, call: never): Recording {
    return this.#add({ op: "scan", name: this.#name("scan"), initial, call })
  }
  batch(size: number, { within }: { readonly within?: Duration } = {}): Recording {
    return this.#add({ op: "batch", name: this.#name("batch"), size, within })
  }
  window(given: Options): Recording {
    const { count, time, session, every, at, late = 0, most = 100_000 } = given
    const name = this.#name("window")
    if (count !== undefined) return this.#add({ op: "window", name, of: { by: "count", size: count, every: every ?? count } })
    if (session !== undefined) return this.#add({ op: "window", name, of: { by: "session", gap: session, at, most } })
    return this.#add({ op: "window", name, of: { by: "time", span: time, every: every ?? time, at, late, most } })
  }
  dedupe({ key, most = 10_000 }: { readonly key?: (item: never) => unknown; readonly most?: number } = {}): Recording {
    return this.#add({ op: "dedupe", name: this.#name("dedupe"), key, most })
  }
  take(count: number): Recording {
    return this.#add({ op: "take", name: this.#name("take"), count })
  }
  drop(count: number): Recording {
    return this.#add({ op: "drop", name: this.#name("drop"), count })
  }
  throttle({ limit, per }: { readonly limit: number; readonly per: Duration }): Recording {
    return this.#add({ op: "throttle", name: this.#name("throttle"), limit, per })
  }
  debounce(quiet: Duration): Recording {
    return this.#add({ op: "debounce", name: this.#name("debounce"), quiet })
  }
  merge(source: Ask): Recording {
    return this.#add({ op: "merge", name: this.#name("merge"), source })
  }
  groupBy(key: ItemCall, write: Writes, { most = 10_000 }: { readonly most?: number } = {}): Recording {
    const { stages, nodes } = write(new Recording(this.#writing, [], this.nodes))
    return this.#add({ op: "group", name: this.#name("group"), key, stages, most }, nodes)
  }
  partition(key: ItemCall, writes: Readonly<Record<string, Writes>>): Recording {
    let { nodes } = this
    const parts = Object.entries(writes).map(([label, write]) => {
      const part = write(new Recording(this.#writing, [], nodes))
      ;({ nodes } = part)
      return [label, part.stages] as const
    })
    return this.#add({ op: "partition", name: this.#name("partition"), key, parts: Object.freeze(Object.fromEntries(parts)) }, nodes)
  }

  collect({ most = 10_000 }: { readonly most?: number } = {}): Recording {
    return this.#end({ to: "collect", most })
  }
  fold(initial: unknown, call: never): Recording {
    return this.#end({ to: "fold", initial, call })
  }
  emit(): Recording {
    return this.#end({ to: "emit" })
  }
  transaction(call: never): Recording {
    return this.#end({ to: "transaction", call })
  }
  to(sink: Sink): Recording {
    return this.#end({ to: "sink", sink })
  }

  #name(op: string): string {
    return `${op}#${this.stages.filter(({ name }) => name.startsWith(`${op}#`)).length + 1}`
  }

  #add(stage: Stage, nodes = this.nodes): Recording {
    return new Recording(this.#writing, Object.freeze([...this.stages, Object.freeze(stage)]), nodes, this.sink)
  }

  #end(sink: SinkTo): Recording {
    return new Recording(this.#writing, this.stages, this.nodes, Object.freeze(sink))
  }

  #plain(op: "filter" | "flatMap" | "tap" | "takeWhile", args: ReadonlyArray<unknown>): Recording {
    const [name, call] = typeof args[0] === "string" ? [args[0], args[1]] : [this.#name(op), args[0]]
    return this.#add({ op, name, call: call as ItemCall })
  }

  #work(op: "map" | "each", args: ReadonlyArray<unknown>, keeps: boolean): Recording {
    const [named, work, given] = typeof args[0] === "string" ? args : [undefined, ...args]
    const options = (given ?? {}) as Options
    const carried = this.#writing.carries(work)
    const call = work as (item: never, scope: Values, step?: unknown) => unknown
    // what has no name needs no step around it
    if (!keeps && named === undefined && carried === undefined && !policies.some((one) => one in options)) {
      return this.#add({ op: "map", name: this.#name(op), call })
    }
    const own = carried === undefined ? this.#name(op) : carried.from === "flow" ? carried.flow.name : (work as { readonly name: string }).name
    const name = (named as string | undefined) ?? own
    const { concurrency = 1, ordered = true, failure = "fail", ...step } = options
    const node = this.#writing.step(name, carried === undefined ? ofItem(call) : of(carried), step)
    return this.#add({ op: "work", name, concurrency, ordered, keeps, failure }, Object.freeze([...this.nodes, node]))
  }
}

/** A function of an item as the work of a step. */
const ofItem = (call: (item: never, scope: Values, step: unknown) => unknown): Work => ({
  from: "definition",
  call: (({ item, scope }: { readonly item: never; readonly scope: Values }, step: unknown) => call(item, scope, step)) as unknown as Call,
  input: undefined,
  output: undefined,
  given: (scope) => ({ item: scope["item"], scope }),
  tool: undefined,
  turn: undefined,
  own: { retry: undefined, timeout: undefined, limits: [], hooks: [], description: undefined },
})
/** Something defined elsewhere, given the item; a flow is a run of its own for each, told by its item, too: after a crash another may come in its place. */
const of = (work: Work): Work =>
  work.from === "flow" ? { ...work, input: ({ item }) => item, as: "run", ofItem: true } : { ...work, given: ({ item }) => item } as Work

/** A stream as it is recorded. */
export function streamed(
  source: Ask,
  pipe: (stages: Recording) => Recording,
  options: StreamOptions,
  writing: Writing,
): StreamShape & { readonly kind: "stream" } {
  const { stages, nodes, sink } = pipe(new Recording(writing))
  const { buffer = 256, bytes = Number.POSITIVE_INFINITY, overflow = "suspend", checkpoint: { items = 1000, time = 1000 } = {}, rejects = 1000 } = options
  const body = Object.freeze({ nodes, returns: undefined, dangling: false } as const)
  return { kind: "stream", source, stages, sink, buffer, bytes, overflow, checkpoint: { items, time }, rejects, body }
}
