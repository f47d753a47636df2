/**
 * Ready-made tools.
 *
 * @module heddle/tools
 */
export { parseData } from "./data.ts"
export { ToolRefused } from "./error.ts"
export type { FetchLimits } from "./fetch.ts"
export { files } from "./files.ts"
export type { FilesOptions } from "./files.ts"
export { formatData } from "./format.ts"
export { programs } from "./program.ts"
export type { ProgramEnded, ProgramsOptions } from "./program.ts"
export { sql } from "./sql/sql.ts"
export type { SqlOptions } from "./sql/sql.ts"
export { dateTime, diffText, fillTemplate, findText, hashText, newId, replaceText } from "./text.ts"
export { web } from "./web.ts"
