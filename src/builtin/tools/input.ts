/** Small schemas for the inputs of ready-made tools: no schema library of the user's is needed for them. */
import type { StandardSchemaV1 } from "@standard-schema/spec"

interface Field<out Value> {
  readonly json: Readonly<Record<string, unknown>>
  readonly optional: boolean
  /** What is wrong with a value; `undefined`: nothing. */
  readonly check: (value: unknown) => string | undefined
  readonly "~value"?: Value
}
type Fields = Readonly<Record<string, Field<any>>>
type ValueOf<F> = F extends Field<infer Value> ? Value : never
type Given<F extends Fields> =
  & { readonly [K in keyof F as undefined extends ValueOf<F[K]> ? never : K]: ValueOf<F[K]> }
  & { readonly [K in keyof F as undefined extends ValueOf<F[K]> ? K : never]?: ValueOf<F[K]> }

const described = (description: string | undefined) => (description === undefined ? {} : { description })

export const text = ({ description, longest }: { readonly description?: string; readonly longest: number }): Field<string> => ({
  json: { type: "string", maxLength: longest, ...described(description) },
  optional: false,
  check: (value) => (typeof value !== "string" ? "it is to be text" : value.length > longest ? `it is longer than ${longest} characters` : undefined),
})
export const whole = ({ description, least, most }: { readonly description?: string; readonly least: number; readonly most: number }): Field<number> => ({
  json: { type: "integer", minimum: least, maximum: most, ...described(description) },
  optional: false,
  check: (
    value,
  ) => (Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most ? undefined : `it is to be a whole number from ${least} to ${most}`),
})
export const scalar: Field<string | number | null> = {
  json: { type: ["string", "number", "null"] },
  optional: false,
  check: (value) => (value === null || typeof value === "string" || typeof value === "number" ? undefined : "it is to be text, a number or null"),
}
export const anything: Field<unknown> = { json: {}, optional: false, check: (value) => (value === undefined ? "it is missing" : undefined) }
export const oneOf = <const Value extends string>(...values: ReadonlyArray<Value>): Field<Value> => ({
  json: { type: "string", enum: values },
  optional: false,
  check: (value) => (values.some((one) => one === value) ? undefined : `it is to be one of ${values.join(", ")}`),
})
export const listOf = <Value>(item: Field<Value>, most: number): Field<ReadonlyArray<Value>> => ({
  json: { type: "array", items: item.json, maxItems: most },
  optional: false,
  check: (value) =>
    !Array.isArray(value) || value.length > most ? `it is to be a list of at most ${most}` : value.map(item.check).find((problem) => problem !== undefined),
})
export const recordOf = <Value>(item: Field<Value>): Field<Readonly<Record<string, Value>>> => ({
  json: { type: "object", additionalProperties: item.json },
  optional: false,
  check: (value) =>
    typeof value !== "object" || value === null || Array.isArray(value) ?
      "it is to be an object" :
      Object.entries(value).map(([key, one]) => (key === "__proto__" ? "a key attacks prototypes" : item.check(one))).find((problem) => problem !== undefined),
})
export const optional = <Value>(field: Field<Value>): Field<Value | undefined> => ({
  ...field,
  optional: true,
  check: (value) => (value === undefined ? undefined : field.check(value)),
})

/** An object with these fields and no others. */
export function object<const F extends Fields>(fields: F): StandardSchemaV1<Given<F>, Given<F>> {
  const required = Object.keys(fields).filter((key) => !fields[key]!.optional)
  const json = {
    type: "object",
    properties: Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.json])),
    required,
    additionalProperties: false,
  }
  const props = {
    version: 1,
    vendor: "heddle",
    validate: (value: unknown) => {
      if (typeof value !== "object" || value === null) return { issues: [{ message: "it is to be an object" }] }
      const given = value as Readonly<Record<string, unknown>>
      const own = (key: string) => (Object.hasOwn(given, key) ? given[key] : undefined)
      const issues = Object.entries(fields).flatMap(([key, field]) => {
        const problem = field.check(own(key))
        return problem === undefined ? [] : [{ message: problem, path: [key] }]
      })
      const values = Object.fromEntries(Object.keys(fields).flatMap((key) => (own(key) === undefined ? [] : [[key, own(key)]])))
      return issues.length > 0 ? { issues } : { value: values as Given<F> }
    },
    jsonSchema: { input: () => json, output: () => json },
  } as const
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the JSON Schema half of the standard is optional
  return { "~standard": props as unknown as StandardSchemaV1.Props<Given<F>, Given<F>> }
}
