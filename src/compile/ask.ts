/** Asking the author's own functions. */
import * as Effect from "effect/Effect"
import { withoutSecrets } from "../model/without-secrets.ts"
import { ConditionThrew } from "../model/error.ts"

/** A pure function of the scope; if it throws, the error names the place. */
export function ask<A>(path: string, question: () => A): Effect.Effect<A, ConditionThrew> {
  try {
    return Effect.succeed(question())
  } catch (cause) {
    return Effect.fail(new ConditionThrew({ path, cause: withoutSecrets(cause) }))
  }
}
