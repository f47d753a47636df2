/** What is documented of a flow, as plain data: what it is made of, and what the source and the compiler know of it. */
import { toMillis } from "effect/Duration"
import { basename, relative } from "node:path"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import { encode, type EncodedBlock, type EncodedFlow, type EncodedNode, innerPrefix } from "../../dsl/ir/encode.ts"
import type { Limit } from "../../dsl/ir/limit.ts"
import type { FlowIR, Node, NodeOf } from "../../dsl/ir/node.ts"
import { innerStages, type Stage, type StreamShape } from "../../dsl/ir/stream.ts"
import type { ToolInfo } from "../../dsl/ir/tool.ts"
import { compensationOf, signalWaits, toolsIn, walk } from "../../dsl/ir/walk.ts"
import { jsonSchemaOf } from "../builtin/agents/json-schema.ts"
import { messageOf } from "../model/error.ts"
import { type EventKind, eventKinds } from "../model/event.ts"
import { detail, guard, stageText, verb } from "./label.ts"
import type { FlowFacts, Named, NodeFacts } from "./source/facts.ts"

export interface Uses {
  readonly kind: "flow" | "agent" | "tool"
  readonly name: string
  /** Of an agent: the names of its tools. */
  readonly tools: ReadonlyArray<string>
}
export interface NodePage {
  readonly path: string
  readonly verb: string
  /** What stands in the diagram beside its name. */
  readonly detail: string
  readonly guard: string | undefined
  readonly prose: string | undefined
  readonly file: string | undefined
  readonly line: number | undefined
  readonly reads: ReadonlyArray<Named>
  readonly gives: string | undefined
  readonly fails: ReadonlyArray<string>
  readonly needs: ReadonlyArray<string>
  readonly limits: ReadonlyArray<string>
  readonly hooks: ReadonlyArray<string>
  readonly uses: Uses | undefined
  /** What undoes it, or that nothing can. */
  readonly compensation: string | undefined
  readonly effects: string | undefined
}
export interface SignalPage {
  readonly name: string
  readonly schema: unknown
}
export interface FlowPage {
  readonly format: 1
  readonly name: string
  /** The name of its page, unlike all others. */
  readonly slug: string
  readonly kind: "flow" | "agent"
  /** The name it is exported under. */
  readonly exported: string
  /** Seen from the project's folder. */
  readonly file: string
  readonly line: number
  readonly version: number
  readonly description: string | undefined
  readonly prose: string | undefined
  readonly input: string
  readonly output: string
  readonly fails: ReadonlyArray<string>
  readonly needs: ReadonlyArray<string>
  /** Those of an agent are its library's business. */
  readonly nodes: ReadonlyArray<NodePage>
  /** Those that it, or an agent in it, may call. */
  readonly tools: ReadonlyArray<ToolPage>
  readonly streams: ReadonlyArray<StreamPage>
  readonly signals: ReadonlyArray<SignalPage>
  readonly schemas: Readonly<Record<string, unknown>>
  readonly budget: Readonly<Record<string, unknown>> | undefined
  readonly capabilities: ReadonlyArray<string> | undefined
  readonly hooks: ReadonlyArray<string>
  readonly migrations: ReadonlyArray<number>
  readonly events: ReadonlyArray<EventKind>
  readonly example: Example | undefined
  /** Its structure, with its functions as they are written. */
  readonly structure: EncodedFlow
}
/** What a model, or whoever grants capabilities, has to know of a tool. */
export interface ToolPage extends Pick<ToolInfo, "name" | "description" | "level" | "needs"> {
  /** `sometimes`: its input decides. */
  readonly approval: "always" | "sometimes" | "never"
  /** JSON Schema of its input. */
  readonly parameters: unknown
}
/** How items flow. */
export interface StreamPage extends Pick<StreamShape, "buffer" | "bytes" | "overflow"> {
  readonly path: string
  readonly stages: ReadonlyArray<string>
  /** Most items that it may leave out and record, where a stage does that. */
  readonly rejects: number | undefined
  /** What they end in. */
  readonly sink: string
  /** After how many items, or milliseconds, it is recorded how far it has come. */
  readonly checkpoint: { readonly items: number; readonly time: number }
}
/** A run that was recorded. */
export interface Example {
  readonly run: string
  readonly input: string
  readonly output: string
  readonly steps: ReadonlyArray<{ readonly path: string; readonly status: string; readonly output: string }>
}

/** A flow, where it stands, and what is known of it. */
export interface Given {
  readonly ir: FlowIR
  readonly exported: string
  readonly facts: FlowFacts
  readonly slug: string
  readonly example?: Example | undefined
}

export function pageOf({ ir, exported, facts, slug, example }: Given, root: string): FlowPage {
  const structure = written(ir.agent === undefined ? encode(ir) : { ...encode(ir), body: [] }, ir, facts)
  const encoded = new Map(encodedNodes(structure.body, ""))
  const signals = Array.from(signalWaits(ir), ([name, waits]): SignalPage => ({ name, schema: waits.map(({ schema }) => schemaOf(schema)).find(Boolean) }))
  const kinds = new Set([...walk(ir)].flatMap(({ node }) => eventsOf(node)))
  const schemas = { input: schemaOf(ir.input), output: schemaOf(ir.output), session: schemaOf(ir.session) }
  return {
    format: 1,
    name: ir.name,
    slug,
    kind: ir.agent === undefined ? "flow" : "agent",
    exported,
    file: relative(root, facts.file),
    line: facts.line,
    version: ir.version,
    description: ir.description,
    prose: facts.prose,
    input: facts.input,
    output: facts.output,
    fails: facts.fails,
    needs: facts.needs,
    nodes: [...walk(ir)].flatMap(({ path, node }) => {
      const found = encoded.get(path)
      return found === undefined ? [] : [nodePage(path, node, found, facts.nodes.get(path), root)]
    }),
    tools: [...new Map(toolsIn(ir).map(({ tool }) => [tool.name, toolPage(tool)])).values()],
    streams: [...walk(ir)].flatMap(({ path, node }) => (node.kind === "stream" ? [streamPage(path, node)] : [])),
    signals,
    schemas: Object.fromEntries(Object.entries(schemas).filter(([, schema]) => schema !== undefined)),
    budget: ir.budget as Readonly<Record<string, unknown>> | undefined,
    capabilities: ir.capabilities,
    hooks: ir.hooks.map(({ point }) => point),
    migrations: Object.keys(ir.migrations).map(Number),
    events: eventKinds.filter((kind) => kind.startsWith("run.") || kinds.has(kind.split(".")[0]!)),
    example,
    structure,
  }
}

function nodePage(path: string, node: Node, encoded: EncodedNode, facts: NodeFacts | undefined, root: string): NodePage {
  const limits = node.kind === "step" ?
    node.limits.map(limited) :
    "budget" in node && node.budget !== undefined ?
    [`budget ${JSON.stringify(node.budget)}`] :
    []
  const undone = compensationOf(node)
  return {
    path,
    verb: verb(encoded),
    detail: detail(encoded),
    guard: guard(encoded),
    prose: facts?.prose ?? node.description,
    file: facts === undefined ? undefined : relative(root, facts.file),
    line: facts?.line,
    reads: facts?.reads ?? [],
    gives: facts?.gives,
    fails: facts?.fails ?? [],
    needs: facts?.needs ?? [],
    limits,
    hooks: node.hooks.map(({ point }) => point),
    uses: usesOf(node),
    compensation: undone === undefined ? node.kind === "step" && node.compensate === "irreversible" ? "irreversible" : undefined : encoded.text["compensate"],
    effects: node.kind === "step" ? node.effects : undefined,
  }
}

const toolPage = ({ name, description, level, needs, approval, parameters, input }: ToolInfo): ToolPage => ({
  name,
  description,
  level,
  needs,
  approval: typeof approval === "function" ? "sometimes" : approval ? "always" : "never",
  parameters: parameters ?? schemaOf(input),
})
const isRejecting = (stage: Stage): boolean => (stage.op === "work" ? stage.failure === "reject" : innerStages(stage).some(isRejecting))
/** How the work of a stage goes on, where that is not one after the other until one fails. */
const workText = (stage: Stage): ReadonlyArray<string> =>
  stage.op !== "work" ? [] : [
    ...(stage.concurrency === 1 ? [] : [`${stage.concurrency} at once`]),
    ...(stage.ordered ? [] : ["as they are done"]),
    ...(stage.failure === "fail" ? [] : [stage.failure]),
  ]
const streamPage = (path: string, { stages, sink, buffer, bytes, overflow, rejects, checkpoint: { items, time } }: NodeOf<"stream">): StreamPage => ({
  path,
  stages: stages.map((stage) => [stageText(stage), ...workText(stage)].join(", ")),
  // where its file lies may be different each time
  sink: sink.to === "sink" ? basename(sink.sink.name) : sink.to,
  buffer,
  bytes,
  overflow,
  rejects: stages.some(isRejecting) ? rejects : undefined,
  checkpoint: { items, time: toMillis(time) },
})

/** Some schemas have no JSON Schema: that is said in its place. */
const schemaOf = (schema: StandardSchemaV1 | undefined): unknown => {
  if (schema === undefined) return undefined
  try {
    return jsonSchemaOf(schema)
  } catch (cause) {
    return { description: messageOf(cause) }
  }
}
const limited = (limit: Limit): string =>
  limit.kind === "permits" ? `${limit.name}: ${limit.permits} at once` : `${limit.name}: ${limit.limit} per ${JSON.stringify(limit.per)}`

const usesOf = (node: Node): Uses | undefined => {
  if (node.kind !== "step") return undefined
  if (node.work.from === "flow") {
    const { name, agent } = node.work.flow
    return { kind: agent === undefined ? "flow" : "agent", name, tools: agent?.tools ?? [] }
  }
  return node.work.from === "definition" && node.work.tool !== undefined ? { kind: "tool", name: node.work.tool.name, tools: [] } : undefined
}

/** The first parts of the events that a node tells. */
const eventsOf = (node: Node): ReadonlyArray<string> => [
  node.kind,
  ...(node.guard === undefined ? [] : ["guard"]),
  ...(node.kind === "parallel" || node.kind === "each" ? ["fork"] : []),
  ...(compensationOf(node) === undefined ? [] : ["compensation"]),
]

function* encodedNodes(block: EncodedBlock, prefix: string): Generator<readonly [string, EncodedNode]> {
  for (const node of block) {
    const path = prefix + node.name
    yield [path, node]
    for (const { label, block: inner } of node.blocks) yield* encodedNodes(inner, innerPrefix(node, path, label))
  }
}
/** The structure with its functions as they stand in the source: what runs may have been made smaller by a tool. What is inside agents is left out. */
function written(flow: EncodedFlow, ir: FlowIR, { nodes }: FlowFacts): EncodedFlow {
  const agents = new Set([...walk(ir)].flatMap(({ path, node }) => (usesOf(node)?.kind === "agent" ? [path] : [])))
  const inBlock = (block: EncodedBlock, prefix: string): EncodedBlock =>
    block.map((node) => {
      const path = prefix + node.name
      const texts = nodes.get(path)?.texts ?? {}
      return {
        ...node,
        text: Object.fromEntries(Object.entries(node.text).map(([key, text]) => [key, texts[key] ?? text])),
        blocks: agents.has(path) ?
          [] :
          node.blocks.map((inner) => ({ ...inner, block: inBlock(inner.block, innerPrefix(node, path, inner.label)) })),
      }
    })
  return { ...flow, body: inBlock(flow.body, "") }
}
