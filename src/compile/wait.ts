/** A wait: its end is written as a date before it begins, so it passes also while no process runs. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { WaitFor, WaitNode } from "../../dsl/ir/node.ts"
import { ConditionThrew, WaitTimedOut } from "../model/error.ts"
import { dataOf } from "../services/recorded.ts"
import { decodeValue } from "../model/value.ts"
import type { SignalRecord } from "../model/signal.ts"
import type { Frame } from "./frame.ts"
import { ask } from "./ask.ts"
import type { CompileNode, Outcome, Run } from "./program.ts"
import { validate } from "./schema.ts"

export const compileWait: CompileNode<WaitNode> = (node) => {
  const { on, atTimeout } = node
  const limit = node.timeout === undefined ? undefined : Duration.toMillis(node.timeout)
  return (frame, path, past) =>
    Effect.gen(function*() {
      const { journal } = frame.run
      // compiled for every flow that can wait
      const waiting = frame.run.waiting!
      let until: number | undefined
      const misfits = new Set<string>()
      if (past?.started !== undefined) until = dataOf(past.started).until
      else {
        until = yield* untilOf(on, limit, frame, path, waiting.now)
        const data = { ...(until === undefined ? {} : { until }), ...(on.by === "signal" ? { reason: on.signal } : {}) }
        yield* journal.append("wait.started", frame.path, node.name, JSON.stringify(data))
      }
      while (true) {
        const { rung } = waiting
        const received = on.by === "signal" ? yield* receive(on, node.name, frame, path, misfits) : undefined
        if (received !== undefined) return received
        if (until !== undefined && waiting.now >= until) {
          if (on.by !== "signal" || atTimeout === "continue") return { value: undefined }
          return yield* new WaitTimedOut({ path, milliseconds: limit! })
        }
        journal.notice("wait.blocked", path)
        yield* waiting.block(on.by === "signal" ? { signal: on.signal, until, left: misfits } : { until }, rung)
      }
    }) as Run<Outcome>
}

/** When the wait ends at the latest. */
function untilOf(on: WaitFor, limit: number | undefined, frame: Frame, path: string, now: number): Run<number | undefined> {
  if (on.by === "signal") return Effect.succeed(limit === undefined ? undefined : now + limit)
  return Effect.flatMap(
    ask(path, () => {
      if (on.by === "until") return (typeof on.date === "function" ? on.date(frame.scope) : on.date).getTime()
      const { duration } = on
      return now + Duration.toMillis(typeof duration === "function" ? duration(frame.scope) : duration)
    }),
    (until) =>
      Number.isFinite(until) ?
        Effect.succeed(until) :
        Effect.fail(new ConditionThrew({ path, cause: new RangeError("the wait has no end: not a valid date or duration") })),
  )
}

/** The next signal that fits. One that does not is left to the other waits for it; where there are none it is recorded as refused. */
function receive(on: Extract<WaitFor, { by: "signal" }>, name: string, frame: Frame, path: string, misfits: Set<string>): Run<Outcome | undefined> {
  const { signal, schema, where } = on
  const { journal, waiting } = frame.run
  return Effect.flatMap(journal.signals.pick(signal, misfits), (found: SignalRecord | undefined) => {
    if (found === undefined) return Effect.succeed(undefined)
    const next = Effect.suspend(() => receive(on, name, frame, path, misfits))
    const putBack = Effect.sync(() => {
      journal.signals.putBack(found.id)
      waiting!.ring()
    })
    const left = Effect.suspend(() => {
      misfits.add(found.id)
      return Effect.andThen(putBack, next)
    })
    return Effect.matchEffect(Effect.onInterrupt(validate(schema, schema === undefined ? undefined : decodeValue(found.data)), () => putBack), {
      onSuccess: (value): Run<Outcome | undefined> => {
        const taken = { value, takes: found.id }
        if (where === undefined) return Effect.succeed(taken)
        return Effect.flatMap(
          Effect.onError(ask(path, () => where(value as never, frame.scope)), () => putBack),
          (isMeant): Run<Outcome | undefined> => (isMeant ? Effect.succeed(taken) : left),
        )
      },
      onFailure: (issues) => {
        if (frame.run.isShared(signal)) return left
        const data = JSON.stringify({ received: found.id, reason: issues.map(({ path, message }) => `${path}: ${message}`).join("; ") })
        return Effect.andThen(journal.append("wait.refused", frame.path, name, data, { takes: found.id }), next)
      },
    })
  })
}
