/** What a step may return, and what the compiler learns from it. */
import type { Effect } from "effect/Effect"
import type { Result, ResultAsync } from "neverthrow"
import type { StepThrew } from "./failure.ts"

/** What is known of a piece of work: its value, its typed errors, the services it asks for. */
export interface Settled<out Value, out Error, out Needs> {
  readonly value: Value
  readonly error: Error
  readonly needs: Needs
}

/** What a nested flow gives its step, as the compiler sees it; no value has this type. */
export interface NestedResult<out Value, out Error, out Needs> extends PromiseLike<Value> {
  readonly "~nested": Settled<Value, Error, Needs>
}

/** A cheap first question that plain values answer with no; the rest is only asked of the others. */
type Special = PromiseLike<any> | Effect<any, any, any> | Generator<any, any, any> | { readonly isOk: (...args: never) => boolean }

/** Distributes over unions: `Effect | number` is both. */
export type SettledOf<X> = X extends Special ? Unwrap<X> : Settled<X, never, never>
type Unwrap<X> = X extends { readonly "~nested": Settled<infer A, infer E, infer R> } ? Settled<A, E, R> :
  X extends Effect<infer A, infer E, infer R> ? Settled<A, E, R> :
  X extends ResultAsync<infer A, infer E> ? Settled<A, E, never> :
  X extends Result<infer A, infer E> ? Settled<A, E, never> :
  X extends Generator<infer Y, infer A, any> ? Settled<A, YieldError<Y>, YieldNeeds<Y>> :
  X extends PromiseLike<infer P> ? FromPromise<P> :
  Settled<X, never, never>
type FromPromise<P> = P extends Result<infer A, infer E> ? Settled<A, E | StepThrew, never> : Settled<P, StepThrew, never>
type YieldError<Y> = Y extends Effect<any, infer E, any> ? E : never
type YieldNeeds<Y> = Y extends Effect<any, any, infer R> ? R : never

export type ValueOf<X> = SettledOf<X>["value"]
export type ErrorOf<X> = SettledOf<X>["error"]
export type NeedsOf<X> = SettledOf<X>["needs"]
