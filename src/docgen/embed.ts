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

function shown(form: string, name: string, pages: ReadonlyArray<FlowPage>, place = ""): string {
  const at = place === "" ? "" : `${place}: `
  const make = Object.hasOwn(forms, form) ? forms[form] : undefined
  if (make === undefined) throw new SourceRefused(`${at}{@heddle ${form} ${name}}: there is no '${form}'`, `one of ${Object.keys(forms).join(", ")}`)
  const page = pages.find((one) => one.name === name) ?? pages.find(({ exported }) => exported === name)
  if (page === undefined) {
    throw new SourceRefused(
      `${at}{@heddle ${form} ${name}}: no flow is called '${name}'`,
      `one of ${pages.map((one) => one.name).join(", ")}`,
    )
  }
  return make(page)
}

/** `text` with each `{@heddle graph flow}` (or `tree`, `nodes`) replaced by what it asks for. */
export const embedded = (text: string, pages: ReadonlyArray<FlowPage>, place?: string): string =>
  text.replaceAll(/([^\S\n]*)\{@heddle (\w+) ([^}\n]+)\}([^\S\n]*)/g, (found, _, form: string, name: string, __, at: number) => {
    const made = shown(form, name.trim(), pages, place)
    const [before, behind] = [at === 0 || text[at - 1] === "\n", [undefined, "\n"].includes(text[at + found.length])]
    // it is a block: a sentence around it ends before it, and goes on behind it
    return `${before ? "" : "\n\n"}${made}${behind ? "" : "\n\n"}`
  })

const open = /^\s*<!--\s*heddle\s+(\w+)\s+(\S.*?)\s*-->\s*$/
const close = /^\s*<!--\s*\/heddle\s*-->\s*$/
/** `text` with what stands between `<!-- heddle graph flow -->` and `<!-- /heddle -->` made anew; what has no such region, or one without an end, is refused. */
export function refreshed(text: string, pages: ReadonlyArray<FlowPage>, file: string): string {
  const lines = text.split("\n")
  const out: Array<string> = []
  let regions = 0
  for (let i = 0; i < lines.length; i++) {
    const [, form, name] = open.exec(lines[i]!) ?? []
    out.push(lines[i]!)
    if (form === undefined) continue
    const end = lines.findIndex((line, at) => at > i && (close.test(line) || open.test(line)))
    if (end === -1 || open.test(lines[end]!)) {
      throw new SourceRefused(`${file}:${i + 1}: what begins here has no end`, "put <!-- /heddle --> behind it, on a line of its own")
    }
    // lines end as they do around it
    const eol = lines[i]!.endsWith("\r") ? "\r" : ""
    out.push(...["", ...shown(form, name!, pages, `${file}:${i + 1}`).split("\n"), ""].map((line) => line + eol), lines[end]!)
    i = end
    regions++
  }
  if (regions === 0) throw new SourceRefused(`${file} has no region to renew`, "<!-- heddle graph flow --> and <!-- /heddle -->, each on a line of its own")
  return out.join("\n")
}
