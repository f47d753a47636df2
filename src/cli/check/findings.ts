/** What is wrong with files: what the compiler says, what a flow says of itself, what is doubtful; each with its place. */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { check, type Problem } from "../../../dsl/ir/check.ts"
import { walk } from "../../../dsl/ir/walk.ts"
import { lint } from "../../../dsl/ir/lint.ts"
import { type FlowReport, report } from "../../../dsl/ir/report.ts"
import type { FlowFacts, Place } from "../../docgen/source/facts.ts"
import { flowsIn, isTool, type Loaded, loadModule } from "../../docgen/source/load.ts"
import type { Sources } from "../../docgen/source/project.ts"
import { messageOf } from "../../model/error.ts"
import { suppressed } from "./suppress.ts"

export interface Finding extends Place {
  readonly level: "error" | "warning"
  readonly rule: string
  readonly message: string
}
/** How much a rule counts, where a project says so; `off`: it is not told. */
export type Rules = Readonly<Record<string, "off" | "warning" | "error">>
/** What a flow may do. */
export interface Reported extends Place, FlowReport {
  readonly flow: string
}
export interface Checked {
  readonly flows: ReadonlyArray<Reported>
  /** As they are, before anything is explained or weighed. */
  readonly findings: ReadonlyArray<Finding>
  /** The files that these stand in. */
  readonly texts: ReadonlyMap<string, string>
  /** Names of the agents and tools that its flows use. */
  readonly uses: ReadonlySet<string>
  /** Names of those that it exports, and what to say if nobody uses them. */
  readonly offers: ReadonlyMap<string, Finding>
}

/** The findings of one file that compiles. */
export async function findingsOf(file: string, sources: Sources, fresh: boolean): Promise<Checked> {
  try {
    const exported = await loadModule(file, { fresh })
    const loaded = flowsIn(file, exported)
    const found = loaded.flatMap((one) => flowFindings(one, sources))
    const texts = new Map([...new Set([resolve(file), ...found.map((one) => one.file)])].map((path) => [path, readFileSync(path, "utf8")]))
    return {
      flows: loaded.map(({ flow: { ir }, exports: [name] }) => ({ flow: ir.name, ...sources.place(file, name), ...report(ir) })),
      findings: found,
      texts,
      uses: new Set(loaded.flatMap(usesOf)),
      offers: offersOf(file, exported, sources),
    }
  } catch (error) {
    return {
      flows: [],
      findings: [{ file: resolve(file), line: 1, column: 1, level: "error", rule: "load", message: messageOf(error) }],
      texts: new Map(),
      uses: new Set(),
      offers: new Map(),
    }
  }
}

/** What is told of all files: what nobody uses too, without what comments explain, each as much as the project says. */
export function told(all: ReadonlyArray<Checked>, rules: Rules): ReadonlyArray<Finding> {
  const used = new Set(all.flatMap(({ uses }) => [...uses]))
  const unused = all.flatMap(({ offers }) => [...offers].flatMap(([name, finding]) => (used.has(name) ? [] : [finding])))
  const texts = new Map(all.flatMap((one) => [...one.texts]))
  return suppressed([...all.flatMap(({ findings }) => findings), ...unused], texts).flatMap((one) => weighed(one, rules))
}

/** The agents and tools that a flow uses, however deep. */
const usesOf = ({ flow }: Loaded): ReadonlyArray<string> =>
  [...walk(flow.ir)].flatMap(({ node }) => {
    if (node.kind !== "step") return []
    if (node.work.from === "flow") return [node.work.flow.name, ...(node.work.flow.agent?.tools ?? [])]
    return node.work.from === "definition" && node.work.tool !== undefined ? [node.work.tool.name] : []
  })

/** The agents and tools that a file exports, with what is said of each that no flow uses. */
const offersOf = (file: string, exported: Readonly<Record<string, unknown>>, sources: Sources): ReadonlyMap<string, Finding> => {
  const agents = flowsIn(file, exported).flatMap(({ flow, exports: [name] }) => (flow.ir.agent === undefined ? [] : [[flow.ir.name, name, "agent"] as const]))
  const tools = Object.entries(exported).flatMap(([name, value]) => (isTool(value) ? [[value.tool.name, name, "tool"] as const] : []))
  return new Map([...agents, ...tools].map(([name, as, what]) => [
    name,
    { ...sources.place(file, as), level: "warning", rule: "unused", message: `no flow of these files uses ${what} '${name}'` },
  ]))
}

function flowFindings({ flow, file, exports: [exported] }: Loaded, sources: Sources): ReadonlyArray<Finding> {
  const problems: ReadonlyArray<Problem> = [...check(flow.ir), ...lint(flow.ir)]
  if (problems.length === 0) return []
  const facts = sources.facts(file, exported, flow.ir)
  return problems.map(({ level, path, rule, message }) => ({
    ...placeIn(facts, path),
    level,
    rule,
    message: `${flow.ir.name}${path === "" ? "" : ` › ${path}`}: ${message}`,
  }))
}

/** A rule counts as much as the project says. What does not run stays an error. */
const weighed = (finding: Finding, rules: Rules): ReadonlyArray<Finding> => {
  const level = finding.level === "error" ? "error" : rules[finding.rule] ?? finding.level
  return level === "off" ? [] : [{ ...finding, level }]
}

/** Where the node at a path is written, else what is around it. */
const placeIn = ({ file, line, column, nodes }: FlowFacts, path: string): Place => {
  for (let at = path; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
    const found = nodes.get(at)
    if (found !== undefined) return { file: found.file, line: found.line, column: found.column }
  }
  return { file, line, column }
}
