/** Checking values with whatever Standard Schema the author chose. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import * as Effect from "effect/Effect"
import type { Issue } from "../model/error.ts"

const issuePath = (path: StandardSchemaV1.Issue["path"]): string =>
  (path ?? []).reduce<string>((at, segment) => {
    const key = typeof segment === "object" ? segment.key : segment
    return typeof key === "number" ? `${at}[${key}]` : at === "" ? String(key) : `${at}.${String(key)}`
  }, "")

/** The parsed value, or what the schema did not accept. Without a schema every value is accepted. */
export function validate(schema: StandardSchemaV1 | undefined, value: unknown): Effect.Effect<unknown, ReadonlyArray<Issue>> {
  if (schema === undefined) return Effect.succeed(value)
  const judge = (result: StandardSchemaV1.Result<unknown>) =>
    result.issues === undefined ?
      Effect.succeed(result.value) :
      Effect.fail(result.issues.map(({ message, path }) => ({ message, path: issuePath(path) })))
  return Effect.suspend(() => {
    const result = schema["~standard"].validate(value)
    return "then" in result ? Effect.flatMap(Effect.promise(() => result), judge) : judge(result)
  })
}
