/**
 * The Model Context Protocol: tools of servers come in, flows go out as tools.
 *
 * @module heddle/mcp
 */
export { McpFailed } from "./error.ts"
export type { McpFailure } from "./error.ts"
export { mcpHandler } from "./handler.ts"
export type { McpHandlerOptions } from "./handler.ts"
export type { McpHeaders } from "./http.ts"
export type { Arguments } from "./json-schema.ts"
export { mcp } from "./mcp.ts"
export type { McpHttpOptions, McpOptions, McpProcessOptions, McpServer, McpToolOptions, McpToolsOptions, RemoteTool } from "./mcp.ts"
export type { McpServed } from "./offers.ts"
export { serveMcp } from "./serve.ts"
export type { ServeMcpOptions } from "./serve.ts"
