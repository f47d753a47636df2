/** What happens, while it happens: on a terminal one line that changes, elsewhere plain lines. */
import { dataOf } from "../services/recorded.ts"
import type { Notice } from "../services/notice.ts"
import { short, style } from "./output.ts"

/** Steps deeper than this are counted and not listed. */
const listedDepth = 1

export class Progress {
  readonly #stream: NodeJS.WriteStream
  readonly #began = performance.now()
  #done = 0
  #current = ""
  #drawn = 0

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream
  }

  readonly listen = ({ kind, path, data }: Pick<Notice, "kind" | "path" | "data">): void => {
    const verb = kind.slice(kind.indexOf(".") + 1)
    if (kind.startsWith("run.")) return
    if (kind.startsWith("compensation.")) {
      const sign = verb === "completed" ? style.err("yellow", "↶") : style.err("red", "✗")
      this.#line(`${sign} ${short(path, 60)} ${style.err("dim", verb === "completed" ? "undone" : "could not be undone")}`)
      return
    }
    if (verb === "started") this.#current = path
    else if (verb === "completed") {
      this.#done++
      if (path.split("/").length <= listedDepth && !path.endsWith("]")) {
        this.#line(`${style.err("green", "✓")} ${short(path, 60)} ${style.err("dim", summary(data!))}`)
      }
    } else if (verb === "failed") this.#line(`${style.err("red", "✗")} ${short(path, 60)}`)
    else if (verb === "retried") this.#line(`${style.err("yellow", "↻")} ${short(path, 60)} ${style.err("dim", "tries again")}`)
    else if (verb === "caught") this.#line(`${style.err("yellow", "◈")} ${short(path, 60)} ${style.err("dim", "caught an error")}`)
    this.#draw()
  }

  #line(text: string): void {
    this.clear()
    this.#stream.write(`${text}\n`)
  }

  #draw(): void {
    const now = performance.now()
    if (!this.#stream.isTTY || now - this.#drawn < 50) return
    this.#drawn = now
    const seconds = ((now - this.#began) / 1000).toFixed(1)
    this.#stream.write(`\r\u001B[K${style.err("dim", short(`… ${this.#current} (${this.#done} done, ${seconds} s)`, (this.#stream.columns || 80) - 1))}`)
  }

  /** Takes the changing line away. */
  clear(): void {
    if (this.#stream.isTTY && this.#drawn > 0) this.#stream.write("\r\u001B[K")
  }
}

const summary = (data: string): string => {
  const { output } = dataOf({ data })
  return output === undefined ? "" : short(JSON.stringify(output), 60)
}
