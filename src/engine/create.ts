/** Creating runs. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { after } from "../compile/program.ts"
import { stored } from "../compile/record.ts"
import { RunConflict, type StoreFailed } from "../model/error.ts"
import type { SessionRefused } from "../model/service-error.ts"
import type { RunRecord } from "../model/run.ts"
import { encodeValue } from "../model/value.ts"
import type { Warning } from "../services/budgets.ts"
import { traceparent } from "../services/tracing.ts"
import type { Conductor } from "./conduct.ts"
import { parseInput } from "./drive.ts"
import { owner } from "./owner.ts"
import { createdSession, sessionWarned } from "./session-hooks.ts"
import { admit } from "./session-meter.ts"
import type { Ties } from "./ties.ts"

/** A new run is let into its session, which begins with the first that names it; whoever only asks for a run that is there is not counted. */
const enterSession = (conductor: Conductor, session: string, run: string): Effect.Effect<void, StoreFailed | SessionRefused> => {
  const { store } = conductor.keeping
  return Effect.flatMap(Effect.exit(store.runs.get(run)), (found) => {
    if (Exit.isSuccess(found)) return Effect.void
    const known = Effect.catchTag(store.sessions.get(session), "SessionNotFound", () => {
      const given = { id: session, name: undefined, user: undefined, parent: undefined, context: "{}", policy: "{}", tags: [] }
      return Effect.map(createdSession(conductor, given), (made) => made.session)
    })
    return Effect.flatMap(known, (record) => {
      const now = Date.now()
      const warned = (warning: Warning) => sessionWarned(conductor, session, "start a run", warning)
      return Effect.andThen(admit(store, record, now, warned), store.sessions.touch(session, now))
    })
  })
}

/** Creates the run, or finds the one that has its id, and says which. */
export function create(
  conductor: Conductor,
  flow: FlowIR,
  input: unknown,
  more: Ties & { readonly id: string; readonly at?: number | undefined },
): Effect.Effect<{ readonly created: boolean; readonly run: RunRecord; readonly parsed: unknown }, any, any> {
  return Effect.flatMap(
    parseInput(flow, input),
    (parsed) =>
      after(stored("input", () => encodeValue(input)), (encoded) =>
        Effect.flatMap(conductor.save(flow), (print) => {
          const { name, version } = flow
          const { at, id, source, parent, origin, correlation, session, trace } = more
          const creating = Effect.withFiber((fiber) => {
            const { span } = fiber.cache
            return conductor.keeping.store.runs.create({
              id,
              flow: name,
              version,
              fingerprint: print,
              input: encoded,
              status: at === undefined ? "running" : "pending",
              owner: at === undefined ? owner : "",
              due: at ?? conductor.live.lease,
              source,
              parent,
              origin,
              correlation,
              session,
              trace: span === undefined ? trace : traceparent(span),
            })
          })
          const admitted = session === undefined || parent !== undefined ? creating : Effect.andThen(enterSession(conductor, session, id), creating)
          return Effect.flatMap(admitted, ({ created, run }) => {
            if (!created && run.flow !== name) return Effect.fail(new RunConflict({ run: run.id, differs: "flow" }))
            if (!created && run.input !== encoded) return Effect.fail(new RunConflict({ run: run.id, differs: "input" }))
            return Effect.succeed({ created, run, parsed })
          })
        })),
  )
}
