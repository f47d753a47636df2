/** What somebody who wants to see a run end has to do next. */
import * as Effect from "effect/Effect"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { RunOwned, RunPaused, RunQuarantined, RunSuspended } from "../model/error.ts"
import type { RunRecord } from "../model/run.ts"
import type { Keeping } from "../services/journal.ts"
import type { Durability, Within } from "../store/store.ts"
import { ending } from "./drive.ts"
import { adopt } from "./migrate.ts"
import { isAlive, owner } from "./owner.ts"

/** How far somebody goes to see a run end. */
export interface Settling {
  readonly durability: Durability
  /** When it waits: stay until it has ended, or fail with `RunSuspended`. */
  readonly onSuspend: "wait" | "return"
  /** Go on with a failed run, or also with a quarantined one. */
  readonly retries: boolean | "quarantined"
  /** Go on with a paused run. */
  readonly unpauses: boolean
  /** How many may be driven of those that have something in common with it. */
  readonly within?: Within | undefined
}
/** What is to be done with a run that nobody drives here: nothing any more, to take it, or to wait. */
export function nextOf(
  flow: FlowIR,
  run: RunRecord,
  how: Settling,
  keeping: Omit<Keeping, "durability">,
  patient: boolean,
  now: number,
): Effect.Effect<"take" | "wait" | { readonly output: unknown }, any, any> {
  const isDue = run.due !== undefined && run.due <= now
  const ended = Effect.suspend(() => Effect.map(ending(flow, { ...keeping, durability: "sync" }, run), (output) => ({ output })))
  const take = Effect.succeed("take" as const)
  const { id } = run
  switch (run.status) {
    case "completed":
    case "cancelled":
    case "compensated":
      return ended
    case "failed":
      return how.retries ? take : ended
    case "quarantined":
      return how.retries === "quarantined" ? take : Effect.fail(new RunQuarantined({ run: id, crashes: run.crashes }))
    case "paused":
      return how.unpauses ? take : Effect.fail(new RunPaused({ run: id, reason: "" }))
    case "suspended":
      if (isDue) return take
      // whoever asks for a run that this code could not go on with is told now, and not when the wait is over
      return Effect.flatMap(
        adopt(flow, run, keeping),
        () => how.onSuspend === "return" ? Effect.fail(new RunSuspended({ run: id, waits: run.waits, until: run.due })) : Effect.succeed("wait" as const),
      )
    case "pending":
      return isDue ? take : Effect.succeed("wait" as const)
    case "running":
    case "compensating":
      // leases are real time, whatever clock the run goes by
      if (run.owner === "" || run.owner === owner || run.due === undefined || run.due <= Date.now() || !isAlive(run.owner)) return take
      return patient ? Effect.succeed("wait" as const) : Effect.fail(new RunOwned({ run: id, owner: run.owner }))
  }
}
