/**
 * Files under one folder, whatever names, links and races say.
 *
 * On Linux every part of a path is opened against the folder that is open already (`/proc/self/fd/<folder>/<name>`, never following a link), so
 * that nothing can be swapped between looking and opening. Elsewhere a path is checked, opened and checked again: whoever can change the folder
 * meanwhile may win that race.
 */
import { randomUUID } from "node:crypto"
import fs from "node:fs"
import path from "node:path"
import { refuse } from "./error.ts"

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW } = fs.constants
/** Linux's: names a file without opening it, so that no pipe blocks and no device stirs. */
const O_PATH = 0o10000000

export interface RootEntry {
  readonly name: string
  readonly kind: "file" | "folder" | "other"
}
const denied = (code: string, reason: string) => refuse("files", code, reason)

/** The parts of a path that may be meant: relative, forward, not too long. */
export function partsOf(relative: string): Array<string> {
  if (relative.includes("\0") || !relative.isWellFormed()) denied("name", "the path has characters no file name has")
  if (Buffer.byteLength(relative) > 4096) denied("name", "the path is longer than 4096 bytes")
  if (path.isAbsolute(relative) || path.win32.isAbsolute(relative) || /^[a-zA-Z]:/.test(relative) || relative.includes("\\")) {
    denied("outside", "the path is to be relative to the root, with / between its parts")
  }
  const parts = relative.split("/").filter((part) => part !== "" && part !== ".")
  if (parts.includes("..")) denied("outside", "the path goes up with ..")
  if (parts.length > 64 || parts.some((part) => Buffer.byteLength(part) > 255)) denied("name", "the path has more than 64 parts, or one of more than 255 bytes")
  return parts
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code
/** What the system says, as a refusal where it is one. */
const asked = <A>(work: () => A): A => {
  try {
    return work()
  } catch (error) {
    const code = codeOf(error)
    if (code === "ELOOP" || code === "ENOTDIR") denied("link", "a part of the path is a link, or no folder")
    if (code === "ENOENT") denied("missing", "there is no such file")
    throw error
  }
}

export class Root {
  readonly #folder: string
  readonly #fd: number
  readonly #portable: boolean
  #isClosed = false

  constructor(folder: string, portable = process.platform !== "linux" || !fs.existsSync("/proc/self/fd")) {
    this.#folder = fs.realpathSync(folder)
    this.#portable = portable
    this.#fd = fs.openSync(this.#folder, O_RDONLY | O_DIRECTORY)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    fs.closeSync(this.#fd)
  }

  /** The content of a regular file. */
  read(relative: string, most: number): Buffer {
    const parts = partsOf(relative)
    const name = parts.pop() ?? denied("name", "the path names no file")
    return this.#in(parts, false, (folder) => this.#opened(folder, name, (fd) => read(fd, most)))
  }

  /** Size and time of change of a regular file; `undefined` if there is none. */
  look(relative: string): { readonly size: number; readonly changed: number } | undefined {
    const parts = partsOf(relative)
    const name = parts.pop() ?? denied("name", "the path names no file")
    try {
      return this.#in(parts, false, (folder) => this.#opened(folder, name, (fd, size) => ({ size, changed: fs.fstatSync(fd).mtimeMs })))
    } catch (error) {
      if ((error as { readonly code?: string }).code === "missing") return undefined
      throw error
    }
  }

  /** Writes a file whole: whoever reads meanwhile sees the old one or the new one. Folders on the way are made. */
  write(relative: string, content: string | Uint8Array): void {
    const parts = partsOf(relative)
    const name = parts.pop() ?? denied("name", "the path names no file")
    this.#in(parts, true, (folder) => {
      const fresh = path.join(folder, `.${randomUUID()}`)
      const target = path.join(folder, name)
      const fd = asked(() => fs.openSync(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600))
      try {
        try {
          fs.writeFileSync(fd, content)
          fs.fsyncSync(fd)
        } finally {
          fs.closeSync(fd)
        }
        const before = fs.lstatSync(target, { throwIfNoEntry: false })
        if (before?.isFile() === false) denied("link", "there is something else than a file")
        if (before !== undefined) fs.chmodSync(fresh, before.mode & 0o777)
        fs.renameSync(fresh, target)
      } catch (error) {
        fs.rmSync(fresh, { force: true })
        throw error
      }
    })
  }

  /** Deletes a regular file. */
  remove(relative: string): void {
    this.#file(relative, false, (target) => fs.unlinkSync(target))
  }

  /** Gives a regular file another name, which nothing may have. */
  move(relative: string, to: string): void {
    this.#file(relative, false, (from) =>
      this.#named(to, true, (target) => {
        if (fs.lstatSync(target, { throwIfNoEntry: false }) !== undefined) denied("exists", "there is something of that name already")
        fs.renameSync(from, target)
      }))
  }

  /** The name of what is meant, and of a regular file that nothing else links to. */
  #named<A>(relative: string, make: boolean, use: (target: string) => A): A {
    const parts = partsOf(relative)
    const name = parts.pop() ?? denied("name", "the path names no file")
    return this.#in(parts, make, (folder) => use(path.join(folder, name)))
  }
  #file<A>(relative: string, make: boolean, use: (target: string) => A): A {
    return this.#named(relative, make, (target) => {
      this.#opened(path.dirname(target), path.basename(target), () => undefined)
      return asked(() => use(target))
    })
  }

  /** By name, as the system gives them. */
  list(relative: string, most: number): ReadonlyArray<RootEntry> {
    return this.#in(partsOf(relative), false, (folder) =>
      asked(() => fs.readdirSync(folder, { withFileTypes: true })).slice(0, most)
        .map((entry): RootEntry => ({ name: entry.name, kind: entry.isFile() ? "file" : entry.isDirectory() ? "folder" : "other" })))
  }

  /** A name of the folder at `parts` that means that very folder as long as `use` works. */
  #in<A>(parts: ReadonlyArray<string>, make: boolean, use: (folder: string) => A): A {
    // its number may mean another folder by now
    if (this.#isClosed) denied("closed", "the folder has been given back: these tools are closed")
    if (this.#portable) return use(this.#checked(parts, make))
    let open = this.#fd
    const enter = (fd: number) => {
      if (open !== this.#fd) fs.closeSync(open)
      open = fd
    }
    try {
      for (const part of parts) {
        const next = `/proc/self/fd/${open}/${part}`
        if (make) makeFolder(next)
        enter(asked(() => fs.openSync(next, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)))
      }
      return use(`/proc/self/fd/${open}`)
    } finally {
      enter(this.#fd)
    }
  }

  /** Without `/proc`: the real path, if it is the one that was meant. */
  #checked(parts: ReadonlyArray<string>, make: boolean): string {
    let folder = this.#folder
    for (const part of parts) {
      folder = path.join(folder, part)
      if (make) makeFolder(folder)
      if (asked(() => fs.realpathSync(folder)) !== folder) denied("link", "a part of the path is a link")
    }
    return folder
  }

  /** Opens a regular file that nothing else links to. */
  #opened<A>(folder: string, name: string, use: (fd: number, size: number) => A): A {
    const target = path.join(folder, name)
    const named = asked(() => fs.openSync(target, (this.#portable ? O_RDONLY | fs.constants.O_NONBLOCK : O_PATH) | O_NOFOLLOW))
    try {
      const stat = fs.fstatSync(named)
      if (!stat.isFile()) denied(stat.isSymbolicLink() ? "link" : "kind", "it is no regular file")
      if (stat.nlink > 1) denied("link", "the file has another name elsewhere (a hard link)")
      if (this.#portable) return use(named, stat.size)
      // that very file, whatever its name means by now
      const fd = fs.openSync(`/proc/self/fd/${named}`, O_RDONLY)
      try {
        return use(fd, stat.size)
      } finally {
        fs.closeSync(fd)
      }
    } finally {
      fs.closeSync(named)
    }
  }
}

const makeFolder = (folder: string): void => {
  try {
    fs.mkdirSync(folder, 0o700)
  } catch (error) {
    // what is there already, or in the way, is seen when it is opened
    if (codeOf(error) !== "EEXIST" && codeOf(error) !== "ENOTDIR") throw error
  }
}

/** A file may grow while it is read. */
const read = (fd: number, most: number): Buffer => {
  const buffer = Buffer.allocUnsafe(most + 1)
  let length = 0
  for (let n = 1; n > 0 && length <= most; length += n) n = fs.readSync(fd, buffer, length, buffer.length - length, null)
  if (length > most) denied("size", `the file has more than the ${most} bytes that may be read`)
  return Buffer.from(buffer.subarray(0, length))
}
