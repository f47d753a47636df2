/** Models that stand in for each other. */
import * as Stream from "effect/Stream"
import type { ModelFailed } from "../error.ts"
import type { ModelPart, ModelRequest, ModelShape } from "../model.ts"

/**
 * A model that asks the next one where one fails before it has said anything. The last one's failure is the whole's.
 *
 * @example
 * const model = fallback([openai({ baseUrl, model: "large" }), openai({ baseUrl: "http://localhost:11434/v1", model: "small" })])
 */
export function fallback(models: readonly [ModelShape, ...ReadonlyArray<ModelShape>], { on = () => true }: {
  /** Which failures lead to the next one; default: all. */
  readonly on?: (error: ModelFailed) => boolean
} = {}): ModelShape {
  const ask = ([first, ...rest]: readonly [ModelShape, ...ReadonlyArray<ModelShape>], request: ModelRequest): Stream.Stream<ModelPart, ModelFailed> => {
    const [next, ...further] = rest
    if (next === undefined) return first.turn(request)
    return Stream.suspend(() => {
      let said = false
      const heard = Stream.map(first.turn(request), (part) => (said = true, part))
      // what was heard cannot be taken back
      return Stream.catch(heard, (error) => (said || !on(error) ? Stream.fail(error) : ask([next, ...further], request)))
    })
  }
  return { name: models.map(({ name }) => name).join(" or "), turn: (request) => ask(models, request) }
}
