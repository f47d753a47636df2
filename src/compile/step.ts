/** A step: calls its work, tries again as asked, stops an attempt that takes too long. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { FlowIR, StepNode, Values, Work } from "../../dsl/ir/node.ts"
import { InputInvalid, OutputInvalid, StepTimedOut, StepUncertain } from "../model/error.ts"
import { StateRefused } from "../model/service-error.ts"
import { encodeValue } from "../model/value.ts"
import { withoutSecrets } from "../model/without-secrets.ts"
import { within } from "../services/permits.ts"
import type { Known } from "../services/recorded.ts"
import { attempt, Context, repeated } from "./attempt.ts"
import { limited } from "./deadline.ts"
import { enter } from "./enter.ts"
import type { Frame, Offers } from "./frame.ts"
import { ask } from "./ask.ts"
import { isDone } from "../services/done.ts"
import { after, type BlockProgram, type Body, type CompileBlock, type CompileNode, type Outcome, type Run } from "./program.ts"
import { encodeError, encodeOutcome, storable, stored } from "./record.ts"
import { validate } from "./schema.ts"
import { startScope } from "./session-scope.ts"
import { ofAttempt } from "./standing.ts"
import { settle, threw } from "./settle.ts"
import { bounded, charging, deeper, spend } from "./spend.ts"
import { asAgent, byName, nameOf } from "./by-name.ts"

export const compileStep: CompileNode<StepNode> = (node, compileBlock) => {
  const { work, retry, timeout, delivery, limits } = node
  if (work.from === "transaction") return held(node, transacted(node, work))
  const once = work.from === "flow" ? nested(node.name, work, compileBlock) : called(work, delivery)
  if (work.from === "flow" && timeout !== undefined) return policies({ ...node, timeout: undefined }, timed(node.name, timeout, once), true)
  // its beginning is written when it begins, not while it waits
  if (delivery === "atMostOnce") return held(node, atMostOnce(node, policies({ ...node, limits: [] }, once, false)))
  const whole = policies(node, once, true)
  if (retry !== undefined || timeout !== undefined || work.from === "flow" || limits.length > 0) return whole
  const simple = simply(node, caller(work))
  return (frame, path, past) => (frame.run.budgets === undefined ? simple(frame, path, past) : whole(frame, path, past))
}

/** `body` once the step's limits let it. */
const held = (node: StepNode, body: Body): Body =>
  node.limits.length === 0 ? body : (frame, path, past) => holding(node, frame, path, Effect.suspend(() => body(frame, path, past)))
const holding = <A>({ limits, work: { from, ...work } }: StepNode, frame: Frame, path: string, held: Run<A>): Run<A> => {
  const { journal, part } = frame.run
  const claims = () => {
    const own = "given" in work ? work.given?.(frame.scope) : undefined
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the scope is checked where the limit is given to the step
    const given = (own ?? (from === "definition" ? wholeScope(frame.scope) : frame.scope)) as never
    return limits.map((limit) => ({ limit, key: limit.key?.(given, part) ?? "", priority: limit.kind === "permits" ? limit.priority?.(given) ?? 0 : 0 }))
  }
  return Effect.flatMap(
    ask(path, claims),
    (claimed) => within(claimed, held, ({ name }) => journal.notice("limit.waited", path, JSON.stringify({ limit: name }))),
  )
}

type Attempt = (frame: Frame, path: string, past: Parameters<Body>[2], tries: number) => Run<Outcome>

/** One call without any policy around it. */
const simply = (node: StepNode, call: CallWork): Body => (frame, path) => {
  frame.run.journal.notice("step.started", path)
  const context = new Context(frame.run, path, 1)
  const ran = attempt(context, () => call(frame, path, context))
  return isDone(ran) ? Effect.succeed(outcomeOf(ran.value, context)) : noted(frame, node, () => 1, Effect.map(ran, (value) => outcomeOf(value, context)))
}
const outcomeOf = (value: unknown, { changes, given }: Context): Outcome =>
  changes === undefined && given === undefined ? { value } : { value, ...(changes === undefined ? {} : { changes }), ...(given === undefined ? {} : { given }) }

/** Retry and timeout around every attempt. */
const policies = (node: StepNode, once: Attempt, tells: boolean): Body => (frame, path, past) =>
  Effect.suspend(() => {
    let tries = 0
    const run = repeated(path, node, (n) => {
      tries = n
      if (n === 1) return once(frame, path, past, n)
      frame.run.journal.notice("step.retried", path)
      return Effect.andThen(Effect.annotateCurrentSpan("heddle.attempts", n), once(frame, path, undefined, n))
    }, node.limits.length === 0 ? undefined : (limited) => holding(node, frame, path, limited))
    if (tells) frame.run.journal.notice("step.started", path)
    return noted(frame, node, () => tries, Effect.map(run, (outcome) => (tries > 1 ? { ...outcome, attempts: tries } : outcome)))
  })

/** A flow can wait longer than its process lives: its attempts are limited by dates. */
const timed = (name: string, timeout: Duration.Input, once: Attempt): Attempt => {
  const milliseconds = Duration.toMillis(timeout)
  return (frame, path, past, tries) =>
    limited(frame, { kind: "step.started", name, past, milliseconds }, () => new StepTimedOut({ path, milliseconds }), once(frame, path, past, tries))
}

/** Its beginning is durable before it runs; begun and not finished means that nobody knows. */
const atMostOnce = ({ name }: StepNode, body: Body): Body => (frame, path, past) =>
  past?.started === undefined ?
    Effect.flatMap(
      // what is refused has not begun
      Effect.flatMap(spend(frame, path, "steps", 1), () => frame.run.journal.appendSync("step.started", frame.path, name, "{}")),
      () => body(frame, path, past),
    ) :
    Effect.fail(new StepUncertain({ path }))

/** Records that the step failed. */
const noted = (frame: Frame, { name }: { readonly name: string }, tries: () => number, run: Run<Outcome>): Run<Outcome> =>
  Effect.tapError(run, (error) => frame.run.journal.append("step.failed", frame.path, name, `{"error":${encodeError(error)},"attempts":${tries()}}`))

/** What the work does to the database and its record are one transaction. */
const transacted = (node: StepNode, { call }: Extract<Work, { from: "transaction" }>): Body => (frame, path) => {
  const keepsOutput = node.binds || node.updates !== undefined
  const { run: { id } } = frame
  const context = new Context(
    {
      id,
      get charges() {
        return frame.run.charges
      },
      offers: nothingOffered(node.name),
    },
    path,
    1,
  )
  const run = Effect.suspend(() => {
    let value: unknown
    let failure: Effect.Effect<never, unknown> | undefined
    frame.run.journal.notice("step.started", path)
    const written = frame.run.journal.transact("step.completed", frame.path, node.name, (sql) => {
      try {
        value = withoutSecrets(call(sql, frame.scope, context))
      } catch (cause) {
        failure = Effect.fail(threw(path, cause))
        throw cause
      }
      const data = storable(path, () => encodeOutcome({ value }, keepsOutput))
      if (typeof data === "string") return data
      failure = data
      throw new Error("the value cannot be recorded")
    })
    return Effect.catch(Effect.map(written, (seq): Outcome => ({ value, seq })), (error) => failure ?? Effect.fail(error))
  })
  return noted(frame, node, () => 1, charging(frame, path, context, Effect.andThen(spend(frame, path, "steps", 1), run)))
}

/** The database is locked for what the step itself does there. */
const nothingOffered = (name: string): Offers => {
  const refuse = (): never => {
    throw new StateRefused({ name, reason: "a transaction step changes the database itself: use another step for state and artifacts" })
  }
  return { state: refuse, shared: new Map(), artifacts: refuse, progress: () => undefined, stateChanged: refuse }
}

const itself = (value: unknown): unknown => value

type CallWork = (frame: Frame, path: string, context: Context) => Run<unknown>
type OwnWork = Extract<Work, { from: "function" | "definition" }>

const caller = (work: OwnWork): CallWork => {
  if (work.from === "function") return (frame, path, context) => settle(path, () => work.call(frame.scope, context))
  const { call, input, output } = work
  const once = (flow: string, path: string, context: Context, given: unknown) =>
    after(settle(path, () => call(given as Values, context)), (value) => checkOutput(flow, path, output, value))
  const named = nameOf(work)
  if (named === undefined) {
    return ({ run: { flow }, scope }, path, context) => after(givenTo(flow, path, work, scope), (given) => once(flow, path, context, given))
  }
  return ({ run, run: { flow }, scope }, path, context) =>
    after(givenTo(flow, path, work, scope), (given) => {
      const about = {
        run,
        path,
        named,
        input: given,
        check: (value: unknown) => checkInput(flow, path, input, value),
        output: itself,
        replaced: (value: unknown) => checkOutput(flow, path, output, value),
        changed: (value: unknown) => void (context.given = value),
        time: context.attempt === 1 ? "" : `/${context.attempt}`,
      }
      return byName(about, (now) => once(flow, path, context, now))
    })
}
const called = (work: OwnWork, delivery: StepNode["delivery"]): Attempt => {
  const call = caller(work)
  return (frame, path, _past, tries) =>
    after(delivery === "atMostOnce" ? Effect.void : spend(frame, path, "steps", 1), () => {
      const context = new Context(frame.run, path, tries)
      const ran = attempt(context, () => call(frame, path, context))
      return charging(frame, path, context, Effect.map(ran, (value) => outcomeOf(value, context)))
    })
}

/** What a step's work is given of the scope. */
export const givenTo = (flow: string, path: string, work: Work, scope: Values): Run<unknown> =>
  work.from !== "definition" ?
    Effect.succeed(scope) :
    work.given === undefined ?
    checkInput(flow, path, work.input, wholeScope(scope)) :
    after(ask(path, () => work.given!(scope)), (given) => checkInput(flow, path, work.input, given))

/** What a step defined elsewhere reads its keys from: the scope, and below it the fields of the run's input. */
const wholeScope = (scope: Values): Values => {
  const { input } = scope
  return typeof input === "object" && input !== null ? { ...input, ...scope } : scope
}

const checkInput = (flow: string, path: string, schema: FlowIR["input"], value: unknown): Run<unknown> =>
  schema === undefined ? Effect.succeed(value) : Effect.mapError(validate(schema, value), (issues) => new InputInvalid({ flow, path, issues }))
const checkOutput = (flow: string, path: string, schema: FlowIR["output"], value: unknown): Run<unknown> =>
  schema === undefined ? Effect.succeed(value) : Effect.mapError(validate(schema, value), (issues) => new OutputInvalid({ flow, path, issues }))

/** What an earlier attempt recorded inside is not the next one's, and what it has changed of State is as it was before. */
export const flowRetried = ({ path: parent, run: { journal, offers } }: Frame, path: string, name: string, tries: number): Run<void> =>
  Effect.flatMap(ofAttempt(journal, path), ({ writes, taken }) => {
    const forgotten = Effect.sync(() => journal.forget(path, journal.seq))
    if (writes.length === 0) return Effect.andThen(journal.append("flow.retried", parent, name, `{"attempts":${tries}}`), forgotten)
    const data = JSON.stringify({ attempts: tries, taken })
    return Effect.andThen(Effect.tap(journal.commit("flow.retried", parent, name, data, writes, () => []), () => Effect.sync(offers.stateChanged)), forgotten)
  })

/** Another flow as the work of this step: its own scope, in the same run or in one of its own. */
const nested = (name: string, { flow, input, as, ofItem = false }: Extract<Work, { from: "flow" }>, compileBlock: CompileBlock): Attempt => {
  const given = (frame: Frame, path: string): Run<unknown> =>
    input === undefined ? Effect.succeed(wholeScope(frame.scope)) : ask(path, () => input(frame.scope))
  /** What an earlier try did is not this one's: of this process, or of one that died. */
  const anew = (frame: Frame, path: string, past: Known | undefined, tries: number): Run<void> => {
    if (past?.retried !== undefined) frame.run.journal.forget(path, past.retried.seq)
    return tries > 1 ? flowRetried(frame, path, name, tries) : Effect.void
  }
  if (as === "run") {
    return (frame, path, past, tries) =>
      Effect.flatMap(
        Effect.andThen(Effect.andThen(anew(frame, path, past, tries), deeper(frame, path)), given(frame, path)),
        (value) =>
          after(ofItem ? stored(path, () => encodeValue(value)) : Effect.succeed(""), (item) => {
            const generation = frame.run.journal.generation(path)
            return Effect.map(frame.run.child(flow, value, path, (generation === 0 ? "" : `#${generation}`) + item), ({ id, output }): Outcome => {
              // it may have
              frame.run.journal.stateful = true
              return { value: output, child: id }
            })
          }),
      )
  }
  const block: BlockProgram = compileBlock(flow.body)
  return (frame, path, past, tries) => {
    const entered = (input: unknown): Run<Outcome> =>
      after(
        startScope(flow, frame.run.journal, input),
        (scope) =>
          after(bounded(frame, path, flow.budget, enter(frame, path, scope, block, past)), ({ outcome }) =>
            flow.output === undefined ?
              Effect.succeed({ value: outcome.value, ref: outcome.ref }) :
              Effect.map(checkOutput(flow.name, path, flow.output, outcome.value), (value) => ({ value }))),
      )
    return Effect.flatMap(
      Effect.andThen(anew(frame, path, past, tries), deeper(frame, path)),
      () => {
        const check = (value: unknown) => checkInput(flow.name, path, flow.input, value)
        return after(given(frame, path), (value) => after(check(value), (input) => asAgent(flow, frame.run, path, input, check, past !== undefined, entered)))
      },
    )
  }
}
