/** The compiler's rules for names and for what may be bound to them. */
import type { AnyScope, At } from "./scope.ts"
import type { NotStorable, Storable } from "./storable.ts"
import type { FlowTypeError } from "./type-error.ts"
import type { ValueOf } from "./work.ts"

/** Names Heddle binds itself. */
export type Reserved = "input" | "item" | "index" | "matched"

/** `Name`, or the sentence that says why it cannot be bound here. */
export type FreshName<Name extends string, Names extends string> = string extends Name ? FlowTypeError<"a name must be a string literal"> :
  Name extends Names ? FlowTypeError<`'${Name}' is already bound in this scope; give the node another name, or use .update`> :
  Name extends Reserved ? FlowTypeError<`'${Name}' is a name that Heddle binds itself; give the node another name`> :
  Name

/** `FreshName`, and what the step returns can be recorded. `unknown` is the compiler's first pass, which must be let through. */
export type StepName<Name extends string, Names extends string, Result> = string extends Name ? FlowTypeError<"a name must be a string literal"> :
  Name extends Names ? FlowTypeError<`'${Name}' is already bound in this scope; give the node another name, or use .update`> :
  Name extends Reserved ? FlowTypeError<`'${Name}' is a name that Heddle binds itself; give the node another name`> :
  [Result] extends [Storable] ? Name :
  unknown extends Result ? Name :
  NotStorable<ValueOf<Result>> extends never ? Name :
  FlowTypeError<`step '${Name}' returns a value that cannot be recorded; return plain data, or give the step a codec`, NotStorable<ValueOf<Result>>>

/** `Name`, when it is bound and the new value fits it. */
export type UpdateName<Name extends string, S extends AnyScope, Result> = string extends Name ? FlowTypeError<"a name must be a string literal"> :
  Name extends Reserved ? FlowTypeError<`update '${Name}': Heddle binds this name itself; it cannot be changed`> :
  Name extends S["names"] ? unknown extends Result ? Name :
    [ValueOf<Result>] extends [At<S, Name>] ? Name :
    FlowTypeError<`update '${Name}': the new value does not fit the type the name was bound with`, Misfit<At<S, Name>, ValueOf<Result>>> :
  FlowTypeError<`update '${Name}': nothing in scope has this name; in scope:`, S["names"]>

/** Printed as `Misfit<string, number>`. */
export interface Misfit<Bound, Gets> {
  readonly bound: Bound
  readonly gets: Gets
}
