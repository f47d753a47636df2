/** Which hooks stand where in a flow. */
import type { Hook, HookPoint } from "../../dsl/ir/hook.ts"
import type { FlowIR, Node } from "../../dsl/ir/node.ts"
import { walk } from "../../dsl/ir/walk.ts"

/** What hooks are asked about before it, after it and where it fails. */
export type Surrounded = Exclude<Node["kind"], "jump"> | "tool" | "agent" | "turn"

/** Which hooks stand where in one flow; found once for a list of hooks. */
export class Standing {
  readonly #everywhere: ReadonlyArray<Hook>
  readonly #own: ReadonlyMap<string, ReadonlyArray<Hook>>
  readonly #found = new Map<string, ReadonlyArray<Hook>>()
  readonly #surrounded = new Map<string, Map<string, boolean>>()

  constructor(everywhere: ReadonlyArray<Hook>, own: ReadonlyMap<string, ReadonlyArray<Hook>>) {
    this.#everywhere = everywhere
    this.#own = own
  }

  /** Those at one point of the node at a path as it is written, in the order they are asked. */
  at(point: HookPoint, written: string): ReadonlyArray<Hook> {
    const key = `${point} ${written}`
    let found = this.#found.get(key)
    if (found === undefined) {
      found = [...this.#everywhere, ...(this.#own.get(written) ?? [])].filter((hook) => hook.point === point).sort((a, b) => a.priority - b.priority)
      this.#found.set(key, found)
    }
    return found
  }

  /** Somebody could be asked before, after or on an error of it. */
  surrounds(kind: Surrounded, written: string): boolean {
    let known = this.#surrounded.get(kind)
    if (known === undefined) this.#surrounded.set(kind, known = new Map())
    let found = known.get(written)
    if (found === undefined) {
      found = (["before", "after", "error"] as const).some((when) => this.at(`${kind}.${when}`, written).length > 0)
      known.set(written, found)
    }
    return found
  }
}

const found = new WeakMap<ReadonlyArray<Hook>, WeakMap<FlowIR, Standing>>()
/** `undefined` where nobody would ever be asked. */
export function standingOf(hooks: ReadonlyArray<Hook>, flow: FlowIR): Standing | undefined {
  const own = ownHooks(flow)
  if (hooks.length === 0 && own === undefined) return undefined
  const byFlow = found.get(hooks) ?? new WeakMap<FlowIR, Standing>()
  const standing = byFlow.get(flow) ?? new Standing(hooks, own ?? new Map())
  found.set(hooks, byFlow.set(flow, standing))
  return standing
}

const known = new WeakMap<FlowIR, ReadonlyMap<string, ReadonlyArray<Hook>> | "none">()
/** By path as written: the hooks of the flows around a node, then its own. `undefined` if there are none at all. */
function ownHooks(flow: FlowIR): ReadonlyMap<string, ReadonlyArray<Hook>> | undefined {
  let found = known.get(flow)
  if (found === undefined) {
    const flows = new Map<string, ReadonlyArray<Hook>>([["", flow.hooks]])
    const byPath = new Map<string, ReadonlyArray<Hook>>([["", flow.hooks]])
    for (const { path, node } of walk(flow)) {
      const around = [...flows].filter(([prefix]) => prefix === "" || path.startsWith(`${prefix}/`)).flatMap(([, hooks]) => hooks)
      const agent = node.kind === "step" && node.work.from === "flow" && node.work.as === "inline" && node.work.flow.agent !== undefined ?
        node.work.flow.hooks.filter(({ point }) => point.startsWith("agent.")) :
        []
      byPath.set(path, [...around, ...agent, ...node.hooks])
      if (node.kind === "step" && node.work.from === "flow" && node.work.as === "inline" && node.work.flow.hooks.length > 0) {
        flows.set(path, node.work.flow.hooks)
      }
    }
    found = [...byPath.values()].some((hooks) => hooks.length > 0) ? byPath : "none"
    known.set(flow, found)
  }
  return found === "none" ? undefined : found
}
