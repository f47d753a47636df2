/** What becomes of sessions, as hooks let it through. */
import * as Effect from "effect/Effect"
import type { HookPoints } from "../../dsl/ir/hook.ts"
import type { HookFailed } from "../model/error.ts"
import { SessionRefused } from "../model/service-error.ts"
import type { SessionStatus } from "../model/session.ts"
import type { Hooks, Verdict } from "../services/hooks.ts"
import type { Keeping } from "../services/journal.ts"
import { outsideNotice } from "../services/notice.ts"
import type { Warning } from "../services/budgets.ts"

/** Nothing that is asked here is in a run. */
const nowhere = { run: "", flow: "", path: "", scope: {} } as const

/** Fails where a hook says that it must not become that; `asked` is what is refused then. */
export function sessionAsked(
  hooks: Hooks,
  id: string,
  from: SessionStatus | undefined,
  to: SessionStatus,
  reason: string | undefined,
  asked: string,
): Effect.Effect<void, SessionRefused> {
  const told = { ...nowhere, session: id, from, to, reason }
  return unlessCancelled(id, asked, hooks.outside(id, () => undefined).ask("session.before", "", () => told))
}

/** Tells that something of a session is nearly used up; fails where a hook says that `asked` must not be then. */
export function sessionWarned(
  hooks: Hooks,
  { listeners }: Pick<Keeping, "listeners">,
  id: string,
  asked: string,
  warning: Warning,
): Effect.Effect<void, SessionRefused> {
  if (!listeners.none) listeners.tell(outsideNotice(id, "limit.warned", Date.now(), JSON.stringify(warning)))
  return unlessCancelled(id, asked, hooks.outside(id, () => undefined).ask("limit.warned", "", () => ({ ...nowhere, ...warning })))
}

const unlessCancelled = (
  session: string,
  asked: string,
  verdict: Effect.Effect<Verdict<HookPoints["session.before" | "limit.warned"]["told"]> | undefined, HookFailed>,
): Effect.Effect<void, SessionRefused> => {
  const refused = (reason: string) => Effect.fail(new SessionRefused({ session, asked, reason }))
  return Effect.matchEffect(verdict, {
    onFailure: ({ message }) => refused(message),
    onSuccess: (told) => (told?.decided?.decision.does === "cancel" ? refused(`a hook says: ${told.decided.decision.reason}`) : Effect.void),
  })
}
