/** What becomes of sessions, as hooks let it through. */
import * as Effect from "effect/Effect"
import type { HookPoints } from "../../dsl/ir/hook.ts"
import type { HookFailed, StoreFailed } from "../model/error.ts"
import { SessionRefused } from "../model/service-error.ts"
import type { LiveKind } from "../model/event.ts"
import { redact } from "../model/secret.ts"
import type { NewSession, SessionRecord, SessionStatus } from "../model/session.ts"
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
/** Where hooks are asked, and whoever listens is told. */
interface Around {
  readonly hooks: Hooks
  readonly keeping: Pick<Keeping, "listeners">
}
const tell = ({ keeping: { listeners } }: Around, session: string, kind: LiveKind, data: object): void => {
  if (!listeners.none) listeners.tell(outsideNotice(session, kind, Date.now(), JSON.stringify(data)))
}
const outside = (around: Around, session: string) => around.hooks.outside(session, (kind, _path, data) => tell(around, session, kind, data))
const at = (around: Around, point: "session.before" | "session.after", { reason, ...becoming }: Becoming) =>
  // asking begins when it is called
  Effect.suspend(() => outside(around, becoming.session).ask(point, "", () => ({ ...nowhere, ...becoming, reason })))

/** Fails where a hook says that it must not become that; `asked` is what is refused then. */
export const sessionAsked = (around: Around, becoming: Becoming, asked: string): Effect.Effect<void, SessionRefused> =>
  unlessCancelled(becoming.session, asked, at(around, "session.before", becoming))

/** Tells hooks that it has become that; nothing that they do changes it. */
export const sessionBecame = (around: Around, becoming: Becoming): Effect.Effect<void> => Effect.ignore(at(around, "session.after", becoming))

/** Tells whoever listens what a session is now. */
export const sessionTold = (around: Around, { id, status, reason, user }: Pick<SessionRecord, "id" | "status" | "reason" | "user">): void =>
  tell(around, id, `session.${status}`, { ...(reason === undefined ? {} : { reason }), ...(user === undefined ? {} : { user }) })

/** Creates a session, if hooks let it be; hooks and listeners are told, unless there was one already. */
export const createdSession = (
  around: Around & { readonly keeping: Pick<Keeping, "store"> },
  given: NewSession,
): Effect.Effect<{ readonly created: boolean; readonly session: SessionRecord }, SessionRefused | StoreFailed> =>
  Effect.gen(function*() {
    const becoming = { session: given.id, from: undefined, to: "active" } as const
    yield* sessionAsked(around, becoming, "be created")
    const made = yield* around.keeping.store.sessions.create(given)
    if (made.created) {
      sessionTold(around, made.session)
      yield* sessionBecame(around, becoming)
    }
    return made
  })

/** Tells that something of a session is nearly used up; fails where a hook says that `asked` must not be then. */
export function sessionWarned(around: Around, id: string, asked: string, warning: Warning): Effect.Effect<void, SessionRefused> {
  tell(around, id, "limit.warned", warning)
  return unlessCancelled(id, asked, outside(around, id).ask("limit.warned", "", () => ({ ...nowhere, ...warning })))
}

const unlessCancelled = (
  session: string,
  asked: string,
  verdict: Effect.Effect<Verdict<HookPoints["session.before" | "limit.warned"]["told"]> | undefined, HookFailed>,
): Effect.Effect<void, SessionRefused> => {
  const refused = (reason: string) => Effect.fail(new SessionRefused({ session, asked, reason }))
  return Effect.matchEffect(verdict, {
    onFailure: ({ message }) => refused(message),
    onSuccess: (told) => (told?.decided?.decision.does === "cancel" ? refused(`a hook says: ${redact(told.decided.decision.reason)}`) : Effect.void),
  })
}
