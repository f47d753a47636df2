/** What a flow may do, for whoever has to approve of it. */
import type { FlowIR } from "./node.ts"
import { inner, signalWaits, toolsIn, updatedNames, walk } from "./walk.ts"

export interface FlowReport {
  /** The outer names that blocks change, by the path of the node that holds them. */
  readonly writes: Readonly<Record<string, ReadonlyArray<string>>>
  /** The capabilities that its tools need, each with the tools. */
  readonly capabilities: Readonly<Record<string, ReadonlyArray<string>>>
  /** What it changes in the outside world, by path, and whether that is undone when it fails. */
  readonly effects: Readonly<Record<string, { readonly what: string; readonly undone: boolean | "irreversible" }>>
  /** The signals that it waits for. */
  readonly signals: ReadonlyArray<string>
}

/** Write sets, capabilities, effects and signals of a flow, flows in it included. */
export function report(flow: FlowIR): FlowReport {
  const nodes = [...walk(flow)]
  const writes = nodes.flatMap(({ node, path }) => {
    const names = node.kind === "step" ? [] : [...new Set(inner(node).flatMap(({ block }) => [...updatedNames(block)]))]
    return names.length === 0 ? [] : [[path, names] as const]
  })
  const needs = Map.groupBy(toolsIn(flow).flatMap(({ tool: { name, needs: all } }) => all.map((need) => ({ need, name }))), ({ need }) => need)
  const effects = nodes.flatMap(({ node, path }) => {
    if (node.kind !== "step" || node.effects === undefined) return []
    return [[path, { what: node.effects, undone: node.compensate === "irreversible" ? node.compensate : node.compensate !== undefined }] as const]
  })
  return {
    writes: Object.fromEntries(writes),
    capabilities: Object.fromEntries([...needs].map(([need, by]) => [need, [...new Set(by.map(({ name }) => name))]])),
    effects: Object.fromEntries(effects),
    signals: [...signalWaits(flow).keys()],
  }
}
