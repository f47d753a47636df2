/** What a diagram is made of: boxes, frames, lines and words, with absolute places. One model for every picture. */

/** How something is to be seen; classes of the picture's style. */
export type Look =
  | "step"
  | "flow"
  | "wait"
  | "jump"
  | "choice"
  | "end"
  | "stage"
  | "edge"
  | "no"
  | "again"
  | "error"
  | "undo"
/** What has become of a node between two versions. */
export type Change = "added" | "removed" | "changed" | "migrated"

export interface Words {
  readonly text: string
  readonly strong: boolean
}
export type Shape =
  | {
    readonly kind: "box" | "frame"
    readonly look: Look
    readonly change: Change | undefined
    readonly path: string
    /** All of it, for whoever points at it or hears it. */
    readonly title: string
    readonly x: number
    readonly y: number
    readonly width: number
    readonly height: number
    readonly words: ReadonlyArray<Words>
  }
  | { readonly kind: "line"; readonly look: Look; readonly points: ReadonlyArray<readonly [x: number, y: number]>; readonly arrow: boolean }
  | { readonly kind: "lane"; readonly x: number; readonly y: number; readonly height: number }
  | { readonly kind: "label"; readonly look: Look; readonly x: number; readonly y: number; readonly text: string; readonly from: "start" | "middle" | "end" }

export interface Picture {
  readonly width: number
  readonly height: number
  /** What the picture shows. */
  readonly title: string
  readonly description: string
  readonly shapes: ReadonlyArray<Shape>
}

/** About as wide as people's fonts draw it, in units of the picture; a little wider, so that nothing is cut off. */
export const widthOf = (text: string, strong = false): number =>
  Array.from(text).reduce((sum, one) => sum + (classes.find(([these]) => these.test(one))?.[1] ?? 7.2), 0) * (strong ? 1.06 : 0.94)
const classes: ReadonlyArray<readonly [RegExp, number]> = [[/[iljtfr.,:;|!'`]/, 4.6], [/[()[\] ]/, 5.3], [/[mwMW@%]/, 11], [/[A-Z<>=+~#&_{}]/, 9.2], [
  /[^\p{ASCII}]/u,
  12,
]]

/** `text` in lines no wider than that; what does not fit into `most` lines is left out. */
export function wrapped(text: string, width: number, most: number): ReadonlyArray<string> {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ").flatMap((one) => pieces(one, width))) {
    const longer = line === "" ? word : `${line} ${word}`
    if (line !== "" && widthOf(longer) > width) {
      lines.push(line)
      line = word
    } else line = longer
  }
  if (line !== "") lines.push(line)
  return lines.length <= most ? lines : [...lines.slice(0, most - 1), `${lines[most - 1]!.slice(0, -1)}…`]
}
/** A word that is wider than a line, cut. */
const pieces = (word: string, width: number): ReadonlyArray<string> => {
  if (widthOf(word) <= width) return [word]
  const fits = Math.max(1, Math.floor((word.length * width) / widthOf(word)))
  return [word.slice(0, fits), ...pieces(word.slice(fits), width)]
}
