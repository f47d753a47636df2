/** The web, as tools. */
import { tool } from "../../../dsl/flow/tool.ts"
import { refusing } from "./error.ts"
import { fetchChecked, type FetchLimits } from "./fetch.ts"
import { object, oneOf, optional, recordOf, text } from "./input.ts"

/**
 * Tools for the public web. Private, local and reserved addresses are refused when the connection is made, on every hop, so that neither a name that
 * changes its address nor a redirect leads inside; bodies, redirects and time are bounded.
 *
 * @example
 * const { page } = web({ hosts: ["*.wikipedia.org"] })
 * agent("reader", { input, tools: [page] })
 */
export function web(limits: FetchLimits = {}) {
  const url = text({ description: "http or https", longest: 4096 })
  return {
    request: tool(
      "http_request",
      {
        description: "Makes an HTTP request and gives status, headers and body as text.",
        input: object({
          url,
          method: optional(oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")),
          headers: optional(recordOf(text({ longest: 8192 }))),
          body: optional(text({ longest: 4 * 1024 * 1024 })),
        }),
        needs: ["net.request"],
        effects: "may change whatever it asks",
      },
      refusing(async (given, signal) => {
        const { body, ...answer } = await fetchChecked(given, limits, signal)
        return { ...answer, body: body.toString("utf8") }
      }),
    ),

    page: tool(
      "fetch_page",
      {
        description: "Reads a web page as plain text, with its title.",
        input: object({ url }),
        needs: ["net.fetch"],
      },
      refusing(async (given, signal) => {
        const { body, status, url: at } = await fetchChecked({ ...given, headers: { accept: "text/html, text/plain" } }, limits, signal)
        return { url: at, status, ...plainText(body.toString("utf8")) }
      }),
    ),
  }
}

const entities = new Map([["amp", "&"], ["lt", "<"], ["gt", ">"], ["quot", "\""], ["apos", "'"], ["nbsp", " "], ["#39", "'"]])
/** What a reader would see of a page: no scripts, styles, tags; entities as what they stand for. */
export function plainText(html: string): { readonly title: string; readonly text: string } {
  let title: string | undefined
  const out: Array<string> = []
  const lower = html.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
  // one pass, each character looked at a bounded number of times
  for (let at = 0; at < html.length;) {
    const open = html.indexOf("<", at)
    out.push(html.slice(at, open === -1 ? html.length : open))
    if (open === -1) break
    const [, name = ""] = /^<\/?([a-z][a-z0-9]{0,15})/i.exec(html.slice(open, open + 20)) ?? []
    const tag = name.toLowerCase()
    const hidden = html[open + 1] !== "/" && (tag === "script" || tag === "style" || tag === "title" || tag === "noscript")
    const close = html.startsWith("<!--", open) ? "-->" : hidden ? `</${tag}` : ">"
    const end = lower.indexOf(close, open + 1)
    if (tag === "title" && end !== -1) title ??= html.slice(html.indexOf(">", open) + 1, end)
    if (/^(p|div|br|li|tr|h[1-6]|section|article|ul|ol|table|pre)$/.test(tag)) out.push("\n")
    at = end === -1 ? html.length : hidden ? html.indexOf(">", end) + 1 || html.length : end + close.length
  }
  const decode = (text: string) => text.replace(/&(#?\w{1,8});/g, (whole, key: string) => entities.get(key) ?? whole)
  const lines = decode(out.join("")).split("\n").map((line) => line.replace(/\s+/g, " ").trim())
  return { title: decode(title ?? "").trim(), text: lines.filter((line) => line !== "").join("\n") }
}
