/** Inputs made from a flow's own schema, for property tests. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { AnyFlow, InputOf } from "../../dsl/flow/flow.ts"

/** The parts of fast-check that are used; pass the module: `inputs(flow, fc)`. */
interface FastCheck {
  readonly string: (bounds: object) => unknown
  readonly stringMatching: (pattern: RegExp) => unknown
  readonly integer: (bounds: object) => unknown
  readonly double: (bounds: object) => unknown
  readonly boolean: () => unknown
  readonly constant: (value: unknown) => unknown
  readonly constantFrom: (...values: ReadonlyArray<unknown>) => unknown
  readonly array: (item: never, bounds: object) => unknown
  readonly record: (model: never, options: object) => unknown
  readonly dictionary: (key: never, value: never) => unknown
  readonly tuple: (...items: ReadonlyArray<never>) => unknown
  readonly oneof: (...choices: ReadonlyArray<never>) => unknown
  readonly jsonValue: () => unknown
  readonly uuid: () => unknown
  readonly emailAddress: () => unknown
  readonly webUrl: () => unknown
  readonly date: (bounds: object) => { readonly map: (to: (date: Date) => string) => unknown }
}
interface Arbitrary {
  readonly filter: (keep: (value: unknown) => boolean) => unknown
}
type Json = Readonly<Record<string, any>>
interface Described {
  readonly "~standard": { readonly jsonSchema?: { readonly input: (options: { readonly target: string }) => Json } }
}

/**
 * A fast-check arbitrary of inputs that the flow's schema accepts; shrinks as fast-check does.
 *
 * @throws Error for a flow without a schema, or one that cannot be described as JSON Schema
 * @example
 * import type { Arbitrary } from "fast-check"
 * const orders = inputs<typeof order, Arbitrary<{ n: number }>>(order, fc)
 * await fc.assert(fc.asyncProperty(orders, async (input) => expect((await testFlow(order, input)).result.ok).toBe(true)))
 */
export function inputs<F extends AnyFlow, A = unknown>(flow: F, fc: FastCheck): A & { readonly "~input"?: InputOf<F> } {
  const { name, input } = flow.ir
  const described = (input as Described | undefined)?.["~standard"].jsonSchema
  if (input === undefined || described === undefined) {
    throw new Error(`flow '${name}' has no input schema that can be described as JSON Schema: give seq an input such as z.object(…)`)
  }
  const made = arbitrary(described.input({ target: "draft-2020-12" }), fc) as Arbitrary
  const accepts = (value: unknown): boolean => {
    const result = (input as StandardSchemaV1)["~standard"].validate(value)
    return !("then" in result) && result.issues === undefined
  }
  return made.filter(accepts) as never
}

function arbitrary(schema: Json, fc: FastCheck): unknown {
  const of = (inner: Json) => arbitrary(inner, fc) as never
  const choices: ReadonlyArray<Json> | undefined = schema["anyOf"] ?? schema["oneOf"]
  if (choices !== undefined) return fc.oneof(...choices.map(of))
  if ("const" in schema) return fc.constant(schema["const"])
  if (schema["enum"] !== undefined) return fc.constantFrom(...schema["enum"])
  const kinds: Readonly<Record<string, () => unknown>> = {
    string: () => text(schema, fc),
    integer: () => fc.integer(bounds(schema, 1)),
    number: () => fc.double({ ...bounds(schema, 0), noNaN: true, noDefaultInfinity: true }),
    boolean: () => fc.boolean(),
    null: () => fc.constant(null),
    array: () =>
      schema["prefixItems"] === undefined ?
        fc.array(of(schema["items"] ?? {}), { minLength: schema["minItems"] ?? 0, maxLength: Math.min(schema["maxItems"] ?? 8, 50) }) :
        fc.tuple(...(schema["prefixItems"] as ReadonlyArray<Json>).map(of)),
    object: () =>
      schema["properties"] === undefined ?
        fc.dictionary(
          fc.string({ minLength: 1, maxLength: 8 }) as never,
          of(typeof schema["additionalProperties"] === "object" ? schema["additionalProperties"] : {}),
        ) :
        fc.record(Object.fromEntries(Object.entries(schema["properties"]).map(([key, inner]) => [key, of(inner as Json)])) as never, {
          requiredKeys: schema["required"] ?? [],
        }),
  }
  const make = kinds[String(schema["type"])]
  return make === undefined ? fc.jsonValue() : make()
}

function text(schema: Json, fc: FastCheck): unknown {
  const formats: Readonly<Record<string, () => unknown>> = {
    uuid: () => fc.uuid(),
    email: () => fc.emailAddress(),
    uri: () => fc.webUrl(),
    "date-time": () => fc.date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true }).map((date) => date.toISOString()),
  }
  const format = formats[String(schema["format"])]
  if (format !== undefined) return format()
  if (schema["pattern"] !== undefined) return fc.stringMatching(new RegExp(schema["pattern"], "u"))
  return fc.string({ minLength: schema["minLength"] ?? 0, maxLength: Math.min(schema["maxLength"] ?? 40, 1000) })
}

/** `step` is 1 for whole numbers, whose exclusive bounds move by one; for others fast-check knows them. */
const bounds = (schema: Json, step: 0 | 1): object => {
  const { minimum, maximum, exclusiveMinimum: above, exclusiveMaximum: below } = schema
  const min = above === undefined ? minimum : above + step
  const max = below === undefined ? maximum : below - step
  const exclusive = step === 1 ? {} : { ...(above === undefined ? {} : { minExcluded: true }), ...(below === undefined ? {} : { maxExcluded: true }) }
  return { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }), ...exclusive }
}
