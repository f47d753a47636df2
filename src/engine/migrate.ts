/** May a run go on with the flow as it is now? If the same part of it is recorded, or migrations lead there: yes, and it is written down. */
import * as Effect from "effect/Effect"
import { changes, fits, leads } from "../../dsl/ir/diff.ts"
import { encode, type EncodedFlow } from "../../dsl/ir/encode.ts"
import { fingerprint } from "../../dsl/ir/fingerprint.ts"
import type { FlowIR, Values } from "../../dsl/ir/node.ts"
import { writtenPath } from "../../dsl/ir/path.ts"
import { compensationOf, ownNames, walk } from "../../dsl/ir/walk.ts"
import { pending } from "../compile/compensate.ts"
import { encodeValue } from "../model/value.ts"
import { FlowChanged, messageOf, MigrationFailed } from "../model/error.ts"
import { eventPath, type Forgotten, type RunEvent } from "../model/event.ts"
import type { RunRecord } from "../model/run.ts"
import { isEnd } from "../services/floors.ts"
import { dataOf, Journal, type Keeping } from "../services/journal.ts"

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
    })
    const journal = yield* Journal.open(run, flow, { ...keeping, durability: "sync" })
    const events = yield* journal.all()
    if (run.version === flow.version) {
      if (old === undefined || !fits(old, now, recordedPaths(events))) return yield* changed
      return (claimed) => rewrite(claimed, flow, keeping, [], [])
    }
    if (run.version > flow.version || !leads(flow.migrations, run.version, flow.version)) return yield* changed
    const { forget, bound } = yield* migrated(flow, run, journal, events, old, now)
    return (claimed) => rewrite(claimed, flow, keeping, forget, bound)
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
  /** Names that the migrations gave another value, encoded. */
  readonly bound: ReadonlyArray<readonly [name: string, output: string]>
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
    const names = new Set(old?.body.filter(({ binds }) => binds).map(({ name }) => name))
    const finished = new Map(events.filter((event) => event.parent === "" && isEnd(event)).map((event) => [event.name, event]))
    const entries: Array<[string, unknown]> = []
    for (const [name, event] of finished) if (names.has(name)) entries.push([name, yield* journal.output(event)])
    const before: Values = Object.fromEntries(entries)
    let state = before
    for (let version = run.version; version < flow.version; version++) {
      try {
        state = flow.migrations[version]!(state)
      } catch (cause) {
        return yield* failed(`the migration from version ${version} threw: ${messageOf(cause)}`)
      }
    }
    const own = new Set(ownNames(flow.body))
    const undoable = new Set([...walk(flow)].flatMap(({ node, path }) => (compensationOf(node) === undefined ? [] : [path])))
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
      openName !== undefined && (newNode === undefined || oldNode === undefined || changes({ ...now, body: [oldNode] }, { ...now, body: [newNode] }).length > 0)
    ) {
      return yield* failed(`'${openName}' is under way and has changed: let runs get past it first, or start anew`)
    }
    const codecs = new Map(flow.body.nodes.flatMap((node) => (node.kind === "step" && node.codec !== undefined ? [[node.name, node.codec] as const] : [])))
    const lost = pending(yield* journal.effects(), "").map(eventPath).find((path) => !undoable.has(writtenPath(path)))
    if (lost !== undefined) {
      return yield* failed(`'${lost}' has done something that version ${flow.version} does not say how to undo: keep the step and its compensate`)
    }
    const forget: Array<Forgotten> = []
    const bound: Array<readonly [string, string]> = []
    for (const name of new Set([...Object.keys(before), ...Object.keys(state)])) {
      const same = name in before && name in state && Object.is(before[name], state[name])
      if (same) continue
      forget.push({ path: name })
      if (state[name] === undefined) continue
      try {
        const codec = codecs.get(name)
        bound.push([name, encodeValue(codec === undefined ? state[name] : codec.encode(state[name] as never))])
      } catch (cause) {
        return yield* failed(`'${name}' cannot be recorded: ${messageOf(cause)}`)
      }
    }
    return { forget, bound }
  })
}

/** One event that takes back what has changed, one for each new value; the last of them makes it so. */
const rewrite = (run: RunRecord, flow: FlowIR, keeping: Omit<Keeping, "durability">, forget: Migrated["forget"], bound: Migrated["bound"]): Any<void> =>
  Effect.gen(function*() {
    const journal = yield* Journal.end(run, keeping)
    // values of an attempt at this that crashed midway are taken back too
    const stale = bound.map(([name]) => ({ path: name }))
    const data = { from: run.version, to: flow.version, forget: [...forget, ...stale] }
    const change = { version: flow.version, fingerprint: fingerprint(flow) }
    yield* journal.append("run.migrated", "", "", JSON.stringify(data), bound.length === 0 ? change : undefined)
    for (const [i, [name, output]] of bound.entries()) {
      yield* journal.append("step.migrated", "", name, `{"output":${output}}`, i === bound.length - 1 ? change : undefined)
    }
  })
