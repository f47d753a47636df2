/** The content of artifacts on its way into the store. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ArtifactContent } from "../../dsl/ir/artifact.ts"
import { messageOf } from "../model/error.ts"
import { redact } from "../model/secret.ts"
import { ArtifactRefused } from "../model/service-error.ts"
import type { ArtifactError } from "./artifacts.ts"

/** Content as it comes. */
export function parts<E>(name: string, content: ArtifactContent | Stream.Stream<Uint8Array, E>): Stream.Stream<Uint8Array, E | ArtifactError> {
  const bytesOf = (part: Uint8Array | string): Uint8Array => (typeof part === "string" ? new TextEncoder().encode(redact(part)) : part)
  if (typeof content === "string" || content instanceof Uint8Array) return content.length === 0 ? Stream.empty : Stream.make(bytesOf(content))
  if (Stream.isStream(content)) return content
  const failed = (cause: unknown) => new ArtifactRefused({ artifact: name, reason: `its content could not be read: ${messageOf(cause)}` })
  return Stream.map(Stream.fromAsyncIterable(content, failed), bytesOf)
}

/** Lets parts through as long as there is room. */
export const countdown = (name: string, bytes: number) => {
  let left = bytes
  return (part: Uint8Array): Effect.Effect<Uint8Array, ArtifactRefused> => {
    left -= part.length
    return left >= 0 ?
      Effect.succeed(part) :
      Effect.fail(
        new ArtifactRefused({
          artifact: name,
          reason: `it is larger than the ${bytes} bytes its session has left. Remove some, or raise the session's policy`,
        }),
      )
  }
}
