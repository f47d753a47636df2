/** The docs of a project: its flows are loaded, its source is read, and pages are made of both. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { pictureOf } from "./diagram/layout.ts"
import { mapOf } from "./diagram/map.ts"
import { embedded } from "./embed.ts"
import { mermaid } from "./mermaid.ts"
import { type Example, type FlowPage, pageOf } from "./model.ts"
import { flowPage, mark } from "./pages/flow-page.ts"
import { siteMark, type SitePage } from "./pages/html.ts"
import { edges, eventsPage, indexPage, map } from "./pages/index-page.ts"
import type { Links } from "./pages/text.ts"
import { flowsIn, type Loaded, loadModule } from "./source/load.ts"
import { openSources } from "./source/project.ts"
import { SourceRefused } from "./source/refused.ts"

export interface DocsOptions {
  /** What the docs are of; default `Flows`. */
  readonly title?: string | undefined
  /** Where the pages will lie: links to the source are seen from there. */
  readonly out: string
  /** Paths in pages are seen from here; default: the working directory. */
  readonly root?: string | undefined
  /** How a place in the source is linked: `https://host/blob/main/{file}#L{line}`; `none`: not at all; default: the file, seen from the page. */
  readonly sourceUrl?: string | undefined
  readonly tsconfig?: string | undefined
  /** A recorded run of a flow, where there is one. */
  readonly example?: ((flow: FlowIR) => Promise<Example | undefined>) | undefined
}

/** What is known of every flow that the files export, and of the agents in them. */
export async function pagesOf(
  files: ReadonlyArray<string>,
  { root = process.cwd(), tsconfig, example }: Omit<DocsOptions, "out">,
): Promise<ReadonlyArray<FlowPage>> {
  const sources = await openSources(files, tsconfig)
  const [wrong] = sources.diagnostics()
  if (wrong !== undefined) {
    throw new SourceRefused(
      `${relative(root, wrong.file)}:${wrong.line}:${wrong.column} does not compile: ${wrong.message}`,
      "all of it: heddle check " + files.join(" "),
    )
  }
  const loaded: Array<Loaded> = []
  // one after the other: what a file does when it is loaded does not meet what another does
  for (const file of files) loaded.push(...flowsIn(file, await loadModule(file, { fresh: true })))
  if (loaded.length === 0) throw new SourceRefused(`${files.join(", ")} exports no flow`, "export one: export const flow = seq(\"name\")…")
  const slugs = new Set(["readme", "index", "events"])
  const slugOf = (name: string) => freeSlug(name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-+|-+$/g, "") || "flow", slugs)
  const found = loaded.map(({ flow: { ir }, file, exports: [exported] }) => ({ ir, exported, file, facts: sources.facts(file, exported, ir) }))
  // as they stand in their files
  const order = found.toSorted((a, b) => (a.file === b.file ? a.facts.line - b.facts.line : 0))
  const pages: Array<FlowPage> = []
  for (const { ir, exported, facts } of order) pages.push(pageOf({ ir, exported, facts, slug: slugOf(ir.name), example: await example?.(ir) }, root))
  return pages
}

/** The page with the diagrams that its doc comments ask for. */
const saying = (page: FlowPage, pages: ReadonlyArray<FlowPage>): FlowPage => {
  const said = (prose: string | undefined) => (prose === undefined ? undefined : embedded(prose, pages, `${page.file}:${page.line}`))
  return { ...page, prose: said(page.prose), nodes: page.nodes.map((node) => ({ ...node, prose: said(node.prose) })) }
}

/** All Markdown pages by the names of their files, and what the site needs to know of them. */
export function written(pages: ReadonlyArray<FlowPage>, { title = "Flows", out, root = process.cwd(), sourceUrl }: DocsOptions): ReadonlyArray<SitePage> {
  const slugs = new Map(pages.toReversed().map(({ name, slug }) => [name, slug]))
  const to = relative(out, root)
  const links: Links = {
    flow: (name) => (slugs.has(name) ? `${slugs.get(name)}.md` : undefined),
    source: (file, line) =>
      sourceUrl === undefined ?
        `${join(to, file).replaceAll("\\", "/")}#L${line}` :
        sourceUrl === "none" ?
        undefined :
        sourceUrl.replaceAll("{file}", file.split("/").map(encodeURIComponent).join("/")).replaceAll("{line}", String(line)),
  }
  const all = edges(pages)
  const lies = (slug: string) => relative(root, join(out, `${slug}.md`)).replaceAll("\\", "/")
  // two flows of one name are told apart by their files
  const titles = new Map(
    pages.map((page) => [page, pages.filter(({ name }) => name === page.name).length === 1 ? page.name : `${page.name} (${basename(page.file)})`]),
  )
  return [
    { slug: "README", path: lies("README"), group: "", title, picture: mapOf(title, all), diagram: map(all), markdown: indexPage(title, pages) },
    ...pages.map((page) => ({
      slug: page.slug,
      path: lies(page.slug),
      group: "Flows",
      title: titles.get(page)!,
      picture: page.kind === "agent" ? undefined : pictureOf(page.structure),
      diagram: page.kind === "agent" ? undefined : mermaid(page.structure),
      markdown: flowPage(saying(page, pages), links, all.flatMap(([from, name, kind]) => (name === page.name && kind !== "tool" ? [from] : []))),
    })),
    { slug: "events", path: lies("events"), group: "Flows", title: "Events", picture: undefined, markdown: eventsPage(pages) },
  ]
}

/** A name that nothing else has: with a number, where it has to be. */
function freeSlug(slug: string, taken: Set<string>): string {
  let free = slug
  for (let nr = 2; taken.has(free); nr++) free = `${slug}-${nr}`
  taken.add(free)
  return free
}

/** Markdown of the project's own, files or folders, for the site; `renewed`: what becomes of some of them, by their absolute paths. */
export function ownPages(
  given: ReadonlyArray<string>,
  root: string,
  taken: ReadonlySet<string>,
  renewed: ReadonlyMap<string, string> = new Map(),
): ReadonlyArray<SitePage> {
  const files = given.flatMap((one) =>
    statSync(one).isDirectory() ?
      readdirSync(one, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md")).sort().map((name) => join(one, name)) :
      [one]
  )
  const [slugs, paths] = [new Set<string>(), new Set<string>()]
  return files.flatMap((file) => {
    const path = relative(root, resolve(file)).replaceAll("\\", "/")
    if (taken.has(path) || paths.has(path)) return []
    paths.add(path)
    const markdown = renewed.get(resolve(file)) ?? readFileSync(file, "utf8")
    const [, title = basename(file)] = /^# (.*)$/m.exec(markdown) ?? []
    return [{
      slug: freeSlug(`page-${path.replace(/\.md$/, "").toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-")}`, slugs),
      path,
      group: dirname(path) === "." ? "" : dirname(path),
      title,
      markdown,
      picture: undefined,
    }]
  })
}

/** Pages in a folder that were generated, and that are of nothing any more. */
export function stale(folder: string, names: ReadonlySet<string>): ReadonlyArray<string> {
  if (!existsSync(folder)) return []
  const there = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isFile() && /\.(md|html)$/.test(entry.name) ? [entry.name] : []))
  return there.filter((name) => !names.has(name) && [mark, siteMark].some((begin) => readFileSync(join(folder, name), "utf8").startsWith(begin)))
}
