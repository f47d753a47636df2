/** The JSON Schema of a tool that is not ours. */
import type { StandardSchemaV1 } from "@standard-schema/spec"

/** What a tool elsewhere is given. */
export type Arguments = Readonly<Record<string, unknown>>

/**
 * Checks arguments as far as Effect can say what the schema says; the rest is left to whose schema it is. Patterns are not tried: one may take for ever.
 * What is given stays as it is.
 */
export async function checking(schema: Arguments): Promise<StandardSchemaV1<Arguments, Arguments>> {
  const [{ fromSchemaDraft07, fromSchemaDraft2020_12 }, { fromJsonSchemaDocument }, { toStandardSchemaV1, Record, String: Text, Unknown }] = await Promise.all([
    import("effect/JsonSchema"),
    import("effect/SchemaRepresentation"),
    import("effect/Schema"),
  ])
  const judge = (): StandardSchemaV1 => {
    const read = String(schema["$schema"]).includes("draft-07") || "definitions" in schema ? fromSchemaDraft07 : fromSchemaDraft2020_12
    try {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- schemas that are read from JSON ask for no services
      return toStandardSchemaV1(fromJsonSchemaDocument(read(schema), { patterns: "ignore" }) as never, { parseOptions: { onExcessProperty: "error" } })
    } catch {
      return toStandardSchemaV1(Record(Text, Unknown))
    }
  }
  const { validate } = judge()["~standard"]
  return {
    "~standard": {
      version: 1,
      vendor: "heddle",
      validate: async (value) => {
        const { issues } = await validate(value)
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it has just been checked
        return issues === undefined ? { value: value as Arguments } : { issues }
      },
    },
  }
}
