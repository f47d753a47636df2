/** Files under a root, as tools. */
import { setTimeout as sleep } from "node:timers/promises"
import { tool } from "../../../dsl/flow/tool.ts"
import { object, text, whole } from "./input.ts"
import { refuse, refusing } from "./error.ts"
import { pattern } from "./pattern.ts"
import { Root } from "./root.ts"

export interface FilesOptions {
  /** The folder; nothing outside is ever touched. */
  readonly root: string
  /** Most bytes of one file, default 5 MiB. */
  readonly most?: number
  /** Most entries of a list, default 1000, and most hits of a search, default 200. */
  readonly entries?: number
  readonly hits?: number
}

/** Folders below which a search does not look, and how much it looks at. */
const bounds = { depth: 16, files: 5000, bytes: 50 * 1024 * 1024, milliseconds: 2000 } as const

/**
 * Tools for files under one folder: names that go up, absolute names, links, pipes and devices are refused, whatever is swapped meanwhile.
 *
 * @example
 * const docs = files({ root: "docs" })
 * seq("f", { capabilities: ["files.read"] }).step("page", nest(docs.read, () => ({ path: "README.md" })))
 */
export function files({ root: folder, most = 5 * 1024 * 1024, entries = 1000, hits = 200 }: FilesOptions) {
  const root = new Root(folder)
  const path = text({ description: "relative to the root, with / between its parts", longest: 4096 })
  return {
    read: tool("read_file", {
      description: "Reads a text file.",
      input: object({ path }),
      needs: ["files.read"],
    }, refusing(({ path: at }) => new TextDecoder("utf-8", { fatal: true }).decode(root.read(at, most)))),

    list: tool("list_files", {
      description: "Lists a folder: names and whether they are files or folders. The root is \"\".",
      input: object({ path }),
      needs: ["files.read"],
    }, refusing(({ path: at }) => root.list(at, entries))),

    search: tool("search_files", {
      description: "Finds lines that match a pattern (RE2 syntax) in the text files below a folder.",
      input: object({ path, pattern: text({ longest: 1000 }) }),
      needs: ["files.read"],
    }, refusing(({ path: at, pattern: source }) => search(root, at, source, { most, entries, hits }))),

    write: tool(
      "write_file",
      {
        description: "Writes a text file, whole; folders on the way are made.",
        input: object({ path, content: text({ longest: most }) }),
        needs: ["files.write"],
        effects: "writes a file",
      },
      refusing(({ path: at, content }) => {
        root.write(at, content)
        return { path: at, bytes: Buffer.byteLength(content) }
      }),
    ),

    watch: tool(
      "watch_file",
      {
        description: "Waits until a file is made, changed or deleted, and says which; at most so many seconds.",
        input: object({ path, seconds: whole({ least: 1, most: 3600 }) }),
        needs: ["files.read"],
      },
      refusing(async ({ path: at, seconds }, signal): Promise<"made" | "changed" | "deleted" | "unchanged"> => {
        const before = root.look(at)
        for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(100, undefined, { signal })) {
          const now = root.look(at)
          if (now?.size === before?.size && now?.changed === before?.changed) continue
          return before === undefined ? "made" : now === undefined ? "deleted" : "changed"
        }
        return "unchanged"
      }),
    ),

    /** Gives the folder back to the system; its tools fail from then on. */
    close: () => root.close(),
  }
}

interface Hit {
  readonly path: string
  readonly line: number
  readonly text: string
}
function search(
  root: Root,
  from: string,
  source: string,
  { most, entries, hits }: { readonly most: number; readonly entries: number; readonly hits: number },
): ReadonlyArray<Hit> {
  const wanted = pattern("search_files", source)
  const found: Array<Hit> = []
  const folders = [{ path: from, depth: 0 }]
  const end = Date.now() + bounds.milliseconds
  let [looked, bytes] = [0, 0]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const { name, kind } of root.list(folder.path, entries)) {
      if (found.length >= hits) return found.slice(0, hits)
      if (looked >= bounds.files || bytes >= bounds.bytes || Date.now() > end) {
        refuse("search_files", "too-much", "there is too much below this folder: look in a smaller one")
      }
      const path = folder.path === "" ? name : `${folder.path}/${name}`
      if (kind === "folder" && folder.depth < bounds.depth) folders.push({ path, depth: folder.depth + 1 })
      if (kind !== "file") continue
      looked++
      const content = readable(root, path, most)
      if (content === undefined) continue
      bytes += content.length
      // a NUL among the first bytes: no text
      if (content.subarray(0, 8000).includes(0)) continue
      for (const [i, line] of content.toString("utf8").split("\n").entries()) {
        if (line.length <= 10_000 && wanted.test(line)) found.push({ path, line: i + 1, text: line.slice(0, 400) })
      }
    }
  }
  return found.slice(0, hits)
}

/** Too large, linked elsewhere or gone meanwhile: passed over. */
const readable = (root: Root, path: string, most: number): Buffer | undefined => {
  try {
    return root.read(path, most)
  } catch {
    return undefined
  }
}
