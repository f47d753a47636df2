/** `heddle mcp`: serves the flows of some files to an MCP client, over stdin and stdout. */
import { serveMcp } from "../../builtin/mcp/serve.ts"
import { take } from "../../builtin/mcp/take.ts"
import { openHeddle } from "../../engine/client.ts"
import { CliError, type ExitCode, exitCode } from "../exit-codes.ts"
import { loadAll } from "../load.ts"
import { clean, say, type Shown, style } from "../output.ts"

interface McpFlags extends Shown {
  readonly store: string
  readonly name?: string
}

export async function mcpCommand(files: ReadonlyArray<string>, { store, name }: McpFlags): Promise<ExitCode> {
  // flow files may print when they are loaded: stdout belongs to the protocol
  const loaded = await loadAll(files).finally(take(process.stdout).giveBack)
  const serves = loaded.map(({ flow }) => flow)
  await using heddle = (await openHeddle({ store })).match((opened) => opened, (error) => {
    throw error
  })
  say(style.err("dim", `MCP server · ${serves.map(({ ir }) => clean(ir.name)).join(", ")} · ${store}`))
  try {
    await serveMcp({ heddle, serves, name: name! })
  } catch (cause) {
    if (cause instanceof TypeError) throw new CliError(exitCode.usage, cause.message)
    throw cause
  }
  return exitCode.ok
}
