/** How far a stream has come, recorded together with what belongs to it. */
import * as Effect from "effect/Effect"
import type { Changes } from "../../services/state-changes.ts"
import type { RunContext } from "../frame.ts"
import type { Run } from "../program.ts"
import { threw } from "../settle.ts"
import type { Ending } from "./sink.ts"

/** What a checkpoint keeps. */
export interface Saved {
  /** Where the source goes on. */
  readonly at: unknown
  readonly items: number
  readonly stages: ReadonlyArray<unknown>
  readonly sink: unknown
  /** How many items each stage's work was given. */
  readonly counts: ReadonlyArray<readonly [string, number]>
  readonly rejected: number
  /** Those since the checkpoint before: the stage, the place, the item, the error. */
  readonly rejects?: ReadonlyArray<unknown>
}

/** Writes a checkpoint, in one transaction with what its sink does there, or with what its stages have changed of State. */
export const recorded = (
  { journal, offers }: RunContext,
  path: string,
  within: Ending["within"],
  changes: Changes,
  data: string,
  now: number,
): Run<unknown> => {
  const kind = "stream.checkpointed"
  if (within !== undefined) {
    let failure: unknown
    const written = journal.transact(kind, path, "", (sql) => {
      try {
        within(sql)
      } catch (cause) {
        failure = threw(path, cause)
        throw cause
      }
      return data
    })
    return Effect.catch(written, (error) => Effect.fail(failure ?? error))
  }
  if (changes.none) return journal.append(kind, path, "", data)
  const committed = journal.commit(kind, path, "", data, changes.writes(now), (all) => changes.said(all))
  return Effect.tap(
    Effect.catch(committed, (error) => Effect.fail(changes.failure === undefined ? error : threw(path, changes.failure))),
    () => Effect.sync(offers.stateChanged),
  )
}
