/** The whole language on one page: what a flow consists of, as frozen data. */
import type { Input as Duration } from "effect/Duration"
import type { StandardSchemaV1 } from "@standard-schema/spec"
import type { AgentInfo } from "./agent.ts"
import type { ArtifactAccess } from "./artifact.ts"
import type { Hook } from "./hook.ts"
import type { Budget, Limit, RunBudget, Spending } from "./limit.ts"
import type { StateAccess } from "./state.ts"
import type { StreamShape } from "./stream.ts"
import type { ToolInfo } from "./tool.ts"

/** The values a node reads: `input`, and each bound name. */
export type Values = Readonly<Record<string, unknown>>
/** A function of the scope, written by the author. */
export type Ask<Answer = unknown> = (scope: Values) => Answer

/** Nodes in order, then one output: what `returns` chooses, else the record of the names they bind. */
export interface Block {
  readonly nodes: ReadonlyArray<Node>
  readonly returns: Ask | undefined
  /** A `.when(condition)` at its very end, which guards nothing. */
  readonly dangling: boolean
}

/** What every node has. */
interface Common {
  /** Where it sits in its block: its own name, else `kind#n`. Unique in the block. */
  readonly name: string
  /** Its output is bound to `name`. */
  readonly binds: boolean
  /** A `.when(condition)` right before it. */
  readonly guard: Ask | undefined
  /** One sentence for diagrams and docs. */
  readonly description: string | undefined
  /** Asked at this node only. */
  readonly hooks: ReadonlyArray<Hook>
  /** Names of options that its verb does not have. */
  readonly stray: ReadonlyArray<string>
}

export interface RetryPolicy {
  readonly times: number
  readonly while: ((error: never) => boolean) | undefined
  readonly backoff: Duration
  readonly maxBackoff: Duration
  readonly jitter: boolean
}
export interface ValueCodec {
  readonly encode: (value: never) => unknown
  readonly decode: (stored: unknown) => unknown
}

/** Work: a function of the scope, a step defined elsewhere, or another flow. */
export type Work =
  | { readonly from: "function"; readonly call: Call }
  | { readonly from: "transaction"; readonly call: Transact }
  | {
    readonly from: "definition"
    readonly call: Call
    readonly input: StandardSchemaV1 | undefined
    readonly output: StandardSchemaV1 | undefined
    /** How its input is made from the scope; without it, its keys are read from there. */
    readonly given: Ask | undefined
    /** What is known of it, if it is a tool. */
    readonly tool: ToolInfo | undefined
    /** Whose turn it is, if it is a turn of an agent's model. */
    readonly turn: string | undefined
    /** What every step that uses it begins with. */
    readonly own: Pick<StepNode, "retry" | "timeout" | "limits" | "hooks" | "description">
    readonly effects?: string | undefined
    readonly compensate?: Compensation | "irreversible" | undefined
  }
  | {
    readonly from: "flow"
    readonly flow: FlowIR
    readonly input: Ask | undefined
    readonly as: "inline" | "run"
    /** Its run is told by its input, too: at the same place may stand another item after a crash. */
    readonly ofItem?: boolean
  }

/** What a step's function is told beside the scope. */
export interface StepContext {
  readonly run: string
  readonly path: string
  /** Stable over crashes and retries: hand it to the outside world to have an effect happen once. */
  readonly key: string
  /** 1 for the first try. */
  readonly attempt: number
  /** Aborted when the step is interrupted. */
  readonly signal: AbortSignal
  /** Counts what the step has spent in every budget it belongs to. Throws `LimitExceeded` where it is too much: let it through. */
  readonly charge: (spending: Spending) => void
  /** Tells whoever listens how it gets on, as `step.progressed`: live, and not kept. */
  readonly progress: (news: unknown) => void
  /** Values that outlive the run; what the step changes of them is kept together with its record, or not at all. */
  readonly state: StateAccess
  /** Outputs that are kept outside of state: files, pages, model outputs. */
  readonly artifacts: ArtifactAccess
}
export type Call = (scope: Values, step: StepContext) => unknown

/** What a database answers with. */
export type Row = Readonly<Record<string, unknown>>
export type SqlValue = null | number | bigint | string | Uint8Array
/** The journal's own database, inside the transaction that records the step. */
export interface Transaction {
  /** Runs a statement that changes something. */
  readonly run: (sql: string, ...values: ReadonlyArray<SqlValue>) => { readonly changes: number; readonly lastId: number }
  /** The rows of a query. */
  readonly all: (sql: string, ...values: ReadonlyArray<SqlValue>) => ReadonlyArray<Row>
}
export type Transact = (transaction: Transaction, scope: Values, step: StepContext) => unknown

/** How the effect of a finished step is undone. */
export interface Compensation {
  readonly undo: (output: never, scope: never, step: StepContext) => unknown
  readonly retry: RetryPolicy | undefined
  readonly timeout: Duration | undefined
  /** When it fails for good: leave the rest as it is, or go on with the others. Both are reported. */
  readonly onFailure: "stop" | "continue"
}

/** One unit of work; with `updates` its output goes to a name that is already bound. */
export interface StepNode extends Common {
  readonly kind: "step"
  readonly work: Work
  readonly updates: string | undefined
  readonly retry: RetryPolicy | undefined
  readonly timeout: Duration | undefined
  readonly codec: ValueCodec | undefined
  readonly delivery: "atLeastOnce" | "atMostOnce"
  /** Held while an attempt runs, taken in this order. */
  readonly limits: ReadonlyArray<Limit>
  /** What it changes in the outside world, in a few words. */
  readonly effects: string | undefined
  readonly compensate: Compensation | "irreversible" | undefined
}

/** Chooses one block: `if` by a condition (`yes`, `no`), `match` by the label of a value. */
export interface WhenNode extends Common {
  readonly kind: "when"
  readonly form: "if" | "match"
  readonly on: Ask
  readonly cases: Readonly<Record<string, Block>>
}

export type Collect = "last" | "all" | "none" | { readonly first: number } | { readonly last: number }
/** What keeps a loop going. */
export type Turns =
  | { readonly by: "while" | "until"; readonly test: Ask<boolean>; readonly max: number }
  | { readonly by: "times"; readonly times: number | Ask<number> }
  | { readonly by: "over"; readonly items: Ask<Iterable<unknown>>; readonly max: number | undefined }

/** Repeats a block. */
export interface LoopNode extends Common {
  readonly kind: "loop"
  readonly turns: Turns
  readonly atMax: "end" | "fail"
  readonly collect: Collect
  readonly budget: Budget | undefined
  readonly body: Block
}

/** Leaves the pass of the loop around it, or the loop. */
export interface JumpNode extends Common {
  readonly kind: "jump"
  readonly to: "break" | "continue"
  readonly condition: Ask<boolean>
}

export type FailureMode = "failFast" | "waitAll" | "first" | "collect" | { readonly atLeast: number }
/** How the values that forks gave to one name become one. */
export interface MergePolicy {
  readonly policy: string
  readonly combine: (values: ReadonlyArray<never>, before: never) => unknown
}
interface Joining extends Common {
  readonly concurrency: number | "unbounded"
  readonly failure: FailureMode
  readonly merge: Readonly<Record<string, MergePolicy>>
}

/** Maps a block over a collection, several items at once. */
export interface EachNode extends Joining {
  readonly kind: "each"
  readonly items: Ask<Iterable<unknown>>
  readonly ordered: boolean
  readonly body: Block
}

/** Named forks at once. */
export interface ParallelNode extends Joining {
  readonly kind: "parallel"
  readonly forks: Readonly<Record<string, Block>>
  readonly optional: ReadonlyArray<string>
}

type Handler = (error: unknown, scope: Values) => unknown
/** A boundary: errors whose tag has a handler end here, and what was done inside is undone. */
export interface ProtectNode extends Common {
  readonly kind: "protect"
  readonly body: Block
  readonly handlers: Readonly<Record<string, Handler>>
  /** For every error without a handler of its own. */
  readonly fallback: Handler | undefined
  /** After a caught error, outer names have the values they had before the block. */
  readonly rollback: boolean
  readonly timeout: Duration | undefined
  /** Every step inside that declares effects can be undone. */
  readonly compensated: boolean
  readonly budget: Budget | undefined
}

/** What a `wait` waits for. */
export type WaitFor =
  | {
    readonly by: "signal"
    readonly signal: string
    readonly schema: StandardSchemaV1 | undefined
    /** Signals for which it does not hold are left to other waits. */
    readonly where: ((payload: never, scope: Values) => boolean) | undefined
  }
  | { readonly by: "for"; readonly duration: Duration | Ask<Duration> }
  | { readonly by: "until"; readonly date: Date | Ask<Date> }

/** Suspends the run until a signal or a time. */
export interface WaitNode extends Common {
  readonly kind: "wait"
  readonly on: WaitFor
  /** Longest time to wait for a signal. */
  readonly timeout: Duration | undefined
  readonly atTimeout: "fail" | "continue"
}

/** Items from a source through stages to a sink. */
export interface StreamNode extends Common, StreamShape {
  readonly kind: "stream"
}

export type Node = StepNode | WhenNode | LoopNode | JumpNode | EachNode | ParallelNode | ProtectNode | WaitNode | StreamNode
export type NodeKind = Node["kind"]
export type NodeOf<Kind extends NodeKind> = Extract<Node, { readonly kind: Kind }>

/** A flow as data. */
export interface FlowIR {
  readonly name: string
  readonly version: number
  readonly description: string | undefined
  readonly input: StandardSchemaV1 | undefined
  readonly output: StandardSchemaV1 | undefined
  /** What it reads of its session's context. */
  readonly session: StandardSchemaV1 | undefined
  /** The only capabilities that tools in it may need; `undefined`: any. */
  readonly capabilities: ReadonlyArray<string> | undefined
  /** From a version to the next: the names bound so far, as the next version has them. */
  readonly migrations: Readonly<Record<number, Migration>>
  /** Asked at every node, and where a run begins and ends. */
  readonly hooks: ReadonlyArray<Hook>
  /** What one run may spend. */
  readonly budget: RunBudget | undefined
  /** What is known of it, if it is an agent. */
  readonly agent: AgentInfo | undefined
  /** Names of options that flows do not have. */
  readonly stray: ReadonlyArray<string>
  readonly body: Block
}
export type Migration = (state: Values) => Values
