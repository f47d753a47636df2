/** `heddle diff` and `heddle lock`: what a change of a flow means for its runs, before it is deployed. */
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve } from "node:path"
import { changes, verdict } from "../../../dsl/ir/diff.ts"
import { encode } from "../../../dsl/ir/encode.ts"
import { compared } from "../../docgen/diagram/compare.ts"
import { pictureOf } from "../../docgen/diagram/layout.ts"
import { svg } from "../../docgen/diagram/svg.ts"
import { mermaid } from "../../docgen/mermaid.ts"
import { messageOf } from "../../model/error.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { type Loaded, loadFlow, loadFlows } from "../../docgen/source/load.ts"
import { clean, print, printJson, type Shown, style } from "../output.ts"
import { openSources } from "../../docgen/source/project.ts"

const colours = { added: "green", removed: "red", moved: "yellow", changed: "yellow", retuned: "dim" } as const
const meanings = {
  compatible: "runs that are under way go on; what outputs look like is not compared here, heddle lock does that",
  migrates: "runs that are under way are migrated",
  "needs migration": "runs that are past what changed cannot go on: raise the version and give a migration",
  breaking: "runs that are under way cannot go on",
} as const

interface DiffFlags extends Shown {
  readonly from?: string
  readonly svg?: boolean
  readonly mermaid?: boolean
}

/** `before` and `now` are files, `file#flow`, or with `--from` one file in two git revisions. */
export async function diffCommand(before: string, now: string | undefined, { json, from, svg: asSvg, mermaid: asMermaid }: DiffFlags): Promise<ExitCode> {
  if (now === undefined && from === undefined) throw new CliError(exitCode.usage, "diff needs a second flow, or --from <git revision>")
  const old = from === undefined ? await loadFlow(before) : await atRevision(from, before)
  const current = await loadFlow(now ?? before)
  const [was, is] = [encode(old.flow.ir), encode(current.flow.ir)]
  const different = changes(was, is)
  const meaning = verdict(was, is, current.flow.ir.migrations)
  if (asSvg || asMermaid) {
    const { flow, changes: marks } = compared(was, is, current.flow.ir.migrations)
    print(asSvg ? svg(pictureOf(flow, marks)) : mermaid(flow, marks))
  } else if (json) {
    printJson({ ok: meaning === "compatible" || meaning === "migrates", verdict: meaning, from: was.version, to: is.version, changes: different })
  } else {
    print(style.out("bold", `${clean(was.name)} version ${was.version} → ${clean(is.name)} version ${is.version}`))
    for (const { what, text } of different) print(style.out(colours[what], clean(text)))
    print(`${meaning}: ${meanings[meaning]}`)
  }
  return meaning === "compatible" || meaning === "migrates" ? exitCode.ok : exitCode.problems
}

/** The flow as it was in a revision, from a work tree of its own with the same packages. */
async function atRevision(revision: string, target: string): Promise<Loaded> {
  const [path, ...name] = existsSync(target) ? [target] : target.split("#")
  const file = resolve(path!)
  const git = (...args: ReadonlyArray<string>) => execFileSync("git", args, { cwd: dirname(file), encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim()
  const folder = mkdtempSync(join(tmpdir(), "heddle-diff-"))
  let root: string | undefined
  let added = false
  try {
    root = git("rev-parse", "--show-toplevel")
    git("worktree", "add", "--detach", folder, revision)
    added = true
    if (existsSync(join(root, "node_modules")) && !existsSync(join(folder, "node_modules"))) {
      symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    }
    const then = join(folder, relative(root, file))
    if (!existsSync(then)) throw new CliError(exitCode.usage, `there was no ${relative(root, file)} at ${revision}`)
    return await loadFlow([then, ...name].join("#"))
  } catch (cause) {
    if (cause instanceof CliError) throw cause
    throw new CliError(
      exitCode.usage,
      `cannot read ${path} at ${revision}: ${messageOf(cause).split("\n")[0]}`,
      "is it a git repository, and the revision one of it?",
      cause,
    )
  } finally {
    if (added && root !== undefined) execFileSync("git", ["worktree", "remove", "--force", folder], { cwd: root, stdio: "ignore" })
    rmSync(folder, { recursive: true, force: true })
  }
}

type Versions = Map<string, string>
const header = `// Shapes of released flows, written by \`heddle lock\`; commit it. A flow that no longer has the shape it was released with
// does not compile until its version is raised and a migration leads there. Delete versions of which no run is left.
`

/** Adds the shapes of the files' flows to the lock; a version that is there with another shape is refused. */
export async function lockCommand(
  files: ReadonlyArray<string>,
  { json, output = "heddle.lock.d.ts", tsconfig, check }: Shown & { readonly output?: string; readonly tsconfig?: string; readonly check?: boolean },
): Promise<ExitCode> {
  const locked = readLock(output)
  const sources = await openSources(files, tsconfig)
  const added: Array<string> = []
  for (const file of files) {
    for (const { flow, exports: [name] } of await loadFlows(file)) {
      const { name: flowName, version } = flow.ir
      const shape = sources.shape(resolve(file), name)
      if (shape === undefined) {
        throw new CliError(
          exitCode.problems,
          `the shape of '${flowName}' in ${file} cannot be seen`,
          "export the chain itself: export const flow = seq(…)….returns(…)",
        )
      }
      const versions = locked.get(flowName) ?? new Map<string, string>()
      const before = versions.get(String(version))
      if (before !== undefined && before !== shape) {
        throw new CliError(
          exitCode.problems,
          `'${flowName}' version ${version} was released with another shape`,
          `raise its version and give a migration\n  then ${before}\n  now  ${shape}`,
        )
      }
      if (before === undefined) added.push(`${flowName} ${version}`)
      locked.set(flowName, versions.set(String(version), shape))
    }
  }
  if (check === true && added.length > 0) throw new CliError(exitCode.problems, `${output} lacks ${added.join(", ")}`, `heddle lock ${files.join(" ")}`)
  if (added.length > 0) writeFileSync(output, written(locked))
  if (json) printJson({ ok: true, file: output, added })
  else print(added.length === 0 ? `${output} is up to date` : `${output}: ${added.join(", ")}`)
  return exitCode.ok
}

const written = (locked: ReadonlyMap<string, Versions>): string => {
  const flows = [...locked].sort(([a], [b]) => a.localeCompare(b)).map(([name, versions]) => {
    const lines = [...versions].sort(([a], [b]) => Number(a) - Number(b)).map(([version, shape]) => `    ${version}: ${shape}\n`)
    return `  ${JSON.stringify(name)}: {\n${lines.join("")}  }\n`
  })
  return `${header}interface HeddleLock {\n${flows.join("")}}\n`
}

/** What the lock has: it is our own format, a line for each version. */
function readLock(file: string): Map<string, Versions> {
  const locked = new Map<string, Versions>()
  if (!existsSync(file)) return locked
  let versions: Versions | undefined
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const flow = /^ {2}"(.*)": \{$/.exec(line)
    const version = /^ {4}(\d+): (.*)$/.exec(line)
    if (flow !== null) locked.set(JSON.parse(`"${flow[1]}"`) as string, versions = new Map())
    else if (version !== null) versions?.set(version[1]!, version[2]!)
    else if (line !== "" && !/^(\/\/.*|interface HeddleLock \{| {2}\}|\})$/.test(line)) {
      throw new CliError(
        exitCode.usage,
        `${file} was changed by hand: ${line.slice(0, 60)}`,
        "restore it, or delete it and run heddle lock on the released code",
      )
    }
  }
  return locked
}
