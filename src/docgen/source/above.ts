/** Files that say something of all below them. */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"

/** The nearest file of this name in the folders around a file. */
export const above = (file: string, name: string): string | undefined => {
  for (let folder = dirname(file);; folder = dirname(folder)) {
    if (existsSync(join(folder, name))) return join(folder, name)
    if (folder === dirname(folder)) return undefined
  }
}
