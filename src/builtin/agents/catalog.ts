/** What there is: agents, tools and flows by their names, to be found and made from templates. */
import type { AnyDefinition, AnyFlow } from "../../../dsl/flow/flow.ts"
import type { AgentInfo } from "../../../dsl/ir/agent.ts"
import type { FlowIR } from "../../../dsl/ir/node.ts"
import { notGranted, type ToolInfo, type ToolLevel } from "../../../dsl/ir/tool.ts"
import { childOf, walk } from "../../../dsl/ir/walk.ts"
import { jsonSchemaOf } from "./json-schema.ts"

/** What is known of one, without running it. */
export interface CatalogEntry {
  readonly name: string
  readonly kind: "agent" | "tool" | "flow"
  readonly description: string | undefined
  /** JSON Schema of what it is given, where its schema gives one. */
  readonly input: Readonly<Record<string, unknown>> | undefined
  /** Of tools. */
  readonly level: ToolLevel | undefined
  /** Capabilities that it, or a tool of it, needs. */
  readonly needs: ReadonlyArray<string>
  /** Of agents: names of their tools, and the model it names. */
  readonly tools: ReadonlyArray<string>
  readonly model: string | undefined
  readonly tags: ReadonlyArray<string>
}
export interface CatalogQuery {
  readonly kind?: CatalogEntry["kind"]
  /** Words that its name, its description or its tags have, all of them. */
  readonly text?: string
  readonly tag?: string
  /** It needs nothing but these: `files.read`, `files.*`, `*`. */
  readonly within?: ReadonlyArray<string>
  readonly level?: ToolLevel
}
/** Makes agents, tools or flows of one kind. */
export type Templates = Readonly<Record<string, (options: any) => AnyDefinition>>
type NameOf<D extends AnyDefinition> = D["~types"]["name"]

export interface CatalogOptions<T extends Templates> {
  /** Functions that make definitions: `make(name, options)` calls them. */
  readonly templates?: T
  /** By name of what is in it. */
  readonly tags?: Readonly<Record<string, ReadonlyArray<string>>>
}

/** An immutable set of definitions with unique names. */
export class Catalog<D extends AnyDefinition, T extends Templates> {
  readonly entries: ReadonlyArray<CatalogEntry>
  readonly #definitions: ReadonlyMap<string, D>
  readonly #options: CatalogOptions<T>

  /** @throws TypeError where two have one name, or one is neither agent, tool nor flow */
  constructor(definitions: ReadonlyArray<D>, options: CatalogOptions<T>) {
    this.entries = definitions.map((one) => entryOf(one, options.tags ?? {}))
    const twice = this.entries.find(({ name }, i) => this.entries.findIndex((one) => one.name === name) !== i)
    if (twice !== undefined) throw new TypeError(`catalog: two of its definitions are called '${twice.name}'`)
    this.#definitions = new Map(this.entries.map(({ name }, i) => [name, definitions[i]!]))
    this.#options = options
  }

  /** Members by name, as `delegate`, `consensus` and `parallel` take them. */
  get members(): { readonly [Name in NameOf<D>]: Extract<D, AnyDefinition & { readonly "~types": { readonly name: Name } }> } {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- names are unique, and are those of the types
    return Object.fromEntries(this.#definitions) as never
  }

  get<const Name extends NameOf<D>>(name: Name): Extract<D, { readonly "~types": { readonly name: Name } }> {
    const found = this.#definitions.get(name)
    if (found === undefined) throw new TypeError(`catalog: there is no '${name}', only: ${[...this.#definitions.keys()].join(", ")}`)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
    return found as never
  }

  /** What fits, in the order it was given. */
  find({ kind, text, tag, within, level }: CatalogQuery = {}): ReadonlyArray<CatalogEntry> {
    const words = (text ?? "").toLowerCase().split(/\s+/)
    return this.entries.filter((entry) =>
      (kind === undefined || entry.kind === kind) && (tag === undefined || entry.tags.includes(tag)) && (level === undefined || entry.level === level) &&
      (within === undefined || notGranted(entry, within).length === 0) &&
      words.every((word) => [entry.name, entry.description ?? "", ...entry.tags].some((one) => one.toLowerCase().includes(word)))
    )
  }

  /** Makes a definition from a template; it is not added. */
  make<const Name extends keyof T & string>(template: Name, options: Parameters<T[Name]>[0]): ReturnType<T[Name]> {
    const { templates } = this.#options
    const found = templates !== undefined && Object.hasOwn(templates, template) ? templates[template] : undefined
    if (found === undefined) throw new TypeError(`catalog: there is no template '${template}', only: ${Object.keys(templates ?? {}).join(", ")}`)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it is this template's
    return found(options) as ReturnType<T[Name]>
  }

  /** This one and more. */
  with<const More extends ReadonlyArray<AnyDefinition>>(...more: More): Catalog<D | More[number], T> {
    return new Catalog<D | More[number], T>([...this.#definitions.values(), ...more], this.#options)
  }
}

/**
 * Agents, tools and flows to be found by name, kind, words, tags and capabilities, and made from templates.
 *
 * @example
 * const desk = catalog([engineer, clerk], { templates: { translator: ({ to }: { to: string }) => agent(`to-${to}`, { input }) } })
 * desk.find({ text: "invoice" })
 * delegate("desk", chooser, desk.members)
 */
export const catalog = <const Definitions extends ReadonlyArray<object>, const T extends Templates = {}>(
  // a wide type, so that what is made right here keeps its own
  definitions: Definitions & ReadonlyArray<Definitions[number] & AnyDefinition>,
  options: CatalogOptions<T> = {},
): Catalog<Extract<Definitions[number], AnyDefinition>, T> =>
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- these are all
  new Catalog(definitions as unknown as ReadonlyArray<Extract<Definitions[number], AnyDefinition>>, options)

/** What the tools in a flow need, and in the runs that it starts. */
const needsOf = (flow: FlowIR, seen = new Set<FlowIR>()): ReadonlyArray<string> => {
  if (seen.has(flow)) return []
  seen.add(flow)
  const needs = [...walk(flow)].flatMap(({ node }) => {
    const child = childOf(node)
    if (child !== undefined) return needsOf(child, seen)
    return node.kind === "step" && node.work.from === "definition" ? node.work.tool?.needs ?? [] : []
  })
  return [...new Set(needs)]
}

const entryOf = (definition: AnyDefinition, tags: Readonly<Record<string, ReadonlyArray<string>>>): CatalogEntry => {
  const { tool, ir } = definition as AnyDefinition & { readonly tool?: ToolInfo; readonly ir?: AnyFlow["ir"] }
  const known = tool ?? ir
  if (known === undefined) throw new TypeError("catalog: it takes agents, tools and flows; a step has no description and no schema to be found by")
  const { name, description, input } = known
  const agent: AgentInfo | undefined = ir?.agent
  return Object.freeze({
    name,
    kind: tool !== undefined ? "tool" : agent !== undefined ? "agent" : "flow",
    description,
    input: input === undefined ? undefined : tool?.parameters ?? jsonSchemaOf(input),
    level: tool?.level,
    needs: tool?.needs ?? needsOf(ir!),
    tools: agent?.tools ?? [],
    model: agent?.model,
    tags: Object.hasOwn(tags, name) ? tags[name]! : [],
  })
}
