/** A flow as a run of its own, started by a step of another run: it suspends, fails and ends with it. */
import { createHash } from "node:crypto"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { type LimitExceeded, type RunNotFound, RunOwned, RunPaused, RunSuspended, RunTakenOver, type StoreFailed } from "../model/error.ts"
import { isRunId } from "../model/run.ts"
import { Spending } from "../services/spending.ts"
import type { Conductor } from "./conduct.ts"
import { create } from "./create.ts"
import type { Live } from "./live.ts"
import type { Settling } from "./next.ts"
import { tied } from "./ties.ts"

/** Runs `flow` for the step at `path` of the run that goes on here; gives its output. `which` tells it from others that were started there. */
export function runChild(
  conductor: Conductor,
  here: Live,
  flow: FlowIR,
  input: unknown,
  { path, which }: { readonly path: string; readonly which: string },
  { durability, retries, unpauses }: Settling,
): Effect.Effect<any, any, any> {
  const id = childId(here.run.id, flow.name, path + which)
  const how: Settling = { durability, onSuspend: "return", retries, unpauses }
  // a flow in which a run of its own is a step is counted
  here.budgets!.adopt(id, path)
  const seen = Effect.gen(function*() {
    // a child that exists has its input already: what would be computed now may be another one
    const known = yield* Effect.exit(conductor.keeping.store.runs.get(id))
    let next = conductor.settle(flow, id, how)
    if (Exit.isFailure(known)) {
      const { created, run, parsed } = yield* create(conductor, flow, input, { ...tied(here.run), id, parent: here.run.id })
      if (created) next = conductor.begin(flow, run, parsed, how)
    }
    while (true) {
      const exit = yield* Effect.exit(next)
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      const waits = error instanceof RunSuspended || error instanceof RunPaused || error instanceof RunOwned || error instanceof RunTakenOver
      if (!waits) {
        const exceeded = yield* settled(conductor, here, id)
        const output = yield* exit
        if (exceeded !== undefined) yield* Effect.fail(exceeded)
        return { id, output }
      }
      // it waits, or is driven elsewhere: so does this part of its parent
      const { rung } = here.waiting!
      const { due } = yield* conductor.keeping.store.runs.get(id)
      yield* here.waiting!.block({ until: due, child: id }, rung)
      next = conductor.settle(flow, id, { ...how, retries: false, unpauses: false })
    }
  })
  return Effect.onInterrupt(seen, () => {
    const resting = here.leaving || here.stopping !== undefined || here.waiting?.isIdle === true
    // its parent goes on without it: a timeout, a lost race, a fork that failed
    return resting ? Effect.void : Effect.ignore(conductor.giveUp(id, flow))
  })
}

/** Counts what the child has spent where nobody here could count it. */
const settled = ({ keeping: { store } }: Conductor, { budgets }: Live, id: string): Effect.Effect<LimitExceeded | undefined, StoreFailed | RunNotFound> =>
  Effect.gen(function*() {
    const run = yield* store.runs.get(id)
    const spending = new Spending()
    yield* spending.recall(store, run, yield* store.events.head(run))
    return budgets!.settle(id, spending.spent)
  })

/** The same child for the same step, whoever asks. */
export const childId = (parent: string, name: string, path: string): string => {
  const hash = createHash("sha256").update(`${parent}/${path}`).digest("hex").slice(0, 20)
  const id = `${name.replaceAll(/[^A-Za-z0-9._:-]/g, "-").slice(0, 200)}-${hash}`
  return isRunId(id) ? id : `child-${hash}`
}
