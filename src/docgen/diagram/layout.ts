/** A flow as a picture: blocks are stacked, branches stand side by side, what holds a block is a frame around it. Nothing is searched for, so a small change stays small. */
import { type EncodedBlock, type EncodedFlow, type EncodedNode, innerPrefix } from "../../../dsl/ir/encode.ts"
import { arm, body, caught, detail, guard, hasOther, type NamedStage, stageName, stagesOf, stageText, streamSink, streamSource, verb } from "../label.ts"
import { type About, type Arm, beside, boxed, branched, framed, passing, type Piece, stacked } from "./piece.ts"
import { type Change, type Look, type Picture, type Shape, type Words, wrapped } from "./shapes.ts"

/** What has become of the nodes since another version, by path. */
export type Changes = ReadonlyMap<string, Change>

const margin = 24
const widest = 250

/** The picture of a flow. */
export function pictureOf(flow: EncodedFlow, changes: Changes = new Map()): Picture {
  const end = (text: string): Piece => boxed({ path: "", look: "end", change: undefined, title: text }, [{ text, strong: true }], 80)
  const whole = stacked([end(flow.name), ...nodes(flow.body, "", changes), end(flow.returns ? "returns" : "end")])
  const shapes: Array<Shape> = [...whole.paint(margin, margin)]
  const count = (all: EncodedBlock): number => all.reduce((sum, { blocks }) => sum + 1 + blocks.reduce((inside, { block }) => inside + count(block), 0), 0)
  return {
    width: Math.ceil(whole.width + margin * 2),
    height: Math.ceil(whole.height + margin * 2),
    title: `Flow ${flow.name}, version ${flow.version}`,
    description: flow.description ?? `${count(flow.body)} nodes, from ${flow.body[0]?.name ?? "nothing"} to ${flow.body.at(-1)?.name ?? "nothing"}`,
    shapes,
  }
}

const nodes = (block: EncodedBlock, prefix: string, changes: Changes): ReadonlyArray<Piece> => block.map((node) => guarded(node, prefix + node.name, changes))
const blockOf = (block: EncodedBlock, prefix: string, changes: Changes): Piece => stacked(nodes(block, prefix, changes))

/** Behind its condition, if it has one. */
function guarded(node: EncodedNode, path: string, changes: Changes): Piece {
  const condition = guard(node)
  const piece = pieceOf(node, path, changes)
  if (condition === undefined) return piece
  const asked = boxed({ path, look: "choice", change: undefined, title: `when ${condition}` }, lines("", condition))
  return branched(asked, [{ label: "yes", piece }, { label: "no", piece: passing() }])
}

const lines = (name: string, ...about: ReadonlyArray<string | undefined>): ReadonlyArray<Words> => [
  ...wrapped(name, widest, 2).map((text) => ({ text, strong: true })),
  ...about.flatMap((text) => (text === undefined || text === "" ? [] : wrapped(text, widest, 3).map((line) => ({ text: line, strong: false })))),
]

const looks: Readonly<Partial<Record<string, Look>>> = { wait: "wait", break: "jump", continue: "jump", when: "choice", match: "choice", flow: "flow" }

function pieceOf(node: EncodedNode, path: string, changes: Changes): Piece {
  const kind = verb(node)
  const title = [`${kind} ${path}`, detail(node), node.description].filter(Boolean).join(" · ")
  const about: About = { path, look: looks[kind] ?? "step", change: changes.get(path), title }
  const arms: ReadonlyArray<Arm> = node.blocks.map(({ label, block }) => {
    const into = innerPrefix(node, path, label)
    return { label: arm(label, changes.get(into.slice(0, -1))), piece: blockOf(block, into, changes) }
  })
  const heads: Readonly<Partial<Record<string, () => Piece>>> = {
    when: () => branched(boxed(about, lines(node.name, detail(node), node.description)), hasOther(node) ? arms : [...arms, { label: "no", piece: passing() }]),
    parallel: () => framed({ ...about, look: "flow" }, lines(`∥ ${node.name}`, detail(node), node.description), stacked([]), { lanes: arms }),
    loop: () => framed(about, lines(`↻ ${node.name}`, detail(node), node.description), arms[0]!.piece, { again: "again" }),
    each: () => framed(about, lines(`⇉ ${node.name}`, detail(node), node.description), arms[0]!.piece),
    protect: () => shielded(node, framed(about, lines(`◈ ${node.name}`, detail(node), node.description), arms[0]!.piece)),
    stream: () => framed(about, lines(`≋ ${node.name}`, node.description), stages(node, path)),
  }
  const head = heads[node.kind]
  if (head !== undefined) return head()
  if (node.blocks.length > 0) return framed(about, lines(`▣ ${node.name}`, detail(node), node.description), arms[0]!.piece)
  if (node.kind === "jump") {
    const leaves: Piece = { ...boxed(about, [{ text: kind, strong: true }], 70), ends: true }
    return branched(boxed({ ...about, look: "choice" }, lines("", detail(node))), [{ label: "yes", piece: leaves }, { label: "no", piece: passing() }])
  }
  const box = boxed(about, lines(node.name, detail(node), node.description))
  const undo = node.text["compensate"]
  if (undo === undefined) return box
  return beside(box, "undo", [{
    label: "undo",
    piece: boxed({ path, look: "undo", change: undefined, title: `undone by ${undo}` }, lines("", body(undo)), 60),
  }])
}

/** What a protect catches stands at its side. */
function shielded(node: EncodedNode, frame: Piece): Piece {
  const catches = caught(node)
  if (catches.length === 0) return frame
  const chips = catches.map((tag) => ({
    label: "",
    piece: boxed(
      { path: "", look: "error", change: undefined, title: `catches ${tag}` },
      [{ text: `catch ${tag}`, strong: false }],
      60,
    ),
  }))
  return beside(frame, "error", chips)
}

/** The stages of a stream, from its source to its sink. */
function stages(node: EncodedNode, path: string): Piece {
  const about = (title: string): About => ({ path, look: "stage", change: undefined, title })
  const box = (text: string): Piece => boxed(about(text), lines("", text), 70)
  const inside = (all: ReadonlyArray<NamedStage>): Piece => stacked(all.map(drawn))
  const drawn = (stage: NamedStage): Piece => {
    const { stages: inner, parts } = stage
    const name = stageName(stage)
    if (inner !== undefined) return framed(about(stageText(stage)), lines("", name), inside(inner))
    if (parts === undefined) return box(name)
    return framed(about(stageText(stage)), lines("", name), stacked([]), {
      lanes: Object.entries(parts).map(([label, part]) => ({ label, piece: inside(part) })),
    })
  }
  return stacked([box(streamSource(node)), ...stagesOf(node).map(drawn), box(streamSink(node))])
}
