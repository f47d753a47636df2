/** What of a journal no longer counts: a rewind, a fork, a migration or a new attempt has taken it back. */
import { eventPath, type Forgotten, type RunEvent } from "../model/event.ts"

/** `path` is `outer`, or lies inside it. */
const within = (outer: string, path: string): boolean => path.startsWith(outer) && (path.length === outer.length || "/[".includes(path[outer.length]!))

/** The number of the pass of the loop at `loop` that `path` lies in. */
const passOf = (loop: string, path: string): number => (path.startsWith(`${loop}[`) ? Number.parseInt(path.slice(loop.length + 1), 10) : -1)

/** An event that ends something; the others are decisions and beginnings. */
export const isEnd = ({ kind }: Pick<RunEvent, "kind">): boolean => ends.has(kind)
const ends: ReadonlySet<string> = new Set([
  "step.completed",
  "step.migrated",
  "when.completed",
  "loop.completed",
  "loop.iterated",
  "jump.completed",
  "each.completed",
  "parallel.completed",
  "fork.completed",
  "fork.failed",
  "protect.completed",
  "protect.caught",
  "protect.failed",
  "wait.completed",
])

interface Floor extends Forgotten {
  readonly seq: number
  /** Only what lies inside the path, not the node itself. */
  readonly inside: boolean
}

export class Floors {
  readonly #floors: Array<Floor> = []

  get none(): boolean {
    return this.#floors.length === 0
  }

  /** Takes back what these say, as far as it was recorded before event `seq`. */
  forget(forgotten: ReadonlyArray<Forgotten>, seq: number): void {
    for (const one of forgotten) this.#floors.push({ ...one, seq, inside: false })
  }

  /** Takes back what was recorded inside `path` before event `seq`. */
  inside(path: string, seq: number): void {
    this.#floors.push({ path, seq, inside: true })
  }

  /** `event` does not count any more. */
  covers(event: RunEvent): boolean {
    if (this.#floors.length === 0) return false
    const path = eventPath(event)
    return this.#floors.some((floor) => {
      if (event.seq >= floor.seq || event.kind.startsWith("run.")) return false
      if (floor.pass !== undefined) return passOf(floor.path, path) >= floor.pass
      if (floor.only === true) return path === floor.path && isEnd(event)
      return within(floor.path, path) && !(floor.inside && path === floor.path)
    })
  }
}
