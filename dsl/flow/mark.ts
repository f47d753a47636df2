/**
 * What a flow says of itself beside its types: it travels with `Needs`, which every verb passes on, and costs nothing where there is none.
 */
import type { FlowTypeError } from "./type-error.ts"

/** The flow waits for this signal. */
export interface SignalMark<out Name extends string, Payload> {
  readonly "~mark": "signal"
  readonly signal: Name
  readonly payload: Payload
}
/** A step that changes the outside world and says nothing of how to undo it. */
export interface BareMark<out Name extends string> {
  readonly "~mark": "bare"
  readonly bare: Name
}
/** The flow reads its session's context: a run of it belongs to a session. */
export interface SessionMark {
  readonly "~mark": "session"
}
export type AnyMark = SignalMark<string, any> | BareMark<string> | SessionMark

/** Options that may be left out, unless a flow with these needs has to be told its session. */
export type SessionGuard<Needs, Options> = ReadsSession<Needs> extends true ? [options: Options & { readonly session: string }] : [options?: Options]
/** One of them is a session. Of a flow whose types are not known, nothing is asked. */
export type ReadsSession<Needs> = 0 extends 1 & Needs ? false : [Extract<Needs, SessionMark>] extends [never] ? false : true

/** The signals among the needs of a flow. */
type SignalsIn<Needs> = Extract<Needs, SignalMark<string, any>>
/** The signals a flow waits for, by name. */
export type SignalNames<Needs> = SignalsIn<Needs>["signal"]
/** What a sender of the signal has to give. */
export type PayloadOf<Needs, Name> = Extract<SignalsIn<Needs>, { readonly signal: Name; readonly payload: any }>["payload"]
/** `Name`, or the sentence that says which signals the flow waits for. */
export type SignalGuard<Needs, Name extends string> = [SignalNames<Needs>] extends [never] ?
  FlowTypeError<`the flow waits for no signal; it cannot be sent '${Name}'`> :
  Name extends SignalNames<Needs> ? Name :
  FlowTypeError<`the flow never waits for signal '${Name}'; it waits for`, SignalNames<Needs>>
