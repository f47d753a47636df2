/** Whatever a step returned — value, Promise, neverthrow Result, Effect, generator — as one Effect. */
import * as Effect from "effect/Effect"
import { LimitExceeded, StepThrew } from "../model/error.ts"
import { hasSecrets } from "../model/secret.ts"
import { isServiceError, type ServiceError } from "../model/service-error.ts"
import { withoutSecrets } from "../model/without-secrets.ts"

interface ResultLike {
  readonly isOk: () => boolean
  readonly match: <A>(ok: (value: unknown) => A, err: (error: unknown) => A) => A
}
const has = <Key extends string>(value: object, key: Key): value is Record<Key, (...args: never) => unknown> =>
  key in value && typeof Reflect.get(value, key) === "function"
export const isGenerator = (value: object): value is Generator<Effect.Effect<unknown, unknown, unknown>, unknown, never> =>
  Object.prototype.toString.call(value) === "[object Generator]"

/** The value or error of a neverthrow `Result`; any other value is itself. */
const unwrap = (value: unknown): Effect.Effect<unknown, unknown> =>
  typeof value === "object" && value !== null && has(value, "isOk") && has(value, "match") ?
    (value as unknown as ResultLike).match<Effect.Effect<unknown, unknown>>(Effect.succeed, Effect.fail) :
    Effect.succeed(value)

/** What was thrown; a limit that was exceeded, or a service that refused, is told as it is. */
export const threw = (path: string, cause: unknown): StepThrew | LimitExceeded | ServiceError =>
  cause instanceof LimitExceeded || isServiceError(cause) ? cause : new StepThrew({ path, cause })

/** Calls `work` at `path`; a thrown error or rejected promise becomes `StepThrew`. What comes of it has no secrets. */
export const settle = (path: string, work: () => unknown): Effect.Effect<unknown, unknown, unknown> => {
  const settled = called(path, work)
  return hasSecrets() ? Effect.mapBoth(settled, { onSuccess: (value) => withoutSecrets(value), onFailure: (error) => withoutSecrets(error) }) : settled
}

function called(path: string, work: () => unknown): Effect.Effect<unknown, unknown, unknown> {
  let result: unknown
  try {
    result = work()
  } catch (cause) {
    return Effect.fail(threw(path, cause))
  }
  return typeof result === "object" && result !== null ? settleObject(path, result) : Effect.succeed(result)
}

function settleObject(path: string, result: object): Effect.Effect<unknown, unknown, unknown> {
  const pending = pendingOf(path, result)
  return pending === undefined ? unwrap(result) : Effect.catchDefect(pending, (cause) => Effect.fail(threw(path, cause)))
}

/** Work that goes on after it has returned, or that asks for services. Neverthrow's `ResultAsync` is a promise of a `Result`. */
function pendingOf(path: string, result: object): Effect.Effect<unknown, unknown, unknown> | undefined {
  if (Effect.isEffect(result)) return result
  if (isGenerator(result)) return Effect.gen(() => result)
  if (!has(result, "then")) return undefined
  const promise = result as unknown as PromiseLike<unknown>
  return Effect.flatMap(Effect.tryPromise({ try: () => promise, catch: (cause) => threw(path, cause) }), unwrap)
}
