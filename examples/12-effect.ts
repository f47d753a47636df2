import { Context, Effect, Layer } from "effect"
import { CurrentStep, Heddle, seq } from "heddle"

class Mailer extends Context.Service<Mailer, { readonly send: (to: string) => Effect.Effect<string> }>()("examples/Mailer") {}

/** The other door: a flow is an Effect, its errors and services are in the type, and layers provide what it needs. */
export const flow = seq("mail")
  .step("sent", () =>
    Effect.gen(function*() {
      const mailer = yield* Mailer
      const { path } = yield* CurrentStep
      return `${yield* mailer.send("ada@example.org")} by step ${path}`
    }))
  .returns(({ sent }) => sent)

const mailer = { send: (to: string) => Effect.succeed(`mail to ${to}`) }
/** What a step asks for, for whoever runs the flow. */
export const services = Context.make(Mailer, mailer)

const program = Heddle.run(flow, undefined)
const layer = Layer.mergeAll(Heddle.layerMemory, Layer.succeed(Mailer, mailer))

if (import.meta.main) console.log(await Effect.runPromise(Effect.provide(program, layer)))
// => mail to ada@example.org by step sent
