/** A secret that is handed through everything: what is kept of it (`secrets.test.ts` looks closer, at every field). */
import { randomUUID } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { openHeddle, secret, seq, tool } from "heddle"
import { jsonLines } from "heddle/telemetry"
import { z } from "zod"
import { type Attack, folder, serving } from "./kit.ts"

export const leaks: ReadonlyArray<Attack> = [
  {
    id: 44,
    attack: "a secret in the environment, an input, a header, an error, a tool's result, State and an artifact: database, WAL, events, log lines, errors",
    run: async () => {
      const canary = `canary-${randomUUID()}`
      secret(canary)
      process.env["HEDDLE_CANARY"] = canary
      const file = join(folder(), "h.db")
      const lines: Array<string> = []
      const echo = tool("echo", { description: "Echoes.", input: z.object({ text: z.string() }) }, ({ text }) => ({ said: text }))
      const found = await serving((_url, response) => response.end(canary), async (port) => {
        const flow = seq("leaky", { input: z.object({ text: z.string() }) })
          .step("header", async ({ input }) => (await fetch(`http://127.0.0.1:${port}`, { headers: { authorization: `Bearer ${input.text}` } })).text())
          .step("env", () => process.env["HEDDLE_CANARY"]!)
          .step(echo)
          .step("kept", async (_, { artifacts }) => (await artifacts.put("note.txt", `the key is ${canary}`)).id)
          .step("fails", ({ env }) => {
            throw new Error(`cannot use ${env}, nor ${canary}`)
          })
        const heddle = (await openHeddle({ store: file }))._unsafeUnwrap()
        heddle.listen(jsonLines((line) => void lines.push(line)))
        const ended = await heddle.run(flow, { text: canary }, { id: "r" })
        const told = [
          JSON.stringify(ended.isErr() ? [ended.error, ended.error.message] : []),
          JSON.stringify((await heddle.events("r"))._unsafeUnwrap()),
          JSON.stringify((await heddle.get("r"))._unsafeUnwrap()),
        ]
        const files = [file, `${file}-wal`].filter((one) => existsSync(one)).map((one) => readFileSync(one).toString("latin1"))
        await heddle.close()
        return {
          places: {
            error: told[0]!,
            events: told[1]!,
            run: told[2]!,

            lines: lines.join("\n"),
            files: files.join("\n"),
            closed: readFileSync(file).toString("latin1"),
          },
        }
      })
      const hex = Buffer.from(canary).toString("hex")
      const base64 = Buffer.from(canary).toString("base64").replace(/=*$/, "").slice(0, -2)
      const where = Object.entries(found.places).filter(([, text]) => [canary, hex, base64].some((form) => text.includes(form))).map(([place]) => place)
      const ran = found.places.events.includes("step.failed") && found.places.events.includes("[redacted]")
      return { outcome: where.length === 0 ? `nowhere in ${Object.keys(found.places).join(", ")}` : `in ${where.join(", ")}`, pass: where.length === 0 && ran }
    },
  },
]
