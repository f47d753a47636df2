/** The recorder behind `Chain`: every verb appends one frozen node to a copy. It knows nothing of types. */
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { AgentInfo } from "../ir/agent.ts"
import type { Hook } from "../ir/hook.ts"
import type { RunBudget } from "../ir/limit.ts"
import type { Ask, Block, Call, FlowIR, MergePolicy, Node, StepNode, WaitFor, Work } from "../ir/node.ts"
import { type Compensating, compensation, retryPolicy } from "./compensation.ts"
import { workOf } from "./definition.ts"
import type { LimitExceeded } from "./failure.ts"
import type { Chain } from "./flow.ts"
import { inOrder } from "./limit.ts"
import type { SessionMark } from "./mark.ts"
import { type Recording, streamed, type Writing } from "./stages.ts"
import { strayIn } from "./stray.ts"
import { type ChainGuard, type Migrated, type Migrations, migrationsOf, type VersionIn } from "./lock.ts"
import type { Bound, Declared, Start } from "./scope.ts"

export interface FlowOptions<Name = string> {
  /** Starts at 1; raise it, and add a migration, when runs of the old shape cannot simply go on. */
  readonly version?: number
  /**
   * By the version they start from: what a run of that version has bound so far, as the next version has it.
   *
   * A migration depends on nothing but its argument; values are as the codecs of the current flow read them.
   */
  readonly migrations?: Migrations<Name>
  /** What a run accepts; any Standard Schema. */
  readonly input?: StandardSchemaV1
  /** What a run gives back; any Standard Schema. */
  readonly output?: StandardSchemaV1
  /** What a run reads of its session's context, as `session` in every scope of the flow; any Standard Schema. A run without a session is refused. */
  readonly session?: StandardSchemaV1
  /** What one run may spend in all, its children included; beyond it it fails with `LimitExceeded`. Nested, it bounds the step that it is. */
  readonly budget?: RunBudget
  /** One sentence for diagrams and docs. */
  readonly description?: string
  /** The only capabilities that tools in it may need, as `noun.verb`, `noun.*` or `*`; default: any. */
  readonly capabilities?: ReadonlyArray<string>
  /** Asked at every node of the flow, and where its runs begin and end. */
  readonly hooks?: ReadonlyArray<Hook>
}
type InputSchema<O> = O extends { readonly input: infer S extends StandardSchemaV1 } ? S : StandardSchemaV1<void>
type SessionIn<O> = O extends { readonly session: infer S extends StandardSchemaV1 } ? Bound<"session", StandardSchemaV1.InferOutput<S>> : never
type SessionNeed<O> = O extends { readonly session: StandardSchemaV1 } ? SessionMark : never
type OutputIn<O> = O extends { readonly output: infer S extends StandardSchemaV1 } ? StandardSchemaV1.InferInput<S> : unknown
type BudgetFailure<O> = O extends { readonly budget: unknown } ? LimitExceeded : never
type DeclaredBy<O> = Declared<OutputIn<O>, VersionIn<O>, Migrated<O>>

/**
 * Starts a flow.
 *
 * With schemas, a run's input is checked and parsed before the first step, and its output before it is given out.
 *
 * @example
 * seq("greet", { input: z.object({ name: z.string() }) }).step("text", ({ input }) => `Hello ${input.name}`)
 */
export function seq<const Name extends string, const Options extends FlowOptions<Name>>(
  name: ChainGuard<Name, Options>,
  options: Options,
): Chain<
  StandardSchemaV1.InferInput<InputSchema<Options>>,
  Start<Name, Bound<"input", StandardSchemaV1.InferOutput<InputSchema<Options>>> | SessionIn<Options>, DeclaredBy<Options>>,
  BudgetFailure<Options>,
  SessionNeed<Options>
>
/** Without schemas: `seq("name")` takes no input, `seq<Input>("name")` takes what the type says, unchecked. */
export function seq<Input = void, const Name extends string = string>(
  name?: Name,
): Chain<Input, Start<Name, Bound<"input", Input>, Declared<unknown, 1, never>>, never, never>
export function seq(given?: unknown, options: FlowOptions = {}): unknown {
  const name = typeof given === "string" ? given : "flow"
  return new Recorder({
    head: {
      name,
      version: options.version ?? 1,
      description: options.description,
      input: options.input,
      output: options.output,
      session: options.session,
      capabilities: options.capabilities,
      migrations: migrationsOf(options.migrations),
      hooks: options.hooks ?? none,
      budget: options.budget,
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `agent` says it, past the types of authors
      agent: (options as { readonly agent?: AgentInfo }).agent,
      stray: strayIn("flow", options),
    },
    nodes: [],
    guard: undefined,
    returns: undefined,
  })
}

interface Written {
  readonly head: Omit<FlowIR, "body">
  readonly nodes: ReadonlyArray<Node>
  readonly guard: Ask | undefined
  readonly returns: Ask | undefined
}
type Write = (block: Recorder) => Recorder
type Writes = Readonly<Record<string, Write>>
type Options = Readonly<Record<string, any>>
type Shape<N extends Node> = N extends Node ? Omit<N, "name" | "binds" | "guard" | "description" | "hooks" | "stray"> : never

const none: ReadonlyArray<never> = Object.freeze([])
const isWrite = (value: unknown): value is Write => typeof value === "function"
const carriedWork = (value: unknown): Work | undefined => {
  if (value instanceof Recorder) return { from: "flow", flow: value.ir, input: undefined, as: "inline" }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the symbol is only ever set by `step` and `nest`
  return (value as { readonly [workOf]?: Work })[workOf]
}

class Recorder {
  readonly #written: Written
  #ir: FlowIR | undefined

  constructor(written: Written) {
    this.#written = written
  }

  /** The flow as data, frozen; made once. */
  get ir(): FlowIR {
    const { head, nodes, returns, guard } = this.#written
    this.#ir ??= Object.freeze({ ...head, body: Object.freeze({ nodes, returns, dangling: guard !== undefined }) })
    return this.#ir
  }

  step(first: unknown, work?: unknown, options?: Options): Recorder {
    const name = typeof first === "string" ? first : first instanceof Recorder ? first.ir.name : (first as { readonly name: string }).name
    return this.#step(name, typeof first === "string" ? work : first, undefined, options)
  }

  update(name: string, work: unknown, options?: Options): Recorder {
    const taken = this.#written.nodes.filter((node) => node.name === name || (node.kind === "step" && node.updates === name)).length
    return this.#step(taken === 0 ? name : `${name}#${taken + 1}`, work, name, options)
  }

  when(...args: ReadonlyArray<unknown>): Recorder {
    if (args.length === 1) return new Recorder({ ...this.#written, guard: both(this.#written.guard, args[0] as Ask) })
    const [name, on, yes, no] = named(args)
    return this.#add("when", name, {
      kind: "when",
      form: "if",
      on: on as Ask,
      cases: this.#blocks({ yes: yes as Write, ...(isWrite(no) ? { no } : {}) }),
    })
  }

  match(...args: ReadonlyArray<unknown>): Recorder {
    const [name, on, cases] = named(args)
    return this.#add("match", name, { kind: "when", form: "match", on: on as Ask, cases: this.#blocks(cases as Writes) })
  }

  loop(...args: ReadonlyArray<unknown>): Recorder {
    const [name, given, body] = named(args)
    const options = given as Options
    const turns = options["over"] !== undefined ?
      { by: "over", items: options["over"], max: options["max"] } as const :
      options["times"] !== undefined ?
      { by: "times", times: options["times"] } as const :
      { by: options["while"] !== undefined ? "while" : "until", test: options["while"] ?? options["until"], max: options["max"] } as const
    return this.#add("loop", name, {
      kind: "loop",
      turns,
      atMax: options["atMax"] ?? "end",
      collect: options["collect"] ?? "last",
      budget: options["budget"],
      body: this.#block(body as Write),
    }, options)
  }

  break(condition: Ask<boolean>): Recorder {
    return this.#add("break", undefined, { kind: "jump", to: "break", condition })
  }

  continue(condition: Ask<boolean>): Recorder {
    return this.#add("continue", undefined, { kind: "jump", to: "continue", condition })
  }

  each(...args: ReadonlyArray<unknown>): Recorder {
    const [name, items, body, given] = named(args)
    const options = (given ?? {}) as Options
    return this.#add("each", name, {
      kind: "each",
      items: items as Ask<Iterable<unknown>>,
      concurrency: options["concurrency"] ?? 16,
      failure: options["failure"] ?? "failFast",
      ordered: options["ordered"] ?? true,
      merge: {},
      body: this.#block(body as Write),
    }, options)
  }

  parallel(...args: ReadonlyArray<unknown>): Recorder {
    const [name, forks, given] = named(args)
    const options = (given ?? {}) as Options
    return this.#add("parallel", name, {
      kind: "parallel",
      forks: this.#blocks(forks as Writes),
      concurrency: options["concurrency"] ?? "unbounded",
      failure: options["failure"] ?? "failFast",
      optional: Object.freeze([...(options["optional"] ?? [])]),
      merge: {},
    }, options)
  }

  merge(policies: Readonly<Record<string, MergePolicy>>): Recorder {
    const last = this.#written.nodes.at(-1)
    const merged = Object.freeze({ ...last, merge: Object.freeze({ ...policies }) }) as Node
    return new Recorder({ ...this.#written, nodes: Object.freeze([...this.#written.nodes.slice(0, -1), merged]) })
  }

  protect(...args: ReadonlyArray<unknown>): Recorder {
    const [name, body, given] = named(args)
    const options = given as Options
    return this.#add("protect", name, {
      kind: "protect",
      body: this.#block(body as Write),
      handlers: Object.freeze({ ...options["catch"], ...options["catchAll"] }),
      fallback: options["fallback"],
      rollback: options["rollback"] ?? true,
      timeout: options["timeout"],
      compensated: options["compensated"] ?? false,
      budget: options["budget"],
    }, options)
  }

  wait(...args: ReadonlyArray<unknown>): Recorder {
    const [name, given] = named(args)
    const options = (given ?? {}) as Options
    const on: WaitFor = options["for"] !== undefined ?
      { by: "for", duration: options["for"] } :
      options["until"] !== undefined ?
      { by: "until", date: options["until"] } :
      { by: "signal", signal: options["signal"] ?? name, schema: options["schema"], where: options["where"] }
    return this.#add("wait", name, { kind: "wait", on, timeout: options["timeout"], atTimeout: options["atTimeout"] ?? "fail" }, options)
  }

  stream(...args: ReadonlyArray<unknown>): Recorder {
    const [name, source, pipe, options = {}] = named(args) as [string | undefined, Ask, (stages: Recording) => Recording, Options?]
    const step = (node: string, work: Work, more: Options) =>
      new Recorder({ ...this.#written, nodes: [] }).#step(node, { [workOf]: work }, undefined, more).ir.body.nodes[0]
    return this.#add("stream", name, streamed(source, pipe, options, { step, carries: carriedWork } as Writing), options)
  }

  returns(choose: Ask): Recorder {
    return new Recorder({ ...this.#written, returns: choose })
  }

  #step(name: string, given: unknown, updates: string | undefined, options: Options = {}): Recorder {
    const work = carriedWork(given) ?? { from: "function", call: given as Call }
    const own = work.from === "definition" ? work.own : undefined
    const shape: Shape<StepNode> = {
      kind: "step",
      work: Object.freeze(work),
      updates,
      retry: retryPolicy(options["retry"]) ?? own?.retry,
      timeout: options["timeout"] ?? own?.timeout,
      codec: options["codec"],
      delivery: options["delivery"] ?? "atLeastOnce",
      limits: inOrder([...(own?.limits ?? none), ...(options["limits"] ?? none)]),
      // a definition says it itself
      ...(work.from === "definition" ? { effects: work.effects, compensate: work.compensate } : compensation(options as Compensating)),
    }
    const { hooks = none, description = own?.description } = options
    return this.#add("step", name, shape, { ...options, hooks: own === undefined ? hooks : [...own.hooks, ...hooks], description }, updates === undefined)
  }

  /** Appends a node; without a name it takes the next `kind#n` of its block and binds nothing. */
  #add(verb: string, name: string | undefined, shape: Shape<Node>, options: Options = {}, binds = name !== undefined): Recorder {
    const { nodes, guard } = this.#written
    const common = {
      name: name ?? `${verb}#${nodes.filter((node) => node.name.startsWith(`${verb}#`)).length + 1}`,
      binds,
      guard,
      description: options["description"],
      hooks: options["hooks"] ?? none,
      stray: strayIn(shape.kind, options),
    }
    const node = Object.freeze({ ...shape, ...common }) as Node
    return new Recorder({ ...this.#written, nodes: Object.freeze([...nodes, node]), guard: undefined })
  }

  #block(write: Write): Block {
    return write(new Recorder({ head: this.#written.head, nodes: [], guard: undefined, returns: undefined })).ir.body
  }

  #blocks(writes: Writes): Readonly<Record<string, Block>> {
    return Object.freeze(Object.fromEntries(Object.entries(writes).map(([label, write]) => [label, this.#block(write)])))
  }
}

/** The arguments of a verb whose name may be left out. */
const named = (args: ReadonlyArray<unknown>): readonly [name: string | undefined, ...rest: ReadonlyArray<unknown>] =>
  typeof args[0] === "string" ? [args[0], ...args.slice(1)] : [undefined, ...args]

/** Two conditions before one node must both hold. */
const both = (first: Ask | undefined, second: Ask): Ask => (first === undefined ? second : (scope) => first(scope) && second(scope))
