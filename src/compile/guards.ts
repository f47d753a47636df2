/** What steps are about to do to State and artifacts, as hooks let it through. */
import * as Effect from "effect/Effect"
import type { HookPoint } from "../../dsl/ir/hook.ts"
import type { StateKey } from "../../dsl/ir/state.ts"
import { ArtifactRefused } from "../model/service-error.ts"
import type { ArtifactGuard } from "../services/artifacts.ts"
import type { StateGuard } from "../services/state.ts"
import type { RunContext } from "./frame.ts"
import { hooksAt } from "./hooks-at.ts"
import type { Run } from "./program.ts"

const isText = (value: unknown): boolean => typeof value === "string"
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- hooks ask for no services
const asked = <A>(run: Run<A>) => run as Effect.Effect<A, any>

const stands = (run: RunContext, path: string, ...points: ReadonlyArray<HookPoint>): boolean => points.some((point) => run.hooks?.stand(point, path))

/** `undefined` where nobody would be asked. */
export const stateGuard = (run: RunContext, path: string): StateGuard | undefined => {
  if (!stands(run, path, "state.before", "state.read")) return undefined
  const decided = (point: "state.before" | "state.read") => (key: StateKey, value: unknown) =>
    Effect.map(asked(hooksAt(run, point, path, () => ({ scope: {}, key: key.name, of: key.scope, value }))), (verdict) => verdict?.decided?.decision)
  return {
    change: !stands(run, path, "state.before") ?
      undefined :
      (key, value) =>
        Effect.map(decided("state.before")(key, value), (decision) => (decision?.does === "replace" || decision?.does === "skip" ? decision : undefined)),
    read: !stands(run, path, "state.read") ?
      undefined :
      (key, value) => Effect.map(decided("state.read")(key, value), (decision) => (decision?.does === "replace" ? decision : undefined)),
  }
}

/** The same. */
export const artifactGuard = (run: RunContext, path: string): ArtifactGuard | undefined =>
  !stands(run, path, "artifact.before", "artifact.after", "artifact.read", "artifact.remove") ?
    undefined :
    {
      before: (input) =>
        Effect.flatMap(asked(hooksAt(run, "artifact.before", path, () => ({ scope: {}, input }))), (verdict) => {
          const changed: typeof input = { ...input, ...Object(verdict?.told.input) }
          const { name, mime, type, tags, about } = changed
          const fits = [name, mime, type].every(isText) && Array.isArray(tags) && tags.every(isText) && typeof about === "object" && about !== null
          const reason = "a hook has changed what is said of it to what does not fit: { name, mime, type, tags, about }"
          return fits ? Effect.succeed(changed) : Effect.fail(new ArtifactRefused({ artifact: input.name, reason }))
        }),
      after: (artifact) => Effect.asVoid(asked(hooksAt(run, "artifact.after", path, () => ({ scope: {}, artifact }), `/${artifact.id}`))),
      read: (artifact) => Effect.asVoid(asked(hooksAt(run, "artifact.read", path, () => ({ scope: {}, artifact })))),
      remove: (artifact) =>
        Effect.map(asked(hooksAt(run, "artifact.remove", path, () => ({ scope: {}, artifact }))), (verdict) => verdict?.decided?.decision.does !== "skip"),
    }
