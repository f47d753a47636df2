/** May a run that was started on one definition go on with another? */
import { createHash } from "node:crypto"
import { encode, type EncodedBlock, type EncodedFlow } from "./encode.ts"
import type { FlowIR } from "./node.ts"

const known = new WeakMap<FlowIR, string>()

/**
 * A hash of the flow's structure: kinds, names, cases, forks, collected passes.
 *
 * Function bodies, descriptions, retry, timeout, limits and concurrency are not part of it: changing them
 * does not move a recorded output to another place.
 */
export function fingerprint(flow: FlowIR): string {
  let hash = known.get(flow)
  if (hash === undefined) {
    hash = hashOf(encode(flow))
    known.set(flow, hash)
  }
  return hash
}

/** The same of a flow that is encoded already. */
export const hashOf = ({ body }: Pick<EncodedFlow, "body">): string =>
  createHash("sha256").update(JSON.stringify(structure(body))).digest("base64url").slice(0, 16)

const tuning = new Set([
  "retry",
  "timeout",
  "concurrency",
  "max",
  "atMax",
  "merge",
  "atTimeout",
  "delivery",
  "effects",
  "compensate",
  "compensated",
  "fallback",
  "rollback",
  "for",
  "until",
  "hooks",
  "limits",
  "budget",
  "buffer",
  "bytes",
  "overflow",
  "checkpoint",
  "rejects",
])
/** What of a block decides where its records lie, as plain data that can be compared. */
export const structure = (body: EncodedBlock): unknown =>
  body.map((node) => [
    node.kind,
    node.name,
    node.binds,
    node.guarded,
    Object.entries(node.shape).filter(([key]) => !tuning.has(key)).map(([key, value]) => `${key}=${String(value)}`).sort(),
    node.blocks.map(({ label, block, returns }) => [label, structure(block), returns]),
  ])
