/** What runs again when a run goes back to one of its steps. */
import type { Block, FlowIR } from "../../dsl/ir/node.ts"
import { pathParts } from "../../dsl/ir/path.ts"
import { inner } from "../../dsl/ir/walk.ts"
import { eventPath, type Forgotten, type RunEvent } from "../model/event.ts"
import { Floors } from "../services/floors.ts"

export interface Plan {
  /** What no longer counts. */
  readonly forget: ReadonlyArray<Forgotten>
  /** Finished steps that run again. */
  readonly again: ReadonlyArray<string>
  /** Finished steps whose outputs are kept. */
  readonly kept: ReadonlyArray<string>
}

/** What going back to `path` takes back of `events`; `undefined` if the flow has no such place. */
export function planOf(flow: FlowIR, events: ReadonlyArray<RunEvent>, path: string): Plan | undefined {
  const forget = forgotten(flow.body, "", pathParts(path))
  if (forget === undefined) return undefined
  const floors = new Floors()
  // of what counts now
  floors.lay({ seq: 0 }, { bound: events.filter(({ kind }) => kind === "step.migrated").map(({ seq }) => seq) })
  floors.lay({ seq: Number.MAX_SAFE_INTEGER }, { forget })
  const steps = events.filter(({ kind }) => kind === "step.completed" || kind === "step.migrated")
  const again = steps.filter((event) => floors.covers(event))
  const of = (chosen: ReadonlyArray<RunEvent>) => [...new Set(chosen.map(eventPath))]
  return { forget, again: of(again), kept: of(steps.filter((event) => !again.includes(event))) }
}

/** Something is recorded of the place, or of what stands before it in its block: a run has come there. */
export function reaches(events: ReadonlyArray<RunEvent>, path: string): boolean {
  const passes = path.match(/.*\[\d+\]/)?.[0]
  if (passes === undefined) return true
  return events.some((event) => eventPath(event).startsWith(passes))
}

/** The node, all behind it, and the ends of everything around it. */
function forgotten(block: Block, prefix: string, [name, ...rest]: ReadonlyArray<string>): ReadonlyArray<Forgotten> | undefined {
  const at = block.nodes.findIndex((node) => node.name === name)
  const node = block.nodes[at]
  if (node === undefined) return undefined
  const path = prefix + node.name
  const behind = block.nodes.slice(at + 1).map((later): Forgotten => ({ path: prefix + later.name }))
  if (rest.length === 0) return [{ path }, ...behind]
  const around: Array<Forgotten> = [{ path, only: true }]
  let here = path
  const [next] = rest
  if (next?.startsWith("[")) {
    const pass = Number.parseInt(next.slice(1), 10)
    here = `${path}${next}`
    rest.shift()
    if (node.kind === "loop") around.push({ path, pass: pass + 1 })
    around.push({ path: here, only: true })
    if (rest.length === 0) return [{ path: here }, ...around, ...behind]
  }
  const blocks = inner(node)
  // a pass has to be named where there are several
  if ((node.kind === "loop" || node.kind === "each") && here === path) return undefined
  const labelled = blocks.find(({ label }) => label === rest[0])
  if (labelled !== undefined) {
    here = `${here}/${rest.shift()!}`
    around.push({ path: here, only: true })
    if (rest.length === 0) return [{ path: here }, ...around, ...behind]
  }
  const found = labelled?.block ?? (blocks[0]?.label === undefined ? blocks[0]?.block : undefined)
  const deeper = found === undefined ? undefined : forgotten(found, `${here}/`, rest)
  return deeper === undefined ? undefined : [...deeper, ...around, ...behind]
}
