/** `heddle runs`, `heddle show` and `heddle graph`. */
import * as Effect from "effect/Effect"
import { mermaid } from "../../docgen/mermaid.ts"
import { unicode } from "../../docgen/unicode.ts"
import { pictureOf } from "../../docgen/diagram/layout.ts"
import { svg } from "../../docgen/diagram/svg.ts"
import { dot } from "../../docgen/dot.ts"
import { encode, type EncodedFlow } from "../../../dsl/ir/encode.ts"
import { trace, type TraceNode } from "../../engine/trace.ts"
import { messageOf } from "../../model/error.ts"
import { isDriven, type RunStatus } from "../../model/run.ts"
import { encodeValue, revive } from "../../model/value.ts"
import { withExisting } from "../engine.ts"
import { type ExitCode, exitCode } from "../exit-codes.ts"
import { loadFlow, loadFlows } from "../../docgen/source/load.ts"
import { amounts, clean, duration, print, printJson, short, type Shown, style } from "../output.ts"

interface ListFlags extends Shown {
  readonly store: string
  readonly flow?: string
  readonly status?: RunStatus
  readonly limit?: number
}
const colours = {
  completed: "green",
  failed: "red",
  cancelled: "yellow",
  running: "cyan",
  pending: "cyan",
  suspended: "blue",
  paused: "yellow",
  compensating: "magenta",
  compensated: "magenta",
  quarantined: "red",
  skipped: "dim",
  open: "cyan",
} as const satisfies Record<RunStatus | TraceNode["status"], Parameters<typeof style.out>[0]>

export async function runsCommand({ store, flow, status, limit, json }: ListFlags): Promise<ExitCode> {
  const runs = await withExisting(store, (heddle) => heddle.list({ flow, status, limit }))
  if (json) {
    printJson(runs.map(({ fence: _fence, ...run }) => ({ ...run, input: JSON.parse(run.input) as unknown })))
    return exitCode.ok
  }
  if (runs.length === 0) print("no runs")
  const width = Math.max(0, ...runs.map(({ id }) => id.length))
  for (const run of runs) {
    const took = isDriven(run.status) ? "" : duration(run.updatedAt - run.createdAt)
    print(
      `${run.id.padEnd(width)}  ${style.out(colours[run.status], run.status.padEnd(12))}  ${short(run.flow, 24).padEnd(24)}  ${
        new Date(run.createdAt).toISOString().slice(0, 19)
      }  ${took}`,
    )
  }
  return exitCode.ok
}

export async function showCommand(id: string, { store, json }: Shown & { readonly store: string }): Promise<ExitCode> {
  const { run, events, output, usage } = await withExisting(
    store,
    (heddle) =>
      Effect.all({ run: heddle.get(id), events: heddle.events(id), usage: heddle.usage(id), output: Effect.orElseSucceed(heddle.output(id), () => undefined) }),
  )
  const nodes = trace(events)
  const end = events.findLast(({ kind }) => kind === "run.failed" || kind === "run.compensated" || kind === "run.cancelled")
  const { error, reason } = end === undefined ? {} : (JSON.parse(end.data) as { error?: unknown; reason?: string })
  const { reason: paused } = JSON.parse(events.findLast(({ kind }) => kind === "run.paused")?.data ?? "{}") as { readonly reason?: string }
  if (json) {
    printJson({
      ...run,
      input: JSON.parse(run.input) as unknown,
      output: output === undefined ? null : JSON.parse(encodeValue(output)) as unknown,
      error: error ?? null,
      reason: reason ?? null,
      usage,
      nodes,
    })
    return exitCode.ok
  }
  print(
    `${style.out("bold", run.id)}  ${style.out(colours[run.status], run.status)}  ${short(run.flow, 60)} version ${run.version}  ${
      duration(events.reduce((latest, { at }) => Math.max(latest, at), run.updatedAt) - run.createdAt)
    }  ${events.at(-1)?.seq ?? 0} events`,
  )
  print(style.out("dim", `input  ${short(run.input, 100)}`))
  const until = run.status === "suspended" && run.due !== undefined ? new Date(run.due).toISOString() : ""
  if (run.status === "suspended") print(style.out("blue", `waits for ${[...run.waits, until].filter(Boolean).map(clean).join(" or ") || "a child run"}`))
  for (const line of tree(nodes, "")) print(line)
  if (amounts(usage) !== "") print(style.out("dim", `used   ${amounts(usage)}`))
  if (run.status === "completed") print(`${style.out("green", "output")}  ${short(encodeValue(output), 200)}`)
  if (run.status === "paused" && paused) print(`${style.out("yellow", "paused")}  ${short(paused, 200)}`)
  if (run.status === "failed" || run.status === "compensated") print(`${style.out("red", run.status)}  ${short(describe(error), 200)}`)
  if (run.status === "cancelled" && reason) print(`${style.out("yellow", "cancelled")}  ${short(reason, 200)}`)
  return exitCode.ok
}

/** A recorded error in a line. */
const describe = (recorded: unknown): string => messageOf(revive(recorded))
const signs: Readonly<Record<TraceNode["status"], string>> = { completed: "✓", failed: "✗", skipped: "○", open: "…" }
/** More siblings than this are folded. */
const shownSiblings = 12

function* tree(nodes: ReadonlyArray<TraceNode>, indent: string): Generator<string> {
  const listed = nodes.length > shownSiblings ? [...nodes.slice(0, shownSiblings - 2), undefined, nodes.at(-1)!] : nodes
  for (const [i, node] of listed.entries()) {
    const isLast = i === listed.length - 1
    const branch = isLast ? "└─" : "├─"
    if (node === undefined) {
      yield `${indent}${branch} ${style.out("dim", `… ${nodes.length - listed.length + 1} more`)}`
      continue
    }
    const tries = node.attempts > 1 ? `${node.attempts} attempts` : ""
    const outcome = node.status === "failed" ? describe(node.error) : (node.output ?? "")
    const about = [duration(node.milliseconds), tries, node.note ?? "", short(outcome, 70)].filter(Boolean).join("  ")
    yield `${indent}${branch} ${style.out(colours[node.status], signs[node.status])} ${short(node.name, 60)}  ${style.out("dim", about)}`
    yield* tree(node.children, `${indent}${isLast ? "   " : "│  "}`)
  }
}

const drawings = {
  tree: (flow: EncodedFlow) => unicode(flow, { dim: (text) => style.out("dim", text), bold: (text) => style.out("bold", text) }).join("\n"),
  mermaid,
  svg: (flow: EncodedFlow) => svg(pictureOf(flow)),
  dot,
}
type Drawing = keyof typeof drawings

export async function graphCommand(
  target: string,
  { mermaid: asMermaid, format = "tree", json }: Shown & { readonly mermaid?: boolean; readonly format?: Drawing },
): Promise<ExitCode> {
  const flows = target.includes("#") ? [await loadFlow(target)] : await loadFlows(target)
  // one picture is one file: several have to be asked for one by one
  if (flows.length === 0 || (format === "svg" && flows.length > 1)) await loadFlow(target)
  if (json) printJson(flows.map(({ flow }) => encode(flow.ir)))
  else {for (const { flow } of flows) {
      print(drawings[asMermaid === true ? "mermaid" : format](encode(flow.ir)))
    }}
  return exitCode.ok
}
