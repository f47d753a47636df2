/** Sending a signal: checked against what the flow waits for, kept once, told to whoever drives the run. */
import * as Effect from "effect/Effect"
import type { FlowIR, WaitFor } from "../../dsl/ir/node.ts"
import { walk } from "../../dsl/ir/walk.ts"
import { stored } from "../compile/record.ts"
import { validate } from "../compile/schema.ts"
import { type RunNotFound, SignalRefused, type StoreFailed } from "../model/error.ts"
import type { Sending } from "../model/signal.ts"
import { encodeValue } from "../model/value.ts"
import type { Conductor } from "./conduct.ts"

type ForSignal = Extract<WaitFor, { by: "signal" }>
/** The waits for signals in a flow, by the signal's name. */
export const signalsOf = (flow: FlowIR): ReadonlyMap<string, ForSignal> =>
  new Map([...walk(flow)].flatMap(({ node }) => (node.kind === "wait" && node.on.by === "signal" ? [[node.on.signal, node.on]] : [])))

interface Sent {
  readonly id: string
  readonly name: string
  readonly payload: unknown
}
const refusals: Readonly<Record<Exclude<Sending, "accepted" | "duplicate">, string>> = {
  late: "the run has ended; it was recorded as late",
  full: "10,000 signals wait for this run already",
}

/** Sends `sent` to the run. */
export function sendSignal(
  conductor: Conductor,
  flow: FlowIR,
  run: string,
  { id, name, payload }: Sent,
): Effect.Effect<"accepted" | "duplicate", StoreFailed | RunNotFound | SignalRefused> {
  const refused = (reason: string) => new SignalRefused({ run, signal: name, reason })
  const { store } = conductor.keeping
  return Effect.gen(function*() {
    const waits = signalsOf(flow)
    const wait = waits.get(name)
    if (wait === undefined) {
      return yield* refused(`flow '${flow.name}' waits for ${waits.size === 0 ? "no signal" : [...waits.keys()].map((one) => `'${one}'`).join(", ")}`)
    }
    if (id.length === 0 || id.length > 256) return yield* refused("its id must have 1 to 256 characters")
    yield* Effect.mapError(
      validate(wait.schema, wait.schema === undefined ? undefined : payload),
      (issues) => refused(`its payload does not fit: ${issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ")}`),
    )
    // what the sender gave is kept, and parsed by the wait: a schema may give something that it does not accept
    const data = yield* Effect.mapError(
      stored("payload", () => encodeValue(wait.schema === undefined ? undefined : payload)),
      ({ message }) => refused(message),
    )
    const now = yield* Effect.clockWith((clock) => Effect.succeed(clock.currentTimeMillisUnsafe()))
    const sending = yield* store.signals.send(run, { id, name, data }, now)
    if (sending === "late" || sending === "full") return yield* refused(refusals[sending])
    yield* wake(conductor, run, now)
    return sending
  })
}

/** Whoever drives the run looks again, and so do the runs that wait for it. */
const wake = (conductor: Conductor, id: string, now: number): Effect.Effect<void, StoreFailed> =>
  Effect.flatMap(Effect.option(conductor.keeping.store.runs.get(id)), (found) => {
    conductor.news(id)
    const parent = found._tag === "Some" ? found.value.parent : undefined
    return parent === undefined ? Effect.void : Effect.andThen(conductor.keeping.store.runs.nudge(parent, now), wake(conductor, parent, now))
  })
