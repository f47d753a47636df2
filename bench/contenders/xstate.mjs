// xstate 5: every step is an invoked promise actor, n is in the context, one fresh actor per run.
// Left out: fan10000 (invoking 10k actors is O(n^2), 57 s measured earlier), each100c10 (no concurrency
// limit), sqlite* (no durable store of its own).
import { readFileSync } from "node:fs"
import { findPackageJSON } from "node:module"
import { assign, createActor, fromPromise, setup, toPromise } from "xstate"

export const version = JSON.parse(readFileSync(findPackageJSON("xstate", import.meta.url))).version

const step = fromPromise(async ({ input: { n } }) => ({ n: n + 1 }))
const keep = assign(({ event }) => event.output)
const invoke = (onDone) => ({ src: "step", input: ({ context: { n } }) => ({ n }), onDone })
const machine = (config, actors = { step }) =>
  setup({ actors }).createMachine({ context: ({ input }) => input, output: ({ context: { n } }) => ({ n }), ...config })

const run = async (m, input, want) => {
  const actor = createActor(m, { input })
  const done = toPromise(actor)
  actor.start()
  const { n } = await done
  if (n !== want) throw new Error(`xstate: got ${n}, want ${want}`)
}

const steps = (count) => async () => {
  const states = { done: { type: "final" } }
  for (let i = 0; i < count; i++) {
    states[`s${i}`] = { invoke: invoke({ target: i + 1 < count ? `s${i + 1}` : "done", actions: keep }) }
  }
  const m = machine({ initial: "s0", states })
  return () => run(m, { n: 0 }, count)
}

export default {
  step10: steps(10),
  step100: steps(100),
  step1000: steps(1000),

  loop1000: async () => {
    const m = machine({
      initial: "test",
      states: {
        test: { always: [{ guard: ({ context }) => context.n < 1000, target: "body" }, { target: "done" }] },
        body: { invoke: invoke({ target: "test", actions: keep }) },
        done: { type: "final" },
      },
    })
    return () => run(m, { n: 0 }, 1000)
  },

  match8: async () => {
    const arms = Array.from({ length: 8 }, (_, i) => i)
    const states = { pick: { always: arms.map((i) => ({ guard: ({ context }) => context.n === i, target: `arm${i}` })) }, done: { type: "final" } }
    const actors = {}
    for (const i of arms) {
      actors[`arm${i}`] = fromPromise(async () => ({ n: 100 + i }))
      states[`arm${i}`] = { invoke: { src: `arm${i}`, onDone: { target: "done", actions: keep } } }
    }
    const m = machine({ initial: "pick", states }, actors)
    return async () => {
      for (const i of arms) await run(m, { n: i }, 100 + i)
    }
  },
}
