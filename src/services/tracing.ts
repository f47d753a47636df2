/** Spans of runs and nodes, where somebody traces: nothing is made where no tracer was provided. */
import * as Effect from "effect/Effect"
import type { Fiber } from "effect/Fiber"
import { type AnySpan, type ExternalSpan, externalSpan } from "effect/Tracer"
import type { RunRecord } from "../model/run.ts"
import { withoutSecrets } from "../model/without-secrets.ts"

/** Somebody has provided a tracer to the fiber; Effect's own, which keeps nothing, does not count. */
export const isTraced = (fiber: Fiber<unknown, unknown>): boolean => fiber.cache.tracer !== undefined

/** The span as a W3C `traceparent`, to be kept with what it has started. */
export const traceparent = (span: AnySpan): string => `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`
const spanOf = (trace: string | undefined): ExternalSpan | undefined => {
  const [, traceId, spanId, flags] = trace?.split("-") ?? []
  return traceId === undefined || spanId === undefined ? undefined : externalSpan({ traceId, spanId, sampled: flags !== "00" })
}

/**
 * `drive` in a span of the run, which `drive` is told as a `traceparent`. A run that goes on belongs to the trace it began in, wherever it is driven;
 * inside another span it is that one's child, and linked to where it began.
 */
export const inRunSpan = <A, E, R>(run: RunRecord, began: string | undefined, drive: (trace: string) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const [around, before] = [fiber.cache.span, spanOf(began ?? run.trace)]
    const attributes = {
      "heddle.run": run.id,
      "heddle.flow": run.flow,
      "heddle.version": run.version,
      "heddle.correlation": run.correlation,
      ...(run.session === undefined ? {} : { "session.id": run.session }),
    }
    const link = around !== undefined && before !== undefined && before.traceId !== around.traceId ? [{ span: before, attributes: {} }] : []
    return Effect.useSpan(
      `run ${run.flow}`,
      { attributes, links: link, ...(around === undefined && before !== undefined ? { parent: before } : {}) },
      (span) => Effect.withParentSpan(Effect.mapError(drive(traceparent(span)), withoutSecrets), span),
    ) as Effect.Effect<A, E, R>
  })

/** `work` in a span of the node at `path`. */
export const inNodeSpan = <A, E, R>(kind: string, name: string, path: string, work: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withSpan(Effect.mapError(Effect.suspend(work), withoutSecrets), `${kind} ${name}`, { attributes: { "heddle.path": path } }) as Effect.Effect<A, E, R>
