/** What a project has: its flows and agents, who uses whom, and what events say. */
import { eventParts } from "../../model/event-data.ts"
import { type EventKind, eventKinds } from "../../model/event.ts"
import type { FlowPage, Uses } from "../model.ts"
import { mark } from "./flow-page.ts"
import { code, fence, plain, section, table } from "./text.ts"

/** The first sentence of what is said of a flow. */
export const sentence = ({ description, prose }: Pick<FlowPage, "description" | "prose">): string =>
  (description ?? prose ?? "").split("\n\n")[0]!.replaceAll("\n", " ").split(/(?<=[.!?])\s/)[0]!

/** Who uses whom: an edge from each flow to the flows, agents and tools in it, and from each agent to its tools. */
export function edges(pages: ReadonlyArray<FlowPage>): ReadonlyArray<readonly [from: string, to: string, kind: Uses["kind"]]> {
  const all = pages.flatMap(({ name, kind, nodes, tools }) => [
    ...nodes.flatMap(({ path, uses }) => {
      if (uses === undefined) return []
      // what a flow in it uses is that flow's
      const around = nodes.findLast((node) => node.uses !== undefined && path.startsWith(`${node.path}/`))?.uses?.name ?? name
      return [[around, uses.name, uses.kind] as const, ...uses.tools.map((tool) => [uses.name, tool, "tool"] as const)]
    }),
    ...(kind === "agent" ? tools.map((tool) => [name, tool.name, "tool"] as const) : []),
  ])
  return [...new Map(all.map((edge) => [JSON.stringify(edge), edge])).values()]
}

export function indexPage(title: string, pages: ReadonlyArray<FlowPage>): string {
  const links = edges(pages)
  const rows = (kind: FlowPage["kind"]) =>
    pages.filter((page) => page.kind === kind).map((page) => [
      `[${plain(page.name)}](${page.slug}.md)`,
      page.description === undefined ? sentence(page) : plain(sentence(page)),
      String(page.nodes.length),
      page.fails.map(code).join(", "),
      `${plain(page.file)}:${page.line}`,
    ])
  const listed = (
    kind: FlowPage["kind"],
  ) => (rows(kind).length === 0 ? undefined : table(["name", "what it does", "nodes", "fails with", "source"], rows(kind)))
  const tools = [...new Set(links.flatMap(([, to, kind]) => (kind === "tool" ? [to] : [])))].sort()
  const described = new Map(pages.flatMap((page) => page.tools.map(({ name, description }) => [name, description] as const)))
  const calls = links.filter(([, , kind]) => kind === "tool")
  const usersOf = (name: string) => calls.filter(([, to]) => to === name).map(([from]) => plain(from)).join(", ")
  return [
    mark,
    `# ${plain(title)}`,
    section("Flows", listed("flow")),
    section("Agents", listed("agent")),
    section(
      "Tools",
      tools.length === 0 ?
        undefined :
        table(["tool", "what it does", "used by"], tools.map((name) => [code(name), plain(described.get(name) ?? ""), usersOf(name)])),
    ),
    section("Who uses whom", links.length === 0 ? undefined : fence("mermaid", map(links))),
    section("Events", "[What each event of a run says](events.md)."),
  ].filter((part) => part !== undefined).join("\n\n") + "\n"
}

export function map(links: ReturnType<typeof edges>): string {
  const ids = new Map<string, string>()
  const id = (name: string, kind: string): string => {
    const key = `${kind === "tool" ? "tool " : ""}${name}`
    const known = ids.get(key)
    if (known !== undefined) return known
    ids.set(key, `n${ids.size}`)
    return `${ids.get(key)}["${kind === "tool" ? "tool " : ""}${name.replaceAll(/[^\p{L}\p{N} ._-]/gu, (one) => `#${one.codePointAt(0)};`)}"]`
  }
  return ["flowchart LR", ...links.map(([from, to, kind]) => `  ${id(from, "flow")} --> ${id(to, kind)}`)].join("\n")
}

/** What each kind of event says, and whose runs tell it. */
export function eventsPage(pages: ReadonlyArray<FlowPage>): string {
  const rows = eventKinds.map((kind: EventKind) => {
    const { says, may }: { readonly says: ReadonlyArray<string>; readonly may: ReadonlyArray<string> } = eventParts[kind]
    const tellers = pages.filter(({ events }) => events.includes(kind))
    const whose = kind.startsWith("run.") ? "every flow" : tellers.map(({ name, slug }) => `[${plain(name)}](${slug}.md)`).join(", ")
    return [code(kind), says.map(code).join(", "), may.map(code).join(", "), whose]
  })
  return `${mark}\n\n# Events\n\nWhat is kept of a run: each event has its number, its time, its path, and says this.\n\n${
    table(["event", "always says", "may say", "flows"], rows)
  }\n`
}
