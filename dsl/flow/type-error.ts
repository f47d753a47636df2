/**
 * A sentence the compiler prints where a flow cannot work.
 *
 * No value has this type, so whatever was written in its place is refused, and the message is `Message`.
 * `Detail` follows as an ordinary type (the keys, cases or errors in question).
 */
export interface FlowTypeError<Message extends string, Detail = never> {
  readonly "~heddle": Message
  readonly detail: Detail
}
