/** The same pages as a site that needs no server: each Markdown page becomes one of HTML, its diagrams drawn in it. */
import { posix } from "node:path"
import type Markdown from "markdown-it"
import { svg } from "../diagram/svg.ts"
import type { Picture } from "../diagram/shapes.ts"
import { script, style } from "./assets.ts"

type MarkdownIt = InstanceType<typeof Markdown>

export interface SitePage {
  /** The name of its file without an ending. */
  readonly slug: string
  /** Where its Markdown lies, seen from the project's folder: links between pages are found by that. */
  readonly path: string
  /** Under which heading it is listed. */
  readonly group: string
  readonly title: string
  readonly markdown: string
  /** Its diagram, of a flow or of the project, and the Mermaid text that it takes the place of. */
  readonly picture: Picture | undefined
  readonly diagram?: string | undefined
}
/** How every page of the site begins: it may be written over. */
export const siteMark = "<!doctype html><!-- made by heddle docs -->"
/** Escapes text for HTML. */
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (one) => `&#${one.codePointAt(0)};`)

/** Nothing that authors write is executed: a page may load its own style and scripts, and nothing else. */
const policy =
  "default-src 'none'; style-src 'self' 'unsafe-inline' file:; script-src 'self' file:; img-src 'self' data: file:; base-uri 'none'; form-action 'none'"

/** The files of the site, by name. */
export async function site(
  title: string,
  pages: ReadonlyArray<SitePage>,
  /** The project's folder, seen from the site's: files that are no pages are linked there. */
  root: string,
): Promise<ReadonlyMap<string, string>> {
  const { default: Renderer } = await import("markdown-it")
  const files = new Map([["style.css", style], ["site.js", script]])
  const slugs = new Map(pages.map(({ path, slug }) => [path, slug]))
  const pictures = new Map(
    pages.flatMap(({ diagram, picture, slug }) => (diagram === undefined || picture === undefined ? [] : [[diagram, { picture, slug }]])),
  )
  const entries: Array<{ readonly slug: string; readonly title: string; readonly text: string }> = []
  for (const page of pages) {
    // raw HTML stays text, and links lead nowhere but to pages
    const markdown = new Renderer({ html: false, linkify: false })
    const body = rendered(markdown, page, { slugs, pictures, root })
    files.set(`${page.slug}.html`, html(title, page, pages, body))
    entries.push({
      slug: page.slug,
      title: page.title,
      text: page.markdown.replaceAll(/```mermaid[\s\S]*?```/g, "").replaceAll(/[`|*#[\]\\]|\(\S*\)|-{3,}/g, " ").replaceAll(/\s+/g, " "),
    })
  }
  files.set("search-index.js", `window.heddlePages = ${JSON.stringify(entries).replaceAll("<", "\\u003c")}\n`)
  return files
}

/** A whole address, or a path from the top. */
const elsewhere = /^([a-z][a-z0-9+.-]*:|\/)/i
const decoded = (path: string): string => {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

interface Whole {
  /** The page of a file. */
  readonly slugs: ReadonlyMap<string, string>
  /** What takes the place of a diagram's text, on whatever page it stands. */
  readonly pictures: ReadonlyMap<string, { readonly picture: Picture; readonly slug: string }>
  readonly root: string
}
function rendered(markdown: MarkdownIt, { markdown: text, path }: SitePage, { slugs, pictures, root }: Whole): string {
  const fence = markdown.renderer.rules.fence!
  markdown.renderer.rules.fence = (tokens, i, options, env, self) => {
    const drawn = pictures.get(tokens[i]!.content.trimEnd())
    if (drawn === undefined) return fence(tokens, i, options, env, self)
    return `<figure class="diagram">${svg(drawn.picture, `${drawn.slug.replaceAll(/[^\w-]/g, "_")}-${i}`)}</figure>`
  }
  const link = markdown.renderer.rules.link_open ?? ((tokens, i, options, _env, self) => self.renderToken(tokens, i, options))
  markdown.renderer.rules.link_open = (tokens, i, options, env, self) => {
    const to = String(tokens[i]!.attrGet("href"))
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a text has at least one part
    const [file, hash] = to.split("#") as [string, string?]
    const there = posix.join(posix.dirname(path), decoded(file))
    const known = slugs.get(there)
    const at = hash === undefined ? "" : `#${hash}`
    if (known !== undefined) tokens[i]!.attrSet("href", `${known}.html${at}`)
    // what is no page is where it was, seen from here
    else if (file !== "" && !elsewhere.test(file)) tokens[i]!.attrSet("href", `${posix.join(root, there)}${at}`)
    return link(tokens, i, options, env, self)
  }
  const image = markdown.renderer.rules.image!
  markdown.renderer.rules.image = (tokens, i, options, env, self) => {
    const from = String(tokens[i]!.attrGet("src"))
    if (!elsewhere.test(from)) tokens[i]!.attrSet("src", posix.join(root, posix.dirname(path), from))
    return image(tokens, i, options, env, self)
  }
  const headings = new Map<string, number>()
  markdown.renderer.rules.heading_open = (tokens, i, options, _env, self) => {
    const id = tokens[i + 1]!.content.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    // a second one of the same text has a number, as on GitHub
    const nr = headings.get(id) ?? 0
    headings.set(id, nr + 1)
    tokens[i]!.attrSet("id", nr === 0 ? id : `${id}-${nr}`)
    return self.renderToken(tokens, i, options)
  }
  markdown.renderer.rules.table_open = () => "<div class=\"table\"><table>"
  markdown.renderer.rules.table_close = () => "</table></div>"
  return markdown.render(text)
}

const listed = ({ slug, title }: SitePage, page: SitePage): string =>
  `<li><a href="${slug}.html"${slug === page.slug ? " aria-current=\"page\"" : ""}>${escape(title)}</a></li>`
const grouped = ([group, pages]: readonly [string, ReadonlyArray<SitePage>], page: SitePage): string =>
  `${group === "" ? "" : `<h2>${escape(group)}</h2>`}<ul>${pages.map((one) => listed(one, page)).join("")}</ul>`
const html = (title: string, page: SitePage, pages: ReadonlyArray<SitePage>, body: string): string =>
  `${siteMark}
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escape(page.title === title ? title : `${page.title} · ${title}`)}</title><link rel="stylesheet" href="style.css">
</head><body>
<a class="skip" href="#content">To the content</a>
<nav aria-label="Pages"><a class="home" href="index.html">${escape(title)}</a>
<input id="search" type="search" placeholder="Search" aria-label="Search all pages" autocomplete="off"><ul id="found" hidden></ul>
${[...Map.groupBy(pages, ({ group }) => group)].map((section) => grouped(section, page)).join("")}
<button id="theme" type="button">Light or dark</button></nav>
<main id="content">${body}</main>
<script src="search-index.js"></script><script src="site.js"></script>
</body></html>
`
