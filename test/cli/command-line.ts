/** The command line as tests use it: run in this process, with what it says. */
import { afterEach, beforeEach, vi } from "vitest"
import { main } from "../../src/cli/main.ts"

/** What has been said since the last command began. */
export const terminal = { out: "", errors: "" }

beforeEach(() => {
  terminal.out = terminal.errors = ""
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((terminal.out += String(text)), true))
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((terminal.errors += String(text)), true))
})
afterEach(() => {
  vi.restoreAllMocks()
  process.exitCode = 0
})

/** Runs a command line; gives its exit code, stdout and stderr. */
export async function heddle(...args: ReadonlyArray<string>): Promise<{ readonly code: unknown; readonly out: string; readonly errors: string }> {
  terminal.out = terminal.errors = ""
  process.exitCode = undefined
  await main(["node", "heddle", ...args])
  const code = process.exitCode
  process.exitCode = 0
  return { code, ...terminal }
}
