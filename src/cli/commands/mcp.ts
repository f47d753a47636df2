/** `heddle mcp`: serves the flows, agents and tools of some files to MCP clients, over stdin and stdout or over HTTP. */
import type { AnyDefinition } from "../../../dsl/flow/flow.ts"
import { mcpHandler } from "../../builtin/mcp/handler.ts"
import { Offers } from "../../builtin/mcp/offers.ts"
import { serveMcp } from "../../builtin/mcp/serve.ts"
import { openHeddle } from "../../engine/client.ts"
import { messageOf } from "../../model/error.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { loadDefinitions } from "../../docgen/source/load.ts"
import { serveAtPort } from "./mcp-http.ts"
import { clean, say, type Shown, style } from "../output.ts"

interface McpFlags extends Shown {
  readonly store: string
  readonly name?: string
  readonly signals?: ReadonlyArray<string>
  readonly session?: string
  readonly allowPrivileged?: boolean
  readonly port?: number
  readonly origins?: ReadonlyArray<string>
}

export async function mcpCommand(
  files: ReadonlyArray<string>,
  { store, name, signals = [], session, allowPrivileged = false, port, origins = [] }: McpFlags,
): Promise<ExitCode> {
  const found = await loadDefinitions(files)
  await using heddle = (await openHeddle({ store })).match((opened) => opened, (error) => {
    throw error
  })
  const options = { name: name!, allowsPrivileged: allowPrivileged, signals, session }
  const fits = (one: AnyDefinition): boolean => {
    try {
      return new Offers(heddle, [one], options).tools.length > 0
    } catch (cause) {
      say(`${style.err("yellow", "!")} left out: ${clean(messageOf(cause))}`)
      return false
    }
  }
  const serves = found.filter(fits)
  if (serves.length === 0) throw new CliError(exitCode.usage, `${files.join(", ")} exports nothing that can be served`)
  const { tools } = new Offers(heddle, serves, options)
  say(style.err("dim", `MCP server · ${tools.map((tool) => clean(String(tool["name"]))).join(", ")} · ${store}`))
  const more = { ...(session === undefined ? {} : { session }), ...(allowPrivileged ? { allow: "privileged" as const } : {}) }
  const served = { heddle, serves, name: name!, signals, ...more }
  if (port === undefined) await serveMcp(served)
  else await serveAtPort(mcpHandler({ ...served, origins }), port, (url) => say(`${url}  (this machine only; Ctrl-C ends it)`))
  return exitCode.ok
}
