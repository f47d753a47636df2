/** Flows from a user's files, loaded with tsx so that TypeScript needs no build. */
import { existsSync, statSync } from "node:fs"
import { relative, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import type { AnyDefinition, Flow } from "../../dsl/flow/flow.ts"
import { messageOf } from "../model/error.ts"
import { CliError, exitCode } from "./exit-codes.ts"

/** A flow and where it stands. */
export interface Loaded {
  readonly flow: Flow<any, any, any, any>
  /** Names it is exported under. */
  readonly exports: readonly [string, ...ReadonlyArray<string>]
  /** Absolute path. */
  readonly file: string
}
/** `file#flow` as it is stored with a run. */
export const sourceOf = ({ file, exports: [name] }: Loaded): string => `${file}#${name}`

const isFlow = (value: unknown): value is Loaded["flow"] => {
  if (typeof value !== "object" || value === null || !("ir" in value)) return false
  const { ir } = value
  return typeof ir === "object" && ir !== null && "body" in ir && "name" in ir
}

/** Longest time a file may take to load, in milliseconds. */
const importTimeout = 20_000

/** Every flow that `file` exports. */
export async function loadFlows(path: string, timeout = importTimeout): Promise<ReadonlyArray<Loaded>> {
  const flows = new Map<Loaded["flow"], Loaded>()
  for (const [name, value] of Object.entries(await loadModule(path, timeout))) {
    if (isFlow(value)) flows.set(value, { flow: value, exports: flows.has(value) ? [...flows.get(value)!.exports, name] : [name], file: resolve(path) })
  }
  return [...flows.values()]
}

/** What `file` exports. */
async function loadModule(path: string, timeout: number): Promise<Readonly<Record<string, unknown>>> {
  const file = resolve(path)
  if (!existsSync(file) || !statSync(file).isFile()) throw new CliError(exitCode.usage, `there is no file ${relative(process.cwd(), file)}`)
  const { register } = await import("tsx/esm/api")
  const unregister = register()
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () =>
          reject(new CliError(exitCode.usage, `${path} did not finish loading within ${timeout / 1000} s`, "a flow file must not wait for anything at import")),
        timeout,
      )
    })
    return await Promise.race([import(pathToFileURL(file).href), late])
  } catch (cause) {
    if (cause instanceof CliError) throw cause
    throw new CliError(
      exitCode.usage,
      `${path} cannot be loaded: ${firstLine(cause)}`,
      "run it with --debug for the whole error, or check it: heddle check " + path,
      cause,
    )
  } finally {
    clearTimeout(timer)
    await unregister()
  }
}

const firstLine = (cause: unknown): string => {
  const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : messageOf(cause)
  // a syntax error of tsx has its place and its reason on the second line
  return text.split("\n").find((line) => line.trim() !== "" && !/transform failed/i.test(line)) ?? ""
}

/** The flow that `file#flow` means: an export or a flow's own name; without `#`, the only one. */
export async function loadFlow(target: string): Promise<Loaded> {
  // a path may have a # of its own
  const at = existsSync(target) ? -1 : target.lastIndexOf("#")
  const [path, wanted] = at === -1 ? [target, undefined] : [target.slice(0, at), target.slice(at + 1)]
  const flows = await loadFlows(path)
  if (flows.length === 0) throw new CliError(exitCode.usage, `${path} exports no flow`, "export one: export const flow = seq(\"name\")…")
  const names = flows.flatMap((loaded) => loaded.exports).join(", ")
  if (wanted === undefined) {
    const [only] = flows
    if (only !== undefined && flows.length === 1) return only
    throw new CliError(exitCode.usage, `${path} exports ${flows.length} flows: say which, as ${path}#name`, `its flows: ${names}`)
  }
  const found = flows.find((loaded) => loaded.exports.includes(wanted)) ?? flows.find(({ flow }) => flow.ir.name === wanted)
  if (found === undefined) throw new CliError(exitCode.usage, `${path} exports no flow '${wanted}'`, `its flows: ${names}`)
  return found
}

/** Every flow, agent and tool of the files, or of `file#export` that one. */
export async function loadDefinitions(files: ReadonlyArray<string>): Promise<ReadonlyArray<AnyDefinition>> {
  const isDefinition = (value: unknown): value is AnyDefinition => isFlow(value) || (typeof value === "function" && "tool" in value)
  const all = await Promise.all(files.map(async (target) => {
    if (target.includes("#") && !existsSync(target)) {
      const at = target.lastIndexOf("#")
      const exported = (await loadModule(target.slice(0, at), importTimeout))[target.slice(at + 1)]
      return isDefinition(exported) ? [exported] : [(await loadFlow(target)).flow]
    }
    return Object.values(await loadModule(target, importTimeout)).filter(isDefinition)
  }))
  const found = [...new Set(all.flat())]
  if (found.length === 0) throw new CliError(exitCode.usage, `${files.join(", ")} exports no flow, agent or tool`)
  return found
}

/** Every flow of the files, or of `file#flow` that one. */
export async function loadAll(files: ReadonlyArray<string>): Promise<ReadonlyArray<Loaded>> {
  const loaded = (await Promise.all(files.map(async (file) => (file.includes("#") ? [await loadFlow(file)] : loadFlows(file))))).flat()
  if (loaded.length === 0) throw new CliError(exitCode.usage, `${files.join(", ")} exports no flow`)
  return loaded
}
