/** Attacks by servers of tools. */
import { mcp } from "heddle/mcp"
import { z } from "zod"
import { allRefused, type Attack, used } from "./kit.ts"

const server = (mode: string) => mcp("attacker", { command: [process.execPath, "test/fixtures/mcp-server.ts", mode], timeout: 1000, restarts: { failures: 2 } })

export const servers: ReadonlyArray<Attack> = [
  {
    id: 53,
    attack:
      "an MCP server that lists 20,000 tools, sends 8 MB in a line or pages without end, hangs, crashes, keeps crashing, changes a tool, answers what does not fit",
    run: async () => {
      const outcomes: Array<string> = []
      const noInput = { input: z.object({}) }
      for (const mode of ["huge", "long", "pages", "hang-init", "hang", "crash", "ancient", "no-list", "no-schema", "no-content"]) {
        await using one = server(mode)
        outcomes.push(await used(one.tool("x", noInput), {}))
      }
      await using crashing = server("exit-at-start")
      for (let i = 0; i < 3; i++) outcomes.push(await used(crashing.tool("x", noInput), {}))
      await using changing = server("changes")
      const [x, y] = await changing.tools()
      const before = await used(x, {})
      outcomes.push(await used(x, {}), await used(y, {}))
      await using misfit = server("structured")
      outcomes.push(await used(misfit.tool("x", { ...noInput, output: z.object({ found: z.string() }) }), {}))
      const { pass } = allRefused(outcomes, ["too-much", "timeout", "ended", "protocol", "changed", "missing", "resting"])
      return { outcome: `${outcomes.join(", ")}; ${before}`, pass: pass && outcomes.includes("resting") && before === "done: \"ok {}\"" }
    },
  },
]
