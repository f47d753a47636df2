/** A time limit that is written as a date before it begins, so it passes also while no process runs. */
import * as Effect from "effect/Effect"
import { dataOf, type Known } from "../services/recorded.ts"
import type { Frame } from "./frame.ts"
import type { Run } from "./program.ts"

/** What is limited: a node, and the event that says when its time is over. */
interface Limited {
  readonly kind: "step.started" | "protect.started"
  readonly name: string
  readonly past: Known | undefined
  readonly milliseconds: number
}

/** `work`, which fails with `late` when its time is over; a time that began before goes on. */
export const limited = <A>(frame: Frame, { kind, name, past, milliseconds }: Limited, late: () => unknown, work: Run<A>): Run<A> =>
  Effect.clockWith((clock) => {
    const { journal, waiting } = frame.run
    const now = clock.currentTimeMillisUnsafe()
    const begun = past?.started === undefined ? undefined : dataOf(past.started).until
    const until = begun ?? now + milliseconds
    const written = begun === undefined ? journal.append(kind, frame.path, name, `{"until":${until}}`) : Effect.void
    const timed = Effect.timeoutOrElse(work, { duration: Math.max(0, until - now), orElse: () => Effect.fail(late()) })
    return Effect.flatMap(written, () => (waiting === undefined ? timed : waiting.before(until, timed)))
  })
