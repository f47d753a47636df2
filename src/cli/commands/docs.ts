/** `heddle docs`: the pages of a project's flows, and whether those that are kept still say what the code says. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import * as Effect from "effect/Effect"
import type { FlowIR } from "../../../dsl/ir/node.ts"
import { ownPages, pagesOf, stale, written } from "../../docgen/docs.ts"
import { differences } from "../../docgen/drift.ts"
import { refreshed } from "../../docgen/embed.ts"
import type { Example } from "../../docgen/model.ts"
import { site } from "../../docgen/pages/html.ts"
import { trace, type TraceNode } from "../../engine/trace.ts"
import { decodeValue, encodeValue } from "../../model/value.ts"
import { withExisting } from "../engine.ts"
import { type ExitCode, exitCode } from "../exit-codes.ts"
import { clean, print, printJson, type Shown, style } from "../output.ts"

interface DocsFlags extends Shown {
  readonly out?: string
  readonly site?: string
  readonly title?: string
  readonly check?: boolean
  readonly sourceUrl?: string
  readonly tsconfig?: string
  readonly runs?: string
  readonly embed?: ReadonlyArray<string>
  readonly pages?: ReadonlyArray<string>
}

export async function docsCommand(files: ReadonlyArray<string>, flags: DocsFlags): Promise<ExitCode> {
  const { out = "docs/flows", title = "Flows", sourceUrl, tsconfig, runs, embed = [], pages: own = [], json, check = false } = flags
  const options = { title, out: resolve(out), sourceUrl, tsconfig, ...(runs === undefined ? {} : { example: exampleIn(runs) }) }
  const pages = await pagesOf(files, options)
  if (json && !check) {
    printJson({ format: 1, title, flows: pages })
    return exitCode.ok
  }
  const markdown = written(pages, options)
  const made = new Map(markdown.map(({ slug, markdown: text }) => [join(out, `${slug}.md`), text]))
  // the site shows them as they will be
  const renewed = new Map<string, string>()
  for (const file of embed) {
    const text = refreshed(readFileSync(file, "utf8"), pages, file)
    made.set(file, text)
    renewed.set(resolve(file), text)
  }
  if (flags.site !== undefined) {
    const named = markdown.map((page) => (page.slug === "README" ? { ...page, slug: "index" } : page))
    const more = ownPages(own, process.cwd(), new Set(named.map(({ path }) => path)), renewed)
    const root = relative(flags.site, process.cwd()).replaceAll("\\", "/")
    for (const [name, text] of await site(title, [...named, ...more], root)) made.set(join(flags.site, name), text)
  }
  const folders = flags.site === undefined ? [out] : [out, flags.site]
  const gone = folders.flatMap((folder) =>
    stale(folder, new Set([...made.keys()].filter((file) => dirname(file) === join(folder)).map((file) => basename(file)))).map((name) => join(folder, name))
  )
  return check ? checked(made, gone, json) : write(made, gone, pages.length)
}

function write(made: ReadonlyMap<string, string>, gone: ReadonlyArray<string>, flows: number): ExitCode {
  let changed = 0
  for (const [file, text] of made) {
    if (existsSync(file) && readFileSync(file, "utf8") === text) continue
    changed++
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  for (const file of gone) rmSync(file)
  print(`${flows} flows, ${made.size} files: ${changed} written, ${gone.length} removed`)
  return exitCode.ok
}

/** Names what differs from what is kept. */
function checked(made: ReadonlyMap<string, string>, gone: ReadonlyArray<string>, json: boolean): ExitCode {
  const found = [
    ...[...made].flatMap(([file, text]) => differences(file, existsSync(file) ? readFileSync(file, "utf8") : undefined, text)),
    ...gone.map((file) => ({ file, what: "is of a flow that is there no more" })),
  ]
  if (json) printJson({ ok: found.length === 0, files: made.size, differences: found })
  else {
    for (const { file, what } of found) print(`${style.out("red", "✗")} ${relative(process.cwd(), resolve(file))}: ${clean(what)}`)
    print(found.length === 0 ? `${made.size} files say what the code says` : `${found.length} differences: heddle docs writes them anew`)
  }
  return found.length === 0 ? exitCode.ok : exitCode.problems
}

/** The newest completed run of each flow in a store. */
const exampleIn = (store: string) => (flow: FlowIR): Promise<Example | undefined> =>
  withExisting(store, (heddle) =>
    Effect.gen(function*() {
      const [run] = yield* heddle.list({ flow: flow.name, status: "completed", limit: 1 })
      if (run === undefined) return undefined
      const nodes = trace(yield* heddle.events(run.id))
      const said = (value: unknown) => (value === undefined ? "nothing" : encodeValue(value))
      return { run: run.id, input: said(decodeValue(run.input)), output: said(yield* heddle.output(run.id)), steps: nodes.flatMap(steps) }
    }))
const steps = ({ path, status, output, children }: TraceNode): Example["steps"] => [{ path, status, output: output ?? "" }, ...children.flatMap(steps)]
