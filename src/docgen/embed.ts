/** Diagrams in other people's pages: `{@heddle graph flow}` in doc comments and Markdown, and regions of a README that are kept up to date. */
import { mermaid } from "./mermaid.ts"
import type { FlowPage } from "./model.ts"
import { code, fence, table } from "./pages/text.ts"
import { SourceRefused } from "./source/refused.ts"
import { unicode } from "./unicode.ts"

const forms: Readonly<Record<string, (page: FlowPage) => string>> = {
  graph: ({ structure }) => fence("mermaid", mermaid(structure)),
  tree: ({ structure }) => fence("text", unicode(structure).join("\n")),
  nodes: ({ nodes }) =>
    table(["node", "gives", "fails with"], nodes.map(({ path, gives = "", fails }) => [code(path), code(gives), fails.map(code).join(", ")])),
}

function shown(form: string, name: string, pages: ReadonlyArray<FlowPage>): string {
  const make = forms[form]
  if (make === undefined) throw new SourceRefused(`{@heddle ${form} ${name}}: there is no '${form}'`, `one of ${Object.keys(forms).join(", ")}`)
  const page = pages.find((one) => one.name === name) ?? pages.find(({ exported }) => exported === name)
  if (page === undefined) throw new SourceRefused(`{@heddle ${form} ${name}}: no flow is called '${name}'`, `one of ${pages.map((one) => one.name).join(", ")}`)
  return make(page)
}

/** `text` with each `{@heddle graph flow}` (or `tree`, `nodes`) replaced by what it asks for. */
export const embedded = (text: string, pages: ReadonlyArray<FlowPage>): string =>
  text.replaceAll(/\{@heddle (\w+) ([^}\n]+)\}/g, (_, form: string, name: string) => shown(form, name.trim(), pages))

/** `text` with what stands between `<!-- heddle graph flow -->` and `<!-- /heddle -->` made anew. */
export const refreshed = (text: string, pages: ReadonlyArray<FlowPage>): string =>
  text.replaceAll(
    /(<!-- heddle (\w+) ([^\n]+?) -->\n)[\s\S]*?(\n?<!-- \/heddle -->)/g,
    (_, open: string, form: string, name: string) => `${open}\n${shown(form, name.trim(), pages)}\n\n<!-- /heddle -->`,
  )
