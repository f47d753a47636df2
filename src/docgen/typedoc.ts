/**
 * `heddle/typedoc`: a plugin that puts the pages of a project's flows into its TypeDoc, also with typedoc-plugin-markdown.
 *
 * @example
 * // typedoc.json: { "entryPoints": ["src/index.ts"], "plugin": ["heddle/typedoc"], "heddleFlows": ["src/flows.ts"] }
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  type Application,
  Comment,
  type CommentDisplayPart,
  CommentTag,
  type Context,
  Converter,
  ParameterType,
  type ProjectReflection,
  ReflectionKind,
} from "typedoc"
import { messageOf } from "../model/error.ts"
import { pictureOf } from "./diagram/layout.ts"
import { svg } from "./diagram/svg.ts"
import { pagesOf, written } from "./docs.ts"
import { embedded } from "./embed.ts"
import type { FlowPage } from "./model.ts"
import { fence } from "./pages/text.ts"

/**
 * What TypeDoc calls when it loads the plugin. Options: `heddleFlows` (files that export flows, seen from the file that names them), `heddleTitle`, `heddleSourceUrl` (`https://host/blob/main/{file}#L{line}`).
 *
 * Exported flows lead to their pages, and any doc comment may ask for `{@heddle graph flow}`, `tree` or `nodes`. With `--watch`, an edit of a file in
 * `heddleFlows` begins anew.
 */
export function load(app: Application): void {
  app.options.addDeclaration({ name: "heddleFlows", help: "Files that export flows", type: ParameterType.PathArray, defaultValue: [] })
  app.options.addDeclaration({ name: "heddleTitle", help: "The title of the page that lists the flows", type: ParameterType.String, defaultValue: "Flows" })
  app.options.addDeclaration({
    name: "heddleSourceUrl",
    help: "Where the source is: https://host/blob/main/{file}#L{line}",
    type: ParameterType.String,
    defaultValue: "",
  })
  let pages: ReadonlyArray<FlowPage> = []
  const told = async (): Promise<void> => {
    try {
      pages = await addPages(app)
    } catch (cause) {
      app.logger.error(`heddle/typedoc: ${messageOf(cause)}` as Parameters<typeof app.logger.error>[0])
    }
  }
  // flows are loaded before anything is converted: TypeDoc's own events do not wait
  const [convert, watch] = [app.convert.bind(app), app.convertAndWatch.bind(app)]
  app.convert = async () => (await told(), convert())
  app.convertAndWatch = async (success) => (await told(), watch(success))
  app.converter.on(Converter.EVENT_BEGIN, () => {
    for (const file of app.options.getValue("heddleFlows") as ReadonlyArray<string>) app.watchFile(file, true)
  })
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }: Context) => {
    for (const { comment } of Object.values(project.reflections)) {
      if (comment === undefined) continue
      comment.summary = drawn(app, comment.summary, pages)
      for (const tag of comment.blockTags) tag.content = drawn(app, tag.content, pages)
    }
    link(project, pages)
  })
}

/** A comment with the diagrams that it asks for; TypeDoc draws no Mermaid. */
const drawn = (app: Application, parts: ReadonlyArray<CommentDisplayPart>, pages: ReadonlyArray<FlowPage>): Array<CommentDisplayPart> =>
  parts.map((part) => {
    if (part.kind !== "inline-tag" || part.tag !== "@heddle") return part
    const [form, ...words] = part.text.trim().split(/\s+/)
    const name = words.join(" ")
    const page = pages.find((one) => one.name === name || one.exported === name)
    const picture = form === "graph" && page !== undefined ? Buffer.from(svg(pictureOf(page.structure))).toString("base64") : undefined
    if (picture !== undefined) {
      return { kind: "text", text: `<img alt="Diagram of ${name.replaceAll(/[<>&"]/g, "")}" src="data:image/svg+xml;base64,${picture}">` }
    }
    try {
      if (name === "") throw new TypeError(`{@heddle ${part.text.trim()}} names no flow: {@heddle graph order}`)
      return { kind: "text", text: embedded(`{@heddle ${form} ${name}}`, pages) }
    } catch (cause) {
      app.logger.warn(`heddle/typedoc: ${messageOf(cause)}` as Parameters<typeof app.logger.warn>[0])
      return part
    }
  })

/** Each exported flow leads to its page. */
function link(project: ProjectReflection, pages: ReadonlyArray<FlowPage>): void {
  const documents = project.getReflectionsByKind(ReflectionKind.Document)
  for (const { exported, name } of pages) {
    const document = documents.find((one) => one.name === name)
    const [flow, ...others] = project.getReflectionsByKind(ReflectionKind.Variable).filter((one) => one.name === exported)
    if (flow === undefined || document === undefined || others.length > 0) continue
    flow.comment ??= new Comment()
    flow.comment.blockTags.push(new CommentTag("@see", [{ kind: "inline-tag", tag: "@link", text: `the page of ${name}`, target: document }]))
  }
}

/** Where pages wait to be read. */
const folders: Array<string> = []

async function addPages(app: Application): Promise<ReadonlyArray<FlowPage>> {
  const option = (name: string): unknown => app.options.getValue(name)
  const files = option("heddleFlows") as ReadonlyArray<string>
  if (files.length === 0) {
    app.logger.warn("heddle/typedoc: heddleFlows names no file" as Parameters<typeof app.logger.warn>[0])
    return []
  }
  const folder = mkdtempSync(join(tmpdir(), "heddle-typedoc-"))
  // one after the other while TypeDoc watches, each for as long as it may be read
  for (const former of folders.splice(0)) rmSync(former, { recursive: true, force: true })
  folders.push(folder)
  process.once("exit", rmSync.bind(undefined, folder, { recursive: true, force: true }))
  const title = String(option("heddleTitle"))
  const sourceUrl = String(option("heddleSourceUrl"))
  const pages = await pagesOf(files, {})
  const made = written(pages, { title, out: folder, sourceUrl: sourceUrl === "" ? "none" : sourceUrl })
  for (const { slug, title: name, markdown, picture } of made) {
    if (picture !== undefined) writeFileSync(join(folder, `${slug}.svg`), svg(picture))
    const children = slug === "README" ? `children:\n${made.filter((one) => one.slug !== slug).map((one) => `  - ./${one.slug}.md\n`).join("")}` : ""
    // TypeDoc has a title of its own, and draws no Mermaid
    const body = made.reduce(
      (text, { diagram, slug: of }) => (diagram === undefined ? text : text.replaceAll(fence("mermaid", diagram), `![Diagram of ${of}](./${of}.svg)`)),
      markdown.replace(/^\[\/\/\].*\n\n# .*\n/, ""),
    )
    writeFileSync(join(folder, `${slug}.md`), `---\ntitle: ${JSON.stringify(slug === "README" ? title : name)}\n${children}---\n\n${body}`)
  }
  app.options.setValue("projectDocuments", [...app.options.getValue("projectDocuments"), join(folder, "README.md")])
  app.options.setValue("inlineTags", [...app.options.getValue("inlineTags"), "@heddle"])
  return pages
}
