import type { Writable } from "node:stream"

/** Takes a stream for one writer: what others write to it goes to stderr until it is given back. */
export function take(stream: Writable): { readonly write: (text: string) => boolean; readonly giveBack: () => void } {
  const write = stream.write.bind(stream)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- both are written to alike
  stream.write = ((...args: Parameters<typeof write>) => process.stderr.write(...args)) as typeof write
  return { write, giveBack: () => (stream.write = write) }
}
