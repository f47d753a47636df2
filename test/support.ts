/** What tests say again and again. */
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Tracer } from "effect"
import { type Heddle, nest, run, seq } from "heddle"
import { err, type Result } from "neverthrow"
import { RunTakenOver, StoreFailed } from "../src/model/error.ts"
import type { NewRun } from "../src/model/run.ts"
import type { Store } from "../src/store/store.ts"

/** What an effect gives. Its services are the test's business. */
export const go = <A>(effect: Effect.Effect<A, any, any>): Promise<A> => Effect.runPromise(effect as Effect.Effect<A>)
/** The error it fails with. */
export const failure = (effect: Effect.Effect<any, any, any>): Promise<any> => go(Effect.flip(effect))
/** Either. */
export const out = (effect: Effect.Effect<any, any, any>): Promise<any> =>
  go(Effect.match(effect, { onSuccess: (value) => value, onFailure: (error) => error }))
export const status = (heddle: Heddle["Service"], id: string) => go(Effect.map(heddle.get(id), (run) => run.status))
/** A run as a store is given it. */
export const newRun = (more: Partial<NewRun> = {}): NewRun => ({
  id: "x",
  flow: "f",
  version: 1,
  fingerprint: "p",
  input: "1",
  source: undefined,
  owner: "o:1",
  status: "running",
  due: undefined,
  parent: undefined,
  origin: undefined,
  ...more,
})
/** What a step returns to fail. */
export const no = () => err({ _tag: "No" } as const)
/** A database that does not exist yet. */
export const file = () => join(mkdtempSync(join(tmpdir(), "heddle-test-")), "heddle.db")

type Call = (...args: ReadonlyArray<any>) => Effect.Effect<any, any>
/** `operation` of a store (`events.append`) fails the first times it is called with what `where` picks: a crash there, a lock, a race. */
export function failing(
  store: Store["Service"],
  operation: string,
  { times = 1, where = () => true, error = new StoreFailed({ store: "s", operation, reason: "locked", cause: undefined }) }: {
    readonly times?: number | (() => boolean)
    readonly where?: (...args: ReadonlyArray<any>) => boolean
    readonly error?: unknown
  } = {},
): Store["Service"] {
  let left = times
  const [part, name] = operation.split(".") as [keyof Store["Service"], string]
  const calls = store[part] as unknown as Readonly<Record<string, Call>>
  const fails = (...args: ReadonlyArray<any>) => where(...args) && (typeof left === "function" ? left() : left-- > 0)
  return { ...store, [part]: { ...calls, [name]: (...args: ReadonlyArray<any>) => (fails(...args) ? Effect.fail(error) : calls[name]!(...args)) } }
}
/** Another takes the run first, `times()` times. */
export const racing = (store: Store["Service"], races: () => boolean): Store["Service"] =>
  failing(store, "runs.claim", { times: races, error: new RunTakenOver({ run: "r" }) })

/** What a tool gives as a step of a flow. */
export const useTool = async (definition: any, input: unknown): Promise<Result<any, any>> =>
  (await (run as any)(seq("use").step("it", nest(definition, () => input as never)))).map(({ it }: { readonly it: unknown }) => it)
/** Why something was refused, in a word. */
export const codeOf = (error: any): string => error?.code ?? error?.cause?.code ?? error?._tag ?? error?.name ?? String(error)

/** A tracer, and the spans it was given. */
export const recorder = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    },
  })
  return { tracer, spans }
}
