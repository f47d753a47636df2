/** Asking hooks at one point of a run. */
import * as Effect from "effect/Effect"
import type { HookPoint, HookPoints } from "../../dsl/ir/hook.ts"
import { HookFailed, RunConflict } from "../model/error.ts"
import type { Verdict } from "../services/hooks.ts"
import type { RunContext } from "./frame.ts"
import { after, type Run } from "./program.ts"

/** What is chosen after hooks were asked: what they send it to instead, or what it was. */
export const sentTo = (verdict: Verdict<unknown> | undefined, chosen: string): string => {
  const decision = verdict?.decided?.decision
  return decision?.does === "redirect" ? decision.to : chosen
}

/** What hooks decide at `point`; flows they want are started, a run they cancel ends here. */
export function hooksAt<P extends HookPoint>(
  run: RunContext,
  point: P,
  path: string,
  told: () => Omit<HookPoints[P]["told"], "run" | "flow" | "path">,
  /** Which time it is, where one place is asked about more than once. */
  time = "",
): Run<Verdict<HookPoints[P]["told"]> | undefined> {
  if (run.hooks === undefined) return Effect.succeed(undefined)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the three that every point is told are added
  const all = () => ({ run: run.id, flow: run.flow, path, ...told() }) as unknown as HookPoints[P]["told"]
  return after(run.hooks.ask(point, path, all), (verdict) => {
    const cancels = verdict?.decided?.decision.does === "cancel" ? verdict.decided.decision : undefined
    if (verdict === undefined || (verdict.forks.length === 0 && cancels === undefined)) return Effect.succeed(verdict)
    return Effect.gen(function*() {
      for (const [i, { decision, hook }] of verdict.forks.entries()) {
        const spawned = run.spawn(decision.flow, decision.input, `${path}/${point}/${hook.name}/${i}${time}`)
        // it was started when the hook was asked before, with what was there then
        const started = Effect.catchIf(spawned, (error) => error instanceof RunConflict, () => Effect.void)
        yield* Effect.mapError(started, (cause) => new HookFailed({ path, hook: hook.name, point, cause }))
      }
      if (cancels !== undefined) yield* run.cancel(cancels.reason)
      return verdict
    })
  })
}
