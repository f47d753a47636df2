/**
 * Sources and sinks of streams.
 *
 * @module heddle/streams
 */
export { toArtifact } from "./artifact.ts"
export { linesTo } from "./file.ts"
export { csv, lines, ndjson } from "./lines.ts"
export type { LinesOptions, Seekable } from "./lines.ts"
export { eventsOf, live, merged, poll } from "./live.ts"
export type { Live, Page } from "./live.ts"
