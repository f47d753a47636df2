/** Turns of a real model, recorded once and played ever after: tests that cost nothing and do not change. */
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { hasSecrets } from "../../../model/secret.ts"
import { withoutSecrets } from "../../../model/without-secrets.ts"
import { ModelFailed } from "../error.ts"
import type { ModelPart, ModelRequest, ModelShape } from "../model.ts"

/** A secret may have come in two pieces. */
const joined = (parts: ReadonlyArray<ModelPart>): ReadonlyArray<ModelPart> => {
  const whole: Array<ModelPart> = []
  for (const part of parts) {
    const last = whole.at(-1)
    if (hasSecrets() && part.type === "text" && last?.type === "text") whole[whole.length - 1] = { type: "text", text: last.text + part.text }
    else whole.push(part)
  }
  return whole
}

/** What was recorded, by the hash of what was asked. */
type Tape = Record<string, { readonly asked: string; readonly parts: ReadonlyArray<ModelPart> }>

/**
 * A model that plays what is recorded in `file`, and asks `model`, where one is given, for what is not, recording it.
 *
 * A turn is found by everything that was asked but its key: messages, tools, output, settings. Without a `model`, one that is not recorded fails. What is
 * a `secret` is not recorded; other text is, as it is.
 *
 * @example
 * const model = cassette("test/triage.json", process.env.RECORD ? openai({ baseUrl, model: "gpt-5-mini" }) : undefined)
 */
export function cassette(file: string, model?: ModelShape): ModelShape {
  const name = model?.name ?? "cassette"
  let tape: Tape | undefined
  const read = (): Tape => (existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Tape) : {})
  const load = (): Tape => (tape ??= read())
  const save = (): void => {
    // others may record there, too
    tape = { ...read(), ...tape }
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(`${file}.new`, `${JSON.stringify(withoutSecrets(tape), undefined, 2)}\n`)
    renameSync(`${file}.new`, file)
  }
  const turn = (request: ModelRequest): Stream.Stream<ModelPart, ModelFailed> =>
    Stream.suspend(() => {
      const { key: _, ...question } = request
      const hash = createHash("sha256").update(JSON.stringify(question)).digest("hex").slice(0, 32)
      const known = load()[hash]
      if (known !== undefined) return Stream.fromIterable(known.parts)
      const asked = request.messages.at(-1)?.text.slice(0, 80) ?? ""
      if (model === undefined) {
        return Stream.fail(
          new ModelFailed({
            model: name,
            kind: "not-recorded",
            reason: `'${asked}' is not recorded in ${file}: record it with a model, or the request has changed`,
          }),
        )
      }
      const parts: Array<ModelPart> = []
      const heard = Stream.tap(model.turn(request), (part) => Effect.sync(() => parts.push(part)))
      // only whole turns are kept
      const kept = Stream.fromEffect(Effect.sync(() => {
        load()[hash] = { asked, parts: joined(parts) }
        save()
      }))
      return Stream.concat(heard, Stream.drain(kept))
    })
  return { name, turn }
}
