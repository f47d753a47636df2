/** Who uses whom, as a picture: users stand left of what they use. */
import { gap } from "./piece.ts"
import { type Picture, type Shape, widthOf } from "./shapes.ts"

type Edge = readonly [from: string, to: string, kind: string]

/** The picture of a project's flows; `undefined` where none uses another. */
export function mapOf(title: string, edges: ReadonlyArray<Edge>): Picture | undefined {
  if (edges.length === 0) return undefined
  const kinds = new Map(edges.flatMap(([from, to, kind]): ReadonlyArray<readonly [string, string]> => [[to, kind], [from, "flow"]]))
  const columns = columnsOf([...kinds.keys()], edges)
  const widths = columns.map((names) => Math.max(...names.map((name) => widthOf(name, true) + 40)))
  const [height, space] = [36, 90]
  const places = new Map<string, { readonly x: number; readonly y: number; readonly width: number }>()
  let x = gap
  for (const [i, names] of columns.entries()) {
    for (const [row, name] of names.entries()) places.set(name, { x, y: gap + row * (height + 18), width: widths[i]! })
    x += widths[i]! + space
  }
  const columnOf = (name: string) => columns.findIndex((names) => names.includes(name))
  const users = [...new Set(edges.map(([from]) => from))]
  const lines = edges.map(([from, to]): Shape => {
    const [left, right] = [places.get(from)!, places.get(to)!]
    const [start, end] = [[left.x + left.width, left.y + height / 2], [right.x, right.y + height / 2]] as const
    // lines of different users do not meet
    const turn = start[0] + 14 + (users.indexOf(from) % 8) * 8
    // one that leads further passes between the boxes on its way, not behind them
    const between = end[1] - height / 2 - 9
    const points = columnOf(to) - columnOf(from) > 1 ?
      [start, [turn, start[1]], [turn, between], [end[0] - 12, between], [end[0] - 12, end[1]], end] as const :
      [start, [turn, start[1]], [turn, end[1]], end] as const
    return { kind: "line", look: "edge", points, arrow: true }
  })
  const boxes = Array.from(places, ([name, place]): Shape => ({
    kind: "box",
    look: kinds.get(name) === "tool" ? "stage" : kinds.get(name) === "agent" ? "wait" : "flow",
    change: undefined,
    path: "",
    title: `${kinds.get(name)} ${name}`,
    ...place,
    height,
    words: [{ text: name, strong: true }],
  }))
  const tallest = Math.max(...columns.map(({ length }) => length))
  return {
    width: x - space + gap,
    height: tallest * (height + 18) - 18 + gap * 2,
    title: `${title}: who uses whom`,
    description: edges.map(([from, to]) => `${from} uses ${to}`).join("; "),
    shapes: [...lines, ...boxes],
  }
}

/** Each name one column behind the last of its users; flows in a circle stay where they were first met. */
function columnsOf(names: ReadonlyArray<string>, edges: ReadonlyArray<Edge>): ReadonlyArray<ReadonlyArray<string>> {
  const column = new Map<string, number>()
  const place = (name: string, at: number, above: ReadonlySet<string>): void => {
    if (above.has(name) || (column.get(name) ?? -1) >= at) return
    column.set(name, at)
    for (const [from, to] of edges) if (from === name) place(to, at + 1, new Set([...above, name]))
  }
  const used = new Set(edges.map(([, to]) => to))
  for (const name of names) if (!used.has(name)) place(name, 0, new Set())
  for (const name of names) if (!column.has(name)) place(name, 0, new Set())
  const last = Math.max(...column.values())
  return Array.from({ length: last + 1 }, (_, i) => names.filter((name) => column.get(name) === i).sort())
}
