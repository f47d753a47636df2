/** Attacks on what people look at, and on what listens at a port. */
import { request } from "node:http"
import { openHeddle, seq } from "heddle"
import { mcpHandler } from "heddle/mcp"
import { z } from "zod"
import { encode } from "../../dsl/ir/encode.ts"
import { listen } from "../../src/cli/commands/mcp-http.ts"
import { pictureOf } from "../../src/docgen/diagram/layout.ts"
import { svg } from "../../src/docgen/diagram/svg.ts"
import { mermaid } from "../../src/docgen/mermaid.ts"
import { site } from "../../src/docgen/pages/html.ts"
import type { Attack } from "./kit.ts"

const hostile = "<img src=x onerror=pwned()>\"'`</text><script>pwned()</script>]]>{{x}}"
const flow =
  (seq("f", { description: hostile }) as any).step("a", () => hostile, { description: hostile }).when((scope: { a: string }) => scope.a === "<script>")
    .step("b", () => 1).ir
/** Nothing in it is executed, and nothing else is loaded. */
const isText = (html: string, scripts: number): boolean =>
  (html.match(/<script/gi) ?? []).length === scripts &&
  !/<(img|iframe|object|embed|link rel="(?!stylesheet))|<[^>]*\son\w+=|(href|src)="?\s*javascript:/i.test(html)

/** What a server of ours answers to a request over HTTP. */
async function answers(asks: ReadonlyArray<{ readonly method?: string; readonly headers?: Readonly<Record<string, string>>; readonly path?: string }>) {
  const heddle = (await openHeddle())._unsafeUnwrap()
  const greet = seq("greet", { input: z.object({}) }).returns(() => "hello")
  const server = await listen(mcpHandler({ heddle, serves: [greet] }), 0)
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" })
  const statuses: Array<number> = []
  const allowed: Array<unknown> = []
  for (const { method = "POST", headers = {}, path = "/mcp" } of asks) {
    const { port } = new URL(server.url)
    const given = { "content-type": "application/json", ...headers }
    const sent = request({ host: "127.0.0.1", port, path, method, headers: given })
    const [status, origin] = await new Promise<[number, unknown]>((resolve, reject) =>
      sent.on("error", reject).on("response", (response) => {
        response.resume().on("end", () => resolve([response.statusCode!, response.headers["access-control-allow-origin"]]))
      }).end(method === "POST" ? body : undefined)
    )
    statuses.push(status)
    allowed.push(origin)
  }
  const { hostname } = new URL(server.url)
  await server.close()
  await heddle.close()
  return { statuses, hostname, isOpen: allowed.some((one) => one !== undefined) }
}

export const pages: ReadonlyArray<Attack> = [
  {
    id: 39,
    attack: "script in names, descriptions, conditions and pages: in diagrams, Markdown and the site",
    run: async () => {
      const picture = pictureOf(encode(flow))
      const diagram = mermaid(encode(flow))
      const page = {
        slug: "index",
        path: "README.md",
        group: hostile,
        title: hostile,
        picture,
        diagram,
        markdown: `# ${hostile}\n\n${hostile}\n\n[x](javascript:pwned())\n\n\`\`\`mermaid\n${diagram}\n\`\`\`\n`,
      }
      const files = await site(hostile, [page], "..")
      const drawn = isText(svg(picture), 0)
      const shown = isText(files.get("index.html")!, 2) && files.get("index.html")!.includes("<svg")
      const searched = !files.get("search-index.js")!.includes("<")
      const told = !/<(img|script)/.test(diagram)
      return { outcome: `svg ${drawn}, site ${shown}, search ${searched}, Mermaid ${told}`, pass: drawn && shown && searched && told }
    },
  },
  {
    id: 40,
    attack: "web pages and forms that call an MCP server of this machine",
    run: async () => {
      const { statuses, isOpen } = await answers([
        { headers: { origin: "https://evil.example" } },
        { headers: { origin: "null" } },
        { headers: { "content-type": "text/plain" } },
        { headers: { "content-type": "application/x-www-form-urlencoded" } },
        { method: "GET" },
        { method: "OPTIONS", headers: { origin: "https://evil.example", "access-control-request-method": "POST" } },
        {},
      ])
      return {
        outcome: `${statuses.join(", ")}${isOpen ? ", opened to other origins" : ""}`,
        pass: statuses.join() === "403,403,415,415,405,403,200" && !isOpen,
      }
    },
  },
  {
    id: 41,
    attack: "DNS rebinding: the right path and port under another host's name",
    run: async () => {
      const named = (host: string) => ({ headers: { host } })
      const { statuses } = await answers([named("evil.example"), named("localhost.evil"), named("127.0.0.1:1"), named("[::1]"), {}])
      return { outcome: statuses.join(", "), pass: statuses.join() === "403,403,403,403,200" }
    },
  },
  {
    id: 43,
    attack: "an MCP server over HTTP that other machines reach",
    run: async () => {
      const { hostname } = await answers([])
      return { outcome: `listens at ${hostname}`, pass: hostname === "127.0.0.1" }
    },
  },
]
