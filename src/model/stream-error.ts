/** Errors of streams. Each has a page in `docs/errors/`, named by its tag. */
import { TaggedError } from "effect/Data"

/** A live source is gone with the process that read it. */
export class StreamLost extends TaggedError("StreamLost")<{ readonly path: string; readonly source: string }> {
  override get message(): string {
    return `stream '${this.path}' cannot go on: its live source '${this.source}' is gone with the process that read it. Take a seekable source, or live(…, { onResume: "reopen" })`
  }
}
/** A stream has more than it may keep. */
export class StreamOverflowed extends TaggedError("StreamOverflowed")<{ readonly path: string; readonly what: string; readonly most: number }> {
  override get message(): string {
    return `stream '${this.path}' has more than ${this.most} ${this.what}. Allow more, or keep less: fold, batch, or write them somewhere`
  }
}
