/** May a run go on with the flow as it is now? If the same part of it is recorded, or migrations lead there: yes, and it is written down. */
import * as Effect from "effect/Effect"
import { changes, fits, leads } from "../../dsl/ir/diff.ts"
import { encode, type EncodedFlow } from "../../dsl/ir/encode.ts"
import { fingerprint } from "../../dsl/ir/fingerprint.ts"
import type { FlowIR, Values } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import { ownNames, walk } from "../../dsl/ir/walk.ts"
import { canUndo } from "../compile/compensate.ts"
import { standingOf } from "../compile/standing.ts"
import { encodeValue } from "../model/value.ts"
import { FlowChanged, messageOf, MigrationFailed } from "../model/error.ts"
import { eventPath, type Forgotten, type RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import { isEnd } from "../services/floors.ts"
import { Journal, type Keeping } from "../services/journal.ts"
import { dataOf } from "../services/recorded.ts"

type Any<A> = Effect.Effect<A, any, any>
/** Writes into the journal of a run that is ours that it goes on with another flow. */
export type Adoption = (run: RunRecord) => Any<void>

/** `undefined` where nothing has changed; else what has to be written, or `FlowChanged` with what is different. */
export function adopt(flow: FlowIR, run: RunRecord, keeping: Omit<Keeping, "durability">): Any<Adoption | undefined> {
  const current = fingerprint(flow)
  if (run.fingerprint === current && run.version === flow.version) return Effect.succeed(undefined)
  return Effect.gen(function*() {
    const before = yield* keeping.store.flows.get(run.fingerprint)
    const old = before === undefined ? undefined : JSON.parse(before) as EncodedFlow
    const now = encode(flow)
    const changed = new FlowChanged({
      run: run.id,
      flow: flow.name,
      started: `version ${run.version} (${run.fingerprint})`,
      current: `version ${flow.version} (${current})`,
      changes: old === undefined ? [] : changes(old, now).map(({ text }) => text),
      remedy: run.version > flow.version ?
        `deploy version ${run.version} of the flow again: older code does not go on with newer runs` :
        run.version === flow.version ?
        `raise the version to ${flow.version + 1} and give { migrations: { ${flow.version}: (state) => … } }` :
        `give the migrations from version ${run.version} to ${flow.version}: { migrations: { ${run.version}: (state) => … } }`,
    })
    const journal = yield* Journal.open(run, flow, { ...keeping, durability: "sync" })
    const events = yield* journal.all()
    if (run.version === flow.version) {
      if (old === undefined || !fits(old, now, recordedPaths(events))) return yield* changed
      return (claimed) => rewrite(claimed, flow, keeping, { forget: [], bound: [] })
    }
    if (run.version > flow.version || !leads(flow.migrations, run.version, flow.version)) return yield* changed
    const what = yield* migrated(flow, run, journal, events, old, now)
    return (claimed) => rewrite(claimed, flow, keeping, what)
  })
}

/** Paths of which something is recorded: finished, or open. */
const recordedPaths = (events: ReadonlyArray<RunEvent>): ReadonlyMap<string, "finished" | "open"> => {
  const paths = new Map<string, "finished" | "open">()
  for (const event of events) {
    if (event.kind.startsWith("run.") || event.kind.startsWith("compensation.")) continue
    const skipped = event.kind === "guard.decided" && dataOf(event).chosen === "no"
    paths.set(eventPath(event), isEnd(event) || skipped ? "finished" : paths.get(eventPath(event)) ?? "open")
  }
  return paths
}

interface Migrated {
  readonly forget: ReadonlyArray<Forgotten>
  /** Steps whose outputs the migrations changed, with the new ones, encoded. */
  readonly bound: ReadonlyArray<readonly [step: string, output: string]>
}

/** What the top of a run has bound so far, and which nodes have given each name its value: the one that bound it, then those that changed it. */
interface Bound {
  readonly state: Values
  readonly by: ReadonlyMap<string, ReadonlyArray<string>>
  /** Nodes that changed a name among other things: what they did to it cannot be told apart. */
  readonly composites: ReadonlySet<string>
}

function boundSoFar(journal: Journal, events: ReadonlyArray<RunEvent>, old: EncodedFlow | undefined): Any<Bound> {
  return Effect.gen(function*() {
    const nodes = new Map(old?.body.map((node) => [node.name, node]))
    const state: Record<string, unknown> = {}
    const by = new Map<string, Array<string>>()
    const composites = new Set<string>()
    const change = (name: string, node: string, value: unknown) => {
      state[name] = value
      by.set(name, [...(by.get(name) ?? []), node])
    }
    for (const event of events) {
      const node = nodes.get(event.name)
      if (event.parent !== "" || !isEnd(event) || node === undefined) continue
      const changed = node.shape["updates"] as string | undefined
      if (node.binds) change(node.name, node.name, yield* journal.output(event))
      else if (changed !== undefined) change(changed, node.name, yield* journal.output(event))
      for (const [name, ref] of Object.entries(dataOf(event).updates ?? {})) {
        composites.add(node.name)
        change(name, node.name, yield* journal.value(ref))
      }
    }
    return { state, by, composites }
  })
}

/** What is bound so far, led through the chain of migrations. */
function migrated(
  flow: FlowIR,
  run: RunRecord,
  journal: Journal,
  events: ReadonlyArray<RunEvent>,
  old: EncodedFlow | undefined,
  now: EncodedFlow,
): Any<Migrated> {
  return Effect.gen(function*() {
    const failed = (reason: string) => new MigrationFailed({ run: run.id, from: run.version, to: flow.version, reason })
    const { state: before, by, composites } = yield* boundSoFar(journal, events, old)
    let state = before
    for (let version = run.version; version < flow.version; version++) {
      try {
        state = flow.migrations[version]!(state)
        if (state instanceof Promise) throw new TypeError("it is asynchronous; a migration is a plain function of the state")
      } catch (cause) {
        return yield* failed(`the migration from version ${version} threw: ${messageOf(cause)}`)
      }
    }
    const own = new Set(ownNames(flow.body))
    const undoable = new Set([...walk(flow)].flatMap(({ node, path }) => (canUndo(node) ? [path] : [])))
    for (const name of Object.keys(state)) if (!own.has(name)) return yield* failed(`it gives '${name}', which version ${flow.version} does not bind`)
    for (const name of Object.keys(before)) {
      if (own.has(name) && !(name in state)) {
        return yield* failed(`it leaves out '${name}', which is recorded: give its value, or undefined to have it run again`)
      }
    }
    const top = [...recordedPaths(events)].map(([path, how]) => ({ name: path.split(/[/[]/)[0]!, over: how === "finished" && !/[/[]/.test(path) }))
    const over = new Set(top.filter((one) => one.over).map(({ name }) => name))
    const openName = top.findLast(({ name }) => !over.has(name))?.name
    const oldNode = old?.body.find(({ name }) => name === openName)
    const newNode = now.body.find(({ name }) => name === openName)
    if (
      openName !== undefined &&
      (newNode === undefined || oldNode === undefined ||
        changes({ ...now, body: [oldNode] }, { ...now, body: [newNode] }).some(({ what }) => what !== "retuned"))
    ) {
      return yield* failed(`'${openName}' is under way and has changed: let runs get past it first, or start anew`)
    }
    const codecs = new Map(flow.body.nodes.flatMap((node) => (node.kind === "step" && node.codec !== undefined ? [[node.name, node.codec] as const] : [])))
    const lost = standingOf(yield* journal.effects(), "", false).map(({ event }) => eventPath(event)).find((path) => !undoable.has(writtenPath(path)))
    if (lost !== undefined) {
      return yield* failed(`'${lost}' has done something that version ${flow.version} does not say how to undo: keep the step and its compensate`)
    }
    const forget: Array<Forgotten> = []
    const bound: Array<readonly [string, string]> = []
    for (const name of new Set([...Object.keys(before), ...Object.keys(state)])) {
      const same = name in before && name in state && Object.is(before[name], state[name])
      if (same) continue
      const givers = by.get(name) ?? [name]
      const tangled = givers.find((giver) => composites.has(giver))
      if (tangled !== undefined) return yield* failed(`it changes '${name}', which '${tangled}' has changed among other things: give it back as it was`)
      // what changed the name last is what it has its value from
      const last = givers.at(-1)!
      if (state[name] === undefined) {
        forget.push(...givers.map((path) => ({ path })))
        continue
      }
      forget.push({ path: last })
      try {
        const codec = codecs.get(last)
        bound.push([last, encodeValue(codec === undefined ? state[name] : codec.encode(state[name] as never))])
      } catch (cause) {
        return yield* failed(`'${name}' cannot be recorded: ${messageOf(cause)}`)
      }
    }
    return { forget, bound }
  })
}

/** The new values, then the event that binds them and takes back what was; without it they never count. */
const rewrite = (run: RunRecord, flow: FlowIR, keeping: Omit<Keeping, "durability">, { forget, bound }: Migrated): Any<void> =>
  Effect.gen(function*() {
    const journal = yield* Journal.end(run, keeping)
    const seqs: Array<number> = []
    for (const [name, output] of bound) {
      yield* journal.append("step.migrated", "", name, `{"output":${output}}`)
      seqs.push(journal.seq)
    }
    const data = { from: run.version, to: flow.version, forget, bound: seqs }
    yield* journal.append("run.migrated", "", "", JSON.stringify(data), { version: flow.version, fingerprint: fingerprint(flow) })
  })
