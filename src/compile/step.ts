/** A step: calls its work, tries again as asked, stops an attempt that takes too long. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { FlowIR, RetryPolicy, StepContext, StepNode, Values, Work } from "../../dsl/ir/node.ts"
import { InputInvalid, OutputInvalid, StepTimedOut } from "../model/error.ts"
import { CurrentStep } from "../services/current-step.ts"
import { enter } from "./enter.ts"
import type { Frame } from "./frame.ts"
import { ask } from "./instrument.ts"
import { type BlockProgram, type Body, type CompileNode, isDone, type Outcome, type Run } from "./program.ts"
import { encodeError } from "./record.ts"
import { validate } from "./schema.ts"
import { settle } from "./settle.ts"

export const compileStep: CompileNode<StepNode> = (node, compileBlock) => {
  const { work, retry, timeout } = node
  if (work.from === "flow") return policies(node, nested(node.name, work.flow, work.input, compileBlock(work.flow.body)))
  const call = caller(work)
  if (retry === undefined && timeout === undefined) {
    return (frame, path) => {
      frame.run.journal.notice("step.started", path)
      const ran = attempt(frame, path, 1, call)
      return isDone(ran) ? Effect.succeed({ value: ran.value }) : noted(frame, node, () => 1, Effect.map(ran, (value): Outcome => ({ value })))
    }
  }
  return policies(node, (frame, path, _past, tries = 1) => Effect.map(attempt(frame, path, tries, call), (value): Outcome => ({ value })))
}

type Attempt = (frame: Frame, path: string, past: Parameters<Body>[2], tries?: number) => Run<Outcome>

/** Retry and timeout around every attempt. */
function policies({ retry, timeout, ...node }: StepNode, once: Attempt): Body {
  const limit = timeout === undefined ? undefined : Duration.toMillis(Duration.fromInputUnsafe(timeout))
  const schedule = retry === undefined ? undefined : scheduleOf(retry)
  return (frame, path, past) =>
    Effect.suspend(() => {
      let tries = 0
      const tried = Effect.suspend(() => {
        if (++tries > 1) frame.run.journal.notice("step.retried", path)
        return once(frame, path, tries === 1 ? past : undefined, tries)
      })
      const limited = limit === undefined ? tried : Effect.timeoutOrElse(tried, {
        duration: limit,
        orElse: () => Effect.fail(new StepTimedOut({ path, milliseconds: limit })),
      })
      const repeated = schedule === undefined ? limited : Effect.retry(limited, {
        schedule,
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- typed as the step's own errors where the author wrote it
        while: (error: unknown) => retry?.while === undefined || retry.while(error as never),
      })
      frame.run.journal.notice("step.started", path)
      return noted(frame, node, () => tries, Effect.map(repeated, (outcome) => (tries > 1 ? { ...outcome, attempts: tries } : outcome)))
    })
}

const scheduleOf = ({ times, backoff, maxBackoff, jitter }: RetryPolicy) => {
  const waits = Schedule.min([Schedule.exponential(backoff), Schedule.spaced(maxBackoff)])
  return Schedule.upTo(jitter ? Schedule.jittered(waits) : waits, { times })
}

/** Records that the step failed. */
const noted = (frame: Frame, { name }: { readonly name: string }, tries: () => number, run: Run<Outcome>): Run<Outcome> =>
  Effect.tapError(run, (error) => frame.run.journal.append("step.failed", frame.path, name, `{"error":${encodeError(error)},"attempts":${tries()}}`))

type CallWork = (frame: Frame, path: string, context: StepContext) => Run<unknown>

const caller = (work: Exclude<Work, { from: "flow" }>): CallWork => {
  if (work.from === "function") return (frame, path, context) => settle(path, () => work.call(frame.scope, context))
  const { call, input, output } = work
  return (frame, path, context) =>
    Effect.gen(function*() {
      const given = yield* checkInput(frame.run.flow, path, input, wholeScope(frame.scope))
      const value = yield* settle(path, () => call(given as Values, context))
      return yield* checkOutput(frame.run.flow, path, output, value)
    })
}

const attempt = (frame: Frame, path: string, tries: number, call: CallWork): Run<unknown> => {
  const context = new Context(frame.run.id, path, tries)
  const run = call(frame, path, context)
  // plain values, by far the most, need neither the service nor an interruption handler
  return isDone(run) ? run : Effect.onInterrupt(Effect.provideService(run, CurrentStep, context), () => Effect.sync(() => context.abort()))
}

class Context implements StepContext {
  readonly run: string
  readonly path: string
  readonly attempt: number
  #abort: AbortController | undefined

  constructor(run: string, path: string, tries: number) {
    this.run = run
    this.path = path
    this.attempt = tries
  }
  get key(): string {
    return `${this.run}/${this.path}`
  }
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    return this.#abort.signal
  }
  abort(): void {
    this.#abort?.abort()
  }
}

/** What a step defined elsewhere reads its keys from: the scope, and below it the fields of the run's input. */
const wholeScope = (scope: Values): Values => {
  const { input } = scope
  return typeof input === "object" && input !== null ? { ...input, ...scope } : scope
}

const checkInput = (flow: string, path: string, schema: FlowIR["input"], value: unknown) =>
  Effect.mapError(validate(schema, value), (issues) => new InputInvalid({ flow, path, issues }))
const checkOutput = (flow: string, path: string, schema: FlowIR["output"], value: unknown) =>
  Effect.mapError(validate(schema, value), (issues) => new OutputInvalid({ flow, path, issues }))

/** Another flow as the work of this step: its own scope, the same run. */
const nested = (name: string, flow: FlowIR, input: ((scope: Values) => unknown) | undefined, block: BlockProgram): Attempt => (frame, path, past, tries = 1) =>
  Effect.gen(function*() {
    const { journal } = frame.run
    // what an earlier attempt recorded inside is not this one's
    if (tries > 1) yield* journal.append("flow.retried", frame.path, name, `{"attempts":${tries}}`)
    if (past?.retried !== undefined) journal.forget(path, past.retried.seq)
    const given = input === undefined ? wholeScope(frame.scope) : yield* ask(path, () => input(frame.scope))
    const scope = { input: yield* checkInput(flow.name, path, flow.input, given) }
    const { outcome } = yield* enter(frame, path, scope, block, past)
    if (flow.output === undefined) return { value: outcome.value, ref: outcome.ref }
    return { value: yield* checkOutput(flow.name, path, flow.output, outcome.value) }
  })
