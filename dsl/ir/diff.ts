/** What is different between two versions of a flow, and what that means for runs that are under way. */
import { type EncodedBlock, type EncodedFlow, type EncodedNode, isLabelled } from "./encode.ts"
import { structure } from "./fingerprint.ts"
import { writtenPath } from "./path.ts"

/** One difference. */
export interface Change {
  readonly path: string
  readonly what: "added" | "removed" | "moved" | "changed" | "retuned"
  /** A line for people. */
  readonly text: string
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
const label = (node: EncodedNode): string => (node.shape["form"] === "match" ? "match" : node.kind)

/** Every difference, in the order of the newer flow; an empty list means that runs do not notice. */
export function changes(before: EncodedFlow, now: EncodedFlow): ReadonlyArray<Change> {
  return [...between(before.body, now.body, "")]
}

function* between(before: EncodedBlock, now: EncodedBlock, prefix: string): Generator<Change> {
  const old = new Map(before.map((node) => [node.name, node]))
  const kept = now.filter(({ name }) => old.has(name)).map(({ name }) => name)
  const order = before.filter(({ name }) => kept.includes(name)).map(({ name }) => name)
  for (const { name } of before) {
    if (!kept.includes(name)) yield { path: prefix + name, what: "removed", text: `- ${label(old.get(name)!)} '${prefix}${name}'` }
  }
  for (const [i, node] of now.entries()) {
    const path = prefix + node.name
    const was = old.get(node.name)
    if (was === undefined) {
      const after = now[i - 1]
      yield { path, what: "added", text: `+ ${label(node)} '${path}'${after === undefined ? " at the beginning" : ` behind '${after.name}'`}` }
      continue
    }
    if (order.indexOf(node.name) !== kept.indexOf(node.name)) yield { path, what: "moved", text: `~ ${label(node)} '${path}' has moved` }
    yield* within(was, node, path)
  }
}

function* within(was: EncodedNode, node: EncodedNode, path: string): Generator<Change> {
  if (was.kind !== node.kind) {
    yield { path, what: "changed", text: `~ '${path}' was a ${label(was)} and is a ${label(node)}` }
    return
  }
  const [shallowWas, shallowNow] = [own(was), own(node)]
  if (!same(structure([shallowWas]), structure([shallowNow]))) {
    yield { path, what: "changed", text: `~ ${label(node)} '${path}': ${told(shallowWas, shallowNow)}` }
  } else if (!same(shallowWas.shape, shallowNow.shape)) yield { path, what: "retuned", text: `· ${label(node)} '${path}': ${told(shallowWas, shallowNow)}` }
  const blocks = new Map(was.blocks.map((inner) => [inner.label, inner]))
  for (const { label: name, block } of node.blocks) {
    const inner = blocks.get(name)
    const at = insideOf(node, path, name)
    blocks.delete(name)
    if (inner === undefined) yield { path: at, what: "added", text: `+ '${at}'` }
    else yield* between(inner.block, block, `${at}/`)
  }
  for (const name of blocks.keys()) yield { path: `${path}/${name}`, what: "removed", text: `- '${path}/${name}'` }
}

/** The path of a block inside a node: only cases and forks have a part of it to themselves. */
const insideOf = (node: EncodedNode, path: string, name: string): string => (isLabelled(node) ? `${path}/${name}` : path)

/** A node without its blocks; only which there are. */
const own = (node: EncodedNode): EncodedNode => ({ ...node, blocks: node.blocks.map(({ label: name, returns }) => ({ label: name, returns, block: [] })) })

function told(was: EncodedNode, now: EncodedNode): string {
  const keys = new Set([...Object.keys(was.shape), ...Object.keys(now.shape)])
  const shapes = [...keys].filter((key) => !same(was.shape[key], now.shape[key]))
    .map((key) => `${key} ${JSON.stringify(was.shape[key]) ?? "none"} → ${JSON.stringify(now.shape[key]) ?? "none"}`)
  const flags = (["binds", "guarded"] as const).filter((flag) => was[flag] !== now[flag]).map((flag) =>
    `${now[flag] ? "is now" : "is no longer"} ${flag === "binds" ? "named" : flag}`
  )
  return [...shapes, ...flags].join(", ") || "its blocks"
}

/** What a change means before it is deployed. */
export type Verdict = "compatible" | "migrates" | "needs migration" | "breaking"

/**
 * What the runs of the older flow can do with the newer one: go on (`compatible`), be migrated by declared migrations (`migrates`),
 * not go on where they are past what changed (`needs migration`), or not at all (`breaking`: another flow, or a version that went back).
 */
export function verdict(before: EncodedFlow, now: EncodedFlow, migrations: Readonly<Record<number, unknown>>): Verdict {
  if (before.name !== now.name || now.version < before.version) return "breaking"
  const different = changes(before, now).some(({ what }) => what !== "retuned")
  if (now.version > before.version) {
    return leads(migrations, before.version, now.version) ? "migrates" : "needs migration"
  }
  return different && !onlyAppended(before, now) ? "needs migration" : "compatible"
}

/** There is a migration from every version to the next. */
export const leads = (migrations: Readonly<Record<number, unknown>>, from: number, to: number): boolean =>
  Array.from({ length: to - from }, (_, i) => from + i).every((version) => migrations[version] !== undefined)

/** Everything new stands at the end: no run can be past it. */
const onlyAppended = (before: EncodedFlow, now: EncodedFlow): boolean =>
  !before.returns && same(structure(before.body), structure(now.body.slice(0, before.body.length))) && before.returns === now.returns

/**
 * The part of the flow that a run has recorded is the same in both, so the run can go on with the newer one: every recorded node is there, in the same
 * order, with nothing new before it, and those that are finished or under way have the same structure where it is recorded.
 */
export function fits(before: EncodedFlow, now: EncodedFlow, recorded: ReadonlyMap<string, "finished" | "open">): boolean {
  const paths = [...recorded.keys()].map(writtenPath)
  const touched = (path: string): boolean => paths.some((one) => one === path || one.startsWith(`${path}/`))
  const finished = (path: string): boolean => recorded.get(path) === "finished"
  const block = (old: EncodedBlock, fresh: EncodedBlock, prefix: string): boolean => {
    const last = old.findLastIndex((node) => touched(prefix + node.name))
    return old.slice(0, last + 1).every((node, i) => {
      const other = fresh[i]
      if (other === undefined || other.name !== node.name) return false
      const path = prefix + node.name
      // an open node may change where it has not been yet
      if (finished(path) || !touched(path)) return same(structure([node]), structure([other]))
      if (!same(structure([own(node)]), structure([own(other)]))) return false
      return node.blocks.every((inner, j) => {
        return block(inner.block, other.blocks[j]!.block, `${insideOf(node, path, inner.label)}/`)
      })
    })
  }
  return block(before.body, now.body, "")
}
