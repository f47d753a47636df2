/** Files under a root, as tools. */
import { setTimeout as sleep } from "node:timers/promises"
import * as Effect from "effect/Effect"
import { tool } from "../../../dsl/flow/tool.ts"
import { formatOf, packed, unpacked } from "./archive.ts"
import { object, text, whole } from "./input.ts"
import { refuse, refusing } from "./error.ts"
import { pattern } from "./pattern.ts"
import { partsOf, Root } from "./root.ts"

export interface FilesOptions {
  /** The folder; nothing outside is ever touched. */
  readonly root: string
  /** Most bytes of one file, default 5 MiB. */
  readonly most?: number
  /** Most entries of a list, default 1000, and most hits of a search, default 200. */
  readonly entries?: number
  readonly hits?: number
}

/** How deep and at how much a search looks, and how much is packed or unpacked. */
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
    }, refusing(({ path: at }) => textOf(root.read(at, most)))),

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
        const length = Buffer.byteLength(content)
        if (length > most) refuse("write_file", "size", `the file would have more than the ${most} bytes that may be read`)
        root.write(at, content)
        return { path: at, bytes: length }
      }),
    ),

    append: tool(
      "append_file",
      {
        description: "Adds to the end of a text file, which is made if there is none; folders on the way are made.",
        input: object({ path, content: text({ longest: most }) }),
        needs: ["files.write"],
        effects: "writes a file",
      },
      refusing(({ path: at, content }) => {
        const there = root.look(at) === undefined ? Buffer.alloc(0) : root.read(at, most)
        const all = Buffer.concat([there, Buffer.from(content)])
        if (all.length > most) refuse("append_file", "size", `the file would have more than the ${most} bytes that may be read`)
        root.write(at, all)
        return { path: at, bytes: all.length }
      }),
    ),

    move: tool(
      "move_file",
      {
        description: "Gives a file another name, also in another folder; a file that has that name already is refused.",
        input: object({ path, to: path }),
        needs: ["files.write"],
        effects: "moves a file",
      },
      refusing(({ path: at, to }) => {
        root.move(at, to)
        return { path: to }
      }),
    ),

    remove: tool(
      "remove_file",
      {
        description: "Deletes a file.",
        input: object({ path }),
        needs: ["files.write"],
        effects: "deletes a file",
      },
      refusing(({ path: at }) => {
        root.remove(at)
        return { path: at }
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

    pack: tool("pack_files", {
      description: "Packs the files below a folder into a .zip, .tar or .tar.gz.",
      input: object({ path, archive: path }),
      needs: ["files.read", "files.write"],
      effects: "writes a file",
    }, ({ path: from, archive }) =>
      Effect.gen(function*() {
        yield* refusing(() => formatOf(archive))(undefined)
        const found = yield* refusing(() => [...below(root, from, { most, entries, tool: "pack_files", without: partsOf(archive).join("/") })])(undefined)
        const packs = found.map(({ path: at, bytes }) => ({ path: from === "" ? at : at.slice(from.length + 1), bytes }))
        const bytes = yield* packed(archive, packs)
        yield* refusing(() => root.write(archive, bytes))(undefined)
        return { path: archive, files: packs.length, bytes: bytes.length }
      })),

    unpack: tool("unpack_files", {
      description: "Unpacks a .zip, .tar or .tar.gz into a folder and says which files it has written; those that are there are written over.",
      input: object({ archive: path, path }),
      needs: ["files.read", "files.write"],
      effects: "writes files",
    }, ({ archive, path: into }) =>
      Effect.gen(function*() {
        const bytes = yield* refusing(() => root.read(archive, bounds.bytes))(undefined)
        const packs = yield* unpacked(archive, bytes, { entries, file: most, total: bounds.bytes })
        return yield* refusing(() => {
          const all = packs.map(({ path: name, bytes: content }) => ({ path: into === "" ? name : `${into}/${name}`, content }))
          // what is in the way is found before anything is written
          for (const { path: at } of all) root.look(at)
          return all.map(({ path: at, content }) => {
            root.write(at, content)
            return { path: at, bytes: content.length }
          })
        })(undefined)
      })),

    /** Gives the folder back to the system; its tools fail from then on. */
    close: () => root.close(),
  }
}

interface Bounds {
  /** Most bytes of one file, and most entries of a folder. */
  readonly most: number
  readonly entries: number
  /** Whose refusal it is. */
  readonly tool: string
  /** All of them are wanted, but this one: one that cannot be had is a refusal. */
  readonly without?: string
}
/** The files below a folder that can be read; those that are too large, linked elsewhere or gone meanwhile are passed over. */
function* below(root: Root, from: string, { most, entries, tool: name, without }: Bounds): Generator<{ readonly path: string; readonly bytes: Buffer }> {
  const folders = [{ path: from, depth: 0 }]
  const end = Date.now() + bounds.milliseconds
  const tooMuch = () => refuse(name, "too-much", "there is too much below this folder: look in a smaller one")
  let [looked, bytes] = [0, 0]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const found = root.list(folder.path, entries + 1)
    if (found.length > entries && without !== undefined) tooMuch()
    for (const { name: entry, kind } of found.slice(0, entries)) {
      if (looked >= bounds.files || bytes >= bounds.bytes || Date.now() > end) tooMuch()
      const path = folder.path === "" ? entry : `${folder.path}/${entry}`
      if (path === without) continue
      if (kind === "folder" && folder.depth < bounds.depth) folders.push({ path, depth: folder.depth + 1 })
      else if (kind === "folder" && without !== undefined) tooMuch()
      if (kind !== "file") continue
      looked++
      const content = without === undefined ? readable(root, path, most) : root.read(path, most)
      if (content === undefined) continue
      bytes += content.length
      yield { path, bytes: content }
    }
  }
}

const textOf = (bytes: Buffer): string => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    return refuse("read_file", "encoding", "it is no text in UTF-8")
  }
}

interface Hit {
  readonly path: string
  readonly line: number
  readonly text: string
}
function search(root: Root, from: string, source: string, { hits, ...bound }: Omit<Bounds, "tool"> & { readonly hits: number }): ReadonlyArray<Hit> {
  const wanted = pattern("search_files", source)
  const found: Array<Hit> = []
  for (const { path, bytes } of below(root, from, { ...bound, tool: "search_files" })) {
    // a NUL among the first bytes: no text
    if (bytes.subarray(0, 8000).includes(0)) continue
    for (const [i, line] of bytes.toString("utf8").split("\n").entries()) {
      if (line.length <= 10_000 && wanted.test(line)) found.push({ path, line: i + 1, text: line.slice(0, 400) })
    }
    if (found.length >= hits) break
  }
  return found.slice(0, hits)
}

const readable = (root: Root, path: string, most: number): Buffer | undefined => {
  try {
    return root.read(path, most)
  } catch {
    return undefined
  }
}
