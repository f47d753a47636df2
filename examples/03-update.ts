import { run, seq } from "heddle"

/** A name is bound once; `.update` is the one way to give it a new value, and the value must fit its type. */
export const flow = seq("update")
  .step("draft", () => ({ text: "a first try", edits: 0 }))
  .update("draft", ({ draft }) => ({ text: draft.text.replace("first", "better"), edits: draft.edits + 1 }))
  .returns(({ draft }) => `${draft.text} (${draft.edits} edit)`)

export const input = undefined

if (import.meta.main) console.log((await run(flow))._unsafeUnwrap())
// => a better try (1 edit)
