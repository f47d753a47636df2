/** A file that cannot be read for its flows: what is wrong, and what to do. */
export class SourceRefused extends Error {
  readonly hint: string | undefined
  constructor(message: string, hint?: string, cause?: unknown) {
    super(message, { cause })
    this.hint = hint
  }
}
