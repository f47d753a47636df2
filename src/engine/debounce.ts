/** Starting a run when no other has been asked for in a while: the last one counts. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { InputInvalid, type RunError } from "../model/error.ts"
import type { RunRecord } from "../model/run.ts"
import type { Control } from "./control.ts"
import type { EnqueueOptions, Starter } from "./start.ts"

/**
 * Leaves a run for a worker, `debounce` from now; those of the flow with its correlation that have not begun, and came into the store before it, are
 * cancelled. Of several that are asked for at once exactly one stays: the one that came last.
 */
export function startDebounced(
  starter: Starter,
  control: Control,
  flow: FlowIR,
  input: unknown,
  { debounce, ...options }: EnqueueOptions & { readonly debounce: Duration.Input },
): Effect.Effect<RunRecord, RunError> {
  const { store } = starter.conductor.keeping
  const { correlation } = options
  if (correlation === undefined || options.at !== undefined) {
    const message = correlation === undefined ? "it needs a correlation: the last run of each counts" : "it says when the run begins: leave `at` out"
    return Effect.fail(new InputInvalid({ flow: flow.name, path: "", issues: [{ path: "debounce", message }] }))
  }
  const milliseconds = Duration.toMillis(debounce)
  if (!Number.isFinite(milliseconds)) {
    return Effect.fail(new InputInvalid({ flow: flow.name, path: "", issues: [{ path: "debounce", message: "it would never end" }] }))
  }
  return Effect.gen(function*() {
    const at = new Date(Date.now() + milliseconds)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing of the flow runs here
    const run = yield* starter.start(flow, input, { ...options, at }) as Effect.Effect<RunRecord, RunError>
    const others = yield* store.runs.list({ flow: flow.name, status: "pending", correlation, limit: Number.MAX_SAFE_INTEGER })
    // newest first: whoever looks last sees all, and leaves one
    const [newest, ...older] = others
    for (const { id } of older) {
      const cancelled = control.cancel(id, { expect: 0, reason: `debounced: run '${newest!.id}' takes its place` })
      // one that has begun meanwhile goes on
      yield* Effect.catchTag(cancelled, "CommandRefused", () => Effect.void)
    }
    return run
  })
}
