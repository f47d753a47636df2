/** Models that say what they were told to: for tests and examples. They are no language models, and never presented as such. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { ModelFailed } from "../error.ts"
import { estimated, type ModelPart, type ModelRequest, type ModelShape, type ModelUsage } from "../model.ts"

/** What a scripted model says in one turn: text, a value (as JSON), calls of tools, or an error. */
export type ScriptedTurn =
  | string
  | {
    readonly text?: string
    readonly json?: unknown
    readonly calls?: ReadonlyArray<{ readonly name: string; readonly args: unknown; readonly id?: string }>
    readonly usage?: ModelUsage
    readonly reason?: "stop" | "length" | "filter"
    readonly fail?: ModelFailed
  }
/** Turns in their order, or one made of each request. */
export type Script = ReadonlyArray<ScriptedTurn> | ((request: ModelRequest) => ScriptedTurn)

export interface ScriptedModel extends ModelShape {
  /** What it was asked, in order. */
  readonly requests: ReadonlyArray<ModelRequest>
}

/**
 * A model that says what the script says.
 *
 * @example
 * const model = scripted([{ calls: [{ name: "add", args: { a: 1, b: 2 } }] }, "It is 3."])
 */
export function scripted(script: Script, name = "scripted"): ScriptedModel {
  const requests: Array<ModelRequest> = []
  const turn = (request: ModelRequest): Stream.Stream<ModelPart, ModelFailed> =>
    Stream.unwrap(Effect.suspend(() => {
      const at = requests.push(request) - 1
      const said = typeof script === "function" ? script(request) : script[at]
      if (said === undefined) {
        return Effect.fail(
          new ModelFailed({ model: name, kind: "not-recorded", reason: `the script has ${requests.length - 1} turns, and was asked for another` }),
        )
      }
      const whole = typeof said === "string" ? { text: said } : said
      if (whole.fail !== undefined) return Effect.fail(whole.fail)
      const text = whole.json === undefined ? whole.text ?? "" : JSON.stringify(whole.json)
      const calls = (whole.calls ?? []).map(({ name: tool, args, id }, i) => ({
        id: id ?? `call_${at}_${i}`,
        name: tool,
        args: typeof args === "string" ? args : JSON.stringify(args),
      }))
      return Effect.succeed(Stream.fromIterable<ModelPart>([
        ...(text.match(/\s*\S+/g) ?? []).map((word): ModelPart => ({ type: "text", text: word })),
        ...calls.map((call): ModelPart => ({ type: "call", call })),
        { type: "finish", reason: calls.length > 0 ? "calls" : whole.reason ?? "stop", usage: whole.usage ?? estimated(request, text) },
      ]))
    }))
  return { name, turn, requests }
}
