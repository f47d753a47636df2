/** What a session may keep. */
import type { NewArtifact } from "../model/artifact.ts"
import { ArtifactRefused } from "../model/service-error.ts"
import type { Quota } from "./store.ts"

/** Why one more artifact is too much, if it is. */
export function overQuota({ session, name, size }: NewArtifact, used: Quota, quota: Quota): ArtifactRefused | undefined {
  const whose = session === "" ? "the store" : `session '${session}'`
  const reason = used.count + 1 > quota.count ?
    `${whose} has ${used.count} of ${quota.count} artifacts` :
    used.bytes + size > quota.bytes ?
    `${whose} has ${used.bytes} of ${quota.bytes} bytes of artifacts, and this one has ${size}` :
    undefined
  return reason === undefined ? undefined : new ArtifactRefused({ artifact: name, reason: `${reason}. Remove some, or raise the session's policy` })
}
