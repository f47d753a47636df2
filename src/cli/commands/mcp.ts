/** `heddle mcp`: serves the flows, agents and tools of some files to an MCP client, over stdin and stdout. */
import type { AnyDefinition } from "../../../dsl/flow/flow.ts"
import { Offers } from "../../builtin/mcp/offers.ts"
import { serveMcp } from "../../builtin/mcp/serve.ts"
import { take } from "../../builtin/mcp/take.ts"
import { openHeddle } from "../../engine/client.ts"
import { messageOf } from "../../model/error.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { loadDefinitions } from "../../docgen/source/load.ts"
import { clean, say, type Shown, style } from "../output.ts"

interface McpFlags extends Shown {
  readonly store: string
  readonly name?: string
  readonly signals?: ReadonlyArray<string>
  readonly session?: string
  readonly allowPrivileged?: boolean
}

export async function mcpCommand(files: ReadonlyArray<string>, { store, name, signals = [], session, allowPrivileged = false }: McpFlags): Promise<ExitCode> {
  // files may print when they are loaded: stdout belongs to the protocol
  const found = await loadDefinitions(files).finally(take(process.stdout).giveBack)
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
  await serveMcp({ heddle, serves, name: name!, signals, ...more })
  return exitCode.ok
}
