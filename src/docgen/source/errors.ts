/** Errors out of the types of what may fail. */
import type { Type } from "ts-morph"

export const membersOf = (type: Type): ReadonlyArray<Type> => (type.isNever() ? [] : type.isUnion() ? type.getUnionTypes() : [type])

/** What work that gives this may fail with: a promise, a Result, an Effect, a generator of Effects. */
export const errorsIn = (type: Type): ReadonlyArray<Type> => {
  if (type.isUnion()) return type.getUnionTypes().flatMap(errorsIn)
  const [first, second] = type.getTypeArguments()
  switch (type.getSymbol()?.getName()) {
    case "Promise":
    case "Generator":
      return errorsIn(first!)
    case "Effect":
    case "ResultAsync":
    case "Err":
      return membersOf(second!)
    default:
      return []
  }
}
