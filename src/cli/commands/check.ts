/** `heddle check`: the compiler's errors, the flows' own problems and what is doubtful, each with its place. */
import { existsSync, type FSWatcher, watch } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { openSources, type Sources } from "../../docgen/source/project.ts"
import { messageOf } from "../../model/error.ts"
import { configIn } from "../check/config.ts"
import { type Checked, type Finding, findingsOf, type Reported, type Rules, told } from "../check/findings.ts"
import { sarif } from "../check/sarif.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { clean, print, printJson, type Shown, style } from "../output.ts"

interface CheckFlags extends Shown {
  readonly tsconfig?: string
  readonly config?: string
  readonly sarif?: boolean
  readonly report?: boolean
  readonly watch?: boolean
}

export async function checkCommand(given: ReadonlyArray<string>, flags: CheckFlags, version: string): Promise<ExitCode> {
  const config = configIn(flags.config ?? "heddle.json")
  const files = given.length === 0 ? config.files : given
  if (files.length === 0) throw new CliError(exitCode.usage, "which files?", "heddle check src/flows.ts, or name them in heddle.json")
  // released shapes count, wherever they are kept
  const locks = ["heddle.lock.d.ts", ...files.map((file) => join(dirname(file), "heddle.lock.d.ts"))].map((file) => resolve(file)).filter((file) =>
    existsSync(file)
  )
  const sources = await openSources([...files, ...new Set(locks)], flags.tsconfig)
  const checking = new Checking(files, sources, config.rules)
  await checking.check(files, false)
  if (!flags.watch) return checking.tell(flags, version)
  checking.tell(flags, version)
  // the compiler's second look is dear, whatever has changed
  sources.refresh(files.slice(0, 1).map((file) => resolve(file)))
  await checking.check(files.slice(0, 1), true)
  return untilStopped(checking, sources, () => checking.tell(flags, version))
}

class Checking {
  readonly #files: ReadonlyArray<string>
  readonly #sources: Sources
  readonly #rules: Rules
  readonly #flows = new Map<string, Checked>()
  #compiler: ReadonlyArray<Finding> = []

  constructor(files: ReadonlyArray<string>, sources: Sources, rules: Rules) {
    this.#files = files
    this.#sources = sources
    this.#rules = rules
  }

  /** Reads `files` again; `fresh`: they have been loaded before. */
  async check(files: ReadonlyArray<string>, fresh: boolean): Promise<void> {
    const again = new Set(files.map((file) => resolve(file)))
    const compiled = this.#sources.diagnostics(fresh ? [...again] : undefined).map((found): Finding => ({ ...found, level: "error", rule: `TS${found.code}` }))
    this.#compiler = [...this.#compiler.filter(({ file }) => !again.has(file)), ...compiled]
    for (const file of this.#files) {
      const path = resolve(file)
      if (!again.has(path)) continue
      // what does not compile is not run
      if (this.#compiler.some((found) => found.file === path)) this.#flows.delete(path)
      else this.#flows.set(path, await findingsOf(file, this.#sources, fresh))
    }
  }

  get #findings(): ReadonlyArray<Finding> {
    return [...this.#compiler, ...told([...this.#flows.values()], this.#rules)]
  }

  tell({ json, sarif: asSarif, report = false }: CheckFlags, version: string): ExitCode {
    const findings = this.#findings
    const flows = [...this.#flows.values()].flatMap((one) => one.flows)
    const errors = findings.filter(({ level }) => level === "error").length
    if (asSarif) printJson(sarif(findings, version))
    else if (json) printJson({ ok: errors === 0, files: this.#files.length, flows: flows.length, findings, ...(report ? { report: flows } : {}) })
    else {
      for (const { file, line, column, level, rule, message } of findings) {
        print(
          `${relative(process.cwd(), file)}:${line}:${column} ${style.out(level === "error" ? "red" : "yellow", level)} ${clean(message)} ${
            style.out("dim", rule)
          }`,
        )
      }
      if (report) { for (const one of flows) tellFlow(one) }
      print(`${this.#files.length} files, ${flows.length} flows, ${errors} errors, ${findings.length - errors} warnings`)
    }
    return errors === 0 ? exitCode.ok : exitCode.problems
  }
}

/** What a flow may do, a line for each kind of it. */
function tellFlow({ flow, file, line, writes, capabilities, effects, signals }: Reported): void {
  print(`${style.out("bold", clean(flow))} ${style.out("dim", `${relative(process.cwd(), file)}:${line}`)}`)
  const undone = { true: "undone", false: "not undone", irreversible: "irreversible" }
  const kinds: Readonly<Record<string, ReadonlyArray<string>>> = {
    writes: Object.entries(writes).map(([path, names]) => `${path} → ${names.join(", ")}`),
    needs: Object.entries(capabilities).map(([need, tools]) => `${need} (${tools.join(", ")})`),
    effects: Object.entries(effects).map(([path, { what, undone: how }]) => `${path}: ${what} (${undone[`${how}`]})`),
    signals,
  }
  for (const [kind, told] of Object.entries(kinds)) if (told.length > 0) print(`  ${kind.padEnd(8)}${clean(told.join("; "))}`)
}

/** Checks again what changes, until Ctrl-C. */
function untilStopped(checking: Checking, sources: Sources, tell: () => ExitCode): Promise<ExitCode> {
  return new Promise((done) => {
    const changed = new Set<string>()
    let timer: NodeJS.Timeout | undefined
    let last: Promise<unknown> = Promise.resolve()
    let code: ExitCode = exitCode.ok
    const again = () => {
      const began = performance.now()
      const files = [...changed]
      changed.clear()
      last = last.then(async () => {
        sources.refresh(files)
        await checking.check(sources.dependents(files), true)
        code = tell()
        print(style.out("dim", `${Math.round(performance.now() - began)} ms · ${files.map((file) => relative(process.cwd(), file)).join(", ")}`))
      }).catch((error: unknown) => print(`${style.out("red", "✗")} ${clean(messageOf(error))}`))
    }
    const watchers = [...new Set(sources.files().map((file) => dirname(file)))].map((folder): FSWatcher =>
      watch(folder, (_event, name) => {
        const file = join(folder, String(name))
        if (!sources.files().includes(file)) return
        changed.add(file)
        clearTimeout(timer)
        // editors write a file in several moves
        timer = setTimeout(again, 20)
      })
    )
    process.once("SIGINT", () => {
      for (const watcher of watchers) watcher.close()
      void last.then(() => done(code))
    })
  })
}
