/** Artifacts for steps: with promises for functions, with Effects for those that are. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ArtifactAccess, ArtifactContent, ArtifactOptions, ArtifactPlace, ArtifactQuery } from "../../dsl/ir/artifact.ts"
import type { ArtifactView } from "./artifacts.ts"
import { asker } from "./asker.ts"
import { artifactView, CurrentStep, type Viewing } from "./current-step.ts"

export function artifactAccess(view: ArtifactView): ArtifactAccess {
  const ask = asker()
  return {
    put: (name, content, options) => ask(view.put(name, content, options)),
    get: (name, place) => ask(view.get(name, place)),
    bytes: (name, place) => ask(view.bytes(name, place)),
    text: (name, place) => ask(view.text(name, place)),
    read: (name, place) => Stream.toAsyncIterable(view.read(name, place)),
    list: (query) => ask(view.list(query)),
    remove: (name, place) => ask(view.remove(name, place)),
    lineage: (name, place) => ask(view.lineage(name, place)),
  }
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every context is one of the engine's
const viewOf = (step: unknown): ArtifactView => (step as Viewing)[artifactView]
const here = <A, E>(use: (view: ArtifactView) => Effect.Effect<A, E>) => Effect.flatMap(CurrentStep, (step) => use(viewOf(step)))

/**
 * Artifacts for steps that are Effects; functions have the same as `artifacts` of their second argument.
 *
 * @example
 * seq("report").step("page", () => Artifacts.put("report.html", "<h1>…</h1>", { mime: "text/html" }))
 */
export const Artifacts = {
  put: <E = never>(name: string, content: ArtifactContent | Stream.Stream<Uint8Array, E>, options?: ArtifactOptions) =>
    here((view) => view.put(name, content, options)),
  get: (name: string, place?: ArtifactPlace) => here((view) => view.get(name, place)),
  bytes: (name: string, place?: ArtifactPlace) => here((view) => view.bytes(name, place)),
  text: (name: string, place?: ArtifactPlace) => here((view) => view.text(name, place)),
  read: (name: string, place?: ArtifactPlace) => Stream.unwrap(Effect.map(CurrentStep, (step) => viewOf(step).read(name, place))),
  list: (query?: ArtifactQuery) => here((view) => view.list(query)),
  remove: (name: string, place?: ArtifactPlace) => here((view) => view.remove(name, place)),
  lineage: (name: string, place?: ArtifactPlace) => here((view) => view.lineage(name, place)),
} as const
