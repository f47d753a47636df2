/** Bytes cut into lines, which never hold more than was agreed. */
export class Lines {
  readonly #most: number
  readonly #heard: (line: string) => void
  readonly #tooLong: () => void
  #parts: Array<Buffer> = []
  #size = 0
  #isOver = false

  constructor(most: number, heard: (line: string) => void, tooLong: () => void) {
    this.#most = most
    this.#heard = heard
    this.#tooLong = tooLong
  }

  read(part: Buffer): void {
    let rest = part
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      if (!this.#kept(rest.subarray(0, end))) return
      const line = Buffer.concat(this.#parts).toString("utf8")
      this.#parts = []
      this.#size = 0
      rest = rest.subarray(end + 1)
      this.#heard(line)
    }
    this.#kept(rest)
  }

  /** After a line that is too long nothing is heard any more. */
  #kept(part: Buffer): boolean {
    if (this.#isOver) return false
    this.#parts.push(part)
    this.#size += part.length
    if (this.#size <= this.#most) return true
    this.#isOver = true
    this.#parts = []
    this.#tooLong()
    return false
  }
}
