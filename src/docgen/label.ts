/** What a node is called in diagrams. */
import type { EncodedNode } from "../../dsl/ir/encode.ts"

/** `({ draft }) => draft.score > 1` is shown as `draft.score > 1`. */
export const body = (text: string | undefined): string => String(text).replace(/^(?:async )?(?:function\*?)?\s*\([^)]*\)\s*=>\s*/, "")

const settings = (pairs: Readonly<Record<string, unknown>>, defaults: Readonly<Record<string, unknown>>): string =>
  Object.entries(pairs)
    .filter(([key, value]) => value !== undefined && JSON.stringify(value) !== JSON.stringify(defaults[key]))
    .map(([key, value]) =>
      `${key} ${
        typeof value === "object" && value !== null ?
          Object.entries(value).map(([k, v]) => (Array.isArray(value) ? String(v) : `${k}: ${String(v)}`)).join(", ") :
          String(value)
      }`
    )
    .join(" · ")

/** A stage of a stream, with what it has inside. */
export interface NamedStage {
  readonly op: string
  readonly name: string
  readonly stages?: ReadonlyArray<NamedStage>
  readonly parts?: Readonly<Record<string, ReadonlyArray<NamedStage>>>
}
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `encode` writes these
export const stagesOf = ({ shape }: EncodedNode): ReadonlyArray<NamedStage> => shape["stages"] as ReadonlyArray<NamedStage>
/** Its name; what has none of its own is called as what it does. */
export const stageName = ({ op, name }: NamedStage): string => (op === "group" ? "groupBy" : op === "partition" || name.includes("#") ? op : name)
/** `groupBy(batch → save)` */
export const stageText = (stage: NamedStage): string => {
  const inside = (stages: ReadonlyArray<NamedStage>) => stages.map(stageText).join(" → ")
  const parts = Object.entries(stage.parts ?? {}).map(([label, part]) => `${label}: ${inside(part)}`)
  const text = stage.stages === undefined ? parts.join(", ") : inside(stage.stages)
  return text === "" ? stageName(stage) : `${stageName(stage)}(${text})`
}

const details: Readonly<Record<EncodedNode["kind"], (node: EncodedNode) => string>> = {
  step: ({ shape }) =>
    [
      shape["from"] === "transaction" ? "transaction" : "",
      shape["child"] === undefined ? "" : `run of ${text(shape["child"])}`,
      settings(
        {
          updates: shape["updates"],
          retry: shape["retry"],
          timeout: shape["timeout"],
          delivery: shape["delivery"],
          effects: shape["effects"],
          compensate: shape["compensate"] === "irreversible" ? "irreversible" : shape["compensate"] && "yes",
        },
        { retry: 0, timeout: "none" },
      ),
    ].filter(Boolean).join(" · "),
  when: ({ shape, text }) => `${shape["form"] === "match" ? "match" : "if"} ${body(text["on"])}`,
  loop: ({ shape, text }) =>
    [
      `${String(shape["by"])} ${shape["by"] === "times" ? shape["times"] === undefined ? "…" : JSON.stringify(shape["times"]) : body(text["test"])}`,
      settings({ max: shape["max"] }, {}),
    ].filter(
      Boolean,
    ).join(" · "),
  jump: ({ text }) => `if ${body(text["condition"])}`,
  each: ({ shape, text }) => [`of ${body(text["items"])}`, join(shape)].filter(Boolean).join(" · "),
  parallel: ({ shape }) => join(shape),
  stream: (node) => [streamSource(node), ...stagesOf(node).map(stageText), streamSink(node)].join(" → "),
  protect: ({ shape }) =>
    settings(
      { catches: shape["catches"], fallback: shape["fallback"], timeout: shape["timeout"], rollback: shape["rollback"], compensated: shape["compensated"] },
      { catches: [] },
    ),
  wait: ({ shape, text: source }) =>
    [
      shape["by"] === "signal" ?
        `for signal ${String(shape["signal"])}` :
        timed(String(shape["by"]), shape, source),
      settings({ timeout: shape["timeout"], "at timeout": shape["atTimeout"] }, { "at timeout": "fail" }),
    ].filter(Boolean).join(" · "),
}
export const streamSource = ({ text }: EncodedNode): string => `from ${body(text["source"])}`
export const streamSink = ({ shape }: EncodedNode): string => text(shape["sink"])
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `encode` writes these as text
const text = (value: unknown): string => value as string
/** `for 2 days`, or what is asked of the scope. */
const timed = (by: string, shape: EncodedNode["shape"], source: EncodedNode["text"]): string =>
  `${by} ${shape[by] === undefined ? body(source[by]) : text(shape[by])}`
const join = (shape: EncodedNode["shape"]): string =>
  settings(
    { failure: shape["failure"], concurrency: shape["concurrency"], optional: shape["optional"], merge: shape["merge"] },
    { failure: "failFast", concurrency: "unbounded", optional: [], merge: {} },
  )

/** One line about a node beside its name. */
export const detail = (node: EncodedNode): string => details[node.kind](node)
/** The condition that guards a node, if one does. */
export const guard = (node: EncodedNode): string | undefined => (node.guarded ? body(node.text["guard"]) : undefined)
/** What leads to an arm, and what has become of it. */
export const arm = (label: string, change: string | undefined): string => (change === undefined ? label : `${label} (${change})`)
/** The kind of a node as its verb. */
export const verb = (node: EncodedNode): string =>
  node.kind === "jump" ?
    String(node.shape["to"]) :
    node.kind === "when" && node.shape["form"] === "match" ?
    "match" :
    node.shape["from"] === "flow" ?
    "flow" :
    node.kind
/** Whatever is asked, one of the arms is taken. */
export const hasOther = (node: EncodedNode): boolean => node.shape["form"] === "match" || node.blocks.length > 1
/** What a protect handles: errors by their tags, and whatever else there is. */
export const caught = ({ shape: { catches = [], fallback } }: EncodedNode): ReadonlyArray<string> => [
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `encode` writes these
  ...catches as ReadonlyArray<string>,
  ...(fallback === true ? ["any other error"] : []),
]
/** The way back to a loop's beginning, with what was said of it before. */
export const again = <Exit extends { readonly label?: string | undefined }>(exit: Exit): Exit & { readonly label: string } => ({
  ...exit,
  label: [exit.label, "again"].filter(Boolean).join(", "),
})
