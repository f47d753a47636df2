/**
 * What a point in a flow can read, at the type level.
 *
 * Three measured rules keep a long chain cheap (`npm run types:cost`):
 * bindings are a union of small records, never an intersection or a nested mapped type; every 16 bindings the
 * recent ones are sealed into one view that later steps share, so reading a name costs the last few bindings
 * and not all of them; and verbs receive the scope through a `this` parameter, so the compiler never walks
 * the accumulated types a second time.
 */

/** One bound name. */
export interface Bound<out Name extends string, out Value> {
  readonly name: Name
  readonly value: Value
}
export type AnyBound = Bound<string, any>

/** What a block knows beside its names. */
export interface Frame<FlowName extends string, Declared extends AnyDeclared, Updates extends string, Jumps extends string> {
  /** The name of the flow being written. */
  readonly flow: FlowName
  /** What the author said of the flow when it began. */
  readonly declared: Declared
  /** Names changed with `.update`. */
  readonly updates: Updates
  /** `"loop"` where `.break` and `.continue` may stand, with `"jumped"` once one does. */
  readonly jumps: Jumps
}
export type AnyFrame = Frame<string, any, string, string>

/** What `seq` was told. */
export interface Declared<Output, Version extends number, Migrated> {
  /** What the output schema accepts; `unknown` without one. */
  readonly output: Output
  readonly version: Version
  /** What the last migration gives; `never` without one. */
  readonly migrated: Migrated
}
export type AnyDeclared = Declared<unknown, number, unknown>

/** The names readable at one point; `Own` are those of the innermost block. */
export interface Scope<
  Names extends string,
  Own extends string,
  Sealed extends AnyBound,
  SealedNames extends string,
  Recent extends AnyBound,
  Count extends ReadonlyArray<unknown>,
  Pending,
  Context extends AnyFrame,
> {
  readonly names: Names
  readonly own: Own
  readonly sealed: Sealed
  readonly sealedNames: SealedNames
  readonly recent: Recent
  readonly count: Count
  /** `undefined` while a `.when(condition)` waits for the node it guards, else `never`. */
  readonly pending: Pending
  readonly frame: Context
}
export type AnyScope = Scope<string, string, AnyBound, string, AnyBound, ReadonlyArray<unknown>, unknown, AnyFrame>

type View<U extends AnyBound> = { readonly [B in U as B["name"]]: B["value"] }

/** The values of `Names`; given the parts of a scope and not the scope, or the compiler would walk all of it at every step. */
type Reading<Names extends string, Sealed extends AnyBound, SealedNames, Recent extends AnyBound> = {
  readonly [Name in Names]: Read<Sealed, SealedNames, Recent, Name>
}
type Read<Sealed extends AnyBound, SealedNames, Recent extends AnyBound, Name> = Name extends SealedNames ? View<Sealed>[Name & keyof View<Sealed>] :
  Extract<Recent, { readonly name: Name }>["value"]

/** The type of one name. */
export type At<S extends AnyScope, Name> = Read<S["sealed"], S["sealedNames"], S["recent"], Name>

/** The object a callback destructures: every readable name with its value. */
export type ScopeOf<S extends AnyScope> = Reading<S["names"], S["sealed"], S["sealedNames"], S["recent"]>

/** `S` after `Name` was bound; a pending `.when` makes the value optional. */
export type Bind<S extends AnyScope, Name extends string, Value> = S["count"]["length"] extends 15 ? Scope<
    S["names"] | Name,
    S["own"] | Name,
    S["sealed"] | S["recent"] | Bound<Name, Value | S["pending"]>,
    S["names"] | Name,
    never,
    [],
    never,
    S["frame"]
  > :
  Scope<
    S["names"] | Name,
    S["own"] | Name,
    S["sealed"],
    S["sealedNames"],
    S["recent"] | Bound<Name, Value | S["pending"]>,
    [...S["count"], 0],
    never,
    S["frame"]
  >

type With<S extends AnyScope, Pending, F extends AnyFrame> = Scope<
  S["names"],
  S["own"],
  S["sealed"],
  S["sealedNames"],
  S["recent"],
  S["count"],
  Pending,
  F
>
type Framed<F extends AnyFrame, Updates extends string, Jumps extends string> = Frame<
  F["flow"],
  F["declared"],
  F["updates"] | Updates,
  F["jumps"] | Jumps
>

/** `S` after a node that binds nothing, with the outer names it changed. */
export type Pass<S extends AnyScope, Updates extends string> = With<S, never, Framed<S["frame"], Updates, never>>

/** `S` with `Name` bound to the output of a block that changed `Updates`. */
export type BindBlock<S extends AnyScope, Name extends string, Value, Updates extends string> = Pass<Bind<S, Name, Value>, Updates>

/** `S` while a `.when(condition)` waits for the node it guards. */
export type Guard<S extends AnyScope> = With<S, undefined, S["frame"]>

/** `S` after a `.break` or `.continue`. */
export type Jumped<S extends AnyScope> = With<S, never, Framed<S["frame"], never, "jumped">>

/** The scope a block starts with: what is readable outside it, and what its node binds inside (`item`, `index`, `matched`). */
export type Enter<S extends AnyScope, Inside extends AnyBound, Jumps extends string> = Scope<
  S["names"] | Inside["name"],
  never,
  Shadow<S["sealed"] | S["recent"], Inside, S["names"]>,
  S["names"] | Inside["name"],
  never,
  [],
  never,
  Frame<S["frame"]["flow"], Declared<unknown, 1, never>, never, Jumps>
>
type Shadow<Outer extends AnyBound, Inside extends AnyBound, Names extends string> = [Inside["name"] & Names] extends [never] ? Outer | Inside :
  Exclude<Outer, { readonly name: Inside["name"] }> | Inside

/** The scope of a new flow. */
export type Start<FlowName extends string, Given extends AnyBound, D extends AnyDeclared> = Scope<
  Given["name"],
  never,
  Given,
  Given["name"],
  never,
  [],
  never,
  Frame<FlowName, D, never, never>
>
