/** The Model Context Protocol: tools of servers come in, flows go out as tools. */
export { McpFailed } from "./error.ts"
export type { McpFailure } from "./error.ts"
export type { Arguments } from "./json-schema.ts"
export { mcp } from "./mcp.ts"
export type { McpOptions, McpServer, McpToolOptions, McpToolsOptions, RemoteTool } from "./mcp.ts"
export { serveMcp } from "./serve.ts"
export type { ServeMcpOptions } from "./serve.ts"
