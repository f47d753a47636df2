/**
 * Flows that cannot work. Each is refused with the message behind `@ts-expect-error`;
 * `mistakes.test.ts` compares the messages with what TypeScript 6 and 7 print.
 */
import { Context, Effect } from "effect"
import { err, ok, type Result } from "neverthrow"
import { z } from "zod"
import { atLeast, decide, Heddle, hook, merge, nest, permits, rate, run, seq, step, transaction } from "heddle"
import { testFlow } from "heddle/testing"

class Declined {
  readonly _tag = "Declined"
}
class NotFound {
  readonly _tag = "NotFound"
}
class Mailer extends Context.Service<Mailer, { readonly send: () => void }>()("test/Mailer") {}

const base = seq("base", { input: z.object({ id: z.string() }) })
  .step("draft", () => ({ text: "t", score: 1 }))
  .step("kind", () => "bug" as "bug" | "chore")
  .step("total", () => 0)
const charge = (): Result<number, Declined | NotFound> => ok(1)

// 1 input/output mismatch
const wantsNumber = step("wantsNumber", ({ draft }: { draft: number }) => draft)
// @ts-expect-error step 'wantsNumber' gets a value of another type
base.step(wantsNumber)
// @ts-expect-error Property 'toFixed' does not exist on type 'string'
base.step("next", ({ draft }) => draft.text.toFixed())

// 2 reading a key nothing has written
// @ts-expect-error Property 'later' does not exist on type
base.step("next", ({ later }) => 1)
const wantsUser = step("wantsUser", ({ user }: { user: string }) => user)
// @ts-expect-error step 'wantsUser' needs 'user', which nothing before it provides; in scope:
base.step(wantsUser)
// @ts-expect-error update 'nothing': nothing in scope has this name; in scope:
base.update("nothing", () => 1)

// 3 a condition on a missing key
// @ts-expect-error Property 'priority' does not exist on type
base.when(({ priority }) => true)
// @ts-expect-error Property 'inner' does not exist on type
base.loop("l", { times: 2 }, (b) => b.step("inner", () => 1)).when(({ inner }) => true)

// 4 a missing case
// @ts-expect-error match 'route' does not handle", "chore"
base.match("route", ({ kind }) => kind, { bug: (b) => b.step("x", () => 1) })

// 5 an unknown case
// @ts-expect-error match 'route' has a case that cannot happen:", "epic"
base.match("route", ({ kind }) => kind, { bug: (b) => b.step("x", () => 1), chore: (b) => b.step("y", () => 1), epic: (b: any) => b })

// 6 parallel update conflict without a policy, a policy for a name that does not conflict
const conflict = base.parallel("both", { a: (b) => b.update("total", () => 1), b: (b) => b.update("total", () => 2) })
// @ts-expect-error parallel 'both': more than one fork updates 'total'; say how with .merge({ total: merge.… })
conflict.step("next", () => 1)
// @ts-expect-error parallel 'both': 'draft' needs no merge policy, at most one fork updates it
conflict.merge({ total: merge.sum, draft: merge.last })
// @ts-expect-error each 'many': more than one fork updates 'total'
base.each("many", () => [1], (b) => b.update("total", ({ item }) => item)).returns(() => 1)
// @ts-expect-error Property 'merge' does not exist on type
base.parallel("apart", { a: (b) => b.update("total", () => 1), b: (b) => b.step("y", () => 1) }).merge({ total: merge.sum })

// 7 a loop body that does not fit its next pass
// @ts-expect-error update 'draft': the new value does not fit the type the name was bound with
base.loop("l", { until: ({ draft }) => draft.score > 2, max: 3 }, (b) => b.update("draft", ({ draft }) => ({ text: draft.text })))
// @ts-expect-error Property 'max' is missing
base.loop("l", { until: ({ draft }) => draft.score > 2 }, (b) => b.step("x", () => 1))

// 8 an output that cannot be recorded
// @ts-expect-error step 'bad' returns a value that cannot be recorded; return plain data, or give the step a codec", "run: function"
base.step("bad", () => ({ run: () => 1 }))
// @ts-expect-error step 'bad' returns a value that cannot be recorded; return plain data, or give the step a codec", "at.pattern: class instance"
base.step("bad", () => ({ at: { pattern: /x/ }, fine: new Map([["a", new Date()]]) }))
// @ts-expect-error flow 'base' returns a value that cannot be recorded", "f: function"
base.returns(() => ({ f: () => 1 }))

// 9 a typed error that catchAll leaves unhandled, a catch for an impossible error
// @ts-expect-error protect 'pay': catchAll leaves an error unhandled:", "NotFound"
base.protect("pay", (b) => b.step("charge", charge), { catchAll: { Declined: () => 0 } })
// @ts-expect-error protect 'pay': catch 'Offline' handles an error that cannot happen here; possible errors:", "Declined" | "NotFound"
base.protect("pay", (b) => b.step("charge", charge), { catch: { Offline: () => 0 } })

// 10 a missing service at run
const mails = seq("mails").step("send", () => Mailer.use((mailer) => Effect.sync(() => mailer.send())))
// @ts-expect-error flow 'mails' needs services that nothing provides: give run a layer with", Mailer
run(mails)
// @ts-expect-error Type 'Mailer' is not assignable to type 'never'
Effect.runPromise(Effect.provide(Heddle.run(mails, undefined), Heddle.layerMemory))

// 11 wrong run input
// @ts-expect-error Type 'number' is not assignable to type 'string'
run(base, { id: 1 })
// @ts-expect-error Type 'number' is not assignable to type 'string'
Heddle.run(base, { id: 1 })
const child = seq("child", { input: z.object({ n: z.number() }) }).returns(({ input }) => input.n)
// @ts-expect-error Type 'string' is not assignable to type 'number'
base.step("call", nest(child, ({ draft }) => ({ n: draft.text })))

// 12 a duplicate name
// @ts-expect-error 'draft' is already bound in this scope; give the node another name, or use .update
base.step("draft", () => 1)
// @ts-expect-error 'draft' is already bound in this scope; give the node another name, or use .update
base.loop("l", { times: 2 }, (b) => b.step("draft", () => 1))
// @ts-expect-error 'item' is a name that Heddle binds itself; give the node another name
base.step("item", () => 1)

// 13 a node after returns
// @ts-expect-error nothing can follow .returns: it ends the flow
base.returns(() => 1).step("after", () => 1)

// 14 retry on a step that cannot fail
// @ts-expect-error step 'pure' cannot fail: a retry would never happen
base.step("pure", () => 1, { retry: { times: 3 } })

// 15 an output that does not fit the declared schema
// @ts-expect-error flow 'typed' returns a value that does not fit its declared output
seq("typed", { output: z.object({ n: z.number() }) }).step("a", () => "x").returns(({ a }) => ({ n: a }))

// 16 an optional fork treated as required, a required one as optional
const forks = base.parallel("found", { crm: (b) => b.step("x", () => 1), web: (b) => b.step("y", () => err(new Declined())) }, { optional: ["web"] })
// @ts-expect-error 'found.web' is possibly 'undefined'
forks.step("next", ({ found }) => found.web.y)
// @ts-expect-error Type '"nobody"' is not assignable to type '"a" | "b"'
base.parallel("found", { a: (b) => b.step("x", () => 1), b: (b) => b.step("y", () => 2) }, { optional: ["nobody"] })
// @ts-expect-error parallel 'found': with first, collect or atLeast no fork is required, so none can be optional
base.parallel("found", { a: (b) => b.step("x", () => 1), b: (b) => b.step("y", () => 2) }, { failure: atLeast(1), optional: ["a"] })

// beyond the sixteen
// @ts-expect-error .break stands outside a loop: only a loop's body can break
base.break(() => true)
// @ts-expect-error a .when(condition) stands before .returns and guards nothing
base.when(() => true).returns(() => 1)
// @ts-expect-error match needs a union of literals to choose by, not just any string
base.match(({ draft }) => draft.text, {})
// @ts-expect-error match 'm' chooses by literals, or by members told apart by _tag, type or kind: give it one of these
base.match("m", () => ({ verdict: "yes" as "yes" | "no" }), { yes: (b) => b, no: (b) => b })

// 17 compensation coverage
const booked = seq("booked").step("room", () => ({ id: 7 }), { effects: "books a room" })
base.protect("p", (b) => b.step("room", () => 1, { effects: "books a room", compensate: () => undefined }), { compensated: true })
base.protect("p", (b) => b.step("mail", () => 1, { effects: { irreversible: "sends a mail" } }), { compensated: true })
// @ts-expect-error protect 'trip': a step inside declares effects that nothing undoes; give it compensate, or declare them irreversible:", "room">
base.protect("trip", (b) => b.step("room", () => 1, { effects: "books a room" }), { compensated: true })
// @ts-expect-error a step inside declares effects that nothing undoes; give it compensate, or declare them irreversible:", "room">
base.protect("trip", (b) => b.loop("l", { times: 2 }, (c) => c.step(booked)), { compensated: true })
// @ts-expect-error a step inside declares effects that nothing undoes; give it compensate, or declare them irreversible:", "pay">
base.protect((b) => b.step(step("pay", ({ draft }: { draft: { text: string } }) => draft.text, { effects: "takes money" })), { compensated: true })
// @ts-expect-error Property 'receipt' does not exist on type '{ paid: number; }'
base.step("charge", () => ({ paid: 1 }), { compensate: ({ receipt }) => void receipt })
// @ts-expect-error Property 'nobody' does not exist
base.step("charge", () => ({ paid: 1 }), { compensate: (_output, { nobody }) => void nobody })

// 18 signals
const order = seq("order").wait("approval", { schema: z.object({ by: z.string() }) }).loop("l", { times: 2 }, (b) => b.wait("next")).step(
  "child",
  nest(seq("inner").wait("deep", { schema: z.number() }), () => undefined),
)
declare const heddle: Heddle["Service"]
void heddle.signal(order, "run", "approval", { by: "Ada" })
void heddle.signal(order, "run", "next", undefined)
void heddle.signal(order, "run", "deep", 1)
// @ts-expect-error the flow never waits for signal 'cancel'; it waits for"
void heddle.signal(order, "run", "cancel", undefined as never)
// @ts-expect-error Type 'number' is not assignable to type 'string'
void heddle.signal(order, "run", "approval", { by: 5 })
void testFlow(order, undefined, { signals: [{ name: "approval", payload: { by: "Ada" } }, { name: "next" }, { name: "deep", payload: 1, id: "s" }] })
// @ts-expect-error Type '"cancel"' is not assignable to type
void testFlow(order, undefined, { signals: [{ name: "cancel" }] })
// @ts-expect-error Type 'string' is not assignable to type
void testFlow(order, undefined, { signals: [{ name: "deep", payload: "1" }] })
// @ts-expect-error the flow waits for no signal; it cannot be sent 'go'
void heddle.signal(base, "run", "go", undefined as never)
// @ts-expect-error Property 'at' does not exist on type '{ by: string; }'
order.returns(({ approval }) => approval.at)
// @ts-expect-error 'late' is possibly 'undefined'
base.wait("late", { schema: z.object({ n: z.number() }), timeout: "1 day", atTimeout: "continue" }).step("n", ({ late }) => late.n)
// @ts-expect-error protect 'w': catch 'WaitTimedOut' handles an error that cannot happen here; possible errors:
base.protect("w", (b) => b.wait("go"), { catch: { WaitTimedOut: () => 1 } })

// 19 delivery
// @ts-expect-error step 'once' runs at most once: it cannot be tried again
base.step("once", () => err(new Declined()), { delivery: "atMostOnce", retry: { times: 1 } })
// @ts-expect-error a transaction cannot wait: return a plain value
base.step("tx", transaction(async (sql) => sql.all("SELECT 1")))

// 20 versions: shapes of released flows are kept in a generated file
declare global {
  interface HeddleLock {
    checkout: { 1: { price: number; kind: "a" | "b" }; 2: { price: { amount: number }; kind: "a" | "b" } }
    stable: { 1: { a: number } }
  }
}
seq("stable").step("a", () => 1).returns(({ a }) => a)
// @ts-expect-error flow 'stable' version 1 was released with another shape; raise the version and give a migration; changed:", "b">
seq("stable").step("a", () => 1).step("b", () => 2).returns(({ a }) => a)
// @ts-expect-error flow 'stable' version 1 was released with another shape; raise the version and give a migration; changed:", "a">
run(seq("stable").step("a", () => "text"))
// @ts-expect-error flow 'checkout' has no migration from a released version (see heddle.lock.d.ts); add migrations for", 1>
seq("checkout", { version: 2 })
// @ts-expect-error flow 'checkout': a migration does not give what the next version has; it is the one from version", 1>
seq("checkout", { version: 2, migrations: { 1: ({ price }) => ({ price: { amount: String(price) } }) } })
// @ts-expect-error Property 'prize' does not exist on type 'Partial<{ price: number; kind: "a" | "b"; }>'
seq("checkout", { version: 2, migrations: { 1: ({ prize }) => ({ prize }) } })
const migrated = seq("checkout", {
  version: 3,
  migrations: { 1: ({ price = 0, ...rest }) => ({ ...rest, price: { amount: price } }), 2: ({ price }) => ({ total: price?.amount }) },
})
migrated.step("total", () => 1).returns(({ total }) => total)
// @ts-expect-error flow 'checkout': the last migration does not give what version 3 has; wrong:", Misfit<string, number
migrated.step("total", () => "text").returns(({ total }) => total)

// 21 hooks: only what a point allows, and only what fits the step
// @ts-expect-error Type 'Replace<1>' is not assignable to type 'HookAnswer<"when.decided">'
hook("when.decided", () => decide.replace(1))
// @ts-expect-error Type 'Promise<Retry>' is not assignable to type 'HookAnswer<"loop.iteration">'
hook("loop.iteration", async () => decide.retry())
// @ts-expect-error Property 'error' does not exist on type
hook("step.after", ({ error }) => undefined)
base.step("n", () => 1, { hooks: [hook("step.error", () => decide.replace(2)), hook("step.after", ({ output }) => output === 1 ? decide.replace(3) : undefined)] })
// @ts-expect-error Type 'Hook<"step.error", "text">' is not assignable to type 'NodeHook<
base.step("n", () => 1, { hooks: [hook("step.error", () => decide.replace("text"))] })
// @ts-expect-error Type 'Hook<"step.before", never>' is not assignable to type 'NodeHook<"loop">'
base.loop("l", { times: 1, hooks: [hook("step.before", () => undefined)] }, (b) => b.step("s", () => 1))
// @ts-expect-error Type 'Hook<"wait.after", 1>' is not assignable to type 'NodeHook<"wait">'
base.wait("later", { for: 1, hooks: [hook("wait.after", () => decide.replace(1))] })

// limits
const perUser = permits("mail", 1, { key: ({ input }: { input: { user: string } }) => input.user })
seq<{ user: string }>("f").step("a", () => 1, { limits: [perUser, rate("r", { limit: 1, per: "1 second" })] })
// @ts-expect-error Property 'user' is missing in type '{ id: string; }'
base.step("mail", () => 1, { limits: [perUser] })
base.protect("p", (b) => b.step("s", () => 1), { budget: { tokens: 5 }, catch: { LimitExceeded: ({ used }) => used } })
// @ts-expect-error catch 'LimitExceeded' handles an error that cannot happen here
base.protect("p", (b) => b.step("s", () => 1), { catch: { LimitExceeded: () => 1 } })
// @ts-expect-error 'stepz' does not exist in type 'RunBudget'
seq("f", { budget: { stepz: 1 } })

// steps that are defined once
// @ts-expect-error step 'sure' cannot fail: a retry would never happen
step("sure", () => 1, { retry: { times: 1 } })
const slow = step("slow", (_: { id: string }) => 1, { timeout: "1 second" })
base.protect("p", (b) => b.step(slow), { catch: { StepTimedOut: () => 2 } })
// @ts-expect-error Property 'user' is missing in type '{ id: string; }'
step("keyed", (_: { id: string }) => 1, { limits: [permits("m", 1, { key: ({ user }: { user: string }) => user })] })

// 22 a flow that reads its session's context belongs to a session, nested and as a run of its own too
const member = seq("member", { session: z.object({ tier: z.string() }) }).step("tier", ({ session }) => session.tier)
run(member, undefined, { session: "s" })
// @ts-expect-error Expected 3 arguments, but got 2
run(member, undefined)
// @ts-expect-error Property 'session' is missing in type '{}'
run(seq("club").step(member), undefined, {})
// @ts-expect-error Expected 3 arguments, but got 1
run(seq("club").step(nest(member, { as: "run" })))

// 23 streams: a source that can go on, stages that fit each other, errors that are known
const rows = seq<{ file: string }>("rows").step("least", () => 2)
// @ts-expect-error this is no source that a resumed run could go on with
rows.stream("s", () => new Set([1]), (s) => s)
// @ts-expect-error Property 'toUpperCase' does not exist on type 'number'
rows.stream("s", () => [1, 2], (s) => s.map((n) => n.toUpperCase()))
// @ts-expect-error stage 'needs' is given items of another type
rows.stream("s", () => [1, 2], (s) => s.map(step("needs", (text: string) => text)))
const sunk = rows.stream("sizes", () => ["a"], (s) => s.map((word, { least }) => word.length + least).collect())
sunk.step("sum", ({ sizes }) => sizes.reduce((a, b) => a + b, 0))
// @ts-expect-error Property 'toUpperCase' does not exist on type 'number'
sunk.step("sum", ({ sizes }) => sizes[0]!.toUpperCase())
const failing = (s: number): Result<number, { readonly _tag: "Odd" }> => s % 2 === 0 ? ok(s) : err({ _tag: "Odd" })
rows.protect("p", (b) => b.stream("s", () => [1], (s) => s.map("w", failing, { failure: "fail" })), { catch: { Odd: () => 1 } })
// @ts-expect-error catch 'Odd' handles an error that cannot happen here
rows.protect("p", (b) => b.stream("s", () => [1], (s) => s.map("w", failing, { failure: "skip" })), { catch: { Odd: () => 1 } })
// @ts-expect-error 'sizes' is already bound in this scope
sunk.stream("sizes", () => [1], (s) => s)
// @ts-expect-error Property 'two' is missing in type
rows.stream("s", () => ["a"], (s) => s.partition((w) => w.length === 1 ? "one" : "two", { one: (p) => p }))
// @ts-expect-error .collect records what cannot be recorded
rows.stream("s", () => [1], (s) => s.map((n) => () => n).collect())
// @ts-expect-error .emit records what cannot be recorded
rows.stream("s", () => [1], (s) => s.map((n) => ({ made: Promise.resolve(n) })).map((one) => [one]).emit())
// @ts-expect-error .fold records what cannot be recorded
rows.stream("s", () => [1], (s) => s.fold(new WeakSet<object>(), (seen) => seen))
interface Row {
  readonly at: Date
  readonly parts: ReadonlyMap<string, bigint>
}
rows.stream("s", () => [1], (s) => s.map((n): Row => ({ at: new Date(n), parts: new Map() })).collect())
