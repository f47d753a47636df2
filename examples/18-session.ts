import { openHeddle, seq, state } from "heddle"
import { z } from "zod"

const answered = state("answered", { scope: "session", initial: 0 })

/** A session of three runs: what they know of it, what they count, what they make, and where it ends. */
export const flow = seq("answer", { session: z.object({ name: z.string() }), input: z.object({ question: z.string() }) })
  .step("reply", ({ input, session }, { charge }) => {
    charge({ tokens: input.question.length })
    return `${session.name}, ${input.question.toLowerCase()} yes.`
  })
  .step("nr", (_, { state }) => state.increment(answered))
  .step("kept", async ({ reply }, { artifacts }) => (await artifacts.put("answers.txt", reply)).version)

export const session = { name: "Ada" }
export const input = { question: "Is it late?" } as const

if (import.meta.main) {
  await using heddle = (await openHeddle())._unsafeUnwrap()
  await heddle.sessions.create({ id: "s1", user: "ada", context: session, policy: { tokens: 30 } })
  const ended: Array<string> = []
  for (const question of ["Is it late?", "Is it dark?", "Shall we go home?"]) {
    const result = await heddle.run(flow, { question }, { session: "s1" })
    ended.push(result.match(({ kept }) => `v${kept}`, (error) => error._tag))
  }
  const { tokens, artifacts } = (await heddle.sessions.usage("s1"))._unsafeUnwrap()
  console.log(ended.join(" "), tokens, artifacts, (await heddle.artifacts.text("answers.txt", { session: "s1" }))._unsafeUnwrap())
}
// => v1 v2 LimitExceeded 39 2 Ada, is it dark? yes.
