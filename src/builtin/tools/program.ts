/** Programs with argument vectors: no shell reads them, what they start ends with them unless it leaves their process group, nothing they say is too much. */
import { spawn } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import type { Readable } from "node:stream"
import { tool } from "../../../dsl/flow/tool.ts"
import { refuse, refusing, ToolRefused } from "./error.ts"
import { listOf, object, oneOf, optional, text } from "./input.ts"

export interface ProgramsOptions {
  /** Programs that may be run: names that are looked for once, now, in the system's folders, or absolute paths. */
  readonly programs: ReadonlyArray<string>
  /** The folder they run in, and below which they may be told to. */
  readonly root: string
  /** Variables of the environment they are given; default: PATH, LANG, LC_ALL, TZ. */
  readonly environment?: ReadonlyArray<string>
  /** In milliseconds, default 30,000; then they are asked to end, and killed half a second later, with all they have started. */
  readonly timeout?: number
  /** What is kept of each output, in bytes, the newest; default 1 MiB. */
  readonly bytes?: number
}
export interface ProgramEnded {
  readonly exit: number | null
  readonly output: string
  readonly errors: string
  /** Bytes of both that are not kept. */
  readonly dropped: number
}
const denied = (code: string, reason: string) => refuse("run_program", code, reason)
const folders = ["/usr/local/bin", "/usr/bin", "/bin"]
/** How long a program that is asked to end may take, and how long its children may hold its outputs, in milliseconds. */
const grace = { end: 500, outputs: 300 } as const

const isProgram = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}
const find = (program: string): string =>
  (path.isAbsolute(program) ? [program] : folders.map((folder) => path.join(folder, program))).find(isProgram) ??
    denied("missing", `there is no program '${program}'`)

/**
 * A tool that runs programs of a list. It is privileged: agents take it with an approval, or where they allow it.
 *
 * @throws ToolRefused where a program is not there
 * @example
 * const { run } = programs({ programs: ["git", "ls"], root: "." })
 */
export function programs(
  { programs: names, root: given, environment = ["PATH", "LANG", "LC_ALL", "TZ"], timeout = 30_000, bytes = 1024 * 1024 }: ProgramsOptions,
) {
  const known = new Map(names.map((name) => [path.basename(name), find(name)]))
  const root = fs.realpathSync(given)
  const env = Object.fromEntries(environment.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])))
  return {
    run: tool(
      "run_program",
      {
        description: `Runs a program: ${[...known.keys()].join(", ")}. Arguments are given as they are; no shell reads them.`,
        input: object({
          program: oneOf(...known.keys()),
          args: listOf(text({ longest: 32_768 }), 256),
          folder: optional(text({ description: "relative to the root", longest: 4096 })),
          input: optional(text({ longest: 4 * 1024 * 1024 })),
        }),
        level: "privileged",
        needs: ["process.run"],
        effects: "runs a program",
        approval: true,
      },
      refusing(({ program, args, folder = ".", input }, signal) => {
        if (args.some((one) => one.includes("\0")) || args.reduce((sum, one) => sum + one.length, 0) > 128_000) {
          denied("arguments", "the arguments have a NUL or more than 128,000 characters")
        }
        const cwd = within(root, folder)
        return run(known.get(program)!, args, { cwd, env: { ...env, PWD: cwd }, input, timeout, bytes, signal })
      }),
    ),
  }
}

const within = (root: string, folder: string): string => {
  const target = path.join(root, folder)
  const real = fs.existsSync(target) ? fs.realpathSync(target) : denied("missing", "there is no such folder")
  return real === root || real.startsWith(root + path.sep) ? real : denied("outside", "the folder lies outside of the root")
}

/** The newest bytes of a stream. */
class Ring {
  #parts: Array<Buffer> = []
  #kept = 0
  dropped = 0
  readonly #most: number
  constructor(most: number) {
    this.#most = most
  }
  push(part: Buffer): void {
    this.#parts.push(part)
    this.#kept += part.length
    while (this.#kept > this.#most) {
      const first = this.#parts[0]!
      const over = Math.min(this.#kept - this.#most, first.length)
      this.#parts[0] = first.subarray(over)
      if (over === first.length) this.#parts.shift()
      this.#kept -= over
      this.dropped += over
    }
  }
  get text(): string {
    return Buffer.concat(this.#parts).toString("utf8")
  }
}

interface Running {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly input: string | undefined
  readonly timeout: number
  readonly bytes: number
  readonly signal: AbortSignal
}
const killGroup = (leader: number, how: NodeJS.Signals): void => {
  try {
    process.kill(-leader, how)
  } catch {
    // nothing of it is left
  }
}
const run = (file: string, args: ReadonlyArray<string>, { cwd, env, input, timeout, bytes, signal }: Running): Promise<ProgramEnded> =>
  new Promise((resolve, reject) => {
    // a group of its own, so that all it has started can be ended with it
    const child = spawn(file, args, { shell: false, detached: true, windowsHide: true, cwd, env, stdio: ["pipe", "pipe", "pipe"] })
    const [output, errors] = [new Ring(bytes), new Ring(bytes)]
    const timers: Array<NodeJS.Timeout> = []
    let late = false
    const kill = (how: NodeJS.Signals) => killGroup(child.pid!, how)
    const stop = () => {
      kill("SIGTERM")
      timers.push(setTimeout(kill, grace.end, "SIGKILL"))
    }
    const keep = (stream: Readable, ring: Ring) => stream.on("data", (part: Buffer) => ring.push(part))
    keep(child.stdout, output)
    keep(child.stderr, errors)
    // it need not read what it is given
    child.stdin.on("error", () => undefined).end(input)
    signal.addEventListener("abort", stop, { once: true })
    const ending = setTimeout(() => {
      late = true
      stop()
    }, timeout)
    timers.push(ending)
    child.once("exit", () => {
      if (!late) clearTimeout(ending)
      kill("SIGKILL")
      // whoever has left the group may hold its outputs for ever
      timers.push(setTimeout(() => [child.stdout, child.stderr].forEach((stream) => stream.destroy()), grace.outputs))
    })
    const over = () => {
      timers.forEach(clearTimeout)
      signal.removeEventListener("abort", stop)
    }
    child.once("error", (cause) => {
      over()
      reject(cause)
    })
    child.once("close", (exit) => {
      over()
      if (late) reject(new ToolRefused({ tool: "run_program", code: "timeout", reason: `it did not end within ${timeout} ms` }))
      else resolve({ exit, output: output.text, errors: errors.text, dropped: output.dropped + errors.dropped })
    })
  })
