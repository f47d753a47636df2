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

/** What a session is about to become, or has. */
export interface Becoming {
  readonly session: string
  /** `undefined`: it is new. */
  readonly from: SessionStatus | undefined
  readonly to: SessionStatus
  readonly reason?: string | undefined
}
const at = (hooks: Hooks, point: "session.before" | "session.after", { reason, ...becoming }: Becoming) =>
  hooks.outside(becoming.session, () => undefined).ask(point, "", () => ({ ...nowhere, ...becoming, reason }))

/** Fails where a hook says that it must not become that; `asked` is what is refused then. */
export const sessionAsked = (hooks: Hooks, becoming: Becoming, asked: string): Effect.Effect<void, SessionRefused> =>
  unlessCancelled(becoming.session, asked, at(hooks, "session.before", becoming))

/** Tells hooks that it has become that; nothing that they do changes it. */
export const sessionBecame = (hooks: Hooks, becoming: Becoming): Effect.Effect<void> => Effect.ignore(at(hooks, "session.after", becoming))

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
