/** Released shapes: a flow that has changed since without a new version and a migration does not compile. */
import type { Migration } from "../ir/node.ts"
import type { Misfit } from "./names.ts"
import type { AnyDeclared } from "./scope.ts"
import type { FlowTypeError } from "./type-error.ts"

declare global {
  /** The shapes of released flows, by name and version; `heddle lock` writes them into `heddle.lock.d.ts`. */
  interface HeddleLock {}
}

type LockOf<Name> = Name extends keyof HeddleLock ? HeddleLock[Name] : never
type Shape<Name, Version> = Version extends keyof LockOf<Name> ? LockOf<Name>[Version] : never

/** From a version to the next: what was bound so far, as the next version has it. A name that is left out or `undefined` is not bound yet. */
export type Migrations<Name> = [LockOf<Name>] extends [never] ? Readonly<Record<number, (state: any) => object>> :
  { readonly [Version in keyof LockOf<Name>]?: (state: Partial<LockOf<Name>[Version]>) => object }

type MigrationsIn<O> = O extends { readonly migrations: infer M } ? M : {}
export type VersionIn<O> = O extends { readonly version: infer V extends number } ? V : 1
type Given<M, V> = V extends keyof M ? M[V] extends (...args: never) => infer State ? State : never : never

/** `N + 1` and `N - 1` for the versions a flow can have. */
type Count<N extends number, C extends ReadonlyArray<0> = []> = C["length"] extends N | 256 ? C : Count<N, [...C, 0]>
type Next<N> = N extends number ? [...Count<N>, 0]["length"] : never
type Before<N extends number> = Count<N> extends [0, ...infer Rest] ? Rest["length"] : never

/** What the migration into the current version gives. */
export type Migrated<O> = Given<MigrationsIn<O>, Before<VersionIn<O>>>

/** Names whose types in `Has` do not fit those in `Wants`. */
type Unfit<Has, Wants> = { [K in keyof Has & keyof Wants]: [Exclude<Has[K], undefined>] extends [Wants[K]] ? never : K }[keyof Has & keyof Wants]
type Broken<Name, M> = {
  [V in keyof M]: [Shape<Name, Next<V>>] extends [never] ? never : [Unfit<Given<M, V>, Shape<Name, Next<V>>>] extends [never] ? never : V
}[keyof M]

/** `Name`, or the sentence that names the version from which no migration leads on. */
export type ChainGuard<Name extends string, O> = [LockOf<Name>] extends [never] ? Name :
  // the compiler's first pass knows nothing of the options yet
  {} extends O ? Name :
  [Exclude<keyof LockOf<Name>, keyof MigrationsIn<O> | VersionIn<O>>] extends [never] ? [Broken<Name, MigrationsIn<O>>] extends [never] ? Name :
    FlowTypeError<`flow '${Name}': a migration does not give what the next version has; it is the one from version`, Broken<Name, MigrationsIn<O>>> :
  FlowTypeError<
    `flow '${Name}' has no migration from a released version (see heddle.lock.d.ts); add migrations for`,
    Exclude<keyof LockOf<Name>, keyof MigrationsIn<O> | VersionIn<O>>
  >

/** Names that are not the same in two shapes. */
type Changed<Old, New> =
  | { [K in keyof Old & keyof New]: [Old[K]] extends [New[K]] ? [New[K]] extends [Old[K]] ? never : K : K }[keyof Old & keyof New]
  | Exclude<keyof Old, keyof New>
  | Exclude<keyof New, keyof Old>

/** `Good`, or the sentence that names what has changed since the release or what the last migration gives wrongly. */
export type LockGuard<Name extends string, D extends AnyDeclared, Now, Good> = [D["migrated"]] extends [never] ? Unchanged<Name, D["version"], Now, Good> :
  [Unfit<D["migrated"], Now>] extends [never] ? Unchanged<Name, D["version"], Now, Good> :
  FlowTypeError<
    `flow '${Name}': the last migration does not give what version ${D["version"]} has; wrong:`,
    Misfit<Now[Unfit<D["migrated"], Now> & keyof Now], D["migrated"][Unfit<D["migrated"], Now> & keyof D["migrated"]]>
  >
type Unchanged<Name extends string, Version extends number, Now, Good> = [Shape<Name, Version>] extends [never] ? Good :
  [Changed<Shape<Name, Version>, Now>] extends [never] ? Good :
  FlowTypeError<
    `flow '${Name}' version ${Version} was released with another shape; raise the version and give a migration; changed:`,
    Changed<Shape<Name, Version>, Now>
  >

/** Migrations as the IR keeps them. */
export const migrationsOf = (given: object | undefined): Readonly<Record<number, Migration>> => Object.freeze({ ...given })
