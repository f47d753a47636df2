/** Time that passes when nobody has anything else to do. */
import type { Clock } from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

interface Sleeper {
  readonly until: number
  readonly wake: () => void
}

/**
 * A clock that jumps to the next thing somebody waits for, as soon as nothing else goes on: a wait of two days takes a moment.
 *
 * Work that really takes time (a request, a file) races against it: give such steps mocks.
 */
export function jumpingClock(start: number): Clock {
  let now = start
  let sleepers: Array<Sleeper> = []
  let timer: NodeJS.Timeout | undefined
  const jump = (): void => {
    timer = undefined
    const [next] = sleepers.toSorted((a, b) => a.until - b.until)
    if (next === undefined) return
    sleepers = sleepers.filter((one) => one !== next)
    now = Math.max(now, next.until)
    next.wake()
    arm()
  }
  const arm = (): void => {
    if (sleepers.length > 0) timer ??= setTimeout(jump, 1)
  }
  const nanos = () => BigInt(now) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => now,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.callback<void>((resume) => {
        const sleeper = { until: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
        sleepers.push(sleeper)
        arm()
        return Effect.sync(() => {
          sleepers = sleepers.filter((one) => one !== sleeper)
        })
      }),
  }
}
