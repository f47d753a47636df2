/** Commands to runs: each is checked against the run as it is, then recorded; a stale one is refused. */
import { currentTimeMillis } from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { fingerprint } from "../../dsl/ir/fingerprint.ts"
import type { FlowIR } from "../../dsl/ir/node.ts"
import { standingOf } from "../compile/standing.ts"
import { CommandRefused, RunCancelled, RunConflict, type RunNotFound, RunPaused, type RunTakenOver, type StoreFailed, tagOf } from "../model/error.ts"
import { eventPath } from "../model/event.ts"
import { drain } from "../model/signal.ts"
import { redact } from "../model/secret.ts"
import { hasEnded, type RunRecord, type RunStatus } from "../model/run.ts"
import { Journal } from "../services/journal.ts"
import { dataOf } from "../services/recorded.ts"
import { noticeOf } from "../services/notice.ts"
import type { Conductor } from "./conduct.ts"
import { recordedInput } from "./drive.ts"
import { owner } from "./owner.ts"
import { type Plan, planOf, reaches } from "./plan.ts"
import { forkState, rescoped, takenBack } from "./rewind-state.ts"
import { served } from "./served.ts"
import { tied } from "./ties.ts"

export interface CommandOptions {
  /** Why, for the journal. */
  readonly reason?: string | undefined
  /** The number of the newest event the caller has seen; if there are newer ones, the command is refused. */
  readonly expect?: number | undefined
}
type CommandError = StoreFailed | RunNotFound | CommandRefused
type Any<A> = Effect.Effect<A, any>
/** A command's answer, or why it was not obeyed. */
export type Command<A> = Effect.Effect<A, CommandError | RunConflict>

/** From which states a command is possible. */
const allowed: Readonly<Record<"pause" | "cancel" | "retry" | "rewind" | "fork", ReadonlyArray<RunStatus>>> = {
  pause: ["pending", "running", "suspended"],
  cancel: ["pending", "running", "suspended", "paused", "failed", "quarantined", "compensating"],
  retry: ["failed", "quarantined"],
  rewind: ["pending", "suspended", "paused", "completed", "failed", "quarantined"],
  fork: ["pending", "running", "suspended", "paused", "completed", "failed", "cancelled", "compensated", "quarantined"],
}

export class Control {
  readonly #conductor: Conductor

  constructor(conductor: Conductor) {
    this.#conductor = conductor
    conductor.giveUp = (id, flow) => this.cancel(id, { reason: "its parent went on without it", flow })
  }

  get #keeping() {
    return { ...this.#conductor.keeping, durability: "sync" as const }
  }

  /** The run, if it may be given this command now. */
  permitted(id: string, command: keyof typeof allowed, options: CommandOptions): Effect.Effect<RunRecord, CommandError> {
    return Effect.flatMap(this.expected(id, command, options), (run) => {
      const reason = `possible where it is ${allowed[command].join(", ")}`
      return allowed[command].includes(run.status) ? Effect.succeed(run) : Effect.fail(new CommandRefused({ run: id, command, status: run.status, reason }))
    })
  }

  /** The run, if it is still where the caller has seen it. */
  expected(id: string, command: keyof typeof allowed, { expect }: CommandOptions): Effect.Effect<RunRecord, CommandError> {
    const { store } = this.#keeping
    return Effect.gen(function*() {
      const run = yield* store.runs.get(id)
      const refused = (reason: string) => new CommandRefused({ run: id, command, status: run.status, reason })
      if (expect === undefined) return run
      const head = yield* store.events.head(run)
      if (expect > head) return yield* refused(`it has no event ${expect}: the newest is ${head}`)
      if (head !== expect) return yield* refused(`it has got on since: you saw event ${expect}, the newest is ${head}. Look again`)
      return run
    })
  }

  /** Stops whoever drives the run, makes it ours, and lets `then` write what is decided. */
  #take<A>(
    id: string,
    command: keyof typeof allowed,
    options: CommandOptions,
    stopping: RunCancelled | RunPaused,
    act: (run: RunRecord, journal: Journal) => Any<A>,
    tries = 5,
  ): Any<A> {
    const { store } = this.#keeping
    const { live } = this.#conductor
    return Effect.gen({ self: this }, function*() {
      const seen = yield* this.permitted(id, command, options)
      const stopped = Effect.suspend(() => {
        const here = live.get(id)
        if (here?.fiber === undefined) return Effect.succeed(false)
        here.stopping = stopping
        return Effect.as(Fiber.interrupt(here.fiber), true)
      })
      const run = (yield* stopped) ? yield* this.permitted(id, command, {}) : seen
      const fresh = run.status === "quarantined" ? { crashes: 0 } : {}
      const taken = store.runs.claim(run, { owner, lease: live.lease, status: run.status, ...fresh })
      const claimed = yield* Effect.catchIf(
        taken,
        (error): error is RunTakenOver => tagOf(error) === "RunTakenOver" && tries > 1,
        () => Effect.succeed(undefined),
      )
      if (claimed === undefined) return yield* this.#take(id, command, options, stopping, act, tries - 1)
      // somebody who waited for it may have gone on with it just before it became ours
      yield* stopped
      const result = yield* act(claimed, yield* Journal.open(claimed, undefined, this.#keeping))
      live.ring(id)
      return result
    })
  }

  readonly pause = (id: string, options: CommandOptions = {}): Command<void> =>
    Effect.gen({ self: this }, function*() {
      const reason = redact(options.reason ?? "")
      yield* this.#take(id, "pause", options, new RunPaused({ run: id, reason }), (_run, journal) =>
        journal.append("run.paused", "", "", JSON.stringify({ reason }), { status: "paused", due: undefined }))
      for (const child of yield* this.#children(id)) {
        if (allowed.pause.includes(child.status)) {
          yield* Effect.ignore(this.pause(child.id, { reason: `run '${id}' was paused` }))
        }
      }
    })

  /** Kept as a signal: a run that is not driven just now finds it when it is. */
  readonly drain = (id: string): Command<void> =>
    Effect.gen({ self: this }, function*() {
      const { runs, signals } = this.#keeping.store
      const { status } = yield* runs.get(id)
      const refused = (reason: string) => new CommandRefused({ run: id, command: "drain", status, reason })
      if (hasEnded(status)) return yield* refused("it has ended")
      const sending = yield* signals.send(id, { id: drain, name: drain, data: "null" }, yield* currentTimeMillis)
      if (sending === "full") return yield* refused("10,000 signals wait for it already")
      this.#conductor.news(id)
      for (const child of yield* this.#children(id)) yield* Effect.ignore(this.drain(child.id))
    })

  /** Ends the run; what can be undone is undone first, by this process if it knows the flow, else by whoever resumes it. */
  readonly cancel = (id: string, options: CommandOptions & { readonly flow?: FlowIR | undefined } = {}): Command<RunStatus> =>
    Effect.gen({ self: this }, function*() {
      const reason = redact(options.reason ?? "")
      const { live } = this.#conductor
      const { store } = this.#keeping
      const run = yield* store.runs.get(id)
      if (options.flow !== undefined && options.flow.name !== run.flow) return yield* new RunConflict({ run: id, differs: "flow" })
      if (hasEnded(run.status)) return run.status
      const flow = options.flow ?? live.get(id)?.flow
      const status = yield* this.#take(id, "cancel", options, new RunCancelled({ run: id, reason }), (taken, journal) =>
        Effect.gen(function*() {
          if (standingOf(yield* journal.effects(), "", false).length === 0) {
            yield* journal.append("run.cancelled", "", "", JSON.stringify({ reason }), { status: "cancelled" })
            return "cancelled" as const
          }
          yield* journal.append("run.compensating", "", "", JSON.stringify({ reason, cancelled: true }), { status: "compensating", due: Date.now() })
          // whoever knows the flow finishes it: it must not stay ours
          if (flow === undefined) yield* store.runs.release(taken, Date.now())
          return "compensating" as const
        }))
      const known = flow === undefined ? new Map<string, FlowIR>() : served([flow])
      for (const child of yield* this.#children(id)) {
        yield* Effect.ignore(this.cancel(child.id, { reason: `run '${id}' was cancelled`, flow: known.get(child.flow) }))
      }
      if (status === "cancelled" || flow === undefined) return status
      yield* this.#conductor.finishUndoing(flow, id)
      return "cancelled"
    }) as Command<RunStatus>

  #children(id: string): Effect.Effect<ReadonlyArray<RunRecord>, StoreFailed> {
    return this.#keeping.store.runs.list({ parent: id, limit: 100_000 })
  }

  /** What going back to the step at `path` takes back. */
  readonly plan = (flow: FlowIR, id: string, path: string, command: "rewind" | "fork"): Command<Plan> =>
    Effect.gen({ self: this }, function*() {
      const run = yield* this.#keeping.store.runs.get(id)
      if (run.flow !== flow.name) return yield* new RunConflict({ run: id, differs: "flow" })
      const refused = (reason: string) => new CommandRefused({ run: id, command, status: run.status, reason })
      if (run.fingerprint !== fingerprint(flow)) return yield* refused("the flow has changed since; resume the run first, which migrates it")
      const journal = yield* Journal.open(run, flow, this.#keeping)
      const events = yield* journal.all()
      const plan = planOf(flow, events, path)
      if (plan === undefined) return yield* refused(`the flow has no step '${path}'. Give a path as \`heddle show\` prints it, like refine[3]/draft`)
      const compacted = events.some(({ kind }) => kind === "run.compacted")
      if (compacted && /[/[]/.test(path)) return yield* refused(`the run was compacted: '${path}' may be gone. Go back to a step that is not inside another`)
      if (!reaches(events, path)) return yield* refused(`the run has not come to '${path}'. Give a path as \`heddle show\` prints it, like refine[3]/draft`)
      const undoable = new Set(events.filter((event) => event.data.includes("\"undo\"") && dataOf(event).undo !== undefined).map(({ seq }) => seq))
      const undone = new Set(events.filter((event) => event.kind === "compensation.completed" && undoable.has(dataOf(event).of!)).map(eventPath))
      const gone = plan.kept.find((kept) => undone.has(kept))
      if (gone !== undefined) return yield* refused(`'${gone}' was undone and would be kept: go back to it, or further`)
      return plan
    })

  /** Takes back everything from the step at `path` on; the run goes on from there when it is resumed. */
  readonly rewind = (flow: FlowIR, id: string, path: string, options: CommandOptions = {}): Command<Plan> =>
    Effect.gen({ self: this }, function*() {
      const plan = yield* this.plan(flow, id, path, "rewind")
      const reason = redact(options.reason ?? "")
      yield* this.#take(id, "rewind", options, new RunPaused({ run: id, reason }), (taken, journal) =>
        Effect.flatMap(takenBack(this.#keeping.store, taken, journal.forked, plan), ({ writes, taken: seqs }) =>
          journal.commit(
            "run.rewound",
            "",
            "",
            JSON.stringify({ reason: path, forget: plan.forget, ...(seqs.length === 0 ? {} : { taken: seqs }) }),
            writes,
            () => [],
            { status: "pending", due: Date.now() },
          )))
      this.#conductor.stateNews.tell()
      return plan
    })

  /** A new run that has done what this one did before the step at `path`. */
  readonly fork = (flow: FlowIR, id: string, path: string, as: string, options: CommandOptions): Command<Plan> =>
    Effect.gen({ self: this }, function*() {
      const { store } = this.#keeping
      const from = yield* this.permitted(id, "fork", options)
      const plan = yield* this.plan(flow, id, path, "fork")
      const events = yield* store.events.since(from, 0)
      const { flow: name, version, fingerprint: print, input, source } = from
      const ties = { ...tied(from), source, origin: id }
      const now = Date.now()
      const forked = {
        seq: (events.at(-1)?.seq ?? 0) + 1,
        at: now,
        kind: "run.forked" as const,
        parent: "",
        name: "",
        data: JSON.stringify({ from: id, reason: path, forget: plan.forget }),
      }
      const given = { ...ties, flow: name, version, fingerprint: print, input, owner: "", due: now }
      const { created, run } = yield* store.runs.adopt({ ...given, id: as, status: "pending" }, { events: [...rescoped(events, id, as), forked], signals: [] })
      if (!created) return yield* new RunConflict({ run: as, differs: "exists" })
      yield* forkState(store, from, as, plan)
      this.#keeping.listeners.tell(noticeOf(run, forked))
      return plan
    }) as Command<Plan>

  /** What a completed run gave back, as it is recorded: values of steps with a codec are what the codec has made of them. */
  readonly outputOf = (id: string): Effect.Effect<unknown, CommandError> =>
    Effect.gen({ self: this }, function*() {
      const { store } = this.#keeping
      const run = yield* store.runs.get(id)
      const ended = yield* store.events.last(run, "", "run.completed")
      if (ended === undefined || run.status !== "completed") {
        return yield* new CommandRefused({ run: id, command: "show the output of", status: run.status, reason: "only completed runs have one" })
      }
      const journal = yield* Journal.open(run, undefined, this.#keeping)
      journal.input = (yield* recordedInput(run, store)).value
      return yield* journal.output(ended)
    })
}
