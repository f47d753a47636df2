/** JSON Schemas of the schemas that authors give. */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec"

/** The JSON Schema of what the schema takes; `undefined` where its library gives none. */
export function jsonSchemaOf(schema: StandardSchemaV1): Readonly<Record<string, unknown>> | undefined {
  const standard = schema["~standard"] as StandardSchemaV1.Props & Partial<StandardJSONSchemaV1.Props>
  const { $schema: _, ...json } = standard.jsonSchema?.input({ target: "draft-2020-12" }) ?? {}
  return Object.keys(json).length === 0 ? undefined : json
}
