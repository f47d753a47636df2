/**
 * `heddle/typedoc`: a plugin that puts the pages of a project's flows into its TypeDoc, also with typedoc-plugin-markdown.
 *
 * @example
 * // typedoc.json: { "entryPoints": ["src/index.ts"], "plugin": ["heddle/typedoc"], "heddleFlows": ["src/flows.ts"] }
 */
import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Application, ParameterType } from "typedoc"
import { messageOf } from "../model/error.ts"
import { svg } from "./diagram/svg.ts"
import { pagesOf, written } from "./docs.ts"
import { fence } from "./pages/text.ts"

/** What TypeDoc calls when it loads the plugin. Options: `heddleFlows` (files that export flows), `heddleTitle`, `heddleSourceUrl` (`https://host/blob/main/{file}#L{line}`). */
export function load(app: Application): void {
  app.options.addDeclaration({ name: "heddleFlows", help: "Files that export flows", type: ParameterType.Array, defaultValue: [] })
  app.options.addDeclaration({ name: "heddleTitle", help: "The title of the page that lists the flows", type: ParameterType.String, defaultValue: "Flows" })
  app.options.addDeclaration({
    name: "heddleSourceUrl",
    help: "Where the source is: https://host/blob/main/{file}#L{line}",
    type: ParameterType.String,
    defaultValue: "",
  })
  const convert = app.convert.bind(app)
  // flows are loaded before anything is converted: TypeDoc's own events do not wait
  app.convert = async () => {
    try {
      await addPages(app)
    } catch (cause) {
      app.logger.error(`heddle/typedoc: ${messageOf(cause)}` as Parameters<typeof app.logger.error>[0])
    }
    return convert()
  }
}

async function addPages(app: Application): Promise<void> {
  const option = (name: string): unknown => app.options.getValue(name)
  const files = option("heddleFlows") as ReadonlyArray<string>
  if (files.length === 0) {
    app.logger.warn("heddle/typedoc: heddleFlows names no file" as Parameters<typeof app.logger.warn>[0])
    return
  }
  const folder = mkdtempSync(join(tmpdir(), "heddle-typedoc-"))
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
}
