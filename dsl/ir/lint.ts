/** What works and is doubtful all the same: `heddle check` tells it, running a flow does not. */
import type { Problem } from "./check.ts"
import { sourceText } from "./encode.ts"
import type { Ask, FlowIR, Node } from "./node.ts"
import { visit, walk } from "./walk.ts"

/** What no run can reach, what nothing ends, what nothing bounds. */
type LintRule = "dead" | "endless" | "unlimited"

/** Everything doubtful in `flow`. */
export const lint = (flow: FlowIR): ReadonlyArray<Problem> =>
  [...walk(flow)].flatMap(({ node, path }) => [...guardProblems(node, path), ...nodeProblems(flow, node, path)])

const doubt = (path: string, rule: LintRule, message: string): Problem => ({ level: "warning", path, rule, message })

/** What a condition always says, if it always says the same. */
const constant = (condition: Ask<any>): boolean | undefined => {
  const said = /=>\s*\(?\s*(true|false|!0|!1)\s*\)?$/.exec(sourceText(condition))?.[1]
  return said === undefined ? undefined : said === "true" || said === "!0"
}

function* guardProblems({ guard, name }: Node, path: string): Generator<Problem> {
  if (guard !== undefined && constant(guard) === false) yield doubt(path, "dead", `'${name}' never runs: its condition is always false`)
}

function* nodeProblems(flow: FlowIR, node: Node, path: string): Generator<Problem> {
  yield* visit<Iterable<Problem>>(node, {
    step: () => [],
    *when({ on, cases, form }) {
      const always = form === "if" ? constant(on) : undefined
      if (always === undefined) return
      for (const label of Object.keys(cases)) {
        if ((label === "yes") !== always) {
          yield doubt(`${path}/${label}`, "dead", `'${label}' of '${node.name}' never runs: its condition is always ${String(always)}`)
        }
      }
    },
    *loop({ turns }) {
      if (turns.by === "over" || turns.by === "times") return
      if (turns.by === "while" && constant(turns.test) === false) yield doubt(path, "dead", `'${node.name}' makes no pass: its condition is always false`)
      if (turns.max === undefined) yield doubt(path, "endless", `'${node.name}' may never end: give it max`)
    },
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
    },
    parallel: () => [],
    stream: () => [],
    protect: () => [],
    wait: () => [],
  })
}
