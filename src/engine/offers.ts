/** What the steps of one run may ask for. */
import * as Effect from "effect/Effect"
import type { StepContext } from "../../dsl/ir/node.ts"
import type { Offers, RunContext } from "../compile/frame.ts"
import { artifactGuard, stateGuard } from "../compile/guards.ts"
import { hooksAt } from "../compile/hooks-at.ts"
import type { StoreFailed } from "../model/error.ts"
import type { RunRecord } from "../model/run.ts"
import { encodeValue } from "../model/value.ts"
import { ArtifactView } from "../services/artifacts.ts"
import type { StateNews } from "../services/state-watch.ts"
import { StateView } from "../services/state.ts"
import type { Changes } from "../services/state-changes.ts"
import type { Quota, Store } from "../store/store.ts"
import { policyOf, sessionIn } from "./session-meter.ts"

/** What a session may keep where its policy does not say. */
const defaults: Quota = { count: 1000, bytes: 10 * 2 ** 30 }
const unlimited: Quota = { count: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER }

/** Where sessions lie that are put away: no run can be in it, and none can see it. */
export const archived = "!archive"

/** How much a session may keep; what belongs to none is not bounded. */
export const quotaIn = (store: Store["Service"]) => (session: string): Effect.Effect<Quota, StoreFailed> =>
  session === "" || session === archived ? Effect.succeed(unlimited) : Effect.map(
    sessionIn(store, session),
    (record) => {
      const { artifacts = defaults.count, artifactBytes = defaults.bytes } = record === undefined ? {} : policyOf(record)
      return { count: artifacts, bytes: artifactBytes }
    },
  )

/** One per run whose steps ask for something. */
export class RunOffers implements Offers {
  readonly #context: RunContext
  readonly #store: Store["Service"]
  readonly #run: RunRecord
  readonly #news: StateNews

  constructor(context: RunContext, store: Store["Service"], run: RunRecord, news: StateNews) {
    this.#context = context
    this.#store = store
    this.#run = run
    this.#news = news
  }

  readonly shared: Offers["shared"] = new Map()

  state(own: Changes, path: string): StateView {
    const { id, session } = this.#run
    const shared = this.shared.size === 0 ? undefined : [...this.shared].find(([at]) => path.startsWith(`${at}/`))
    const changes = shared === undefined ? own : shared[1]()
    return new StateView(this.#store, { run: id, flow: this.#context.flow, session }, changes, this.stateChanged, stateGuard(this.#context, path))
  }

  artifacts({ path, charge }: Pick<StepContext, "path" | "charge">): ArtifactView {
    const { id, session = "" } = this.#run
    const { journal } = this.#context
    return new ArtifactView(this.#store, {
      session,
      by: `${id}/${path}`,
      quota: quotaIn(this.#store),
      kept: (artifact) => {
        journal.notice("artifact.kept", path, JSON.stringify({ artifact: artifact.id, size: artifact.size }))
        charge({ bytes: artifact.size })
      },
      removed: ({ id: artifact }) => journal.notice("artifact.removed", path, () => JSON.stringify({ artifact })),
      warned: (_, warning) => {
        journal.notice("limit.warned", path, JSON.stringify(warning))
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- hooks ask for no services
        return hooksAt(this.#context, "limit.warned", path, () => ({ scope: {}, ...warning })) as Effect.Effect<void, any>
      },
      guard: artifactGuard(this.#context, path),
    })
  }

  progress(path: string, news: unknown): void {
    this.#context.journal.notice("step.progressed", path, () => encodeValue({ news }, true))
  }

  get stateChanged(): () => void {
    return this.#news.tell
  }
}
