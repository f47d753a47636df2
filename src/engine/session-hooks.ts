/** What becomes of sessions, as hooks let it through. */
import * as Effect from "effect/Effect"
import { SessionRefused } from "../model/service-error.ts"
import type { SessionStatus } from "../model/session.ts"
import type { Hooks } from "../services/hooks.ts"

/** Fails where a hook says that it must not become that; `asked` is what is refused then. */
export function sessionAsked(
  hooks: Hooks,
  id: string,
  from: SessionStatus | undefined,
  to: SessionStatus,
  reason: string | undefined,
  asked: string,
): Effect.Effect<void, SessionRefused> {
  const verdict = hooks.outside(id, () => undefined).ask(
    "session.before",
    "",
    () => ({ run: "", flow: "", path: "", scope: {}, session: id, from, to, reason }),
  )
  const refused = (why: string) => Effect.fail(new SessionRefused({ session: id, asked, reason: why }))
  return Effect.matchEffect(verdict, {
    onFailure: ({ message }) => refused(message),
    onSuccess: (told) => (told?.decided?.decision.does === "cancel" ? refused(`a hook says: ${told.decided.decision.reason}`) : Effect.void),
  })
}
