/** A flow as plain JSON: for fingerprints, diagrams, docs and diffs. */
import type { Input as Duration } from "effect/Duration"
import type { Block, FailureMode, FlowIR, Node } from "./node.ts"
import type { Stage } from "./stream.ts"
import { childPrefix, visit } from "./walk.ts"

export type EncodedBlock = ReadonlyArray<EncodedNode>
/** A node as JSON; functions are shown by their source under `text`, which is not part of the structure. */
export interface EncodedNode {
  readonly kind: Node["kind"]
  readonly name: string
  readonly binds: boolean
  readonly guarded: boolean
  readonly description?: string
  /** What matters to a resumed run, besides kind and name. */
  readonly shape: Readonly<Record<string, unknown>>
  /** Source of the author's conditions and work, for people. */
  readonly text: Readonly<Record<string, string>>
  readonly blocks: ReadonlyArray<{ readonly label: string; readonly block: EncodedBlock; readonly returns: boolean }>
}
export interface EncodedFlow {
  readonly format: 1
  readonly name: string
  readonly version: number
  readonly description?: string
  readonly returns: boolean
  readonly body: EncodedBlock
}

/** The labels of its blocks are parts of paths: of cases and forks. */
export const isLabelled = ({ kind }: Pick<EncodedNode, "kind">): boolean => kind === "when" || kind === "parallel"
/** What the paths inside a block of the node at `path` begin with. */
export const innerPrefix = (node: EncodedNode, path: string, label: string): string => childPrefix(path, isLabelled(node) ? label : undefined)

/** `flow` as JSON. */
export const encode = (flow: FlowIR): EncodedFlow => ({
  format: 1,
  name: flow.name,
  version: flow.version,
  ...(flow.description === undefined ? {} : { description: flow.description }),
  returns: flow.body.returns !== undefined,
  body: encodeBlock(flow.body),
})

const texts = new WeakMap<FlowIR, string>()
/** The structure of a flow as JSON, made once: a program may run one flow many times, each on a store of its own. */
export const encodedText = (flow: FlowIR): string => {
  const text = texts.get(flow) ?? JSON.stringify(encode(flow))
  texts.set(flow, text)
  return text
}

const encodeBlock = (block: Block): EncodedBlock => block.nodes.map(encodeNode)
const mode = (failure: FailureMode): string => (typeof failure === "string" ? failure : `atLeast(${failure.atLeast})`)
const block = (label: string, inner: Block) => ({ label, block: encodeBlock(inner), returns: inner.returns !== undefined })
const blocks = (labelled: Readonly<Record<string, Block>>) => Object.entries(labelled).map(([label, inner]) => block(label, inner))

/** A duration as it was written. */
const time = (duration: Duration): string => (typeof duration === "string" ? duration : JSON.stringify(duration))

/** Source as one line. */
export const oneLine = (source: string): string => {
  const line = source.replaceAll(/\s+/g, " ")
  return line.length > 120 ? `${line.slice(0, 117)}...` : line
}
/** An author's function as one line of source. */
export const sourceText = (fn: (...args: never) => unknown): string => oneLine(String(fn))

/** What decides where a stage's memory lies in a checkpoint. */
const stageShape = (stage: Stage): unknown => {
  const { op, name } = stage
  if (stage.op === "group") return { op, name, stages: stage.stages.map(stageShape) }
  if (stage.op === "partition") {
    return { op, name, parts: Object.fromEntries(Object.entries(stage.parts).map(([label, part]) => [label, part.map(stageShape)])) }
  }
  return { op, name, ...(stage.op === "window" ? { by: stage.of.by } : {}) }
}

type Parts = Pick<EncodedNode, "shape" | "text" | "blocks">
function encodeNode(node: Node): EncodedNode {
  const parts = visit<Parts>(node, {
    step: ({ work, updates, retry, timeout, delivery, limits, effects, compensate }) => ({
      shape: {
        from: work.from,
        ...(updates === undefined ? {} : { updates }),
        ...(work.from === "flow" && work.as === "run" ? { child: work.flow.name } : {}),
        retry: retry?.times ?? 0,
        timeout: timeout === undefined ? "none" : time(timeout),
        ...(delivery === "atMostOnce" ? { delivery } : {}),
        ...(limits.length === 0 ? {} : { limits: limits.map(({ name }) => name) }),
        ...(effects === undefined ? {} : { effects }),
        ...(compensate === undefined ? {} : { compensate: compensate === "irreversible" ? compensate : compensate.onFailure }),
      },
      text: {
        ...(work.from === "flow" ? {} : { work: sourceText(work.call) }),
        ...(typeof compensate === "object" ? { compensate: sourceText(compensate.undo) } : {}),
      },
      blocks: work.from === "flow" && work.as === "inline" ? [block(work.flow.name, work.flow.body)] : [],
    }),
    when: ({ form, on, cases }) => ({ shape: { form }, text: { on: sourceText(on) }, blocks: blocks(cases) }),
    loop: ({ turns, collect, body, atMax, budget }) => ({
      shape: {
        by: turns.by,
        collect: JSON.stringify(collect),
        ...("max" in turns && turns.max !== undefined ? { max: turns.max, atMax } : {}),
        ...(budget === undefined ? {} : { budget }),
        ...(turns.by === "times" && typeof turns.times === "number" ? { times: turns.times } : {}),
      },
      text: turns.by === "times" ? {} : { test: sourceText(turns.by === "over" ? turns.items : turns.test) },
      blocks: [block("body", body)],
    }),
    jump: ({ to, condition }) => ({ shape: { to }, text: { condition: sourceText(condition) }, blocks: [] }),
    each: ({ items, body, failure, concurrency, ordered, merge }) => ({
      shape: { failure: mode(failure), concurrency, ordered, merge: policies(merge) },
      text: { items: sourceText(items) },
      blocks: [block("body", body)],
    }),
    parallel: ({ forks, failure, concurrency, optional, merge }) => ({
      shape: { failure: mode(failure), concurrency, optional: [...optional], merge: policies(merge) },
      text: {},
      blocks: blocks(forks),
    }),
    protect: ({ body, handlers, fallback, rollback, timeout, compensated, budget }) => ({
      shape: {
        catches: Object.keys(handlers),
        ...(fallback === undefined ? {} : { fallback: true }),
        ...(rollback ? {} : { rollback }),
        ...(timeout === undefined ? {} : { timeout: time(timeout) }),
        ...(compensated ? { compensated } : {}),
        ...(budget === undefined ? {} : { budget }),
      },
      text: {},
      blocks: [block("body", body)],
    }),
    stream: ({ source, stages, sink, buffer, bytes, overflow, checkpoint, rejects, body }) => ({
      shape: {
        stages: stages.map(stageShape),
        sink: sink.to,
        buffer,
        ...(bytes === Number.POSITIVE_INFINITY ? {} : { bytes }),
        overflow,
        checkpoint: `${checkpoint.items} items or ${time(checkpoint.time)}`,
        rejects,
      },
      text: { source: sourceText(source) },
      blocks: body.nodes.length === 0 ? [] : [block("body", body)],
    }),
    wait: ({ on, timeout, atTimeout }) => ({
      shape: {
        by: on.by,
        ...(on.by === "signal" ? { signal: on.signal } : {}),
        ...(on.by === "for" && typeof on.duration !== "function" ? { for: time(on.duration) } : {}),
        ...(on.by === "until" && typeof on.date !== "function" ? { until: on.date.toISOString() } : {}),
        ...(timeout === undefined ? {} : { timeout: time(timeout), atTimeout }),
      },
      text: on.by === "signal" && on.where !== undefined ?
        { where: sourceText(on.where) } :
        on.by === "for" && typeof on.duration === "function" ?
        { for: sourceText(on.duration) } :
        on.by === "until" && typeof on.date === "function" ?
        { until: sourceText(on.date) } :
        {},
      blocks: [],
    }),
  })
  return {
    kind: node.kind,
    name: node.name,
    binds: node.binds,
    guarded: node.guard !== undefined,
    ...(node.description === undefined ? {} : { description: node.description }),
    ...parts,
    shape: node.hooks.length === 0 ? parts.shape : { ...parts.shape, hooks: node.hooks.map(({ point }) => point) },
    text: node.guard === undefined ? parts.text : { guard: sourceText(node.guard), ...parts.text },
  }
}
const policies = (merge: Readonly<Record<string, { readonly policy: string }>>) =>
  Object.fromEntries(Object.entries(merge).map(([name, { policy }]) => [name, policy]))
