/** Sending a signal: checked against what the flow waits for, kept once, told to whoever drives the run. */
import { currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { signalWaits } from "../../dsl/ir/walk.ts"
import { stored } from "../compile/record.ts"
import { validate } from "../compile/schema.ts"
import { type RunNotFound, SignalRefused, type StoreFailed } from "../model/error.ts"
import type { Sending } from "../model/signal.ts"
import { encodeValue } from "../model/value.ts"
import type { Conductor } from "./conduct.ts"

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
    const waits = signalWaits(flow)
    const wanted = waits.get(name)
    if (wanted === undefined) {
      return yield* refused(`flow '${flow.name}' waits for ${waits.size === 0 ? "no signal" : [...waits.keys()].map((one) => `'${one}'`).join(", ")}`)
    }
    if (id.length === 0 || id.length > 256) return yield* refused("its id must have 1 to 256 characters")
    const given = wanted.every(({ schema }) => schema === undefined) ? undefined : payload
    // it is for whichever wait comes first: one that it fits is enough
    yield* Effect.mapError(
      Effect.firstSuccessOf(wanted.map(({ schema }) => validate(schema, given))),
      (issues) => refused(`its payload does not fit: ${issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ")}`),
    )
    // what the sender gave is kept, and parsed by the wait: a schema may give something that it does not accept
    const data = yield* Effect.mapError(
      stored("payload", () => encodeValue(given)),
      ({ message }) => refused(message),
    )
    const now = yield* currentTimeMillis
    const sending = yield* store.signals.send(run, { id, name, data }, now)
    if (sending === "late" || sending === "full") return yield* refused(refusals[sending])
    yield* tell(conductor, run)
    return sending
  })
}

/** Whoever drives the run looks again, and so do the runs that wait for it. */
const tell = (conductor: Conductor, id: string): Effect.Effect<void, StoreFailed | RunNotFound> =>
  Effect.flatMap(conductor.keeping.store.runs.get(id), ({ parent }) => {
    conductor.news(id)
    return parent === undefined ? Effect.void : tell(conductor, parent)
  })
