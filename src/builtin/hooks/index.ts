/**
 * Ready-made hooks, and ways to make one out of several.
 *
 * @module heddle/hooks
 */
export { caching, cost, rateLimit, redaction, retryAdvice } from "./act.ts"
export type { CostOptions, RateOptions } from "./act.ts"
export { firstMatch, inSequence, together, vote } from "./compose.ts"
export { audit, logging, metrics } from "./watch.ts"
export type { LogLine, StepMetrics } from "./watch.ts"
