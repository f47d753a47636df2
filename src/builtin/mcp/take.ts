import type { Writable } from "node:stream"

/** Takes a stream for one writer: what others write to it goes to stderr until it is given back. */
export function take(stream: Writable): { readonly write: (text: string) => void; readonly giveBack: () => void } {
  const write = stream.write.bind(stream)
  stream.write = (chunk: string | Uint8Array) => process.stderr.write(chunk)
  return { write, giveBack: () => (stream.write = write) }
}
