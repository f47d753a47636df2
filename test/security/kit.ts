/** What attacks are made with. */
import { mkdtempSync } from "node:fs"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { codeOf, useTool } from "../support.ts"

export { codeOf }

export interface Attack {
  readonly id: number
  readonly attack: string
  /** What came of it, in a word or two; it has failed if that is what must not be. */
  readonly run: () => Promise<{ readonly outcome: string; readonly pass: boolean }>
}

export const folder = () => mkdtempSync(join(tmpdir(), "heddle-attack-"))
export const thrown = (work: () => unknown): string => {
  try {
    return `done: ${String(work())}`.slice(0, 60)
  } catch (error) {
    return codeOf(error)
  }
}
/** What a tool gives in a flow, or how it refused. */
export const used = async (definition: any, input: unknown): Promise<any> =>
  (await useTool(definition, input)).match((output) => `done: ${JSON.stringify(output)}`.slice(0, 200), codeOf)
/** Every one of them is refused with one of these codes. */
export const allRefused = (outcomes: ReadonlyArray<string>, codes: ReadonlyArray<string>) => ({
  outcome: [...new Set(outcomes)].join(", "),
  pass: outcomes.every((one) => codes.includes(one)),
})
export const effect = <A>(program: Effect.Effect<A, any, any>): Promise<any> =>
  Effect.runPromise(Effect.match(program as Effect.Effect<A, any>, { onSuccess: (value) => value, onFailure: codeOf }))

/** A local server that answers as it is told. */
export async function serving<A>(answer: (url: string, response: ServerResponse) => void, use: (port: number, asked: () => number) => Promise<A>): Promise<A> {
  let asked = 0
  const server = createServer((request, response) => {
    asked++
    answer(request.url!, response)
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  try {
    return await use((server.address() as AddressInfo).port, () => asked)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

export const hostile = "{\"__proto__\":{\"polluted\":1}}"
export const isClean = () => (({}) as { polluted?: unknown }).polluted === undefined && Object.getPrototypeOf({}) === Object.prototype
