/** Where the items of a stream come from: its own source, and those that are merged on the way. */
import type { Ask, StreamNode, Values } from "../../../dsl/ir/node.ts"
import * as Effect from "effect/Effect"
import { isSource, type Source } from "../../../dsl/ir/stream.ts"
import { ask } from "../ask.ts"
import type { Run } from "../program.ts"
import { threw } from "../settle.ts"
import { inArray } from "./array.ts"
import { sourceOfAll } from "./merged.ts"
import type { Pipe } from "./pipe.ts"

export class Inlets {
  /** By name: the number of the stage that the items enter at. */
  readonly #lanes: ReadonlyMap<string, { readonly enters: number; readonly source: Ask }>
  /** Those of which nothing more comes. */
  readonly #ended = new Set<string>()
  readonly #pipe: Pipe
  /** One of them may be over before the stream is. */
  readonly #mayEnd: boolean

  constructor({ source, stages }: StreamNode, pipe: Pipe) {
    const joining = stages.flatMap((stage, enters) => (stage.op === "merge" ? [[stage.name, { enters, source: stage.source }] as const] : []))
    this.#lanes = new Map([["", { enters: 0, source }], ...joining])
    this.#pipe = pipe
    this.#mayEnd = joining.length > 0 || stages.some(({ op }) => op === "take" || op === "takeWhile")
  }

  /** All of them as one source. */
  source(path: string, scope: Values): Run<Source> {
    return Effect.gen({ self: this }, function*() {
      const sources: Record<string, Source> = {}
      for (const [lane, { source }] of this.#lanes) {
        const given = sourceOf(yield* ask(path, () => source(scope)))
        if (given === undefined) {
          const verb = lane === "" ? ".stream" : ".merge"
          return yield* Effect.fail(threw(path, new TypeError(`what ${verb} was given is no source: an array, or one of heddle/streams`)))
        }
        sources[lane] = given
      }
      const all = Object.values(sources)
      if (all.length === 1) return all[0]!
      const name = all.map((one) => one.name).join(" + ")
      const isOver = (lane: string) => this.#pipe.isOver(this.enters(lane))
      return yield* Effect.try({ try: () => sourceOfAll(sources, name, { isOver }), catch: (cause) => threw(path, cause) })
    })
  }

  enters(lane: string): number {
    return this.#lanes.get(lane)!.enters
  }

  ended(lane: string): void {
    this.#ended.add(lane)
  }

  /** Nothing comes of whatever they still give. */
  get isOver(): boolean {
    return this.#mayEnd && this.#open.length === 0
  }

  /** Number of the first stage that items may still come to from outside. */
  get reached(): number {
    return this.#mayEnd ? Math.min(this.#pipe.end, ...this.#open) : 0
  }

  /** Where those enter of which something may still come. */
  get #open(): ReadonlyArray<number> {
    return [...this.#lanes].flatMap(([lane, { enters }]) => (this.#ended.has(lane) || this.#pipe.isOver(enters) ? [] : [enters]))
  }
}

const sourceOf = (given: unknown): Source | undefined => (Array.isArray(given) ? inArray(given) : isSource(given) ? given : undefined)
