/** Flows from a user's files, loaded with tsx so that TypeScript needs no build. */
import { existsSync, readFileSync, statSync } from "node:fs"
import { createRequire, registerHooks, type ResolveHookSync } from "node:module"
import { relative, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import type { AnyDefinition, Flow } from "../../../dsl/flow/flow.ts"
import { messageOf } from "../../model/error.ts"
import { watched } from "./watchdog.ts"
import { above } from "./above.ts"
import { SourceRefused } from "./refused.ts"

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
export const loadFlows = async (path: string, timeout?: number): Promise<ReadonlyArray<Loaded>> => flowsIn(path, await loadModule(path, { timeout }))

/** The flows among what a file exports. */
export function flowsIn(path: string, exported: Readonly<Record<string, unknown>>): ReadonlyArray<Loaded> {
  const flows = new Map<Loaded["flow"], Loaded>()
  for (const [name, value] of Object.entries(exported)) {
    if (isFlow(value)) flows.set(value, { flow: value, exports: flows.has(value) ? [...flows.get(value)!.exports, name] : [name], file: resolve(path) })
  }
  return [...flows.values()]
}

/** Tools are functions, which say so. */
export const isTool = (value: unknown): value is AnyDefinition & { readonly tool: { readonly name: string } } => typeof value === "function" && "tool" in value

interface Loading {
  /** Longest time that loading may wait, in milliseconds. */
  readonly timeout?: number | undefined
  /** It was loaded before, and has changed since: it and what it imports are loaded again. */
  readonly fresh?: boolean
}
let loadings = 0
const isOwn = (url: string): boolean => url.startsWith("file:") && !url.includes("/node_modules/") && !url.startsWith(ours)
/** Gives the project's own modules another name. */
export const anew = (nr: number): ResolveHookSync => (specifier, context, next) => {
  const found = next(specifier, context)
  return isOwn(found.url) && !found.url.includes("?heddle=") ? { ...found, url: `${found.url}?heddle=${nr}` } : found
}
/** Has the project's own files loaded again, however they are reached; packages stay as they are. */
const again = (file: string, nr: number): { readonly load: () => Promise<Readonly<Record<string, unknown>>>; readonly end: () => void } => {
  if (isModule(file)) {
    const hooks = registerHooks({ resolve: anew(nr) })
    return { load: () => import(`${pathToFileURL(file).href}?heddle=${nr}`), end: () => hooks.deregister() }
  }
  // CommonJS knows files, not URLs
  const require = createRequire(import.meta.url)
  for (const known of Object.keys(require.cache)) if (isOwn(pathToFileURL(known).href)) delete require.cache[known]
  let unregister: (() => void) | undefined
  return {
    load: async () => {
      unregister = (await import("tsx/cjs/api")).register()
      return require(file) as Readonly<Record<string, unknown>>
    },
    end: () => unregister?.(),
  }
}
/** What the nearest package.json says of a file. */
const isModule = (file: string): boolean => {
  if (/\.m[jt]s$/.test(file)) return true
  const manifest = above(file, "package.json")
  return manifest !== undefined && (JSON.parse(readFileSync(manifest, "utf8")) as { readonly type?: string }).type === "module"
}
/** Where this package lies. */
const ours = new URL("../../../", import.meta.url).href

/** What `file` exports. */
export async function loadModule(path: string, { timeout = importTimeout, fresh = false }: Loading = {}): Promise<Readonly<Record<string, unknown>>> {
  const file = resolve(path)
  if (!existsSync(file) || !statSync(file).isFile()) throw new SourceRefused(`there is no file ${relative(process.cwd(), file)}`)
  const { register } = await import("tsx/esm/api")
  const unregister = register()
  const loading = fresh ? again(file, ++loadings) : undefined
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new SourceRefused(`${path} did not finish loading within ${timeout / 1000} s`, "a flow file must not wait for anything at import")),
        timeout,
      )
    })
    const load = loading?.load ?? (() => import(pathToFileURL(file).href))
    return await watched(path, timeout, () => Promise.race([load(), late]))
  } catch (cause) {
    if (cause instanceof SourceRefused) throw cause
    throw new SourceRefused(
      `${path} cannot be loaded: ${firstLine(cause)}`,
      "run it with --debug for the whole error, or check it: heddle check " + path,
      cause,
    )
  } finally {
    clearTimeout(timer)
    loading?.end()
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
  if (flows.length === 0) throw new SourceRefused(`${path} exports no flow`, "export one: export const flow = seq(\"name\")…")
  const names = flows.flatMap((loaded) => loaded.exports).join(", ")
  if (wanted === undefined) {
    const [only] = flows
    if (only !== undefined && flows.length === 1) return only
    throw new SourceRefused(`${path} exports ${flows.length} flows: say which, as ${path}#name`, `its flows: ${names}`)
  }
  const found = flows.find((loaded) => loaded.exports.includes(wanted)) ?? flows.find(({ flow }) => flow.ir.name === wanted)
  if (found === undefined) throw new SourceRefused(`${path} exports no flow '${wanted}'`, `its flows: ${names}`)
  return found
}

/** Every flow, agent and tool of the files, or of `file#export` that one. */
export async function loadDefinitions(files: ReadonlyArray<string>): Promise<ReadonlyArray<AnyDefinition>> {
  const isDefinition = (value: unknown): value is AnyDefinition => isFlow(value) || isTool(value)
  const all = await Promise.all(files.map(async (target) => {
    if (target.includes("#") && !existsSync(target)) {
      const at = target.lastIndexOf("#")
      const exported = (await loadModule(target.slice(0, at)))[target.slice(at + 1)]
      return isDefinition(exported) ? [exported] : [(await loadFlow(target)).flow]
    }
    return Object.values(await loadModule(target)).filter(isDefinition)
  }))
  const found = [...new Set(all.flat())]
  if (found.length === 0) throw new SourceRefused(`${files.join(", ")} exports no flow, agent or tool`)
  return found
}

/** Every flow of the files, or of `file#flow` that one. */
export async function loadAll(files: ReadonlyArray<string>): Promise<ReadonlyArray<Loaded>> {
  const loaded = (await Promise.all(files.map(async (file) => (file.includes("#") ? [await loadFlow(file)] : loadFlows(file))))).flat()
  if (loaded.length === 0) throw new SourceRefused(`${files.join(", ")} exports no flow`)
  return loaded
}
