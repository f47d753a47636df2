/** What the compiler cannot see, or a caller without types got wrong. */
import { fromInput, type Input as Duration, toMillis } from "effect/Duration"
import { budgetItems, type Limit, peakItems, type RunBudget } from "./limit.ts"
import type { Block, EachNode, FlowIR, Node, ParallelNode } from "./node.ts"
import { nameProblem } from "./path.ts"
import { innerStages, type Stage } from "./stream.ts"
import { notGranted } from "./tool.ts"
import { childPrefix, inner, toolsIn, updatedNames, visit, walkBlock } from "./walk.ts"

/** One thing that is wrong (`error`: the flow is refused) or doubtful (`warning`). */
export interface Problem {
  readonly level: "error" | "warning"
  /** Where, as written: `refine/draft`; `""` is the flow itself. */
  readonly path: string
  readonly rule: string
  readonly message: string
}

const checked = new WeakMap<FlowIR, ReadonlyArray<Problem>>()

/** Every problem of `flow`; a flow with an `error` does not run. */
export function check(flow: FlowIR): ReadonlyArray<Problem> {
  let problems = checked.get(flow)
  if (problems === undefined) {
    problems = [...flowProblems(flow), ...blockProblems(flow.body, "", given(flow), 0)]
    checked.set(flow, problems)
  }
  return problems
}

/** What a flow's nodes find bound already. */
const given = ({ session }: FlowIR): ReadonlySet<string> => new Set(session === undefined ? ["input"] : ["input", "session"])

const error = (path: string, rule: string, message: string): Problem => ({ level: "error", path, rule, message })
const warning = (path: string, rule: string, message: string): Problem => ({ level: "warning", path, rule, message })

function* flowProblems(flow: FlowIR): Generator<Problem> {
  const bad = nameProblem(flow.name)
  if (bad !== undefined) yield error("", "name", `the flow's name: ${bad}`)
  if (!Number.isSafeInteger(flow.version) || flow.version < 1) yield error("", "version", `version ${flow.version} is not a whole number from 1`)
  yield* budgetProblems("", flow.budget)
  for (const name of flow.stray) yield error("", "option", `'${name}' is no option of a flow: is it misspelt?`)
  if (flow.capabilities !== undefined) yield* capabilityProblems(flow, flow.capabilities)
  if (flow.body.nodes.length > 50) {
    yield warning("", "long-chain", `${flow.body.nodes.length} nodes in one chain: editors slow down beyond about 50, move parts into flows of their own`)
  }
}

/** Tools that need what the flow does not grant, wherever in it they stand. */
function* capabilityProblems(flow: FlowIR, granted: ReadonlyArray<string>): Generator<Problem> {
  for (const { tool, path } of toolsIn(flow)) {
    const missing = notGranted(tool, granted)
    if (missing.length > 0) {
      yield error(path, "capability", `tool '${tool.name}' needs ${missing.join(", ")}, and the flow grants ${granted.join(", ") || "nothing"}`)
    }
  }
}

/** Callers without types may give anything. */
function* budgetProblems(path: string, budget: RunBudget | undefined): Generator<Problem> {
  for (const [item, allowed] of Object.entries(budget ?? {})) {
    if (!bounded.has(item)) yield error(path, "budget", `'${item}' is nothing a budget bounds: ${[...bounded].join(", ")}`)
    else if (item === "time" ? fromInput(allowed as Duration)._tag === "None" : !(typeof allowed === "number" && allowed >= 0)) {
      yield error(path, "budget", `the budget of ${item} is ${String(allowed)}: give ${item === "time" ? "a duration" : "a number from 0"}`)
    }
  }
}
function* limitProblems(path: string, limit: Limit): Generator<Problem> {
  const numbers = limit.kind === "permits" ? { count: limit.permits, perKey: limit.perKey } : { limit: limit.limit, burst: limit.burst }
  for (const [what, number] of Object.entries(numbers)) {
    if (!positive(number)) yield error(path, "limits", `limit '${limit.name}': ${what} is ${String(number)}: use a whole number from 1`)
  }
  if (limit.kind === "rate") {
    for (const problem of timeProblems(path, "limits", limit.per)) yield { ...problem, message: `limit '${limit.name}': ${problem.message}` }
  }
}
/** In the order in which people are told. */
const bounded: ReadonlySet<string> = new Set([...budgetItems, ...peakItems, "time"])

const maxDepth = 32

function* blockProblems(block: Block, prefix: string, outer: ReadonlySet<string>, depth: number): Generator<Problem> {
  if (depth > maxDepth) {
    yield error(prefix, "depth", `blocks are nested deeper than ${maxDepth}: does the flow contain itself?`)
    return
  }
  if (block.dangling) yield error(prefix.slice(0, -1), "when-guards-nothing", "a .when(condition) at the end guards nothing: put a node behind it")
  const bound = new Set(outer)
  const seen = new Set<string>()
  for (const node of block.nodes) {
    const path = prefix + node.name
    const bad = nameProblem(node.name)
    if (bad !== undefined) yield error(path, "name", bad)
    if (seen.has(node.name) || (node.binds && bound.has(node.name))) {
      yield error(path, "duplicate-name", `'${node.name}' is already bound in this scope: give the node another name`)
    }
    if (/#\d+$/.test(node.name)) {
      yield warning(
        path,
        "unnamed",
        `'${node.name}' has no name of its own: inserting a node of its kind before it moves its records; name it where runs are durable`,
      )
    }
    for (const name of node.stray) {
      yield error(path, "option", `'${name}' is no option of .${node.kind === "step" ? "step or .update" : node.kind}: is it misspelt?`)
    }
    yield* nodeProblems(node, path, bound)
    seen.add(node.name)
    for (const { label, block: child } of inner(node)) {
      const labelProblem = label === undefined ? undefined : nameProblem(label)
      if (labelProblem !== undefined) yield error(path, "label", labelProblem)
      yield* blockProblems(child, childPrefix(path, label), node.kind === "step" && node.work.from === "flow" ? given(node.work.flow) : bound, depth + 1)
    }
    if (node.binds) bound.add(node.name)
  }
}

const positive = (value: unknown): boolean => typeof value === "number" && Number.isSafeInteger(value) && value >= 1

function* nodeProblems(node: Node, path: string, bound: ReadonlySet<string>): Generator<Problem> {
  yield* visit<Iterable<Problem>>(node, {
    *step({ work, updates, retry, timeout, delivery, compensate, limits, hooks }) {
      if (updates !== undefined && !bound.has(updates)) yield error(path, "update-unknown", `update '${updates}': nothing in scope has this name`)
      if (retry !== undefined && !positive(retry.times)) yield error(path, "retry", `retry.times is ${retry.times}: use a whole number from 1`)
      if (retry !== undefined && delivery === "atMostOnce") {
        yield error(path, "at-most-once", "a step that runs at most once cannot be tried again: leave out retry")
      }
      if (work.from === "transaction" && (retry !== undefined || timeout !== undefined || compensate !== undefined || delivery === "atMostOnce")) {
        yield error(path, "transaction", "a transaction happens exactly once and cannot wait: leave out retry, timeout, delivery and compensate")
      }
      if (work.from === "flow" && limits.length > 0) {
        yield error(path, "limits", "a flow holds no permits, its steps do: give them the limits, or nested runs could wait for each other for ever")
      }
      for (const limit of limits) yield* limitProblems(path, limit)
      if (work.from === "flow") yield* budgetProblems(path, work.flow.budget)
      if (work.from === "flow" && work.as === "inline" && work.flow.budget?.time !== undefined) {
        yield error(path, "budget", "time is a budget of runs: give the step a timeout, or nest the flow as a run of its own")
      }
      if (work.from === "flow" && work.as === "run" && hooks.some(({ point }) => point.startsWith("agent."))) {
        yield error(path, "hooks", "a run of its own asks its own hooks: give them to the agent")
      }
      yield* timeProblems(path, "timeout", timeout)
    },
    *when({ cases }) {
      if (Object.keys(cases).length === 0) yield error(path, "no-cases", "there is no case to choose")
    },
    *loop({ turns, collect, budget }) {
      yield* budgetProblems(path, budget)
      if ("max" in turns && turns.max !== undefined && !positive(turns.max)) yield error(path, "max", `max is ${turns.max}: use a whole number from 1`)
      if (turns.by === "times" && typeof turns.times === "number" && !positive(turns.times)) {
        yield error(path, "times", `times is ${turns.times}: use a whole number from 1`)
      }
      if (typeof collect === "object" && !positive(Object.values(collect)[0])) yield error(path, "collect", "collect: use a whole number from 1")
    },
    *jump() {},
    *each(each) {
      yield* joinProblems(each, path)
      yield* mergeProblems(path, updatedNames(each.body), each.merge)
    },
    *parallel(parallel) {
      const { forks, optional, merge, failure } = parallel
      yield* joinProblems(parallel, path)
      for (const fork of optional) if (!Object.hasOwn(forks, fork)) yield error(path, "optional", `optional names '${fork}', which is no fork`)
      if (typeof failure === "object" && failure.atLeast > Object.keys(forks).length) {
        yield error(path, "at-least", `atLeast(${failure.atLeast}) can never hold: there are ${Object.keys(forks).length} forks`)
      }
      const times = new Map<string, number>()
      for (const fork of Object.values(forks)) for (const name of updatedNames(fork)) times.set(name, (times.get(name) ?? 0) + 1)
      if (failure !== "first") yield* mergeProblems(path, new Set([...times].filter(([, n]) => n > 1).map(([name]) => name)), merge)
    },
    *protect({ timeout, body, compensated, budget }) {
      yield* budgetProblems(path, budget)
      yield* timeProblems(path, "timeout", timeout)
      if (!compensated) return
      for (const { path: inside, node: step } of walkBlock(body, `${path}/`)) {
        if (step.kind === "step" && step.effects !== undefined && step.compensate === undefined) {
          yield error(inside, "uncompensated", `'${step.name}' declares effects inside a compensated protect and nothing undoes them: give it compensate`)
        }
      }
    },
    *stream({ buffer, bytes, overflow, checkpoint, rejects, stages, body }) {
      for (
        const [option, value] of Object.entries({
          buffer,
          rejects,
          ...(bytes === Number.POSITIVE_INFINITY ? {} : { bytes }),
          "checkpoint.items": checkpoint.items,
        })
      ) {
        if (!positive(value)) yield error(path, option, `${option} is ${String(value)}: use a whole number from 1`)
      }
      yield* timeProblems(path, "checkpoint.time", checkpoint.time)
      if (!["suspend", "dropOldest", "dropNewest", "spill"].includes(overflow)) {
        yield error(path, "overflow", `overflow is ${overflow}: use suspend, dropOldest, dropNewest or spill`)
      }
      if (bytes !== Number.POSITIVE_INFINITY && overflow.startsWith("drop")) {
        yield error(path, "bytes", `items are dropped by their number: leave out bytes, or let overflow be suspend or spill`)
      }
      yield* stageProblems(path, stages, false)
      for (const { name, delivery, work, codec, compensate } of body.nodes) {
        if (typeof compensate === "object") {
          yield error(`${path}/${name}`, "stage", "what a stage does for an item is not undone: do it in a step, or in a flow for each item")
        }
        if (delivery === "atMostOnce" || work.from === "transaction" || codec !== undefined) {
          yield error(
            `${path}/${name}`,
            "stage",
            "the work of a stage is done at least once for each item: leave out delivery and codec, and end with .transaction(…)",
          )
        }
      }
    },
    *wait({ on, timeout }) {
      yield* timeProblems(path, "timeout", timeout)
      if (on.by === "for" && typeof on.duration !== "function") yield* timeProblems(path, "for", on.duration)
      if (on.by === "signal") {
        const bad = nameProblem(on.signal)
        if (bad !== undefined) yield error(path, "signal", bad)
        if (timeout === undefined) yield warning(path, "endless-wait", `'${node.name}' waits for '${on.signal}' for ever: give it a timeout`)
      }
    },
  })
}
function* stageProblems(path: string, stages: ReadonlyArray<Stage>, isPart: boolean): Generator<Problem> {
  const wrong = (stage: Stage, what: string, value: unknown) =>
    error(path, "stage", `${stage.op} '${stage.name}': ${what} is ${String(value)}: use a whole number from 1`)
  for (const stage of stages) {
    const counts: Readonly<Record<string, unknown>> = stage.op === "batch" ?
      { size: stage.size } :
      stage.op === "take" || stage.op === "drop" ?
      { count: stage.count } :
      stage.op === "dedupe" || stage.op === "group" ?
      { most: stage.most } :
      stage.op === "throttle" ?
      { limit: stage.limit } :
      stage.op === "work" ?
      { concurrency: stage.concurrency } :
      stage.op === "window" && stage.of.by === "count" ?
      { count: stage.of.size, every: stage.of.every } :
      {}
    for (const [what, value] of Object.entries(counts)) if (!positive(value)) yield wrong(stage, what, value)
    const times: Readonly<Record<string, Duration | undefined>> = stage.op === "batch" ?
      { within: stage.within } :
      stage.op === "throttle" ?
      { per: stage.per } :
      stage.op === "debounce" ?
      { quiet: stage.quiet } :
      stage.op === "window" && stage.of.by === "time" ?
      { time: stage.of.span, every: stage.of.every, late: stage.of.late } :
      stage.op === "window" && stage.of.by === "session" ?
      { session: stage.of.gap } :
      {}
    for (const [what, value] of Object.entries(times)) {
      yield* timeProblems(path, `${stage.op} '${stage.name}': ${what}`, value)
      if (stage.op === "window" && stage.of.by === "time" && what !== "late" && value !== undefined && isNothing(value)) {
        yield error(path, "stage", `window '${stage.name}': ${what} is 0: a window of no length has nothing in it`)
      }
    }
    if (stage.op === "merge" && isPart) {
      yield error(path, "stage", `merge '${stage.name}' stands in a group or a part, which has no source of its own: merge before or behind it`)
    }
    yield* stageProblems(path, innerStages(stage), true)
  }
}

function* timeProblems(path: string, option: string, time: Duration | undefined): Generator<Problem> {
  if (time === undefined) return
  const found = fromInput(time)
  if (found._tag === "None") yield error(path, option, `${option}: ${JSON.stringify(time)} is not a duration: write "10 seconds", or milliseconds`)
}

const isNothing = (time: Duration): boolean => {
  const found = fromInput(time)
  return found._tag === "Some" && toMillis(found.value) <= 0
}

function* joinProblems(node: EachNode | ParallelNode, path: string): Generator<Problem> {
  if (node.concurrency !== "unbounded" && !positive(node.concurrency)) {
    yield error(path, "concurrency", `concurrency is ${node.concurrency}: use a whole number from 1, or "unbounded"`)
  }
  if (typeof node.failure === "object" && !positive(node.failure.atLeast)) {
    yield error(path, "at-least", `atLeast(${node.failure.atLeast}): use a whole number from 1`)
  }
}
function* mergeProblems(path: string, conflicts: ReadonlySet<string>, merge: Readonly<Record<string, unknown>>): Generator<Problem> {
  for (const name of conflicts) {
    if (!Object.hasOwn(merge, name)) yield error(path, "unmerged", `more than one fork updates '${name}': say how with .merge({ ${name}: … })`)
  }
  for (const name of Object.keys(merge)) {
    if (!conflicts.has(name)) yield error(path, "merge-unused", `'${name}' needs no merge policy, at most one fork updates it`)
  }
}
