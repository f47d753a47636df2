/** A source has failed with an error that its type tells of, which is what the stream fails with. */
export class SourceFailed extends Error {
  readonly error: unknown
  constructor(error: unknown) {
    super("a source has failed")
    this.error = error
  }
}
