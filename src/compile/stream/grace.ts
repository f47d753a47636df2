/** How long a source may take to end that waits for its next item when nobody reads any more, in milliseconds; and one that does not. */
const grace = 100
export const tidy = 5000

/** Waits until something has ended, but not for ever: what does not hear that nobody reads any more ends when its next item comes. */
export async function inTime(ending: unknown, milliseconds = grace): Promise<void> {
  const timer = Promise.withResolvers<void>()
  const over = setTimeout(timer.resolve, milliseconds)
  await Promise.race([Promise.resolve(ending).catch(() => undefined), timer.promise])
  clearTimeout(over)
}
