/** `heddle check`: the compiler's errors and the flow's own problems, each with its place. */
import { existsSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { check } from "../../../dsl/ir/check.ts"
import { messageOf } from "../../model/error.ts"
import { type ExitCode, exitCode } from "../exit-codes.ts"
import { loadFlows } from "../load.ts"
import { clean, print, printJson, type Shown, style } from "../output.ts"
import { openSources, type Sources } from "../sources.ts"

interface Finding {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly level: "error" | "warning"
  readonly rule: string
  readonly message: string
}

export async function checkCommand(files: ReadonlyArray<string>, { json, tsconfig }: Shown & { readonly tsconfig?: string }): Promise<ExitCode> {
  // released shapes count, wherever they are kept
  const locks = ["heddle.lock.d.ts", ...files.map((file) => join(dirname(file), "heddle.lock.d.ts"))].map((file) => resolve(file)).filter((file) =>
    existsSync(file)
  )
  const sources = await openSources([...files, ...new Set(locks)], tsconfig)
  const findings: Array<Finding> = sources.diagnostics().map((found) => ({ ...found, level: "error", rule: `TS${found.code}` }))
  let flows = 0
  for (const file of files) {
    // what does not compile is not run
    if (findings.some((found) => found.file === resolve(file))) continue
    const problems = await flowFindings(file, sources)
    flows += problems.flows
    findings.push(...problems.findings)
  }
  const errors = findings.filter(({ level }) => level === "error").length
  if (json) printJson({ ok: errors === 0, files: files.length, flows, findings })
  else {
    for (const { file, line, column, level, rule, message } of findings) {
      print(
        `${relative(process.cwd(), file)}:${line}:${column} ${style.out(level === "error" ? "red" : "yellow", level)} ${clean(message)} ${
          style.out("dim", rule)
        }`,
      )
    }
    print(`${files.length} files, ${flows} flows, ${errors} errors, ${findings.length - errors} warnings`)
  }
  return errors === 0 ? exitCode.ok : exitCode.problems
}

async function flowFindings(file: string, sources: Sources): Promise<{ readonly flows: number; readonly findings: ReadonlyArray<Finding> }> {
  try {
    const flows = await loadFlows(file)
    const findings = flows.flatMap((loaded) =>
      check(loaded.flow.ir).map(({ level, path, rule, message }) => ({
        ...sources.locate(loaded.file, loaded.exports[0], path),
        level,
        rule,
        message: `${loaded.flow.ir.name}${path === "" ? "" : ` › ${path}`}: ${message}`,
      }))
    )
    return { flows: flows.length, findings }
  } catch (error) {
    return { flows: 0, findings: [{ file: resolve(file), line: 1, column: 1, level: "error", rule: "load", message: messageOf(error) }] }
  }
}
