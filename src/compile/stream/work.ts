/** A step, tool, agent or flow for each item of a stream. */
import * as Effect from "effect/Effect"
import { makeUnsafe, type Semaphore } from "effect/Semaphore"
import type { StepNode } from "../../../dsl/ir/node.ts"
import { passPath } from "../../../dsl/ir/path.ts"
import type { Stage } from "../../../dsl/ir/stream.ts"
import { isStoreError } from "../../model/error.ts"
import type { Frame } from "../frame.ts"
import { hooksAt } from "../hooks-at.ts"
import type { Body, Run } from "../program.ts"
import { type Items, Plain } from "./op.ts"

type WorkStage = Extract<Stage, { readonly op: "work" }>
/** An item that came to nothing. */
const left = Symbol("left")

/** What the work of all stages of a stream has in common. */
export interface Working {
  readonly frame: Frame
  readonly path: string
  /** The numbers of the groups that it is in, as they stand in paths. */
  readonly groups: string
  /** How many items each stage has been given, by its name and groups: they number its items. */
  readonly counts: Map<string, number>
  /** An item is left out and recorded. */
  readonly reject: (stage: string, at: string, item: unknown, error: unknown) => Run<void>
}

export class Work extends Plain {
  readonly #stage: WorkStage
  readonly #node: StepNode
  readonly #body: Body
  readonly #working: Working
  /** Where items of several chunks, or groups, are worked on at once. */
  #slots: Semaphore | undefined

  constructor(stage: WorkStage, node: StepNode, body: Body, working: Working, slots?: Semaphore) {
    super()
    this.#stage = stage
    this.#node = node
    this.#body = body
    this.#working = working
    this.#slots = slots
  }

  /** `begun`: called when the work for the last of them has begun. */
  push(items: Items, begun?: () => void): Run<Items> {
    const last = items.length - 1
    if (last < 0) begun?.()
    const { name, concurrency, ordered } = this.#stage
    const { counts, groups, frame: { run: { waiting } } } = this.#working
    const from = counts.get(name + groups) ?? 0
    counts.set(name + groups, from + items.length)
    const done: Array<unknown> = []
    const work = (item: unknown, i: number): Run<unknown> =>
      Effect.tap(this.#one(item, from + i), (value) => Effect.sync(() => void (!ordered && value !== left && done.push(value))))
    if (begun !== undefined) this.#slots ??= makeUnsafe(concurrency)
    const slots = this.#slots
    const one = slots === undefined ? work : (item: unknown, i: number): Run<unknown> =>
      slots.withPermits(1)(Effect.suspend(() => {
        if (i === last) begun?.()
        return work(item, i)
      }))
    // a flow of its own may wait: each is a part of the run
    const all = waiting === undefined || this.#node.work.from !== "flow" ?
      Effect.forEach(items, one, { concurrency }) :
      waiting.split(items.length, concurrency, (lanes) => Effect.forEach(items, (item, i) => waiting.lane(lanes, () => one(item, i)), { concurrency }))
    return Effect.map(all, (values) => (ordered ? values.filter((value) => value !== left) : done))
  }

  #one(item: unknown, nr: number): Run<unknown> {
    const { frame, path, groups } = this.#working
    const { name, keeps } = this.#stage
    const at = passPath(`${path}/${name}${groups}`, nr)
    const worked = Effect.suspend(() => this.#body(frame.reading({ ...frame.scope, item }), at, undefined))
    return Effect.matchEffect(worked, {
      onSuccess: ({ value }) => Effect.succeed(keeps ? item : value),
      onFailure: (error) => (isStoreError(error) ? Effect.fail(error) : this.#failed(item, at, error)),
    })
  }

  #failed(item: unknown, at: string, error: unknown): Run<unknown> {
    const { frame: { run, scope }, path, reject } = this.#working
    const { name: stage, failure } = this.#stage
    return Effect.flatMap(hooksAt(run, "stream.rejected", path, () => ({ scope, item, stage, error })), (verdict): Run<unknown> => {
      const decision = verdict?.decided?.decision
      if (decision?.does === "replace") return Effect.succeed(decision.value)
      if (decision?.does === "skip" || failure === "skip") return Effect.succeed(left)
      return failure === "reject" ? Effect.as(reject(stage, at, item, error), left) : Effect.fail(error)
    })
  }
}
