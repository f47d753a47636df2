/** What an author holds: a flow, open for more verbs or ended by `.returns`. */
import type { FlowIR } from "../ir/node.ts"
import type { ChoiceVerbs } from "./choice-verbs.ts"
import type { ForkVerbs } from "./fork-verbs.ts"
import type { LoopVerbs } from "./loop-verbs.ts"
import type { ProtectVerbs } from "./protect-verbs.ts"
import type { ReturnsVerb } from "./returns-verb.ts"
import type { AnyMark } from "./mark.ts"
import type { AnyFrame, AnyScope, At } from "./scope.ts"
import type { StepVerbs } from "./step-verbs.ts"
import type { StreamVerb } from "./stream-verb.ts"
import type { FlowTypeError } from "./type-error.ts"
import type { WaitVerb } from "./wait-verb.ts"

/** What the compiler knows of a flow or step; no value carries it. */
export interface Types<out Name extends string, in Input, out Output, out Failure, out Needs> {
  readonly name: Name
  readonly input: (input: Input) => void
  readonly output: Output
  readonly failure: Failure
  readonly needs: Needs
}

/** Anything that can stand where a flow or a step definition is expected. */
export interface AnyDefinition {
  readonly "~types": Types<string, never, any, any, any>
}
/** Any flow, open or ended. */
export interface AnyFlow extends AnyDefinition {
  readonly ir: FlowIR
  readonly "~frame": AnyFrame
}

/**
 * A workflow: an immutable value that can be run, nested, drawn and checked.
 *
 * `Failure` is the union of every typed error it can end with, `Needs` the services its steps ask for.
 */
export interface Flow<in Input, out Output, out Failure = never, out Needs = never> {
  readonly ir: FlowIR
  readonly "~types": Types<string, Input, Output, Failure, Needs>
}

/** A flow that is still being written. Every verb returns a new flow; this one stays as it is. */
export interface Chain<in out Input, in out S extends AnyScope, in out Failure, in out Needs>
  extends StepVerbs, ChoiceVerbs, LoopVerbs, ForkVerbs, StreamVerb, ProtectVerbs, WaitVerb, ReturnsVerb
{
  readonly ir: FlowIR
  readonly "~types": Types<S["frame"]["flow"], Input, { readonly [Name in S["own"]]: At<S, Name> }, Failure, Needs>
  readonly "~frame": S["frame"]
  readonly "~scope": S
}

/** Every verb, in a place where none may stand: calling one prints the sentence. */
export type Blocked<Sentence extends string> = {
  readonly [Verb in "step" | "update" | "when" | "match" | "loop" | "each" | "parallel" | "stream" | "protect" | "wait" | "break" | "continue" | "returns"]:
    FlowTypeError<
      Sentence
    >
}

/** A flow ended by `.returns`. */
export interface Ended<in Input, out Output, out Failure, out Needs, F extends AnyFrame> extends Blocked<"nothing can follow .returns: it ends the flow"> {
  readonly ir: FlowIR
  readonly "~types": Types<F["flow"], Input, Output, Failure, Needs>
  readonly "~frame": F
}

/** What a run of `F` must be given. */
export type InputOf<F extends AnyDefinition> = F["~types"]["input"] extends (input: infer Input) => void ? Input : never
/** What a run of `F` gives back. */
export type OutputOf<F extends AnyDefinition> = F["~types"]["output"]
/** The typed errors a run of `F` can end with. */
export type FailureOf<F extends AnyDefinition> = F["~types"]["failure"]
/** The services the steps of `F` ask for. */
export type ServicesOf<F extends AnyDefinition> = Exclude<NeedsIn<F>, AnyMark>
/** Signals that `F` waits for, effects that nothing undoes. */
export type MarksOf<F extends AnyDefinition> = Extract<NeedsIn<F>, AnyMark>
/** Services and marks, as verbs pass them on. */
export type NeedsIn<F extends AnyDefinition> = F["~types"]["needs"]

/** Outer names that a block changed. */
export type UpdatesOf<B extends AnyFlow, S extends AnyScope> = Extract<B["~frame"]["updates"], S["names"]>
