/** Two versions of a flow in one picture: what is new, what is gone, what is not as it was. */
import { changes, verdict } from "../../../dsl/ir/diff.ts"
import { type EncodedBlock, type EncodedFlow, type EncodedNode, innerPrefix } from "../../../dsl/ir/encode.ts"
import type { FlowIR } from "../../../dsl/ir/node.ts"
import type { Changes } from "./layout.ts"
import type { Change } from "./shapes.ts"

/** The newer flow with what is gone in its old places, and what has become of each node. */
export function compared(before: EncodedFlow, now: EncodedFlow, migrations: FlowIR["migrations"]): { readonly flow: EncodedFlow; readonly changes: Changes } {
  const migrates = verdict(before, now, migrations) === "migrates"
  const marks = changes(before, now).map(({ path, what }): readonly [string, Change] => [
    path,
    what === "added" || what === "removed" ? what : migrates && what === "changed" ? "migrated" : "changed",
  ])
  const flow = { ...now, body: both(before.body, now.body) }
  return { flow, changes: new Map([...marks, ...inside(flow.body, "", new Map(marks))]) }
}

/** What is in something that is new, or gone, is so too: an arm, a fork, a block. */
function* inside(block: EncodedBlock, prefix: string, marks: ReadonlyMap<string, Change>, around?: Change): Generator<readonly [string, Change]> {
  for (const node of block) {
    const path = prefix + node.name
    const own = around ?? whole(marks.get(path))
    if (own !== undefined) yield [path, own]
    for (const { label, block: inner } of node.blocks) {
      const into = innerPrefix(node, path, label)
      yield* inside(inner, into, marks, own ?? whole(marks.get(into.slice(0, -1))))
    }
  }
}
const whole = (change: Change | undefined): Change | undefined => (change === "added" || change === "removed" ? change : undefined)

/** What is gone stands behind what it stood behind. */
function both(before: EncodedBlock, now: EncodedBlock): EncodedBlock {
  const fresh = new Map(now.map((node) => [node.name, node]))
  const old = new Map(before.map((node) => [node.name, node]))
  const gone = new Map<string | undefined, Array<EncodedNode>>()
  let behind: string | undefined
  for (const node of before) {
    if (fresh.has(node.name)) behind = node.name
    else gone.set(behind, [...(gone.get(behind) ?? []), node])
  }
  const kept = now.flatMap((node) => [merged(old.get(node.name), node), ...(gone.get(node.name) ?? [])])
  return [...(gone.get(undefined) ?? []), ...kept]
}

const merged = (was: EncodedNode | undefined, node: EncodedNode): EncodedNode => {
  if (was === undefined || was.kind !== node.kind) return node
  const blocks = node.blocks.map((inner) => ({ ...inner, block: both(was.blocks.find(({ label }) => label === inner.label)?.block ?? [], inner.block) }))
  return { ...node, blocks: [...blocks, ...was.blocks.filter(({ label }) => !node.blocks.some((inner) => inner.label === label))] }
}
