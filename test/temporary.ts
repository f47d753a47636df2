/** All that tests leave behind goes into one folder, which goes when they have ended. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "heddle-tests-"))
  process.env["TMPDIR"] = folder
  return () => rmSync(folder, { recursive: true, force: true })
}
