/** Small schemas of our own, where no library of the user's is to be asked. */
import type { StandardSchemaV1 } from "@standard-schema/spec"

/** A Standard Schema of a function: the value, or what is wrong with it. */
export const schemaOf = <Value>(
  read: (given: unknown) => { readonly value: Value } | { readonly wrong: string; readonly at?: string },
): StandardSchemaV1<unknown, Value> => ({
  "~standard": {
    version: 1,
    vendor: "heddle",
    validate: (given) => {
      const result = read(given)
      return "value" in result ? result : { issues: [{ message: result.wrong, ...(result.at === undefined ? {} : { path: [result.at] }) }] }
    },
  },
})
