/** Whatever a step returned — value, Promise, neverthrow Result, Effect, generator — as one Effect. */
import * as Effect from "effect/Effect"
import { StepThrew } from "../model/error.ts"

interface ResultLike {
  readonly isOk: () => boolean
  readonly match: <A>(ok: (value: unknown) => A, err: (error: unknown) => A) => A
}
const has = <Key extends string>(value: object, key: Key): value is Record<Key, (...args: never) => unknown> =>
  key in value && typeof Reflect.get(value, key) === "function"
const isGenerator = (value: object): value is Generator<Effect.Effect<unknown, unknown, unknown>, unknown, never> =>
  Object.prototype.toString.call(value) === "[object Generator]"

const fromResult = (result: ResultLike): Effect.Effect<unknown, unknown> => result.match<Effect.Effect<unknown, unknown>>(Effect.succeed, Effect.fail)

/** Calls `work` at `path`; a thrown error or rejected promise becomes `StepThrew`. */
export function settle(path: string, work: () => unknown): Effect.Effect<unknown, unknown, unknown> {
  let result: unknown
  try {
    result = work()
  } catch (cause) {
    return Effect.fail(new StepThrew({ path, cause }))
  }
  return typeof result === "object" && result !== null ? settleObject(path, result) : Effect.succeed(result)
}

/** True for work that goes on after it has returned, or that asks for services. */
const isPending = (result: object): boolean => Effect.isEffect(result) || has(result, "then") || isGenerator(result)

function settleObject(path: string, result: object): Effect.Effect<unknown, unknown, unknown> {
  if (isPending(result)) {
    const effect = Effect.isEffect(result) ?
      result :
      isGenerator(result) ?
      Effect.gen(() => result) :
      fromPromise(path, result as PromiseLike<unknown>)
    return Effect.catchDefect(effect, (cause) => Effect.fail(new StepThrew({ path, cause })))
  }
  return has(result, "isOk") && has(result, "match") ? fromResult(result as unknown as ResultLike) : Effect.succeed(result)
}

/** Promises, and neverthrow's `ResultAsync`, which is one of a `Result`. */
const fromPromise = (path: string, promise: PromiseLike<unknown>): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(
    Effect.tryPromise({ try: () => promise, catch: (cause) => new StepThrew({ path, cause }) }),
    (value) =>
      typeof value === "object" && value !== null && has(value, "isOk") && has(value, "match") ?
        fromResult(value as unknown as ResultLike) :
        Effect.succeed(value),
  )
