/** What of a journal no longer counts: a rewind, a fork, a migration or a new attempt has taken it back. */
import { type EventData, eventPath, type Forgotten, type RunEvent } from "../model/event.ts"

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
  "stream.completed",
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
  /** Events that carry migrated outputs, by number, and the migration that bound them. */
  #bound: Map<number, number> | undefined

  /** The floors that a run's events lay. */
  static of(events: ReadonlyArray<RunEvent>): Floors {
    const floors = new Floors()
    for (const event of events) {
      if (event.kind === "flow.retried") floors.inside(eventPath(event), event.seq)
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the engine's own events
      floors.lay(event, JSON.parse(event.data) as EventData)
    }
    return floors
  }

  get none(): boolean {
    return this.#floors.length === 0
  }

  /** Takes back what `event` says; what was done there stands until it is undone. */
  lay({ seq }: Pick<RunEvent, "seq">, { forget = [], bound = [] }: EventData): void {
    for (const one of forget) this.#floors.push({ ...one, seq, inside: false })
    for (const migrated of bound) (this.#bound ??= new Map()).set(migrated, seq)
  }

  /** Takes back what was recorded inside `path` before event `seq`. */
  inside(path: string, seq: number): void {
    this.#floors.push({ path, seq, inside: true })
  }

  /** `event` does not count any more. */
  covers(event: RunEvent): boolean {
    const by = event.kind === "step.migrated" ? this.#bound?.get(event.seq) : undefined
    // what a migration that crashed midway has written was never bound
    if (event.kind === "step.migrated" && by === undefined) return true
    return this.#floors.length > 0 && this.#floors.some((floor) => floor.seq !== by && isUnder(floor, event))
  }

  /** The number of the newest event that took back what lies at `path`. */
  newest(path: string): number {
    const at: RunEvent = { seq: 0, at: 0, kind: "step.completed", parent: path, name: "run", data: "" }
    return this.#floors.reduce((newest, floor) => (isUnder(floor, at) ? Math.max(newest, floor.seq) : newest), 0)
  }
}

const isUnder = ({ path, seq, pass, only, inside }: Floor, event: RunEvent): boolean => {
  if (event.seq >= seq || event.kind.startsWith("run.")) return false
  const at = eventPath(event)
  if (pass !== undefined) return passOf(path, at) >= pass
  // the time a boundary was given begins anew with what is inside it
  if (only === true) return at === path && (isEnd(event) || event.kind === "protect.started")
  return within(path, at) && !(inside && at === path)
}
