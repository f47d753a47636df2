/** What works and is doubtful all the same: `heddle check` tells it, running a flow does not. */
import { fromInput, type Input as Duration, toMillis } from "effect/Duration"
import { match } from "effect/Option"
import type { Problem } from "./check.ts"
import { sourceText } from "./encode.ts"
import type { Ask, Block, FlowIR, LoopNode, Node, NodeOf } from "./node.ts"
import { grants } from "./tool.ts"
import { inner, toolsIn, updatedNames, visit, walk, walkBlock } from "./walk.ts"

/**
 * What no run can reach, what nothing ends, what nothing bounds, what may wait for itself, what ends before what it holds, what is granted
 * for nothing or unsaid.
 */
type LintRule = "dead" | "endless" | "unlimited" | "blocked" | "late" | "unneeded" | "ungranted"

/** Everything doubtful in `flow`. */
export const lint = (flow: FlowIR): ReadonlyArray<Problem> => [
  ...grantProblems(flow),
  ...[...walk(flow)].flatMap(({ node, path }) => [...guardProblems(node, path), ...nodeProblems(flow, node, path)]),
]

const doubt = (path: string, rule: LintRule, message: string): Problem => ({ level: "warning", path, rule, message })

/** What a condition always says, if it always says the same. */
const constant = (condition: Ask<any>): boolean | undefined => {
  // the whole of what it gives, not what a function inside of it gives
  const said = /^(?:\([^()]*\)|\w+)\s*=>\s*\(?\s*(true|false|!0|!1)\s*\)?$/.exec(sourceText(condition))?.[1]
  return said === undefined ? undefined : said === "true" || said === "!0"
}
/** The names that a condition takes out of its scope, where that is how it is written and it says nothing else: it calls nothing that may say another thing. */
const readNames = (condition: Ask<any>): ReadonlyArray<string> => {
  const [, given = "", said = ""] = /^\(?\{([^{}.=]*)\}\)?\s*=>(.*)$/s.exec(sourceText(condition)) ?? []
  const read = given.split(",").map((one) => one.split(":").map((part) => part.trim())).filter(([name]) => name !== "")
  const known = new Set(read.map((parts) => parts.at(-1)))
  // what stands behind a dot is a part of something that is read
  const free = said.replaceAll(/"[^"]*"|'[^']*'/g, "").match(/(?<![\w.$])[A-Za-z_$][\w$]*/g) ?? []
  return !said.includes("(") && free.every((name) => known.has(name) || literals.has(name)) ? read.map(([name]) => name!) : []
}
const literals: ReadonlySet<string> = new Set(["true", "false", "null", "undefined"])

/** A flow grants what its tools need and no more: what nobody needs is granted to whoever comes next. */
function* grantProblems(flow: FlowIR): Generator<Problem> {
  const { capabilities } = flow
  const needs = toolsIn(flow).flatMap(({ tool }) => tool.needs)
  if (capabilities === undefined && needs.length > 0) {
    const all = [...new Set(needs)].sort()
    yield doubt("", "ungranted", `its tools may do whatever they need: say what that is, capabilities: [${all.map((need) => `"${need}"`).join(", ")}]`)
  }
  for (const granted of capabilities ?? []) {
    if (!needs.some((need) => grants(granted, need))) yield doubt("", "unneeded", `it grants '${granted}', which none of its tools needs`)
  }
}

function* guardProblems({ guard, name }: Node, path: string): Generator<Problem> {
  if (guard !== undefined && constant(guard) === false) yield doubt(path, "dead", `'${name}' never runs: its condition is always false`)
}

function* nodeProblems(flow: FlowIR, node: Node, path: string): Generator<Problem> {
  yield* visit<Iterable<Problem>>(node, {
    *step({ name, timeout, work }) {
      if (work.from === "flow" && work.as === "inline") yield* lateProblems(name, timeout, work.flow.body, path)
    },
    *when({ on, cases, form }) {
      const always = form === "if" ? constant(on) : undefined
      if (always === undefined) return
      for (const label of Object.keys(cases)) {
        if ((label === "yes") !== always) {
          yield doubt(`${path}/${label}`, "dead", `'${label}' of '${node.name}' never runs: its condition is always ${String(always)}`)
        }
      }
    },
    loop: (loop) => loopProblems(loop, path),
    jump: () => [],
    *each({ concurrency, body }) {
      const limited = body.nodes.some((inner) => inner.kind === "step" && inner.limits.length > 0)
      if (concurrency === "unbounded" && !limited && flow.budget?.fanOut === undefined) {
        yield doubt(
          path,
          "unlimited",
          `'${node.name}' works on all of its items at once: give it a number as concurrency, its steps limits, or the flow a budget of fanOut`,
        )
      }
      if (concurrency === 1 && signalsOf(body).size > 0) yield doubt(path, "blocked", `an item of '${node.name}' that waits keeps all behind it from beginning`)
    },
    parallel: (parallel) => parallelProblems(parallel, path),
    stream: () => [],
    protect: ({ name, timeout, body }) => lateProblems(name, timeout, body, path),
    wait: () => [],
  })
}

function* loopProblems({ name, turns, body }: LoopNode, path: string): Generator<Problem> {
  if (turns.by === "over" || turns.by === "times") return
  const always = constant(turns.test)
  // a pass may end it
  const breaks = breaksIn(body)
  if (turns.max === undefined) yield doubt(path, "endless", `'${name}' may never end: give it max`)
  else if (turns.by === "while" && always === false) yield doubt(path, "dead", `'${name}' makes no pass: its condition is always false`)
  else if (breaks) return
  else if (always === (turns.by === "while")) yield doubt(path, "endless", `'${name}' ends at max and nowhere else: say times: ${turns.max}`)
  else {
    const read = readNames(turns.test)
    const changed = updatedNames(body)
    if (read.length > 0 && !read.some((one) => one === "index" || changed.has(one))) {
      yield doubt(path, "endless", `'${name}' asks for ${read.join(", ")}, which no pass changes: it says the same after each, until max`)
    }
  }
}

/** Something in a pass may end its loop. */
const breaksIn = (block: Block): boolean =>
  block.nodes.some((node) => (node.kind === "jump" ? node.to === "break" : node.kind !== "loop" && inner(node).some((one) => breaksIn(one.block))))

/** The signals that a block waits for without a timeout. */
const signalsOf = (block: Block): ReadonlySet<string> =>
  new Set(
    [...walkBlock(block, "")].flatMap(({ node }) => (node.kind === "wait" && node.on.by === "signal" && node.timeout === undefined ? [node.on.signal] : [])),
  )

/** Forks that wait for what another of them, which has not begun, may be about to cause; forks that take each other's signals. */
function* parallelProblems({ name, forks, concurrency }: NodeOf<"parallel">, path: string): Generator<Problem> {
  const waits = Object.entries(forks).map(([label, block]) => ({ label, signals: signalsOf(block) })).filter(({ signals }) => signals.size > 0)
  if (waits.length > 0 && concurrency !== "unbounded" && concurrency < Object.keys(forks).length) {
    const which = waits.map(({ label }) => `'${label}'`).join(", ")
    yield doubt(path, "blocked", `${which} may wait while forks behind it have not begun: raise concurrency, ${concurrency}, to the number of forks`)
  }
  for (const [signal, by] of Map.groupBy(waits.flatMap(({ label, signals }) => [...signals].map((one) => ({ label, one }))), ({ one }) => one)) {
    if (by.length > 1) {
      const which = by.map(({ label }) => `'${label}'`).join(" and ")
      yield doubt(path, "blocked", `${which} of '${name}' wait for '${signal}', and each signal is received by one of them: give them names of their own`)
    }
  }
}

/** Waits that are longer than what they are in may take. */
const millis = (time: Duration): number => match(fromInput(time), { onNone: () => Number.NaN, onSome: toMillis })
function* lateProblems(name: string, timeout: Duration | undefined, body: Block, path: string): Generator<Problem> {
  if (timeout === undefined) return
  for (const { node, path: inside } of walkBlock(body, `${path}/`)) {
    if (node.kind !== "wait" || node.on.by !== "for" || typeof node.on.duration === "function" || !(millis(node.on.duration) >= millis(timeout))) continue
    yield doubt(inside, "late", `'${node.name}' never ends: '${name}' around it has timed out by then`)
  }
}
