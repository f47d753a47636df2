/** Going through a flow's nodes. */
import type { ToolInfo } from "./tool.ts"
import type { Block, Compensation, FlowIR, Node, NodeKind, NodeOf, WaitFor } from "./node.ts"

/** One handler per node kind; leaving one out does not compile. */
export type Handlers<Result> = { readonly [Kind in NodeKind]: (node: NodeOf<Kind>) => Result }

/** Gives `node` to the handler for its kind. */
export function visit<Result>(node: Node, handlers: Handlers<Result>): Result {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- kind and handler come from the same key
  return (handlers[node.kind] as (node: Node) => Result)(node)
}

/** A block inside a node; `label` is its part of the path (`undefined`: the node's own path). */
export interface Inner {
  readonly label: string | undefined
  readonly block: Block
}

const labelled = (blocks: Readonly<Record<string, Block>>): ReadonlyArray<Inner> => Object.entries(blocks).map(([label, block]) => ({ label, block }))

/** The blocks directly inside `node`. */
export const inner = (node: Node): ReadonlyArray<Inner> =>
  visit<ReadonlyArray<Inner>>(node, {
    step: ({ work }) => (work.from === "flow" && work.as === "inline" ? [{ label: undefined, block: work.flow.body }] : []),
    when: ({ cases }) => labelled(cases),
    loop: ({ body }) => [{ label: undefined, block: body }],
    jump: () => [],
    each: ({ body }) => [{ label: undefined, block: body }],
    parallel: ({ forks }) => labelled(forks),
    protect: ({ body }) => [{ label: undefined, block: body }],
    wait: () => [],
    stream: ({ body }) => [{ label: undefined, block: body }],
  })

/** A node with its place in the flow, as written (`refine/draft`, no pass numbers). */
export interface Placed {
  readonly path: string
  readonly node: Node
}

/** Every node, in the order it is written, blocks after the node that holds them. */
export const walk = (flow: FlowIR): Generator<Placed> => walkBlock(flow.body, "")
/** Every node of a block; `prefix` is the path of the block with a `/` behind it. */
export function* walkBlock(block: Block, prefix: string): Generator<Placed> {
  for (const node of block.nodes) {
    const path = prefix + node.name
    yield { path, node }
    for (const { label, block: child } of inner(node)) yield* walkBlock(child, childPrefix(path, label))
  }
}

/** What the paths inside a node begin with. */
export const childPrefix = (path: string, label: string | undefined): string => (label === undefined ? `${path}/` : `${path}/${label}/`)

/** How the effect of a node is undone, if it can be. */
export const compensationOf = (node: Node | undefined): Compensation | undefined =>
  node?.kind === "step" && typeof node.compensate === "object" ? node.compensate : undefined

/** The flow that a node runs as a run of its own. */
export const childOf = (node: Node | undefined): FlowIR | undefined =>
  node?.kind === "step" && node.work.from === "flow" && node.work.as === "run" ? node.work.flow : undefined

/** The tools of a flow, with the steps that use them, also in the runs that it starts. */
export const toolsIn = (flow: FlowIR): ReadonlyArray<{ readonly path: string; readonly tool: ToolInfo }> => [...toolsOf(flow, "", new Set([flow]))]
function* toolsOf(flow: FlowIR, prefix: string, seen: ReadonlySet<FlowIR>): Generator<{ readonly path: string; readonly tool: ToolInfo }> {
  for (const { node, path } of walk(flow)) {
    const child = childOf(node)
    if (child !== undefined && !seen.has(child)) yield* toolsOf(child, `${prefix}${path}/`, new Set([...seen, child]))
    else if (node.kind === "step" && node.work.from === "definition" && node.work.tool !== undefined) yield { path: prefix + path, tool: node.work.tool }
  }
}

type ForSignal = Extract<WaitFor, { by: "signal" }>
const signals = new WeakMap<FlowIR, ReadonlyMap<string, ReadonlyArray<ForSignal>>>()
/** The waits for signals in a flow, by the signal's name. */
export function signalWaits(flow: FlowIR): ReadonlyMap<string, ReadonlyArray<ForSignal>> {
  let waits = signals.get(flow)
  if (waits === undefined) {
    const nodes = [...walk(flow)].flatMap(({ node }) => (node.kind === "wait" && node.on.by === "signal" ? [node.on] : []))
    waits = Map.groupBy(nodes, ({ signal }) => signal)
    signals.set(flow, waits)
  }
  return waits
}

/** The names a block gives back when it has no `returns`. */
export const ownNames = (block: Block): ReadonlyArray<string> => block.nodes.filter((node) => node.binds).map((node) => node.name)

/** Outer names that a block changes. */
export function updatedNames(block: Block): ReadonlySet<string> {
  const names = new Set<string>()
  for (const node of block.nodes) {
    if (node.kind === "step" && node.updates !== undefined) names.add(node.updates)
    else if (node.kind !== "step") { for (const { block: child } of inner(node)) for (const name of updatedNames(child)) names.add(name) }
  }
  for (const name of ownNames(block)) names.delete(name)
  return names
}
