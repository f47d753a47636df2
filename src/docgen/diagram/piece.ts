/** Parts of a diagram that are put together: each has a size, and one vertical axis on which it is entered and left. */
import { type Change, type Look, type Shape, widthOf, type Words } from "./shapes.ts"

export interface Piece {
  readonly width: number
  readonly height: number
  /** From its left side to its axis. */
  readonly axis: number
  /** Nothing goes on behind it. */
  readonly ends?: boolean
  readonly paint: (x: number, y: number) => Generator<Shape>
}

/** Between two pieces on one axis. */
export const gap = 30
/** Between a frame and what is inside. */
export const inset = 18
const lineHeight = 18
const edge = (look: Look, points: ReadonlyArray<readonly [number, number]>, arrow = true): Shape => ({ kind: "line", look, points, arrow })

export interface About {
  readonly path: string
  readonly look: Look
  readonly change: Change | undefined
  readonly title: string
}

/** A box with words in it. */
export function boxed(about: About, words: ReadonlyArray<Words>, least = 120): Piece {
  const width = Math.max(least, ...words.map(({ text, strong }) => widthOf(text, strong) + 28))
  const height = words.length * lineHeight + 16
  return {
    width,
    height,
    axis: width / 2,
    *paint(x, y) {
      yield { kind: "box", ...about, x, y, width, height, words }
    },
  }
}

/** One above the other, with arrows between them. */
export function stacked(pieces: ReadonlyArray<Piece>): Piece {
  const axis = Math.max(0, ...pieces.map((piece) => piece.axis))
  const right = Math.max(0, ...pieces.map((piece) => piece.width - piece.axis))
  const height = pieces.reduce((sum, piece) => sum + piece.height, 0) + gap * Math.max(0, pieces.length - 1)
  return {
    width: axis + right,
    height,
    axis,
    *paint(x, y) {
      let top = y
      for (const [i, piece] of pieces.entries()) {
        if (i > 0) yield edge("edge", [[x + axis, top - gap], [x + axis, top]])
        yield* piece.paint(x + axis - piece.axis, top)
        top += piece.height + gap
      }
    },
  }
}

export interface Arm {
  /** What stands at the line that leads to it. */
  readonly label: string
  readonly piece: Piece
}
/** Side by side below a head, each behind a line of its own; they meet again below. */
export function branched(head: Piece, arms: ReadonlyArray<Arm>): Piece {
  const space = 28
  // its label begins at the line that leads to it
  const widths = arms.map(({ label, piece }) => ({ piece, label, width: Math.max(piece.width, 2 * (widthOf(label) + 12)) }))
  const inner = widths.reduce((sum, { width }) => sum + width, 0) + space * (arms.length - 1)
  const width = Math.max(inner, head.width)
  const tallest = Math.max(...arms.map(({ piece }) => piece.height))
  const [lead, tail] = [44, 26]
  const axis = width / 2
  return {
    width,
    height: head.height + lead + tallest + tail,
    axis,
    *paint(x, y) {
      const middle = x + axis
      yield* head.paint(middle - head.axis, y)
      const top = y + head.height + lead
      const bottom = top + tallest + tail
      let left = x + (width - inner) / 2
      for (const { piece, label, width: own } of widths) {
        const from = left + (own - piece.width) / 2
        const at = from + piece.axis
        const turn = y + head.height + 14
        yield edge("edge", [[middle, y + head.height], [middle, turn], [at, turn], [at, top]], piece.height > 0)
        yield { kind: "label", look: "edge", x: at + 6, y: top - 12, text: label, from: "start" }
        yield* piece.paint(from, top)
        if (piece.ends !== true) yield edge("edge", [[at, top + piece.height], [at, bottom - 12], [middle, bottom - 12], [middle, bottom]], false)
        left += own + space
      }
    },
  }
}

/** A line past everything: what happens where a condition does not hold. */
export const passing = (): Piece => ({
  width: 20,
  height: 0,
  axis: 10,
  *paint() {
    // the lines that lead to it and from it meet
  },
})

/** A frame with a head around what is inside. */
export function framed(
  about: About,
  words: ReadonlyArray<Words>,
  body: Piece,
  { again, lanes = [] }: { readonly again?: string; readonly lanes?: ReadonlyArray<Arm> } = {},
): Piece {
  const head = words.length * lineHeight + 14
  const inner = lanes.length === 0 ? body : sided(lanes)
  const back = again === undefined ? 0 : 22
  const content = Math.max(inner.width + back, ...words.map(({ text, strong }) => widthOf(text, strong) + 10))
  const width = content + inset * 2
  const axis = width / 2 + back / 2
  const height = head + gap + inner.height + gap
  return {
    width: Math.max(width, axis + inner.width - inner.axis + inset),
    height,
    axis,
    *paint(x, y) {
      yield { kind: "frame", ...about, x, y, width: this.width, height, words }
      const top = y + head + gap
      const middle = x + axis
      if (inner.height > 0 && lanes.length === 0) yield edge("edge", [[middle, y + head], [middle, top]])
      yield* inner.paint(middle - inner.axis, top)
      if (lanes.length === 0) yield edge("edge", [[middle, top + inner.height], [middle, y + height]], false)
      if (again === undefined) return
      const left = x + inset - 4
      yield edge("again", [[middle, y + height - 14], [left, y + height - 14], [left, y + head + 14], [middle, y + head + 14]])
      yield { kind: "label", look: "again", x: left + 5, y: y + height - 19, text: again, from: "start" }
    },
  }
}

/** Lanes of what happens at once. */
function sided(lanes: ReadonlyArray<Arm>): Piece {
  const space = 28
  const top = 26
  const widths = lanes.map(({ label, piece }) => Math.max(piece.width, widthOf(label, true) + 20))
  const width = widths.reduce((sum, one) => sum + one, 0) + space * (lanes.length - 1)
  const tallest = Math.max(0, ...lanes.map(({ piece }) => piece.height))
  return {
    width,
    height: top + tallest,
    axis: width / 2,
    *paint(x, y) {
      let left = x
      for (const [i, { label, piece }] of lanes.entries()) {
        const own = widths[i]!
        yield { kind: "label", look: "stage", x: left + own / 2, y: y + 4, text: label, from: "middle" }
        yield* piece.paint(left + (own - piece.width) / 2, y + top)
        left += own + space
        if (i < lanes.length - 1) yield { kind: "lane", x: left - space / 2, y: y - 8, height: top + tallest + 16 }
      }
    },
  }
}

/** A piece with others at its side, to which a line of this look leads. */
export function beside(main: Piece, look: Look, others: ReadonlyArray<Arm>): Piece {
  const lead = 46
  const width = Math.max(...others.map(({ piece }) => piece.width))
  const heights = others.reduce((sum, { piece }) => sum + piece.height + 12, -12)
  return {
    ...main,
    width: main.width + lead + width,
    height: Math.max(main.height, heights),
    *paint(x, y) {
      yield* main.paint(x, y)
      let top = y + Math.max(0, Math.min((main.height - heights) / 2, 30))
      for (const { label, piece } of others) {
        const middle = top + piece.height / 2
        yield edge(look, [[x + main.width, middle], [x + main.width + lead, middle]])
        if (label !== "") yield { kind: "label", look, x: x + main.width + lead / 2, y: middle - 5, text: label, from: "middle" }
        yield* piece.paint(x + main.width + lead, top)
        top += piece.height + 12
      }
    },
  }
}
