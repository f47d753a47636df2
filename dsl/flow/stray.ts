/** The options each verb has: the types let a wrong name pass where a right one stands beside it in a union. */
import type { NodeKind } from "../ir/node.ts"

const common = ["description", "hooks"]
const options: Readonly<Record<NodeKind | "flow", ReadonlyArray<string>>> = {
  flow: [...common, "agent", "version", "input", "output", "session", "capabilities", "migrations", "budget"],
  step: [...common, "retry", "timeout", "codec", "effects", "compensate", "delivery", "limits"],
  when: [],
  loop: [...common, "while", "until", "times", "over", "max", "atMax", "collect", "budget"],
  jump: [],
  each: [...common, "concurrency", "failure", "ordered"],
  parallel: [...common, "concurrency", "failure", "optional"],
  stream: [...common, "buffer", "bytes", "overflow", "checkpoint", "rejects"],
  protect: [...common, "catch", "catchAll", "fallback", "rollback", "timeout", "compensated", "budget"],
  wait: [...common, "signal", "schema", "where", "timeout", "atTimeout", "for", "until"],
}

/** Names in `given` that are no option of the verb. */
export const strayIn = (kind: NodeKind | "flow", given: object): ReadonlyArray<string> => Object.keys(given).filter((name) => !options[kind].includes(name))
