/** Several agents together, as plain flows: what they do is drawn, recorded and bounded like any other. */
import { seq } from "../../../dsl/flow/builder.ts"
import { nest } from "../../../dsl/flow/definition.ts"
import type { AnyDefinition, AnyFlow, FailureOf, InputOf, NeedsIn, OutputOf, Types } from "../../../dsl/flow/flow.ts"
import type { Declared, Frame } from "../../../dsl/flow/scope.ts"

/** A flow that agents make up together. */
export interface Team<out Name extends string, in Input, out Output, out Failure, out Needs> extends AnyFlow {
  readonly "~types": Types<Name, Input, Output, Failure, Needs>
  readonly "~frame": Frame<Name, Declared<unknown, 1, never>, never, never>
}
type Members = Readonly<Record<string, AnyDefinition>>
/** Chains are typed where authors write them. */
type Chain = any
const work = (definition: AnyDefinition) => nest(definition, ({ input }: { readonly input: never }) => input)
/** For each member a block that is its work, as a step of this name. */
const blocks = (step: string, members: Members) =>
  Object.fromEntries(
    Object.entries(members).map(([label, one]) => [label, (b: Chain) =>
      b.step(step, work(one)).returns((scope: Readonly<Record<string, unknown>>) => scope[step])]
    ),
  )

/**
 * Asks all at once and takes what most of them say, if enough do; one that fails has no vote.
 *
 * @example
 * const verdict = consensus("verdict", { a: strict, b: lenient, c: other }, { agree: 2, otherwise: () => "bug" as const })
 */
export function consensus<const Name extends string, M extends Members, Output = OutputOf<M[keyof M]>>(
  name: Name,
  members: M,
  { agree, key = (output) => JSON.stringify(output), otherwise }: {
    /** How many have to say the same. */
    readonly agree: number
    /** What is compared of their outputs; default: all of it. */
    readonly key?: (output: OutputOf<M[keyof M]>) => string
    /** What it comes to where too few agree. */
    readonly otherwise: (outputs: ReadonlyArray<OutputOf<M[keyof M]>>) => Output
  },
): Team<Name, InputOf<M[keyof M]>, OutputOf<M[keyof M]> | Output, never, NeedsIn<M[keyof M]>> {
  type Said = OutputOf<M[keyof M]>
  return (seq(name as string) as Chain)
    .parallel("votes", blocks("said", members), { failure: "collect" })
    .returns(({ votes }: { readonly votes: Readonly<Record<string, { readonly ok: boolean; readonly value?: Said }>> }) => {
      const said = Object.values(votes).flatMap((vote) => (vote.ok ? [vote.value as Said] : []))
      const groups = [...Map.groupBy(said, key).values()].sort((a, b) => b.length - a.length)
      return groups[0] !== undefined && groups[0].length >= agree ? groups[0][0] : otherwise(said)
    })
}

/**
 * One chooses, another does: `choose` gives the name of who is asked.
 *
 * @example
 * const desk = delegate("desk", classifier("kind", { input, labels: { bug: "…", bill: "…" } }), { bug: engineer, bill: clerk })
 */
export function delegate<const Name extends string, Chooser extends AnyDefinition, M extends { readonly [Label in OutputOf<Chooser> & string]: AnyDefinition }>(
  name: Name,
  choose: Chooser,
  members: M,
): Team<
  Name,
  InputOf<Chooser> & InputOf<M[keyof M]>,
  OutputOf<M[keyof M]>,
  FailureOf<Chooser> | FailureOf<M[keyof M]>,
  NeedsIn<Chooser> | NeedsIn<M[keyof M]>
> {
  return (seq(name as string) as Chain)
    .step("chosen", work(choose))
    .match("answer", ({ chosen }: { chosen: string }) => chosen, blocks("done", members))
    .returns(({ answer }: { answer: unknown }) => answer)
}

/** The first is given the input, each further one what the one before has said. */
export function pipeline<const Name extends string, First extends AnyDefinition, Last extends AnyDefinition, Rest extends ReadonlyArray<AnyDefinition>>(
  name: Name,
  members: readonly [First, ...Rest, Last],
): Team<Name, InputOf<First>, OutputOf<Last>, FailureOf<First | Last | Rest[number]>, NeedsIn<First | Last | Rest[number]>> {
  let before = "input"
  let chain = seq(name as string) as Chain
  for (const [i, one] of (members as ReadonlyArray<AnyDefinition>).entries()) {
    const from = before
    before = `stage ${i + 1}`
    chain = chain.step(before, nest(one, (scope: Readonly<Record<string, never>>) => scope[from]!))
  }
  const last = before
  return chain.returns((scope: Readonly<Record<string, unknown>>) => scope[last])
}
